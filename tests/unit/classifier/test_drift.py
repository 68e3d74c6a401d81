"""Drift: what chance does is no alarm, what a change of the company does is one."""

from dataclasses import replace

import numpy as np
import orjson
import polars as pl
import pytest

from reconciliation.classifier.drift import ROWS_MIN, SCORE, Reference, find_drift, make_reference, stability_index
from reconciliation.learning.tables import Feature

FEATURES = (Feature("age_days", "numeric"), Feature("is_repeated", "boolean"), Feature("kind", "categorical"), Feature("n_items", "numeric"))


def make_month(
    seed: int, *, rows: int = 200, age: float = 10.0, repeated: float = 0.1, kinds: tuple[str, ...] = ("a", "b"), score: float = 0.2
) -> pl.DataFrame:
    """Return a month's breaks."""
    random = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "age_days": random.exponential(age, rows),
            "is_repeated": random.random(rows) < repeated,
            "kind": random.choice(list(kinds), rows),
            "n_items": random.integers(1, 5, rows).astype(float),
            SCORE: random.beta(1, 1 / score, rows),
        }
    )


@pytest.fixture(scope="module")
def reference() -> Reference:
    """What thirty alike companies of three months look like."""
    frames = [
        make_month(100 * company + month, age=8 + company % 5).with_columns(world=pl.lit(f"w{company}"), period=pl.lit(f"2026-{month:02d}"))
        for company in range(30)
        for month in (1, 2, 3)
    ]
    return make_reference(pl.concat(frames), features=FEATURES)


def test_a_reference_survives_its_file(reference: Reference) -> None:
    again = Reference.from_json(orjson.loads(orjson.dumps(reference.to_json())))
    assert again.to_json() == reference.to_json()
    assert (reference.months, reference.false_alarms <= 0.1) == (90, True)


def test_months_like_the_certified_ones_seldom_alarm(reference: Reference) -> None:
    alarms = [bool(find_drift(reference, make_month(9000 + seed), make_month(8000 + seed))) for seed in range(100)]
    assert sum(alarms) <= 10


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"score": 5.0}, "the probabilities are unlike"),
        ({"age": 200.0, "repeated": 0.9, "kinds": ("a",)}, "features are unlike"),
        ({"kinds": ("a", "b", "never seen")}, "never met in kind"),
    ],
    ids=["probabilities", "three features", "unknown value"],
)
def test_a_change_is_named(reference: Reference, change: dict[str, object], words: str) -> None:
    assert any(words in alarm for alarm in find_drift(reference, make_month(5, **change), None))  # type: ignore[arg-type]


def test_the_month_before_shows_what_the_pool_hides(reference: Reference) -> None:
    tolerant = replace(reference, pooled=dict.fromkeys(reference.pooled, 1e9))
    assert find_drift(tolerant, make_month(5, score=3.0), None) == ()
    assert any("the month before" in alarm for alarm in find_drift(tolerant, make_month(5, score=3.0), make_month(6)))


def test_few_breaks_say_nothing(reference: Reference) -> None:
    assert find_drift(reference, make_month(5, rows=ROWS_MIN - 1, score=5.0), None) == ()


def test_the_index_is_zero_for_chance_and_does_not_depend_on_the_order_of_bins() -> None:
    random = np.random.default_rng(1)
    base = np.array([0.5, 0.3, 0.15, 0.05])
    drawn = [stability_index(random.multinomial(300, base).astype(float), random.multinomial(300, base).astype(float)) for _ in range(300)]
    assert np.mean(drawn) < 0.02
    one, other = np.array([10.0, 90.0, 5.0]), np.array([50.0, 50.0, 5.0])
    assert stability_index(one, other) == pytest.approx(stability_index(one[::-1], other[::-1]))
