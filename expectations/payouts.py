"""What a pull of payouts looks like: unique ids, known states, arrival not before creation."""

import polars as pl

from expectations.rules import amount_is_plausible, currency_is_a_code, ids_are_unique, is_known, is_mostly_filled, is_mostly_not_negative, is_present
from expectations.suite import Rule, Suite


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
        # A negative payout is Stripe debiting the bank to cover a negative balance. After a day of many refunds it is right; a tenth
        # of all payouts, in a pull that always holds some weeks of them, means that the balance does not carry the business.
        is_mostly_not_negative("amount_minor", share_min=0.9),
        # Arrival is a date in the account's zone and creation an instant, so that an instant payout may seem a day early.
        Rule("arrival_is_not_before_creation", "ExpectColumnValuesToBeBetween", {"column": "days_to_arrival", "min_value": -1}),
        is_mostly_filled("balance_transaction_id", share_min=0.9),
    ),
    derive,
)
