"""What the ledger lines of a delivery look like: unique, dated, in a currency, with documents and few zeros."""

import polars as pl

from expectations.rules import amount_is_plausible, currency_is_a_code, has_rows, ids_are_unique, is_mostly_filled, is_mostly_not_zero, is_present
from expectations.suite import Rule, Suite


def derive(frame: pl.DataFrame) -> pl.DataFrame:
    """Add the months between the posting date and the accounting month that the ERP states."""
    stated = pl.col("month").str.head(4).cast(pl.Int64, strict=False) * 12 + pl.col("month").str.tail(2).cast(pl.Int64, strict=False)
    posted = pl.col("posting_on").dt.year().cast(pl.Int64) * 12 + pl.col("posting_on").dt.month().cast(pl.Int64)
    return frame.with_columns(months_from_posting=stated - posted)


SUITE = Suite(
    "ledger_lines",
    (
        ids_are_unique("item_id"),
        currency_is_a_code(),
        amount_is_plausible(),
        is_present("posting_on"),
        Rule("month_is_a_period", "ExpectColumnValuesToMatchRegex", {"column": "month", "regex": r"^\d{4}-\d{2}$"}, is_blocking=True),
        has_rows(),
        is_mostly_not_zero("amount_minor", share_min=0.9),
        is_mostly_filled("document", share_min=0.9),
        is_mostly_filled("memo", share_min=0.5),
        # A line posted months away from the period it is stated for is a misread date more often than a late entry.
        Rule(
            "posting_date_is_near_its_month",
            "ExpectColumnValuesToBeBetween",
            {"column": "months_from_posting", "min_value": -1, "max_value": 1, "mostly": 0.95},
        ),
    ),
    derive,
)
