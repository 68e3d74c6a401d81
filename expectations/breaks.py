"""What the breaks of a month look like: every one once, under a kind, a cause and a nature we know, with sane numbers."""

import polars as pl

from expectations.rules import amount_is_plausible, currency_is_a_code, ids_are_unique, is_known, is_not_negative, is_one_of
from expectations.suite import Rule, Suite
from reconciliation.schemas.breaks import CAUSES, DISPOSITIONS, KINDS, NATURES


def derive(frame: pl.DataFrame) -> pl.DataFrame:
    """Add by how much the money at risk exceeds what is at stake: the amount, or what a match across months moved."""
    at_stake = pl.max_horizontal(pl.col("amount_minor").abs(), pl.col("counter_amount_minor").abs().fill_null(0))
    return frame.with_columns(risk_beyond_amount_minor=pl.col("money_at_risk_minor") - at_stake)


SUITE = Suite(
    "breaks",
    (
        ids_are_unique("break_id"),
        is_one_of("leg", ["books", "cash"]),
        currency_is_a_code(),
        amount_is_plausible(),
        is_not_negative("money_at_risk_minor", is_blocking=True),
        Rule("money_at_risk_is_within_the_amount", "ExpectColumnValuesToBeBetween", {"column": "risk_beyond_amount_minor", "max_value": 0}, is_blocking=True),
        Rule(
            "probability_is_between_zero_and_one",
            "ExpectColumnValuesToBeBetween",
            {"column": "probability_true_exception", "min_value": 0, "max_value": 1},
            is_blocking=True,
        ),
        is_known("kind", KINDS),
        is_known("cause", CAUSES),
        is_known("nature", NATURES),
        is_known("disposition", DISPOSITIONS),
        # Carried items can lie after the cut-off only by a mistake in dates.
        is_not_negative("age_days", is_blocking=False),
    ),
    derive,
)
