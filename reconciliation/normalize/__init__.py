"""Stripe objects, ledger lines and bank lines -> items and their references."""
