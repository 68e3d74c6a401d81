"""Scores + labels of a later block -> the knots of a monotone table from score to probability.

Platt's sigmoid unless exceptions and ordinary differences are both at least 1,000, the size from which scikit-learn's own
documentation lets isotonic regression compete; a slope that would turn the ranking round is refused.
"""

from typing import cast

import numpy as np
import numpy.typing as npt

from reconciliation.learning.tables import Floats

ISOTONIC_ROWS_MIN = 1000
SIGMOID_KNOTS = 241
KNOT_DECIMALS = 9


def fit_calibration(scores: Floats, labels: npt.NDArray[np.bool_]) -> tuple[str, list[float], list[float]]:
    """Return method, knots and probabilities of a calibration.

    Args:
        scores: of rows that the model did not learn from.
        labels: whether each was a true exception.

    Raises:
        ValueError: one class only, or scores that do not rise with the label.
    """
    exceptions = int(labels.sum())
    if exceptions == 0 or exceptions == len(labels):
        raise ValueError("the calibration block must hold both true exceptions and ordinary differences")
    if min(exceptions, len(labels) - exceptions) >= ISOTONIC_ROWS_MIN:
        return ("isotonic", *_isotonic(scores, labels))
    return ("sigmoid", *_sigmoid(scores, labels))


def _sigmoid(scores: Floats, labels: npt.NDArray[np.bool_]) -> tuple[list[float], list[float]]:
    from sklearn.linear_model import LogisticRegression

    # Platt's targets keep the sigmoid finite when the classes are separable; as weights, since the estimator wants classes.
    positives, negatives = float(labels.sum()), float((~labels).sum())
    upper, lower = (positives + 1) / (positives + 2), 1 / (negatives + 2)
    target = np.where(labels, upper, lower)
    fitted = LogisticRegression(C=1e9, max_iter=1000).fit(
        np.concatenate([scores, scores]).reshape(-1, 1),
        np.concatenate([np.ones(len(scores)), np.zeros(len(scores))]),
        sample_weight=np.concatenate([target, 1 - target]),
    )
    slope, intercept = float(fitted.coef_[0, 0]), float(fitted.intercept_[0])
    if slope <= 0:
        raise ValueError("the scores do not rise with the label; the model ranks the calibration block no better than chance")
    log_odds = np.linspace(-12, 12, SIGMOID_KNOTS)
    knots = np.round((log_odds - intercept) / slope, KNOT_DECIMALS)
    return knots.tolist(), np.round(1 / (1 + np.exp(-log_odds)), KNOT_DECIMALS).tolist()


def _isotonic(scores: Floats, labels: npt.NDArray[np.bool_]) -> tuple[list[float], list[float]]:
    from sklearn.isotonic import IsotonicRegression

    fitted = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(scores, labels.astype(np.float64))
    # Knots at the middle of each step: between them the line rises, so that a better score is a better rank too.
    level = fitted.predict(np.sort(scores))
    steps = np.unique(level)
    ordered = np.sort(scores)
    middles = [float(np.round(ordered[level == step].mean(), KNOT_DECIMALS)) for step in steps]
    knots, kept = np.unique(middles, return_index=True)
    if len(knots) < 2:
        raise ValueError("the scores do not rise with the label; the model ranks the calibration block no better than chance")
    return cast(list[float], knots.tolist()), cast(list[float], np.round(steps[kept], KNOT_DECIMALS).tolist())
