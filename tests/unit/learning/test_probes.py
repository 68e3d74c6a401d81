"""Probes: a challenger, a shallow tree and single features, each judged on rows it did not learn from."""

import numpy as np
import polars as pl
import pytest

from reconciliation.classifier.evaluation import average_precision
from reconciliation.learning.additive import feature_types
from reconciliation.learning.probes import feature_areas, fit_challenger, fit_shallow_tree

pytestmark = pytest.mark.hard  # Fits models; minutes, not seconds.


def make_frame(rows: int, *, seed: int) -> tuple[pl.DataFrame, pl.Series]:
    """Return features of which two decide together, with missing values and a rare category."""
    random = np.random.default_rng(seed)
    kind = random.choice(["late", "missing", "twice"], rows)
    age = random.normal(size=rows)
    label = random.random(rows) < np.where((kind == "missing") & (age > 0), 0.7, 0.05)
    frame = pl.DataFrame({"kind": kind, "age": age, "flag": random.random(rows) < 0.5}).with_columns(
        pl.when(pl.Series(random.random(rows) < 0.05)).then(None).otherwise("age").alias("age"),
        pl.when(pl.Series(random.random(rows) < 0.05)).then(None).otherwise("kind").alias("kind"),
    )
    return frame, pl.Series(label)


def test_challenger_and_tree_rank_unseen_rows_far_above_chance_even_with_an_unseen_category() -> None:
    learn, labels = make_frame(2000, seed=1)
    test, truth = make_frame(1000, seed=2)
    test = test.with_columns(pl.when(pl.int_range(pl.len()) % 50 == 0).then(pl.lit("never seen")).otherwise("kind").alias("kind"))
    features = feature_types(learn, keys=())
    for fit in (fit_challenger, fit_shallow_tree):
        probabilities = fit(learn, labels, test, features=features, seed=3)
        assert average_precision(probabilities, truth.to_numpy()) > 2 * truth.to_numpy().mean()
        assert np.array_equal(probabilities, fit(learn, labels, test, features=features, seed=3))


def test_the_area_of_a_feature_is_at_least_one_half_and_the_deciding_ones_stand_out() -> None:
    frame, labels = make_frame(3000, seed=4)
    areas = feature_areas(frame, labels, features=feature_types(frame, keys=()))
    assert min(areas.values()) >= 0.5
    assert areas["kind"] > areas["flag"] + 0.1
