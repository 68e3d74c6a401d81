"""The pair scorer: what its table says is what a pair gets, and a changed table is refused."""

import shutil

import polars as pl
import pytest

from reconciliation.errors import DefectError
from reconciliation.matching import pair_scorer
from reconciliation.matching.pair_scorer import COMPARISONS, PairWeights, column_of, load_weights, score


def pair(**levels):
    plain = {column_of(name): "single" if name == "amount" else "missing" for name in COMPARISONS}
    facts = {"alike": 0.9, "shared": None, "ends": None, "lag": 1}
    schema = {"shared": pl.String, "ends": pl.String}
    return pl.DataFrame([{**plain, **facts, **levels}], schema_overrides=schema)


def test_the_score_is_the_logistic_of_the_sum_of_the_levels():
    weights = PairWeights("1", -1.0, {"name": {"same": 2.0, "missing": 0.0}, "number": {"same": 1.5, "missing": 0.25}})
    scored = score(pair(name="same"), weights)
    assert scored["log_odds"].item() == pytest.approx(-1.0 + 2.0 + 0.25)
    assert scored["score"].item() == pytest.approx(1 / (1 + 2.718281828459045**-1.25))


def test_a_level_the_table_does_not_know_weighs_nothing():
    assert score(pair(name="odd"), PairWeights("1", 0.25, {"name": {"same": 2.0}}))["log_odds"].item() == 0.25


def test_the_committed_version_says_that_more_agreement_is_never_less_likely():
    levels = load_weights().levels
    assert levels["name"]["same"] > levels["name"]["missing"] > levels["name"]["other"]
    assert levels["number"]["same"] > levels["number"]["missing"] > levels["number"]["other"]
    assert levels["lag"]["0"] > levels["lag"]["6+"]


def test_a_changed_table_is_refused(tmp_path, monkeypatch):
    shutil.copytree(pair_scorer.MODELS, tmp_path / "pair_scorer")
    monkeypatch.setattr(pair_scorer, "MODELS", tmp_path / "pair_scorer")
    load_weights.cache_clear()
    file = tmp_path / "pair_scorer" / load_weights().version / "weights.json"
    load_weights.cache_clear()
    file.write_text(file.read_text().replace("1", "2", 1))
    with pytest.raises(DefectError, match=r"weights\.json: changed since it was fitted"):
        load_weights()
    load_weights.cache_clear()


def test_evidence_names_what_was_compared():
    assert score(pair(shared="1042", number="same"), load_weights())[
        "words"
    ].item() == "names 90% alike, digits 1042 on both sides, amount equals gross, posted 1 day later".replace("names 90% alike", "no name to compare")
