"""What the items of a month look like: every one once, on a side that belongs to its leg, with a component we know."""

import polars as pl

from expectations.rules import amount_is_plausible, currency_is_a_code, has_rows, ids_are_unique, is_known, is_mostly_not_zero, is_one_of, is_present, is_zero
from expectations.suite import Suite

COMPONENTS = ["gross", "fee", "fee_tax", "withheld_tax", "application_fee", ""]


def derive(frame: pl.DataFrame) -> pl.DataFrame:
    """Add 1 where an item stands on a side that its leg does not have."""
    foreign = ((pl.col("leg") == "cash") & (pl.col("side") == "ledger")) | ((pl.col("leg") == "books") & (pl.col("side") == "bank"))
    return frame.with_columns(side_belongs_to_leg_difference_minor=foreign.cast(pl.Int64))


SUITE = Suite(
    "items",
    (
        ids_are_unique("leg", "item_id"),
        is_one_of("leg", ["books", "cash"]),
        is_one_of("side", ["stripe", "ledger", "bank", "residual", "opening"]),
        is_one_of("population", ["carried", "new", "late", "evidence"]),
        is_zero("side_belongs_to_leg_difference_minor"),
        currency_is_a_code(),
        amount_is_plausible(),
        is_present("date"),
        has_rows(),
        is_known("component", COMPONENTS),
        is_mostly_not_zero("amount_minor", share_min=0.9),
    ),
    derive,
)
