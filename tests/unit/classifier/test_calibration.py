"""Calibration: a monotone table, fitted on a later block, and measures of how honest probabilities are."""

import numpy as np
import pytest

from reconciliation.classifier.calibration import Calibration, brier_score, expected_calibration_error, reliability_table
from reconciliation.learning.calibrator import ISOTONIC_ROWS_MIN, fit_calibration


def make_block(rows: int, *, slope: float = 1.0, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Return scores and labels whose log-odds are the slope times the score minus two."""
    random = np.random.default_rng(seed)
    scores = random.normal(size=rows) * 2
    return scores, random.random(rows) < 1 / (1 + np.exp(-(slope * scores - 2)))


@pytest.mark.parametrize("rows", [400, 20 * ISOTONIC_ROWS_MIN], ids=["sigmoid", "isotonic"])
def test_a_fitted_table_is_monotone_honest_and_survives_json(rows: int) -> None:
    scores, labels = make_block(rows, slope=0.5)
    method, knots, probabilities = fit_calibration(scores, labels)
    table = Calibration.from_json(Calibration(method=method, scores=tuple(knots), probabilities=tuple(probabilities)).to_json())
    fine = table.apply(np.linspace(-30, 30, 5001))
    assert (np.diff(fine) >= 0).all()
    assert method == ("sigmoid" if rows == 400 else "isotonic")
    assert abs(table.apply(scores).mean() - labels.mean()) < 0.01
    new_scores, new_labels = make_block(50_000, slope=0.5, seed=4)
    assert expected_calibration_error(table.apply(new_scores), new_labels) < (0.04 if rows == 400 else 0.012)


def test_separable_scores_keep_finite_probabilities() -> None:
    scores = np.concatenate([np.linspace(-3, -1, 50), np.linspace(1, 3, 10)])
    method, knots, probabilities = fit_calibration(scores, scores > 0)
    table = Calibration(method=method, scores=tuple(knots), probabilities=tuple(probabilities))
    assert 0 < table.apply(np.array([-1.0]))[0] < 0.1
    assert 0.6 < table.apply(np.array([1.0]))[0] < 1


def test_scores_that_rank_the_wrong_way_round_are_refused() -> None:
    scores, labels = make_block(500)
    with pytest.raises(ValueError, match="no better than chance"):
        fit_calibration(-scores, labels)


def test_a_block_of_one_class_is_refused() -> None:
    with pytest.raises(ValueError, match="must hold both"):
        fit_calibration(np.zeros(10), np.zeros(10, dtype=bool))


@pytest.mark.parametrize(
    ("scores", "probabilities"),
    [((0.0,), (0.5,)), ((1.0, 0.0), (0.1, 0.2)), ((0.0, 1.0), (0.2, 0.1)), ((0.0, 1.0), (0.2, 1.1)), ((0.0, 1.0), (0.2,))],
    ids=["one knot", "scores fall", "probabilities fall", "above one", "lengths differ"],
)
def test_a_table_that_is_not_monotone_is_refused(scores: tuple[float, ...], probabilities: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="calibration"):
        Calibration(method="sigmoid", scores=scores, probabilities=probabilities)


def test_measures_agree_with_a_worked_example() -> None:
    probabilities = np.array([0.0, 0.0, 0.5, 0.5])
    labels = np.array([False, False, True, True])
    assert brier_score(probabilities, labels) == pytest.approx(0.125)
    assert expected_calibration_error(probabilities, labels, bins=2) == pytest.approx(0.25)


def test_equal_probabilities_are_one_group_whatever_their_order() -> None:
    probabilities = np.full(1000, 0.3)
    labels = np.arange(1000) < 300
    assert expected_calibration_error(probabilities, labels) == pytest.approx(0.0)
    assert len(reliability_table(probabilities, labels)) == 20
