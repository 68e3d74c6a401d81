"""Facts -> kind, and the two causes a break can have: the expected one and the true exception.

The model's probability chooses between the two where both are possible; where facts leave one, that one stands. What no
rule knows is `undetermined`.
"""

from dataclasses import dataclass

import polars as pl

from reconciliation.population import RESTATED


@dataclass(frozen=True)
class Causes:
    """The causes open to a Stripe component, each with its nature; an empty exception means that none is possible."""

    expected: str
    expected_nature: str
    exception: str = ""
    exception_nature: str = ""


# Reporting categories are Stripe's (https://docs.stripe.com/reports/reporting-categories); natures are interface.md's.
COMPONENT_CAUSES: dict[str, Causes] = {
    "charge.gross": Causes("timing", "timing", "missing_posting", "entry"),
    "refund.gross": Causes("timing", "timing", "unrecorded_refund", "entry"),
    "dispute.gross": Causes("dispute_held", "reclass", "unrecorded_dispute", "entry"),
    "dispute.fee": Causes("dispute_fee", "entry"),
    "dispute_reversal.gross": Causes("dispute_won", "reclass"),
    "dispute_reversal.fee": Causes("dispute_fee", "entry"),
    "fee.gross": Causes("billing_fee", "entry"),
    "network_cost.gross": Causes("processing_fee", "entry"),
    "tax.gross": Causes("tax", "entry"),
    "payout.gross": Causes("payout_in_transit", "timing", "missing_posting", "entry"),
    "payout_reversal.gross": Causes("payout_returned", "timing"),
    "payout.fee": Causes("processing_fee", "entry"),
    "refund_failure.gross": Causes("refund_failed", "entry"),
    "charge_failure.gross": Causes("charge_failed", "entry"),
    "partial_capture_reversal.gross": Causes("partial_capture", "entry"),
    "reserve_hold.gross": Causes("reserve", "reclass"),
    "reserve_release.gross": Causes("reserve", "reclass"),
    "risk_reserved_funds.gross": Causes("reserve", "reclass"),
    "payment_network_reserve_hold.gross": Causes("reserve", "reclass"),
    "payment_network_reserve_release.gross": Causes("reserve", "reclass"),
    "connect_reserved_funds.gross": Causes("reserve", "reclass"),
    "payout_minimum_balance_hold.gross": Causes("minimum_balance", "reclass"),
    "payout_minimum_balance_release.gross": Causes("minimum_balance", "reclass"),
    "topup.gross": Causes("top_up", "timing"),
    "topup_reversal.gross": Causes("top_up", "timing"),
    "transfer.gross": Causes("connect_transfer", "entry"),
    "transfer_reversal.gross": Causes("connect_transfer", "entry"),
    "platform_earning.gross": Causes("application_fee", "entry"),
    "platform_earning_refund.gross": Causes("application_fee", "entry"),
}
PART_CAUSES = {
    "fee": Causes("processing_fee", "entry"),
    "fee_tax": Causes("tax", "entry"),
    "withheld_tax": Causes("withheld_tax", "entry"),
    "application_fee": Causes("application_fee", "entry"),
}
DISPUTE_DAYS = 75
"""A dispute is decided within 60 to 75 days of the evidence (https://docs.stripe.com/disputes/how-disputes-work); until then it is held."""
PAYOUT_GRACE_DAYS = 5
"""A payout is settled within five business days of its arrival date, or Stripe's documentation calls it failed."""


def name_kinds(facts: pl.DataFrame) -> pl.DataFrame:
    """Add `kind`, `expected_cause`, `expected_nature`, `exception_cause`, `exception_nature` to open items with facts."""
    side, cash = pl.col("side"), pl.col("leg") == "cash"
    kind = (
        pl.when(pl.col("ambiguous_group") != "").then(pl.lit("ambiguous_match"))
        .when(side == "opening").then(pl.lit("opening_difference"))
        .when((side == "residual") & cash).then(pl.lit("bank_amount_difference"))
        .when(side == "residual").then(pl.lit("amount_difference"))
        .when(side == "bank").then(pl.lit("bank_not_in_stripe"))
        .when(cash).then(pl.lit("payout_not_in_bank"))
        .when((side == "ledger") & pl.col("is_repeated") & ~pl.col("is_accrual")).then(pl.lit("duplicate_in_ledger"))
        .when(side == "ledger").then(pl.lit("missing_in_stripe"))
        .when(pl.col("is_repeated") & (pl.col("category") == "charge")).then(pl.lit("duplicate_in_stripe"))
        .otherwise(pl.lit("missing_in_ledger"))
    )  # fmt: skip
    return _name_causes(facts.with_columns(kind=kind))


