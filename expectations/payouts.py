"""What a pull of payouts looks like: unique ids, known states, arrival not before creation."""

import polars as pl

from expectations.rules import amount_is_plausible, currency_is_a_code, ids_are_unique, is_known, is_mostly_filled, is_not_negative, is_present
from expectations.suite import Suite


def derive(frame: pl.DataFrame) -> pl.DataFrame:
    """Add the days from creation to arrival."""
    return frame.with_columns(
        pl.col("balance_transaction_id").fill_null(""),
        days_to_arrival=(pl.col("arrival_on") - pl.col("created_at").dt.date()).dt.total_days(),
    )


SUITE = Suite(
    "payouts",
    (
        ids_are_unique("stripe_account", "payout_id"),
        currency_is_a_code(),
        amount_is_plausible(),
        is_present("created_at"),
        is_present("arrival_on"),
        is_known("status", ["paid", "pending", "in_transit", "canceled", "failed"]),
        is_known("method", ["standard", "instant"]),
        is_known("reconciliation_status", ["completed", "in_progress", "not_applicable"]),
        # A negative payout is Stripe debiting the bank to cover a negative balance: right, and worth knowing.
        is_not_negative("amount_minor", is_blocking=False),
        # Arrival is a date in the account's zone, creation an instant: a day of grace either way is not an error, hence a warning.
        is_not_negative("days_to_arrival", is_blocking=False),
        is_mostly_filled("balance_transaction_id", share_min=0.9),
    ),
    derive,
)
