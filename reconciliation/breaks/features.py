"""Facts -> the features the classifier sees, one row per break. Facts only: never ids, names or row order.

Nor what tells one trade from another (kind, category and component of a break, weekends, round amounts, the usual amount), nor the facts by which rules already call
an error one (a repetition, a reversed sign, an amount), which are in `possible_causes`: both taught habits of the companies that were learned from,
and misled about families and mechanisms never seen (`DECISIONS.md`). What excuses a break (rates, rounding, an accrual) is told in full.
"""

import polars as pl

NUMERIC = [
    "age_days", "days_overdue", "n_equal_same_side", "n_equal_other_side", "days_to_cut_off_of_month", "months_carried",
    "share_matched_same_day", "share_matched_since",
    "nearest_other_side", "nearest_reversed", "nearest_to_day", "nearest_to_reversed_day", "open_other_side_to_own",
    "n_members", "nearest_member",
]  # fmt: skip
BOOLEAN = ["has_counterparty", "has_reference_other_side", "is_within_rates", "is_rounding", "is_accrual", "is_debit"]
CAUSES = "possible_causes"
CATEGORICAL = [CAUSES]
POSSIBLE_BOTH, POSSIBLE_EXPECTED, POSSIBLE_EXCEPTION, POSSIBLE_UNKNOWN = "both", "expected", "exception", "unknown"
"""Which causes the facts allow (`breaks.kinds`); what rules know of kinds of business that no training company resembles."""
POSSIBLE_DOUBLE_CHARGE = "double_charge"
EXCEPTION_ALONE = (POSSIBLE_EXCEPTION, POSSIBLE_DOUBLE_CHARGE)
"""Where an exception alone is possible nothing else is told: a charge that was made twice is one on its first day, and what a payout lacks that charges
have is no excuse for one that never arrived. A second charge stands apart, since a customer may buy the same twice."""
FEATURES = [*NUMERIC, *BOOLEAN, *CATEGORICAL]
WATCHED_NUMERIC = ["n_items", "amount_to_median", "difference_share"]
WATCHED_BOOLEAN = [
    "has_reference", "is_repeated", "is_reversed_sign", "is_on_other_account", "is_converted", "is_digit_swap", "is_weekend", "is_round_amount",
]  # fmt: skip
WATCHED_CATEGORICAL = ["kind", "category", "component"]
WATCHED = [*WATCHED_NUMERIC, *WATCHED_BOOLEAN, *WATCHED_CATEGORICAL]
"""What no score depends on and drift is told from all the same: an unfamiliar company shows in its habits."""


def compute_features(items: pl.DataFrame, *, period_first_day: pl.Expr) -> pl.DataFrame:
    """Compute the features of each break from its largest item.

    Args:
        items: open items with facts, kinds and `break_id`.
        period_first_day: first day of the period that is reconciled.

    Returns:
        `break_id`, `FEATURES` and `WATCHED`; numeric as Float64, boolean as Boolean, categorical as String.
    """
    median = pl.col("amount_minor").abs().median().over("leg", "currency")
    sizes = items.group_by("break_id").agg(n_items=pl.len())
    largest = items.sort(pl.col("amount_minor").abs(), "item_id", descending=[True, False]).unique("break_id", keep="first", maintain_order=True)
    months = (
        (period_first_day.dt.year() - pl.col("date").dt.year()) * 12 + period_first_day.dt.month().cast(pl.Int32) - pl.col("date").dt.month().cast(pl.Int32)
    )
    computed = largest.join(sizes, on="break_id").with_columns(
        days_to_cut_off_of_month=pl.col("age_days").clip(0, 31),
        months_carried=months.clip(0, 24),
        amount_to_median=pl.col("amount_minor").abs() / pl.max_horizontal(median, pl.lit(1)),
        has_reference=pl.col("reference") != "",
        is_weekend=pl.col("date").dt.weekday() >= 6,
        is_round_amount=pl.col("amount_minor") % 1000 == 0,
        has_counterparty=pl.col("counterparty") != "",
        is_debit=pl.col("amount_minor") < 0,
    )
    may_be_expected = ~pl.col(CAUSES).is_in(EXCEPTION_ALONE)
    return (
        computed.with_columns(possible_causes=possible_causes())
        .with_columns(
            *(pl.when(may_be_expected).then(pl.col(name)) for name in NUMERIC),
            *(pl.when(may_be_expected).then(pl.col(name)).otherwise(pl.lit(value=False)) for name in BOOLEAN),
        )
        .select(
            "break_id",
            *(pl.col(name).cast(pl.Float64) for name in [*NUMERIC, *WATCHED_NUMERIC]),
            *(pl.col(name).cast(pl.Boolean).fill_null(value=False) for name in [*BOOLEAN, *WATCHED_BOOLEAN]),
            *(pl.col(name).cast(pl.String).fill_null("") for name in [*CATEGORICAL, *WATCHED_CATEGORICAL]),
        )
        .sort("break_id")
    )


def possible_causes() -> pl.Expr:
    """Say which causes are open to an item with `expected_cause` and `exception_cause`."""
    return (
        pl.when((pl.col("exception_cause") == "") & (pl.col("expected_cause") == ""))
        .then(pl.lit(POSSIBLE_UNKNOWN))
        .when(pl.col("exception_cause") == "")
        .then(pl.lit(POSSIBLE_EXPECTED))
        .when((pl.col("expected_cause") == "") & (pl.col("exception_cause") == "double_charge"))
        .then(pl.lit(POSSIBLE_DOUBLE_CHARGE))
        .when(pl.col("expected_cause") == "")
        .then(pl.lit(POSSIBLE_EXCEPTION))
        .otherwise(pl.lit(POSSIBLE_BOTH))
    )
