"""Bank statements (CAMT.053, CSV) -> booked bank lines in scope.

Run alone: `reconcile check FILE`. Left out here: pending entries (set aside), and what a line pays (`matching`).
"""
