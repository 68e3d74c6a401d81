"""What the statement of a month looks like: its lines explain the whole difference between Stripe and the ledger.

That it foots is checked before anything is written, and not here. What no line explains is printed on it and shown here: a trial
balance that does not go with its ledger export, or an export that lacks rows, is found by it.
"""

import polars as pl

from expectations.rules import has_rows
from expectations.suite import Rule, Suite


def derive(frame: pl.DataFrame) -> pl.DataFrame:
    """Add the amount of the line `unexplained`, and zero on every other line."""
    return frame.with_columns(unexplained_minor=pl.when(pl.col("line") == "unexplained").then(pl.col("difference").fill_null(0)).otherwise(0))


SUITE = Suite(
    "statement",
    (
        has_rows(),
        Rule("nothing_is_unexplained", "ExpectColumnValuesToBeInSet", {"column": "unexplained_minor", "value_set": (0,)}),
    ),
    derive,
)
