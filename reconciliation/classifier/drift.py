"""Features and probabilities of a month + a version's stored reference -> alarms that the month is unlike what the version knows.

Two comparisons, both by the population stability index (PSI), less what chance alone would give: with the pooled breaks of
the companies a version was certified on, and with the company's own month before. Companies differ far more from each
other than the customary limits of 0.1 and 0.25 allow, and so do the months of one company, since lateness comes in batches:
against fixed limits nearly every month would alarm. So each limit is what 99 of 100 company-months of the certified
companies stay under. It follows that an unfamiliar company need not stand out; what its months hide is for the audit sample to find.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl

from reconciliation.classifier.scoring import bin_numbers
from reconciliation.learning.tables import BOOLEAN_CATEGORIES, Axis, Feature, Floats

ROWS_MIN = 40
"""Fewer breaks in a month say nothing about a distribution; such a month is reported as not tested."""
QUANTILE = 0.99
FEATURES_MAX = 2
"""So many features may lie beyond their limits by chance; the score may not."""
NUMERIC_BINS = 5
UNKNOWN_SHARE_MAX = 0.05
SCORE = "probability_true_exception"
SCORE_EDGES = (0.0001, 0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75)


@dataclass(frozen=True)
class Reference:
    """What a version's certified breaks look like.

    Attributes:
        axes: bins per feature and of the probability.
        counts: of the pooled breaks in these bins.
        pooled: feature -> largest PSI against the pool that 99 of 100 company-months stay under.
        own: the same against the company's own month before.
        months: how many company-months the limits come from.
        false_alarms: share of those company-months that the rule itself would have stopped.
    """

    axes: Mapping[str, Axis]
    counts: Mapping[str, Floats]
    pooled: Mapping[str, float]
    own: Mapping[str, float]
    months: int
    false_alarms: float

    def to_json(self) -> dict[str, Any]:
        """Return the reference as plain JSON values."""
        return {
            "axes": {
                name: {"edges": list(axis.edges)} if axis.edges is not None else {"categories": list(axis.categories or ())} for name, axis in self.axes.items()
            },
            "counts": {name: [int(count) for count in counts] for name, counts in self.counts.items()},
            "pooled": dict(self.pooled),
            "own": dict(self.own),
            "months": self.months,
            "false_alarms": self.false_alarms,
        }

    @staticmethod
    def from_json(content: dict[str, Any]) -> "Reference":
        """Read what `to_json` wrote."""
        axes = {
            name: Axis(name, tuple(entry["edges"]) if "edges" in entry else None, tuple(entry["categories"]) if "categories" in entry else None)
            for name, entry in content["axes"].items()
        }
        counts = {name: np.array(values, dtype=np.float64) for name, values in content["counts"].items()}
        return Reference(axes, counts, content["pooled"], content["own"], int(content["months"]), float(content["false_alarms"]))


def make_reference(examples: pl.DataFrame, *, features: Sequence[Feature]) -> Reference:
    """Describe the breaks that a version was certified on.

    Args:
        examples: `world, period`, the features and `probability_true_exception`.
        features: the version's.
    """
    ordered = sorted(features, key=lambda feature: feature.name)
    axes = {feature.name: _axis(examples[feature.name], feature) for feature in ordered} | {SCORE: Axis(SCORE, SCORE_EDGES, None)}
    counts = count_bins(examples, axes)
    by_company: dict[str, list[dict[str, Floats]]] = {}
    for part in examples.sort("world", "period").partition_by("world", "period", maintain_order=True):
        if part.height >= ROWS_MIN:
            by_company.setdefault(part["world"][0], []).append(count_bins(part, axes))
    months = [month for company in by_company.values() for month in company]
    pairs = [pair for company in by_company.values() for pair in pairwise(company)]
    pooled = {name: _limit([stability_index(month[name], counts[name]) for month in months]) for name in axes}
    own = {name: _limit([stability_index(later[name], earlier[name]) for earlier, later in pairs]) for name in axes}
    draft = Reference(axes, counts, pooled, own, len(months), 0.0)
    cases = [(company[place], company[place - 1] if place else None) for company in by_company.values() for place in range(len(company))]
    stopped = sum(bool(_beyond(draft, month, before)) for month, before in cases)
    return Reference(axes, counts, pooled, own, len(months), round(stopped / max(1, len(cases)), 4))


def find_drift(reference: Reference, month: pl.DataFrame, before: pl.DataFrame | None) -> tuple[str, ...]:
    """Return alarms, in words; none when the month is like what the version knows.

    Args:
        reference: the version's.
        month: features and `probability_true_exception` of the month's breaks.
        before: the same of the company's month before, or None.
    """
    if month.height < ROWS_MIN:
        return ()
    # A month of an earlier version may lack what is only watched.
    axes = {name: axis for name, axis in reference.axes.items() if name in month.columns and (before is None or name in before.columns)}
    counted = count_bins(month, axes)
    strange = [name for name, axis in axes.items() if axis.categories is not None and counted[name][-1] > UNKNOWN_SHARE_MAX * month.height]
    unknown = (f"values that the model never met in {', '.join(strange)}",) if strange else ()
    earlier = count_bins(before, axes) if before is not None and before.height >= ROWS_MIN else None
    return (*unknown, *_beyond(reference, counted, earlier))


def stability_index(found: Floats, expected: Floats) -> float:
    """Return the population stability index of two histograms, less its expectation under chance, at least 0.

    >>> stability_index(np.array([500.0, 500.0]), np.array([5000.0, 5000.0])), round(stability_index(np.array([100.0, 900.0]), np.array([5000.0, 5000.0])), 2)
    (0.0, 0.87)
    """
    used = max(int(((found + expected) > 0).sum()), 2)
    half = 0.5  # an empty bin counts as half a row
    one, other = (found + half) / (found.sum() + half * len(found)), (expected + half) / (expected.sum() + half * len(expected))
    index = float(((one - other) * np.log(one / other)).sum())
    chance = (used - 1) * (1 / max(float(found.sum()), 1.0) + 1 / max(float(expected.sum()), 1.0))
    return max(0.0, index - chance)


def count_bins(frame: pl.DataFrame, axes: Mapping[str, Axis]) -> dict[str, Floats]:
    """Return how many rows fall into each bin of each axis."""
    return {name: np.bincount(bin_numbers(frame[name], axis), minlength=axis.size).astype(np.float64) for name, axis in axes.items()}


def _beyond(reference: Reference, month: Mapping[str, Floats], before: Mapping[str, Floats] | None) -> tuple[str, ...]:
    alarms = []
    comparisons = [("the companies it was certified on", reference.counts, reference.pooled)]
    if before is not None:
        comparisons.append(("the month before", before, reference.own))
    for other, expected, limits in comparisons:
        index = {name: stability_index(month[name], expected[name]) for name in month}
        moved = sorted(name for name, value in index.items() if value > limits[name])
        if SCORE in moved:
            alarms.append(f"the probabilities are unlike those of {other} (stability index {index[SCORE]:.2f}, limit {limits[SCORE]:.2f})")
        elif len(moved) > FEATURES_MAX:
            alarms.append(f"{len(moved)} features are unlike those of {other}: {', '.join(moved)}")
    return tuple(alarms)


def _axis(column: pl.Series, feature: Feature) -> Axis:
    if feature.type == "boolean":
        return Axis(feature.name, None, BOOLEAN_CATEGORIES)
    if feature.type == "categorical":
        return Axis(feature.name, None, tuple(column.drop_nulls().unique().sort().to_list()))
    known = column.cast(pl.Float64).drop_nulls().drop_nans().sort()
    if known.is_empty():
        return Axis(feature.name, (0.0,), None)
    places = [known.len() * part // NUMERIC_BINS for part in range(1, NUMERIC_BINS)]
    return Axis(feature.name, tuple(sorted({float(known[place]) for place in places})), None)


def _limit(values: Sequence[float]) -> float:
    return round(float(np.quantile(values, QUANTILE, method="higher")), 6) if values else 0.0
