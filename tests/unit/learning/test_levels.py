"""Weights of comparison levels: what has a known order keeps it, whatever a few labels say."""

import numpy as np
import polars as pl
import pytest

from reconciliation.learning.levels import fit_levels

DAYS = ("0", "1", "2", "3")
SHARES = {"0": 0.95, "1": 0.9, "2": 0.6, "3": 0.75}
"""Of true pairs by day; that the third day beats the second is an accident of the sample."""


@pytest.fixture(scope="module")
def pairs():
    rows = [{"lag": day, "is_match": place < 200 * share} for day, share in SHARES.items() for place in range(200)]
    return pl.DataFrame(rows)


def fit(pairs, **options):
    return fit_levels(pairs.select("lag"), pairs["is_match"], columns={"lag": "lag"}, **options)


def test_without_an_order_weights_say_what_the_labels_say(pairs):
    intercept, weights = fit(pairs, strength=1e4)
    for day, share in SHARES.items():
        assert 1 / (1 + np.exp(-(intercept + weights["lag"][day]))) == pytest.approx(share, abs=0.01)


def test_neighbors_that_rise_against_a_known_order_weigh_the_same(pairs):
    intercept, weights = fit(pairs, falling={"lag": (DAYS,)}, strength=1e4)
    by_day = [weights["lag"][day] for day in DAYS]
    assert by_day == sorted(by_day, reverse=True)
    assert weights["lag"]["2"] == weights["lag"]["3"]
    assert 1 / (1 + np.exp(-(intercept + weights["lag"]["2"]))) == pytest.approx((SHARES["2"] + SHARES["3"]) / 2, abs=0.01)


def test_an_order_that_the_labels_keep_changes_nothing(pairs):
    kept = pairs.filter(pl.col("lag") != "3")
    assert fit(kept, falling={"lag": (DAYS,)}) == fit(kept)
