"""Scoring: looked-up cells that add exactly, on any frame, without the libraries that fitted them."""

import subprocess
import sys
import textwrap

import numpy as np
import polars as pl
import pytest

from reconciliation.classifier.calibration import Calibration
from reconciliation.classifier.scoring import FeatureMismatchError, score_frame, term_scores
from reconciliation.learning.tables import AdditiveTables, Axis, Feature, Term, quantize

IDENTITY = Calibration(method="sigmoid", scores=(-12.0, 12.0), probabilities=(0.0, 1.0))


def make_tables(numeric: int = 12, *, seed: int = 5) -> AdditiveTables:
    """Return tables of random scores over numeric, boolean and categorical features and pairs of them."""
    random = np.random.default_rng(seed)
    axes = [Axis(feature=f"number_{n:02d}", edges=tuple(np.linspace(-2, 2, 40).tolist()), categories=None) for n in range(numeric)]
    axes += [Axis(feature=f"flag_{n}", edges=None, categories=("false", "true")) for n in range(4)]
    axes += [Axis(feature=f"kind_{n}", edges=None, categories=("duplicate", "late", "missing")) for n in range(4)]
    pairs = [(axes[0], axes[-1]), (axes[1], axes[-5]), (axes[2], axes[3])]
    terms = [Term(axes=(axis,), scores=quantize(random.normal(size=axis.size))) for axis in axes]
    terms += [Term(axes=pair, scores=quantize(random.normal(size=tuple(a.size for a in pair)), quantum=2.0**-39)) for pair in pairs]
    types = {"number": "numeric", "flag": "boolean", "kind": "categorical"}
    features = tuple(Feature(name=axis.feature, type=types[axis.feature.split("_")[0]]) for axis in axes)  # type: ignore[arg-type]
    return AdditiveTables(features=features, intercept=float(quantize(np.array([-2.2]))[0]), terms=tuple(terms))


def make_frame(tables: AdditiveTables, rows: int, *, seed: int = 6) -> pl.DataFrame:
    """Return a frame of the tables' features with missing and unknown values."""
    random = np.random.default_rng(seed)
    columns: dict[str, pl.Series] = {"break_id": pl.Series([f"brk_{n}" for n in range(rows)])}
    for feature in tables.features:
        if feature.type == "numeric":
            values = pl.Series(random.normal(size=rows))
        elif feature.type == "boolean":
            values = pl.Series(random.random(rows) < 0.5)
        else:
            values = pl.Series(random.choice(["duplicate", "late", "missing", "never seen"], rows))
        columns[feature.name] = pl.select(pl.when(pl.Series(random.random(rows) < 0.1)).then(None).otherwise(values)).to_series()
    return pl.DataFrame(columns)


def test_contributions_and_intercept_add_to_the_score_exactly() -> None:
    tables = make_tables()
    scores = score_frame(tables, IDENTITY, make_frame(tables, 2000))
    columns = list(scores.contributions.iter_columns())
    for order in (columns, columns[::-1]):
        total = np.zeros(2000)
        for column in order:
            total += column.to_numpy()
        assert np.array_equal(total + scores.intercept, scores.score.to_numpy())


def test_the_score_is_the_sum_of_the_cells_of_all_terms() -> None:
    tables = make_tables()
    frame = make_frame(tables, 500)
    cells = sum((term_scores(term, frame) for term in tables.terms), np.full(500, tables.intercept))
    assert np.array_equal(cells, score_frame(tables, IDENTITY, frame).score.to_numpy())


def test_rows_are_scored_independently_of_their_order_and_neighbors() -> None:
    tables = make_tables()
    frame = make_frame(tables, 300)
    whole = score_frame(tables, IDENTITY, frame)
    turned = score_frame(tables, IDENTITY, frame.reverse())
    alone = score_frame(tables, IDENTITY, frame[7:8])
    assert turned.probability.reverse().equals(whole.probability)
    assert alone.score[0] == whole.score[7]