def _name_causes(facts: pl.DataFrame) -> pl.DataFrame:
    follows_gross = pl.col("has_open_gross") & (pl.col("component") == "fee") & (pl.col("category") == "charge")
    table = {**{f"charge.{part}": PART_CAUSES[part] for part in PART_CAUSES}, **COMPONENT_CAUSES}
    named = facts.with_columns(
        **{
            field: pl.when(pl.col("line").is_in(list(table)))
            .then(pl.col("line").replace_strict(list(table), [getattr(causes, field) for causes in table.values()], default="", return_dtype=pl.String))
            .otherwise(
                pl.col("component").replace_strict(
                    list(PART_CAUSES), [getattr(causes, field) for causes in PART_CAUSES.values()], default="", return_dtype=pl.String
                )
            )
            for field in ("expected", "expected_nature", "exception", "exception_nature")
        }
    )
    overdue = pl.col("days_overdue") > PAYOUT_GRACE_DAYS
    rules: list[tuple[pl.Expr, tuple[str, str, str, str]]] = [
        (pl.col("kind") == "ambiguous_match", ("", "", "", "")),
        (pl.col("kind") == "opening_difference", ("opening_difference", "", "", "")),
        (pl.col("item_id").str.contains(RESTATED, literal=True), ("", "", "changed_after_close", "restatement")),
        (pl.col("is_accrual"), ("accrual_release", "timing", "", "")),
        (pl.col("kind") == "duplicate_in_ledger", ("", "", "duplicate_posting", "correction")),
        (pl.col("kind") == "duplicate_in_stripe", ("", "", "double_charge", "claim")),
        (pl.col("is_reversed_sign"), ("", "", "reversed_sign", "correction")),
        (pl.col("is_on_other_account"), ("", "", "wrong_account", "reclass")),
        ((pl.col("kind") == "amount_difference") & pl.col("is_converted") & pl.col("is_within_rates"), ("fx", "entry", "", "")),
        ((pl.col("kind") == "amount_difference") & pl.col("is_rounding"), ("rounding", "entry", "", "")),
        (pl.col("kind") == "amount_difference", ("", "", "wrong_amount", "correction")),
        ((pl.col("kind") == "bank_amount_difference"), ("bank_charge", "entry", "missing_settlement", "claim")),
        ((pl.col("kind") == "payout_not_in_bank") & (pl.col("category") == "topup"), ("top_up", "timing", "", "")),
        ((pl.col("kind") == "payout_not_in_bank") & ~overdue, ("payout_in_transit", "timing", "", "")),
        (pl.col("kind") == "payout_not_in_bank", ("", "", "missing_settlement", "claim")),
        (pl.col("kind") == "bank_not_in_stripe", ("", "", "unknown_entry", "claim")),
        (
            (pl.col("kind") == "missing_in_stripe") & pl.col("description").str.contains(r"(?i)\brefund"),
            ("refund_pending", "timing", "unknown_entry", "correction"),
        ),
        (pl.col("kind") == "missing_in_stripe", ("timing", "timing", "unknown_entry", "correction")),
        (pl.col("has_arrived"), ("timing", "timing", "missing_posting", "entry")),
        ((pl.col("line") == "payout.gross") & ~overdue, ("payout_in_transit", "timing", "", "")),
        ((pl.col("line") == "dispute.gross") & (pl.col("age_days") <= DISPUTE_DAYS), ("dispute_held", "reclass", "", "")),
        (follows_gross, ("timing", "timing", "missing_posting", "entry")),
    ]
    result = {
        name: pl.col(column)
        for name, column in zip(
            ("expected_cause", "expected_nature", "exception_cause", "exception_nature"),
            ("expected", "expected_nature", "exception", "exception_nature"),
            strict=True,
        )
    }
    for condition, values in reversed(rules):
        result = {name: pl.when(condition).then(pl.lit(value)).otherwise(result[name]) for (name, value) in zip(result, values, strict=True)}
    return named.with_columns(**result).drop("expected", "exception")


def choose_cause(frame: pl.DataFrame) -> pl.DataFrame:
    """Add `cause` and `nature`: the exception's where the probability is at least one half, else the expected one's.

    A cause that is the only one possible stands whatever the probability; no cause at all is `undetermined`.
    """
    is_exception = (pl.col("exception_cause") != "") & ((pl.col("probability_true_exception") >= 0.5) | (pl.col("expected_cause") == ""))
    cause = pl.when(is_exception).then("exception_cause").when(pl.col("expected_cause") != "").then("expected_cause").otherwise(pl.lit("undetermined"))
    nature = pl.when(is_exception).then("exception_nature").when(pl.col("expected_cause") != "").then("expected_nature").otherwise(pl.lit(""))
    return frame.with_columns(cause=cause, nature=nature)
