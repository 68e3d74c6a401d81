"""Probabilities + labels -> how good a version is; members of matches + true edges -> how good the matching is.

Accuracy and the area under the ROC curve are not reported: with one exception in twenty both flatter.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from reconciliation.classifier.calibration import brier_score, expected_calibration_error
from reconciliation.learning.tables import Floats

Flags = npt.NDArray[np.bool_]
CLEAR_RATE = 0.80
RECALL_LEVEL = 0.99


@dataclass(frozen=True)
class Quality:
    """Figures of one set of labeled breaks.

    Attributes:
        breaks, exceptions: how many; base rate is their ratio.
        pr_auc: area under precision and recall (average precision).
        recall_at_clear: recall of true exceptions when the least probable 80 % of breaks are cleared.
        money_recall_at_clear: the same by absolute amount, each amount in its own minor units.
        clear_at_recall: largest share of breaks that can be cleared with a recall of 99 %.
        brier, calibration_error: mean squared error, and expected calibration error over 20 bins of equal mass.
        recall, alert_precision, cleared: at the certified threshold: recall of exceptions, share of exceptions among
            what is left to review, share of breaks below it; None without a threshold.
        missed_largest_minor: largest single exception below the threshold, in its minor units; None without one.
    """

    breaks: int
    exceptions: int
    pr_auc: float | None
    recall_at_clear: float | None
    money_recall_at_clear: float | None
    clear_at_recall: float | None
    brier: float | None
    calibration_error: float | None
    recall: float | None
    alert_precision: float | None
    cleared: float | None
    missed_largest_minor: int | None

    def to_json(self) -> dict[str, Any]:
        """Return the figures, rounded to six digits after the point."""
        return {name: round(value, 6) if isinstance(value, float) else value for name, value in asdict(self).items()}


COUNTED = "interchangeable"
"""The strategy whose matches claim no pairs."""


@dataclass(frozen=True)
class MatchQuality:
    """How well matches agree with the truth, edge by edge.

    Attributes:
        edges_true, edges_decidable, edges_found, edges_right: true edges, those of them that the records allow to
            decide, edges of our matches, and found edges that are true.
        precision: right among found.
        recall: found among decidable.
        edges_exchanged: false edges of counted matches whose line stands for an equal payment that is open or counted too: the count is right,
            and which of the equals it is nobody claimed. 0 without amounts.
        edges_lacked: false edges in a match that states a difference, to payments that no line stands for, which that difference may be.
        false_matches_per_10000: found edges that are not true, these two included, per 10,000 items.
        false_claims_per_10000: the same without these two.
    """

    edges_true: int
    edges_decidable: int
    edges_found: int
    edges_right: int
    precision: float
    recall: float
    edges_exchanged: int
    edges_lacked: int
    false_matches_per_10000: float
    false_claims_per_10000: float


def measure_quality(
    probabilities: Floats, labels: Flags, *, amounts_minor: npt.NDArray[np.int64], threshold: float | None = None, clearable: Flags | None = None
) -> Quality:
    """Measure a set of scored and labeled breaks.

    Args:
        probabilities: of a true exception.
        labels: whether each was one.
        amounts_minor: of the breaks, any sign.
        threshold: the certified threshold, or None.
        clearable: which the policy may clear at all; all of them when not given.
    """
    exceptions = int(labels.sum())
    money = np.abs(amounts_minor).astype(np.float64)
    cleared = clear_lowest(probabilities, CLEAR_RATE)
    below = None if threshold is None else (probabilities < threshold) & (True if clearable is None else clearable)
    return Quality(
        breaks=len(labels),
        exceptions=exceptions,
        pr_auc=average_precision(probabilities, labels) if exceptions else None,
        recall_at_clear=_share(~cleared[labels]),
        money_recall_at_clear=float(money[labels & ~cleared].sum() / money[labels].sum()) if money[labels].sum() else None,
        clear_at_recall=clear_rate_at_recall(probabilities, labels, RECALL_LEVEL) if exceptions else None,
        brier=brier_score(probabilities, labels) if len(labels) else None,
        calibration_error=expected_calibration_error(probabilities, labels) if len(labels) else None,
        recall=None if below is None else _share(~below[labels]),
        alert_precision=None if below is None else _share(labels[~below]),
        cleared=None if below is None else _share(below),
        missed_largest_minor=None if below is None else int(np.abs(amounts_minor[labels & below]).max(initial=0)),
    )


def average_precision(probabilities: Floats, labels: Flags) -> float:
    """Return the area under precision and recall; equal probabilities count as one step.

    >>> average_precision(np.array([0.9, 0.8, 0.3]), np.array([True, False, True]))
    0.8333333333333333
    """
    levels, place = np.unique(-probabilities, return_inverse=True)
    right = np.cumsum(np.bincount(place, weights=labels, minlength=len(levels)))
    taken = np.cumsum(np.bincount(place, minlength=len(levels)))
    gained = np.diff(right, prepend=0.0) / right[-1]
    return float((gained * right / taken).sum())


def clear_lowest(probabilities: Floats, rate: float) -> Flags:
    """Return which breaks are cleared when at most a share of them may be; equal probabilities are cleared together or not at all."""
    levels, place, counts = np.unique(probabilities, return_inverse=True, return_counts=True)
    taken = np.cumsum(counts) <= rate * len(probabilities) + 1e-9
    return taken[place] if len(levels) else np.zeros(0, dtype=np.bool_)


def clear_rate_at_recall(probabilities: Floats, labels: Flags, recall: float) -> float:
    """Return the largest share of breaks that lies strictly below a threshold which keeps a recall, chosen with hindsight."""
    exceptions = np.sort(probabilities[labels])
    allowed = int(np.floor((1 - recall) * len(exceptions) + 1e-9))
    return float((probabilities < exceptions[min(allowed, len(exceptions) - 1)]).mean())


def measure_segments(frame: pl.DataFrame, *, by: Sequence[str], threshold: float | None, exceptions_min: int = 20) -> pl.DataFrame:
    """Measure each value of each segment column that holds enough true exceptions to say something.

    Args:
        frame: `probability, is_true_exception, amount_minor` and the segment columns.
        by: segment columns.
        threshold: the certified threshold, or None.
        exceptions_min: segments with fewer are left out.

    Returns:
        `segment, value` and the figures of `Quality`, in the order of `by`, then value.
    """
    rows: list[dict[str, Any]] = []
    for column in by:
        parts = frame.sort(column).partition_by(column, maintain_order=True)
        for part in parts:
            quality = measure_frame(part, threshold=threshold)
            if quality.exceptions >= exceptions_min:
                rows.append({"segment": column, "value": str(part[column][0]), **quality.to_json()})
    names = ["segment", "value", *Quality.__dataclass_fields__]
    return pl.DataFrame(rows, infer_schema_length=None) if rows else pl.DataFrame(schema=dict.fromkeys(names, pl.String))


def measure_frame(frame: pl.DataFrame, *, threshold: float | None = None) -> Quality:
    """Measure a frame with `probability, is_true_exception, amount_minor` and, if the policy may not clear all of them, `is_clearable`."""
    return measure_quality(
        frame["probability"].to_numpy(),
        frame["is_true_exception"].to_numpy().astype(np.bool_),
        amounts_minor=frame["amount_minor"].to_numpy(),
        threshold=threshold,
        clearable=frame["is_clearable"].to_numpy().astype(np.bool_) if "is_clearable" in frame.columns else None,
    )


def match_quality(members: pl.DataFrame, truth_matches: pl.DataFrame, *, items: int, amounts: pl.DataFrame | None = None) -> MatchQuality:
    """Measure matches against the true edges.

    Args:
        members: `match_id, leg, strategy, difference_minor, side, item` with items named as the truth names them; a match's edges are its Stripe items
            times its items of other sides. A counted match (`interchangeable`) claims no pairs: of its edges the true ones count,
            and one false edge for each line that has none in it.
        truth_matches: `leg, stripe_item, other_item, decidable`. Only what both frames cover should be given.
        items: how many items were to be matched; the base of the false-match rates.
        amounts: `leg, item, amount_minor` of the items that true edges name.
    """
    stripe = members.filter(pl.col("side") == "stripe").select("match_id", "leg", "strategy", "difference_minor", stripe_item="item")
    other = members.filter(pl.col("side").is_in(["ledger", "bank"])).select("match_id", "leg", other_item="item")
    key = ["leg", "stripe_item", "other_item"]
    true = truth_matches.select(pl.col(key).cast(pl.String), "decidable").group_by(key).agg(pl.col("decidable").any())
    claimed = stripe.join(other, on=["match_id", "leg"]).select(pl.col(key).cast(pl.String), "strategy", "difference_minor").unique()
    true_here = claimed.join(true, on=key, how="semi")
    is_counted = pl.col("strategy") == COUNTED
    unfounded = claimed.filter(is_counted).select("leg", "other_item").unique().join(true_here, on=["leg", "other_item"], how="anti")
    found = pl.concat([claimed.filter(~is_counted), true_here.filter(is_counted)]).select(key)
    right, edges = true_here.height, found.height + unfounded.height
    decidable = true.filter(pl.col("decidable"))
    decided = decidable.join(found, on=key, how="semi").height
    exchanged = 0 if amounts is None else _exchanged(unfounded, true, held=stripe.filter(~is_counted), amounts=amounts)
    # A payment that no line stands for, beside payments that this line does stand for.
    lacked = (
        claimed.filter(pl.col("difference_minor") != 0)
        .join(true, on=["leg", "stripe_item"], how="anti")
        .join(true_here, on=["leg", "other_item"], how="semi")
        .height
    )
    return MatchQuality(
        edges_true=true.height,
        edges_decidable=decidable.height,
        edges_found=edges,
        edges_right=right,
        precision=right / edges if edges else 1.0,
        recall=decided / decidable.height if decidable.height else 1.0,
        edges_exchanged=exchanged,
        edges_lacked=lacked,
        false_matches_per_10000=10_000 * (edges - right) / items if items else 0.0,
        false_claims_per_10000=10_000 * (edges - right - exchanged - lacked) / items if items else 0.0,
    )


def _exchanged(unfounded: pl.DataFrame, true: pl.DataFrame, *, held: pl.DataFrame, amounts: pl.DataFrame) -> int:
    """Return how many counted lines stand for a payment of their own amount that no match pairs with another line."""
    ours = amounts.rename({"item": "stripe_item", "amount_minor": "stripe_minor"})
    lines = amounts.rename({"item": "other_item", "amount_minor": "line_minor"})
    taken = held.select(pl.col("leg", "stripe_item").cast(pl.String), is_taken=pl.lit(value=True)).unique()
    stands_for = true.join(unfounded, on=["leg", "other_item"], how="semi").join(ours, on=["leg", "stripe_item"]).join(lines, on=["leg", "other_item"])
    per_line = stands_for.join(taken, on=["leg", "stripe_item"], how="left").group_by("leg", "other_item")
    judged = per_line.agg(pl.col("stripe_minor").sum() == pl.col("line_minor").first(), pl.col("is_taken").any())
    return judged.filter(pl.col("stripe_minor") & ~pl.col("is_taken")).height


def _share(flags: Flags) -> float | None:
    return float(flags.mean()) if len(flags) else None
