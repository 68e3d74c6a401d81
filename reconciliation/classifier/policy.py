"""Scored breaks + certificates + settings -> what becomes of each break without a person, and who said it may.

Nothing is cleared that no certificate covers. A certificate is a threshold with a proof: on a calibration window of
labeled breaks, so few true exceptions lay below it that recall is at least the target with 95 % confidence. How many may
lie below is fixed by their number alone before the scores are looked at (299 allow none at 99 %, 473 one, 628 two), so
choosing the threshold costs no confidence: it is the exact tolerance limit of an order statistic (Clopper and Pearson, 1934).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from reconciliation.learning.tables import Floats

CONFIDENCE = 0.95
UNCLEARABLE_KINDS = ("ambiguous_match", "opening_difference", "currency_difference")
"""Kinds that a person always sees: several explanations are equally good, the difference is older than the first month, or two currencies meet."""
UNCLEARABLE_CAUSES = ("undetermined", "opening_difference")
NEEDS_REVIEW, PROPOSED_CLEAR, AUTO_CLEARED = "needs_review", "proposed_clear", "auto_cleared"
Mode = Literal["observe", "copilot", "autonomous"]


@dataclass(frozen=True)
class Certificate:
    """A threshold and what proves it.

    Attributes:
        source: `simulated` (labels of simulated companies) or `audited` (this company's own audited labels).
        threshold: breaks with a probability strictly below it may be cleared; None when no threshold is proven.
        exceptions: true exceptions in the calibration window.
        misses: how many of them lie below the threshold.
        recall_bound: one-sided lower bound of recall at the confidence; 0 without a threshold.
        target_recall: what was asked for.
        confidence: of the bound.
        window: in words, which labels.
    """

    source: Literal["simulated", "audited"]
    threshold: float | None
    exceptions: int
    misses: int
    recall_bound: float
    target_recall: float
    confidence: float
    window: str

    def to_json(self) -> dict[str, Any]:
        """Return the certificate as plain JSON values."""
        return dict(vars(self))

    @staticmethod
    def from_json(content: dict[str, Any]) -> "Certificate":
        """Read what `to_json` wrote."""
        return Certificate(**content)


@dataclass(frozen=True)
class Clearing:
    """What the policy decided for a month of a book.

    Attributes:
        dispositions: `break_id`, `disposition`, in the order of the breaks.
        mode: the mode that acted; `copilot` where `autonomous` was asked for without a certificate on audited labels.
        statement: one sentence for the report: which certificate acted with which bound, or why nothing is cleared.
    """

    dispositions: pl.DataFrame
    mode: Mode
    statement: str


def recall_bound(*, exceptions: int, misses: int, confidence: float = CONFIDENCE) -> float:
    """Return the one-sided Clopper-Pearson lower bound of recall.

    >>> round(recall_bound(exceptions=299, misses=0), 4), round(recall_bound(exceptions=473, misses=1), 4), recall_bound(exceptions=0, misses=0)
    (0.99, 0.99, 0.0)
    """
    found = exceptions - misses
    if found <= 0:
        return 0.0
    from scipy.stats import beta

    return float(beta.ppf(1 - confidence, found, misses + 1))


def misses_allowed(*, exceptions: int, target_recall: float, confidence: float = CONFIDENCE) -> int | None:
    """Return how many exceptions may lie below a threshold so that its bound reaches the target, or None when even none is too many.

    >>> [misses_allowed(exceptions=n, target_recall=0.99) for n in (298, 299, 472, 473, 628, 1049)]
    [None, 0, 0, 1, 2, 5]
    """
    if recall_bound(exceptions=exceptions, misses=0, confidence=confidence) < target_recall:
        return None
    low, high = 0, exceptions
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if recall_bound(exceptions=exceptions, misses=middle, confidence=confidence) >= target_recall else (low, middle)
    return low


def certify_threshold(
    probabilities: Floats,
    labels: npt.NDArray[np.bool_],
    *,
    source: Literal["simulated", "audited"],
    target_recall: float,
    window: str,
    confidence: float = CONFIDENCE,
) -> Certificate:
    """Choose the highest threshold that is proven on a calibration window.

    Args:
        probabilities: of the window's breaks, from a model that did not learn from them.
        labels: whether each was a true exception.
        source: whose labels they are.
        target_recall: of true exceptions.
        window: in words, which labels.
        confidence: of the proof.

    Returns:
        A certificate; its threshold is None when the window holds too few exceptions for any proof.
    """
    exceptions = np.sort(probabilities[labels])
    allowed = misses_allowed(exceptions=len(exceptions), target_recall=target_recall, confidence=confidence)
    if allowed is None:
        return Certificate(source, None, len(exceptions), 0, 0.0, target_recall, confidence, window)
    threshold = float(exceptions[allowed])
    misses = int((exceptions < threshold).sum())  # equal probabilities at the threshold are not cleared, so this may be fewer than allowed
    bound = recall_bound(exceptions=len(exceptions), misses=misses, confidence=confidence)
    return Certificate(source, threshold, len(exceptions), misses, bound, target_recall, confidence, window)


def decide_dispositions(
    breaks: pl.DataFrame,
    *,
    mode: Mode,
    target_recall: float,
    simulated: Certificate | None,
    audited: Certificate | None = None,
    materiality_minor: Mapping[str, int],
    cap_minor: Mapping[str, int],
    alarm: str = "",
) -> Clearing:
    """Decide what each break needs.

    Args:
        breaks: `break_id, kind, cause, amount_minor, currency, probability_true_exception`.
        mode: `[review] mode`.
        target_recall: `[review] target_recall`; a certificate for a lower target does not act.
        simulated: the model version's own certificate.
        audited: one on this company's audited labels.
        materiality_minor: per currency; a currency without one clears nothing.
        cap_minor: per currency, most that may be accepted without a person in the month, summed absolutely.
        alarm: why automatic acceptance is suspended (drift), or empty.

    Returns:
        `needs_review` for everything in observe. In copilot `proposed_clear` strictly below the threshold and the materiality,
        for kinds and causes a person need not see. In autonomous, with an audited certificate, those become `auto_cleared` up to
        the cap, least probable exception first.
    """
    acting, certificate, statement = _acting(mode, simulated=simulated, audited=audited, target_recall=target_recall, alarm=alarm)
    if certificate is None or certificate.threshold is None:
        return Clearing(breaks.select("break_id", pl.lit(NEEDS_REVIEW).alias("disposition")), acting, statement)
    limits = [
        breaks["currency"].cast(pl.String).replace_strict(dict(table), default=0, return_dtype=pl.Int64).alias(name)
        for name, table in (("_material", materiality_minor), ("_cap", cap_minor))
    ]
    judged = breaks.with_columns(*limits).with_columns(pl.col("amount_minor").abs().alias("_amount"))
    is_clearable = (
        (pl.col("probability_true_exception") < certificate.threshold)
        & (pl.col("_amount") < pl.col("_material"))
        & ~pl.col("kind").is_in(UNCLEARABLE_KINDS)
        & ~pl.col("cause").is_in(UNCLEARABLE_CAUSES)
    ).fill_null(value=False)
    judged = judged.with_columns(is_clearable.alias("_clearable"))
    disposition = pl.when("_clearable").then(pl.lit(PROPOSED_CLEAR)).otherwise(pl.lit(NEEDS_REVIEW))
    if acting == "autonomous":
        disposition = pl.when(_within_cap()).then(pl.lit(AUTO_CLEARED)).otherwise(disposition)
    return Clearing(judged.select("break_id", disposition.alias("disposition")), acting, statement)


def _within_cap() -> pl.Expr:
    # Least probable exceptions first, then the smallest, so that the cap is spent where it risks least; a break that would exceed it ends the list.
    order = ["probability_true_exception", "_amount", "break_id"]
    running = pl.when("_clearable").then("_amount").otherwise(0).cum_sum().over("currency", order_by=order)
    return pl.col("_clearable") & (running <= pl.col("_cap"))


def _acting(
    mode: Mode, *, simulated: Certificate | None, audited: Certificate | None, target_recall: float, alarm: str
) -> tuple[Mode, Certificate | None, str]:
    if mode == "observe":
        return "observe", None, "Mode is observe: nothing is accepted or proposed; every break waits for a person."
    if mode == "autonomous" and not alarm and _proves(audited, target_recall):
        return "autonomous", audited, f"Cleared without a person by {_describe(audited)}."
    acting: Mode = "copilot"
    because = (
        ""
        if mode == "copilot"
        else f"Automatic acceptance is off ({alarm or 'no certificate on audited labels of this company'}), so breaks are only proposed. "
    )
    if alarm and mode == "copilot":
        because = f"Alarm: {alarm}. "
    if _proves(simulated, target_recall):
        return acting, simulated, f"{because}Proposed for clearing by {_describe(simulated)}; a person confirms each."
    return (
        acting,
        None,
        f"{because}No threshold is proven for a recall of {target_recall:.1%}, so nothing is proposed for clearing; every break waits for a person.",
    )


def _proves(certificate: Certificate | None, target_recall: float) -> bool:
    return certificate is not None and certificate.threshold is not None and certificate.recall_bound >= target_recall


def _describe(certificate: Certificate | None) -> str:
    if certificate is None:
        return "no certificate"
    return (
        f"the {certificate.source} certificate (n = {certificate.exceptions:,} true exceptions, {certificate.misses} missed: recall at least "
        f"{certificate.recall_bound:.2%} at {certificate.confidence:.0%} confidence)"
    )
