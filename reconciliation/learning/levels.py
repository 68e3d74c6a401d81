"""Labeled comparison levels -> a weight for every level: logistic regression on one column per level.

Fitted with scikit-learn, stored as plain numbers; deterministic (one thread, fixed order of rows and levels). Where levels have an
order that is known beforehand, neighbors that a few labels put the other way round weigh the same.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import polars as pl

Chains = Mapping[str, Sequence[Sequence[str]]]
Groups = list[tuple[str, tuple[str, ...]]]


def fit_levels(
    frame: pl.DataFrame, labels: pl.Series, *, columns: Mapping[str, str], falling: Chains | None = None, strength: float = 1.0
) -> tuple[float, dict[str, dict[str, float]]]:
    """Fit the intercept and the log-odds of every level.

    Args:
        frame: one row per pair, with a text column per comparison.
        labels: True where the pair belongs together.
        columns: comparison -> its column.
        falling: comparison -> chains of its levels whose weights must not rise from one to the next.
        strength: inverse of the penalty on large weights.

    Raises:
        ValueError: all labels are equal.
    """
    from sklearn.linear_model import LogisticRegression

    if labels.n_unique() < 2:
        raise ValueError("the pairs to learn from must hold both matches and others")
    truth = labels.to_numpy().astype(np.int64)
    groups: Groups = [(name, (level,)) for name, column in columns.items() for level in frame[column].unique().sort().to_list()]
    while True:
        matrix = np.column_stack([frame[columns[name]].is_in(list(group)).to_numpy().astype(np.float64) for name, group in groups])
        fitted = LogisticRegression(C=strength, max_iter=2_000).fit(matrix, truth)
        weights: dict[str, dict[str, float]] = {name: {} for name in columns}
        for (name, group), weight in zip(groups, fitted.coef_[0], strict=True):
            weights[name].update(dict.fromkeys(group, round(float(weight), 4)))
        rising = _first_rise(weights, falling or {})
        if rising is None:
            return round(float(fitted.intercept_[0]), 4), weights
        groups = _join_groups(groups, *rising)


def _first_rise(weights: dict[str, dict[str, float]], falling: Chains) -> tuple[str, str, str] | None:
    """Return the comparison and the two neighbors of its first chain that rises, or None."""
    for name, chains in falling.items():
        for chain in chains:
            known = [level for level in chain if level in weights[name]]
            for higher, lower in pairwise(known):
                if weights[name][lower] > weights[name][higher]:
                    return name, higher, lower
    return None


def _join_groups(groups: Groups, name: str, one: str, other: str) -> Groups:
    """Put the groups of two levels of a comparison together."""
    joined = tuple(level for of, group in groups if of == name and (one in group or other in group) for level in group)
    return [*((of, group) for of, group in groups if of != name or not set(group) & set(joined)), (name, joined)]


def level_counts(frame: pl.DataFrame, labels: pl.Series, columns: Mapping[str, str]) -> list[dict[str, object]]:
    """Count pairs and matches of every level, for the card."""
    counted = frame.with_columns(is_match=labels)
    return [
        {"comparison": name, "level": level, "pairs": pairs, "matches": matches}
        for name, column in columns.items()
        for level, pairs, matches in counted.group_by(column).agg(pl.len(), pl.col("is_match").sum()).sort(column).iter_rows()
    ]
