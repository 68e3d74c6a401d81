"""Facts -> the features the classifier sees, one row per break. Facts only: never ids, names or row order."""

import polars as pl

NUMERIC = [
    "age_days", "days_beyond_usual_lag", "days_overdue", "amount_to_median", "n_equal_same_side", "n_equal_other_side", "n_items",
    "difference_share", "difference_minor_a_member", "days_to_cut_off_of_month", "months_carried",
    "share_matched_same_day", "share_matched_since",
]  # fmt: skip
BOOLEAN = [
    "has_reference", "has_counterparty", "is_repeated", "has_reference_other_side", "is_reversed_sign", "is_on_other_account", "is_converted",
    "is_within_rates", "is_digit_swap", "is_rounding", "is_accrual", "is_weekend", "is_round_amount", "is_debit",
]  # fmt: skip
CATEGORICAL = ["kind", "category", "component", "possible_causes"]
POSSIBLE_BOTH, POSSIBLE_EXPECTED, POSSIBLE_EXCEPTION = "both", "expected", "exception"
"""Which causes the facts allow (`breaks.kinds`); what rules know of kinds of business that no training company resembles."""
FEATURES = [*NUMERIC, *BOOLEAN, *CATEGORICAL]


def compute_features(items: pl.DataFrame, *, period_first_day: pl.Expr) -> pl.DataFrame:
    """Compute the features of each break from its largest item.

    Args:
        items: open items with facts, kinds and `break_id`.
        period_first_day: first day of the period that is reconciled.

    Returns:
        `break_id` and `FEATURES`; numeric as Float64, boolean as Boolean, categorical as String.
    """
    median = pl.col("amount_minor").abs().median().over("leg", "currency")
    largest = items.sort(pl.col("amount_minor").abs(), "item_id", descending=[True, False]).unique("break_id", keep="first", maintain_order=True)
    sizes = items.group_by("break_id").agg(n_items=pl.len())
    months = (
        (period_first_day.dt.year() - pl.col("date").dt.year()) * 12 + period_first_day.dt.month().cast(pl.Int32) - pl.col("date").dt.month().cast(pl.Int32)
    )
    computed = largest.join(sizes, on="break_id").with_columns(
        days_beyond_usual_lag=pl.col("age_days") - pl.col("usual_lag_days"),
        amount_to_median=pl.col("amount_minor").abs() / pl.max_horizontal(median, pl.lit(1)),
        difference_minor_a_member=pl.when(pl.col("side") == "residual").then(pl.col("amount_minor").abs() / pl.max_horizontal("n_members", pl.lit(1))),
        days_to_cut_off_of_month=pl.col("age_days").clip(0, 31),
        months_carried=months.clip(0, 24),
        has_reference=pl.col("reference") != "",
        has_counterparty=pl.col("counterparty") != "",
        is_weekend=pl.col("date").dt.weekday() >= 6,
        is_round_amount=pl.col("amount_minor") % 1000 == 0,
        is_debit=pl.col("amount_minor") < 0,
    )
    return (
        computed.with_columns(possible_causes=possible_causes())
        .select(
            "break_id",
            *(pl.col(name).cast(pl.Float64) for name in NUMERIC),
            *(pl.col(name).cast(pl.Boolean).fill_null(value=False) for name in BOOLEAN),
            *(pl.col(name).cast(pl.String).fill_null("") for name in CATEGORICAL),
        )
        .sort("break_id")
    )


def possible_causes() -> pl.Expr:
    """Say which causes are open to an item with `expected_cause` and `exception_cause`."""
    return (
        pl.when(pl.col("exception_cause") == "")
        .then(pl.lit(POSSIBLE_EXPECTED))
        .when(pl.col("expected_cause") == "")
        .then(pl.lit(POSSIBLE_EXCEPTION))
        .otherwise(pl.lit(POSSIBLE_BOTH))
    )
