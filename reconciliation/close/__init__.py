"""A reconciled month -> statement, journals, and the close package."""
