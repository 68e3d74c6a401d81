"""What the bank lines in scope look like: unique, booked, in a currency, with a text that says who paid."""

import polars as pl

from expectations.rules import amount_is_plausible, currency_is_a_code, ids_are_unique, is_mostly_filled, is_mostly_not_zero, is_present
from expectations.suite import Rule, Suite


def derive(frame: pl.DataFrame) -> pl.DataFrame:
    """Add the days between booking and value date."""
    return frame.with_columns(days_to_value=(pl.col("value_on") - pl.col("booked_on")).dt.total_days())


SUITE = Suite(
    "bank_lines",
    (
        ids_are_unique("item_id"),
        currency_is_a_code(),
        amount_is_plausible(),
        is_present("booked_on"),
        is_mostly_not_zero("amount_minor", share_min=0.99),
        is_mostly_filled("bank_account", share_min=0.99),
        is_mostly_filled("description", share_min=0.8),
        Rule("value_date_is_near_booking", "ExpectColumnValuesToBeBetween", {"column": "days_to_value", "min_value": -7, "max_value": 7, "mostly": 0.95}),
    ),
    derive,
)
