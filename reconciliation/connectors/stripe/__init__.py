"""Stripe's API and report CSVs -> frames of `reconciliation.schemas.stripe`, and the proof that they are complete.

`client` talks at the `pace` Stripe allows, `pull` says what is read for a window, `slices` reads it side by side, `partial` keeps it through a
kill, `parse` turns raw pages into columns; `reports` reads CSVs, `history` lets them stand for lists; `completeness` proves what was read.
Left out: anything that writes to Stripe.

Alone: `pull_balance_transactions(StripeReader(key=…, api_base=…), account="self", start=…, end=…)`.
"""
