"""Stripe's API -> frames of `reconciliation.schemas.stripe`, and the proof that they are complete.

`client` talks, `parse` turns raw pages into columns, `pull` says what is read for a window, `completeness` proves it.
Left out: anything that writes to Stripe, and the report CSVs.

Alone: `pull_balance_transactions(StripeReader(key=…, api_base=…), account="self", start=…, end=…)`.
"""
