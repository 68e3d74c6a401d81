"""The additive fitter: tables that say what interpret says, deterministically."""

import warnings

import numpy as np
import orjson
import polars as pl
import pytest

from reconciliation.classifier.scoring import term_scores
from reconciliation.learning.additive import FitOptions, _machine, as_matrix, export_tables, feature_types, fit_additive
from reconciliation.learning.tables import QUANTUM, AdditiveTables

pytestmark = pytest.mark.hard  # Fits models; minutes, not seconds.

QUICK = FitOptions(rounds_max=120, pairs_max=3, leaf_rows_min=5)


def make_examples(rows: int, *, seed: int = 1) -> tuple[pl.DataFrame, pl.Series]:
    """Return features of every type, with missing values, and labels with a pairwise interaction."""
    random = np.random.default_rng(seed)
    age = random.integers(0, 90, rows).astype(float)
    ratio = random.normal(size=rows)
    kind = random.choice(["missing_in_ledger", "missing_in_stripe", "amount_difference"], rows)
    weekend = random.random(rows) < 0.3
    log_odds = -2.5 + 0.03 * age + (kind == "missing_in_stripe") * 1.5 * (ratio > 0) - weekend * 0.8
    frame = pl.DataFrame({"break_id": [f"brk_{n}" for n in range(rows)], "age_days": age, "ratio": ratio, "kind": kind, "is_weekend": weekend}).with_columns(
        pl.when(pl.Series(random.random(rows) < 0.1)).then(None).otherwise("ratio").alias("ratio"),
        pl.when(pl.Series(random.random(rows) < 0.05)).then(None).otherwise("kind").alias("kind"),
        pl.when(pl.Series(random.random(rows) < 0.05)).then(None).otherwise("is_weekend").alias("is_weekend"),
    )
    return frame, pl.Series("is_true_exception", random.random(rows) < 1 / (1 + np.exp(-log_odds)))


@pytest.fixture(scope="module")
def examples() -> tuple[pl.DataFrame, pl.Series]:
    """2,000 rows."""
    return make_examples(2000)


@pytest.fixture(scope="module")
def tables(examples: tuple[pl.DataFrame, pl.Series]) -> AdditiveTables:
    """Tables fitted on them."""
    frame, labels = examples
    return fit_additive(frame, labels, features=feature_types(frame, keys=["break_id"]), is_stopping=stopping(frame), options=QUICK)


def stopping(frame: pl.DataFrame) -> pl.Series:
    """Every fifth row ends the boosting."""
    return pl.Series(np.arange(frame.height) % 5 == 0)


def test_features_take_their_types_from_the_columns(examples: tuple[pl.DataFrame, pl.Series]) -> None:
    found = {feature.name: feature.type for feature in feature_types(examples[0], keys=["break_id"])}
    assert found == {"age_days": "numeric", "ratio": "numeric", "kind": "categorical", "is_weekend": "boolean"}


def test_a_column_that_can_be_no_feature_is_refused() -> None:
    with pytest.raises(ValueError, match="'items' is List"):
        feature_types(pl.DataFrame({"items": [["a"]]}), keys=[])


def test_every_term_equals_interpret_to_a_billionth_on_other_data(examples: tuple[pl.DataFrame, pl.Series]) -> None:
    frame, labels = examples
    features = feature_types(frame, keys=["break_id"])
    machine = _machine(features, QUICK, has_stopping=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        machine.fit(as_matrix(frame, features), labels.to_numpy().astype(int), bags=np.where(stopping(frame).to_numpy(), -1, 1).astype(np.int8).reshape(-1, 1))
    ours = export_tables(machine, features)
    other = make_examples(3000, seed=2)[0].with_columns(
        pl.when(pl.int_range(pl.len()) % 17 == 0).then(pl.lit("payout_not_in_bank")).otherwise("kind").alias("kind")
    )
    edge = ours.terms[0].axes[0].edges
    assert edge is not None
    other = other.with_columns(pl.when(pl.int_range(pl.len()) % 13 == 0).then(pl.lit(edge[0])).otherwise("age_days").alias("age_days"))  # a value on an edge
    theirs = machine.eval_terms(as_matrix(other, features))
    assert len(ours.terms) > len(features)
    for place, term in enumerate(ours.terms):
        assert np.abs(term_scores(term, other) - theirs[:, place]).max() < 1e-9, term.name


def test_fitting_twice_gives_the_same_tables(examples: tuple[pl.DataFrame, pl.Series], tables: AdditiveTables) -> None:
    frame, labels = examples
    again = fit_additive(frame, labels, features=feature_types(frame, keys=["break_id"]), is_stopping=stopping(frame), options=QUICK)
    assert orjson.dumps(again.to_json()) == orjson.dumps(tables.to_json())


def test_tables_survive_json_bit_for_bit(tables: AdditiveTables) -> None:
    read = AdditiveTables.from_json(orjson.loads(orjson.dumps(tables.to_json())))
    assert read.to_json() == tables.to_json()
    assert read.features == tables.features


def test_every_score_is_a_multiple_of_the_quantum(tables: AdditiveTables) -> None:
    for term in tables.terms:
        units = term.scores / (QUANTUM * len(term.axes))
        assert np.array_equal(units, np.round(units))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: content["terms"][0]["scores"].append(0.0), "does not fit its axes"),
        (lambda content: content["terms"][0]["scores"].__setitem__(0, 0.1), "no finite multiples"),
        (lambda content: content["terms"][0]["scores"].__setitem__(0, float("nan")), "no finite multiples"),
        (lambda content: content["features"].pop(0), "does not list"),
        (lambda content: content["features"][0].__setitem__("type", "date"), "not a type of feature"),
        (lambda content: content["terms"][0]["axes"][0]["edges"].reverse(), "do not ascend"),
    ],
    ids=["shape", "quantum", "nan", "feature", "type", "edges"],
)
def test_damaged_tables_are_refused(tables: AdditiveTables, damage, message: str) -> None:  # type: ignore[no-untyped-def]
    content = orjson.loads(orjson.dumps(tables.to_json()))
    damage(content)
    with pytest.raises(ValueError, match=message):
        AdditiveTables.from_json(content)


def test_a_monotone_feature_never_lowers_the_score_as_it_grows(examples: tuple[pl.DataFrame, pl.Series]) -> None:
    frame, labels = examples
    fitted = fit_additive(
        frame,
        labels,
        features=feature_types(frame, keys=["break_id"]),
        is_stopping=stopping(frame),
        options=FitOptions(rounds_max=120, pairs_max=3, leaf_rows_min=5, monotone={"age_days": 1}),
    )
    main = next(term for term in fitted.terms if term.name == "age_days")
    assert (np.diff(main.scores[1:]) >= 0).all()
    assert not any("age_days" in term.name and len(term.axes) == 2 for term in fitted.terms)


def test_rows_of_one_class_are_refused(examples: tuple[pl.DataFrame, pl.Series]) -> None:
    frame, _ = examples
    with pytest.raises(ValueError, match="both true exceptions and ordinary differences"):
        fit_additive(frame, pl.Series([False] * frame.height), features=feature_types(frame, keys=["break_id"]), is_stopping=stopping(frame), options=QUICK)
