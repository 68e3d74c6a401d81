"""Labeled comparison levels -> a weight for every level: logistic regression on one column per level.

Fitted with scikit-learn, stored as plain numbers; deterministic (one thread, fixed order of rows and levels).
"""

from collections.abc import Mapping

import numpy as np
import polars as pl


def fit_levels(frame: pl.DataFrame, labels: pl.Series, *, columns: Mapping[str, str], strength: float = 1.0) -> tuple[float, dict[str, dict[str, float]]]:
    """Fit the intercept and the log-odds of every level.

    Args:
        frame: one row per pair, with a text column per comparison.
        labels: True where the pair belongs together.
        columns: comparison -> its column.
        strength: inverse of the penalty on large weights.

    Raises:
        ValueError: all labels are equal.
    """
    from sklearn.linear_model import LogisticRegression

    if labels.n_unique() < 2:
        raise ValueError("the pairs to learn from must hold both matches and others")
    levels = [(name, level) for name, column in columns.items() for level in frame[column].unique().sort().to_list()]
    matrix = np.column_stack([(frame[columns[name]] == level).to_numpy().astype(np.float64) for name, level in levels])
    fitted = LogisticRegression(C=strength, max_iter=2_000).fit(matrix, labels.to_numpy().astype(np.int64))
    weights: dict[str, dict[str, float]] = {name: {} for name in columns}
    for (name, level), weight in zip(levels, fitted.coef_[0], strict=True):
        weights[name][level] = round(float(weight), 4)
    return round(float(fitted.intercept_[0]), 4), weights


def level_counts(frame: pl.DataFrame, labels: pl.Series, columns: Mapping[str, str]) -> list[dict[str, object]]:
    """Count pairs and matches of every level, for the card."""
    counted = frame.with_columns(is_match=labels)
    return [
        {"comparison": name, "level": level, "pairs": pairs, "matches": matches}
        for name, column in columns.items()
        for level, pairs, matches in counted.group_by(column).agg(pl.len(), pl.col("is_match").sum()).sort(column).iter_rows()
    ]
