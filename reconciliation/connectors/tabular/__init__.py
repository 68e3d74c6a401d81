"""Tables in files -> text cells, with encoding, layout, decimal mark and date order decided for a file as a whole.

What the ledger, trial balance and bank connectors share; it knows none of them.
"""