def test_missing_unknown_and_edge_values_have_their_own_bins() -> None:
    numeric = Term(axes=(Axis(feature="n", edges=(1.0, 2.0), categories=None),), scores=np.array([8.0, 1.0, 2.0, 3.0]))
    text = Term(axes=(Axis(feature="c", edges=None, categories=("a", "b")),), scores=np.array([8.0, 1.0, 2.0, 9.0]))
    flag = Term(axes=(Axis(feature="f", edges=None, categories=("false", "true")),), scores=np.array([8.0, 1.0, 2.0, 9.0]))
    frame = pl.DataFrame({"n": [0.9, 1.0, 2.0, None, float("nan")], "c": ["a", "b", "z", None, ""], "f": [False, True, None, True, False]})
    assert term_scores(numeric, frame).tolist() == [1.0, 2.0, 3.0, 8.0, 8.0]
    assert term_scores(text, frame).tolist() == [1.0, 2.0, 9.0, 8.0, 9.0]
    assert term_scores(flag, frame).tolist() == [1.0, 2.0, 8.0, 2.0, 1.0]


def test_whole_numbers_and_enums_are_read_like_floats_and_text() -> None:
    tables = make_tables(1)
    frame = make_frame(tables, 100).with_columns(pl.col("number_00").round().cast(pl.Int64))
    as_enum = frame.with_columns(pl.col("kind_0").cast(pl.Enum(["duplicate", "late", "missing", "never seen"])), pl.col("kind_1").cast(pl.Categorical))
    assert score_frame(tables, IDENTITY, as_enum).score.equals(score_frame(tables, IDENTITY, frame).score)


def test_an_empty_frame_gives_empty_scores() -> None:
    tables = make_tables()
    assert score_frame(tables, IDENTITY, make_frame(tables, 5).clear()).probability.len() == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda frame: frame.drop("number_03"), "missing: number_03"),
        (lambda frame: frame.with_columns(pl.lit(1).alias("number_99")), "not known to the model: number_99"),
        (lambda frame: frame.with_columns(pl.lit("1").alias("number_03")), "number_03 is String and not numeric"),
        (lambda frame: frame.with_columns(pl.lit(1).alias("flag_0")), "flag_0 is Int32 and not boolean"),
        (lambda frame: frame.with_columns(pl.lit(1).alias("kind_0")), "kind_0 is Int32 and not categorical"),
    ],
    ids=["missing", "unknown", "text for number", "number for flag", "number for category"],
)
def test_a_frame_with_other_features_is_refused(change, message: str) -> None:  # type: ignore[no-untyped-def]
    tables = make_tables()
    with pytest.raises(FeatureMismatchError, match=message):
        score_frame(tables, IDENTITY, change(make_frame(tables, 5)))


def test_all_differences_are_named_at_once() -> None:
    tables = make_tables()
    frame = make_frame(tables, 5).drop("number_03", "flag_1").with_columns(pl.lit(1).alias("extra"))
    with pytest.raises(FeatureMismatchError, match=r"missing: number_03, flag_1; not known to the model: extra.*\[classifier\] model"):
        score_frame(tables, IDENTITY, frame)


def test_scoring_loads_neither_scikit_learn_nor_interpret() -> None:
    program = """
        import sys
        import polars as pl
        from reconciliation.classifier import calibration, evaluation, policy, scoring
        from reconciliation.learning import additive, tables
        model = tables.AdditiveTables.from_json({"features": [{"name": "a", "type": "numeric"}], "intercept": 0.0,
            "terms": [{"axes": [{"feature": "a", "edges": [1.0]}], "scores": [0.0, -1.0, 1.0]}]})
        table = calibration.Calibration("sigmoid", (-1.0, 1.0), (0.0, 1.0))
        assert scoring.score_frame(model, table, pl.DataFrame({"break_id": ["b"], "a": [2.0]})).probability.to_list() == [1.0]
        print([name for name in sys.modules if name.split(".")[0] in ("sklearn", "interpret", "mapie", "skops")])
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
