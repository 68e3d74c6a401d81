"""The regression as tables says what the regression says; the mean of two models scores the mean."""

import numpy as np
import polars as pl
import pytest

from reconciliation.classifier.calibration import Calibration
from reconciliation.classifier.scoring import score_frame
from reconciliation.learning.additive import FitOptions, feature_types, fit_additive
from reconciliation.learning.linear import average_tables, fit_linear, set_category
from reconciliation.learning.tables import AdditiveTables

RAW = Calibration("none", (-50.0, 50.0), (0.0, 1.0))


@pytest.fixture(scope="module")
def frame() -> pl.DataFrame:
    """Examples with missing values, a boolean and a category."""
    random = np.random.default_rng(2)
    rows = 3000
    age = random.exponential(10, rows)
    return pl.DataFrame(
        {
            "age_days": pl.Series(age).set(pl.Series(random.random(rows) < 0.1), None),
            "has_reference": random.random(rows) < 0.5,
            "kind": random.choice(["a", "b", "c"], rows),
            "label": random.random(rows) < 1 / (1 + np.exp(3 - age / 8)),
        }
    )


def fit_both(frame: pl.DataFrame) -> tuple[AdditiveTables, AdditiveTables]:
    """Fit the two models."""
    features = feature_types(frame.drop("label"), keys=())
    boosted = fit_additive(
        frame, frame["label"], features=features, is_stopping=pl.Series(np.arange(3000) % 5 == 0), options=FitOptions(rounds_max=50, pairs_max=1)
    )
    return boosted, fit_linear(frame, frame["label"], features=features)


def scores(tables: AdditiveTables, frame: pl.DataFrame) -> np.ndarray:
    """Return the scores of a frame with breaks it never saw: beyond the ends, missing, unknown."""
    extra = pl.DataFrame({"age_days": [-5.0, 1e6, None, float("nan")], "has_reference": [True, False, None, True], "kind": ["a", "never seen", None, "c"]})
    return score_frame(tables, RAW, pl.concat([frame.drop("label"), extra])).score.to_numpy()


def test_the_mean_of_two_models_scores_the_mean_of_their_scores(frame: pl.DataFrame) -> None:
    boosted, linear = fit_both(frame)
    mean = average_tables(boosted, linear)
    assert np.abs(scores(mean, frame) - (scores(boosted, frame) + scores(linear, frame)) / 2).max() < 1e-10
    assert AdditiveTables.from_json(mean.to_json()).to_json() == mean.to_json()


def test_the_regression_rises_with_what_raises_the_risk(frame: pl.DataFrame) -> None:
    _, linear = fit_both(frame)
    [age] = [term for term in linear.terms if term.name == "age_days"]
    assert (np.diff(age.scores[1:]) >= 0).all()
    assert age.scores[-1] > age.scores[1] + 1


def test_fitting_twice_gives_the_same_tables(frame: pl.DataFrame) -> None:
    assert fit_both(frame)[1].to_json() == fit_both(frame)[1].to_json()


def test_one_class_teaches_nothing(frame: pl.DataFrame) -> None:
    features = feature_types(frame.drop("label"), keys=())
    with pytest.raises(ValueError, match="both"):
        fit_linear(frame, pl.Series(np.zeros(3000, dtype=bool)), features=features)


@pytest.mark.parametrize("category", ["a", "never seen"])
def test_a_row_of_a_category_alone_has_the_score_that_was_set_and_no_other_row_moves(category: str) -> None:
    random = np.random.default_rng(3)
    frame = pl.DataFrame({
        "break_id": [str(number) for number in range(400)],
        "days": pl.Series(random.integers(0, 40, 400).astype(float)).set(pl.Series(random.random(400) < 0.2), None),
        "is_named": random.random(400) < 0.5,
        "sort": random.choice(["a", "b"], 400),
    })  # fmt: skip
    features = feature_types(frame, keys=("break_id",))
    fitted = fit_linear(frame, pl.Series(random.random(400) < 0.3), features=features)
    told = set_category(fitted, feature="sort", category=category, score=4.25)
    raw = Calibration("none", (-50.0, 50.0), (0.0, 1.0))
    alone = pl.DataFrame({"break_id": ["x"], "days": [None], "is_named": [False], "sort": [category]}, schema=frame.schema)
    assert score_frame(told, raw, alone).score.to_list() == pytest.approx([4.25], abs=1e-9)
    others = frame.filter(pl.col("sort") != category)
    assert score_frame(told, raw, others).score.equals(score_frame(fitted, raw, others).score)
    assert AdditiveTables.from_json(told.to_json()).to_json() == told.to_json()
