"""Scored open items + a policy -> what becomes of each break without a person, and the monthly draw of what to audit.

The policy itself stands above the pipeline (`reconciliation.classifier.policy`), as the classifier does; here is what it is
given, what it answers, and how the answer reaches the items. A person's decision is applied later and overrides it.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from reconciliation.population import Month
from reconciliation.schemas.breaks import EXCEPTION_CAUSES, UNDETERMINED
from reconciliation.schemas.items import EFFECT

NEEDS_REVIEW, PROPOSED_CLEAR, AUTO_CLEARED = "needs_review", "proposed_clear", "auto_cleared"
CONFIRMED = "confirmed_exception"
DECIDED_BY_PERSON = (CONFIRMED, "cleared_by_reviewer", "written_off")
"""Dispositions that only a person gives."""
AUDIT_SAMPLE_A_MONTH = 60
"""Of each month and book; five months of clean samples (300) bound the share of wrong acceptances by 1 % at 95 % confidence."""
AUDIT_SAMPLE = pl.Schema({"break_id": pl.String, "book": pl.String, "currency": pl.String, "place": pl.Int64, "drawn_from": pl.Int64})


@dataclass(frozen=True)
class Clearing:
    """What the policy decided for a month of a book.

    Attributes:
        dispositions: `break_id`, `disposition`, in the order of the breaks.
        mode: the mode that acted; `copilot` where `autonomous` was asked for and could not act.
        statement: in words, for the report: which certificate acted with which bound, or why nothing is cleared.
        facts: the same for the manifest: certificates, limits, alarms, the audit's bound.
    """

    dispositions: pl.DataFrame
    mode: str
    statement: str
    facts: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return what the manifest says of it."""
        counted = dict(sorted(self.dispositions["disposition"].value_counts().iter_rows()))
        return {"mode": self.mode, "statement": self.statement, "dispositions": counted, **self.facts}


Policy = Callable[[pl.DataFrame, pl.DataFrame, Month], Clearing]
"""Breaks (`list_for_policy`), features and the month -> what is cleared."""


def leave_to_people(breaks: pl.DataFrame, features: pl.DataFrame, month: Month) -> Clearing:
    """Clear nothing: the policy of training, dry runs and of whoever has no certificate."""
    del features, month
    return Clearing(breaks.select("break_id", disposition=pl.lit(NEEDS_REVIEW)), "observe", "No policy acts: every break waits for a person.", {})


def list_for_policy(scored: pl.DataFrame) -> pl.DataFrame:
    """List the breaks of open items as a policy needs them.

    Args:
        scored: open items with `break_id`, cause and probability.

    Returns:
        `break_id, leg, kind, cause, currency, amount_minor, exposure_minor, probability_true_exception`. Kind and cause are those of the
        largest item, unless another item's cause is a true exception or unknown: then that one stands. The exposure is the
        sum of absolute amounts, so that two large items that cancel are not small.
    """
    grave = pl.col("cause").is_in([*EXCEPTION_CAUSES, UNDETERMINED])
    ordered = scored.with_columns(effect=EFFECT).sort(pl.col("amount_minor").abs(), "item_id", descending=[True, False])
    return (
        ordered.group_by("break_id", maintain_order=True)
        .agg(
            pl.col("leg", "kind", "currency", "probability_true_exception").first(),
            cause=pl.coalesce(pl.col("cause").filter(grave).first(), pl.col("cause").first()),
            amount_minor=pl.col("effect").sum(),
            exposure_minor=pl.col("amount_minor").abs().sum(),
        )
        .sort("break_id")
    )


def apply_clearing(scored: pl.DataFrame, clearing: Clearing) -> pl.DataFrame:
    """Give every open item the disposition of its break."""
    placed = scored.drop("disposition").join(clearing.dispositions.select("break_id", "disposition"), on="break_id", how="left", maintain_order="left")
    return placed.with_columns(pl.col("disposition").fill_null(NEEDS_REVIEW))


def audit_finding() -> pl.Expr:
    """Say what a person found of an audited break: `wrong` where it was a true exception, `right`, or empty while nobody has looked."""
    is_decided = pl.col("disposition").is_in(DECIDED_BY_PERSON)
    is_wrong = (pl.col("disposition") == CONFIRMED) | pl.col("cause").is_in(EXCEPTION_CAUSES)
    return pl.when(is_decided & is_wrong).then(pl.lit("wrong")).when(is_decided).then(pl.lit("right")).otherwise(pl.lit(""))


def draw_audit_sample(breaks: pl.DataFrame, clearing: Clearing, month: Month) -> pl.DataFrame:
    """Draw what a person audits of the month's automatic acceptances (`AUDIT_SAMPLE`).

    The draw follows from a digest of period, book and break, so a repeated run draws the same, a late break shifts it by
    one place at most, and nobody chooses.

    Args:
        breaks: `break_id, book, currency`.
        clearing: the policy's answer, before any person's decision.
        month: which month.
    """
    accepted = clearing.dispositions.filter(pl.col("disposition") == AUTO_CLEARED)
    found = breaks.join(accepted, on="break_id", how="semi")
    lots = [hashlib.sha256(f"{month.period}/{month.book.name}/{break_id}".encode()).hexdigest() for break_id in found["break_id"]]
    drawn = found.with_columns(lot=pl.Series(lots, dtype=pl.String)).sort("lot").head(AUDIT_SAMPLE_A_MONTH)
    numbered = drawn.with_columns(place=pl.int_range(1, drawn.height + 1, dtype=pl.Int64), drawn_from=pl.lit(found.height, dtype=pl.Int64))
    return numbered.select(pl.col(name).cast(dtype) for name, dtype in AUDIT_SAMPLE.items())
