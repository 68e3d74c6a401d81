"""Ledger exports and trial balances -> lines of the general ledger on mapped accounts.

Run alone: `reconcile check FILE`. Left out here: what the lines mean to Stripe (`normalize`, `matching`).
"""
