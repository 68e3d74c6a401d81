"""Reasons: the strongest facts, in words, with the direction in which they moved the risk."""

import numpy as np
import polars as pl
import pytest

from reconciliation.breaks.features import FEATURES
from reconciliation.classifier.reasons import WORDS, explain_scores, risk_level
from reconciliation.classifier.scoring import Scores
from reconciliation.learning.tables import Feature

FEATURE_LIST = (
    Feature("age_days", "numeric"),
    Feature("has_reference_other_side", "boolean"),
    Feature("possible_causes", "categorical"),
    Feature("nearest_other_side", "numeric"),
    Feature("ledger_owner", "categorical"),
)


def explain(values: dict[str, object], contributions: list[float]) -> list[str]:
    """Return the reasons of one row."""
    base: dict[str, object] = {
        "age_days": 12.0,
        "has_reference_other_side": False,
        "possible_causes": "both",
        "nearest_other_side": None,
        "ledger_owner": "ann",
    }
    schema = {
        "age_days": pl.Float64,
        "has_reference_other_side": pl.Boolean,
        "possible_causes": pl.String,
        "nearest_other_side": pl.Float64,
        "ledger_owner": pl.String,
    }
    frame = pl.DataFrame({name: [value] for name, value in (base | values).items()}, schema=schema)
    scores = Scores(pl.Series([0.0]), pl.Series([0.5]), pl.DataFrame({f.name: [c] for f, c in zip(FEATURE_LIST, contributions, strict=True)}), 0.0)
    return explain_scores(scores, frame, FEATURE_LIST)[0].to_list()


def test_the_three_strongest_contributions_are_said_strongest_first() -> None:
    assert explain({"has_reference_other_side": True}, [0.5, 2.0, -0.9, 0.1, 0.2]) == [
        "An open line on the other side carries its reference (raises the risk)",
        "Its facts fit an expected difference as well as an error (lowers the risk)",
        "Open for 12 days at the cut-off (raises the risk)",
    ]


@pytest.mark.parametrize(
    ("values", "contributions", "text"),
    [
        ({"has_reference_other_side": None}, [0, 1.0, 0, 0, 0], "No open line on the other side carries its reference (raises the risk)"),
        ({"nearest_other_side": 0.01234}, [0, 0, 0, -1.0, 0], "The nearest open amount on the other side is 1.23 % away (lowers the risk)"),
        ({}, [0, 0, 0, -1.0, 0], "Nothing is open on the other side (lowers the risk)"),
        ({"age_days": 1.0}, [1.0, 0, 0, 0, 0], "Open for 1 day at the cut-off (raises the risk)"),
        ({"age_days": 31.0}, [1.0, 0, 0, 0, 0], "Open for 31 days at the cut-off (raises the risk)"),
        ({"age_days": float("nan")}, [1.0, 0, 0, 0, 0], "How long it is open is not known (raises the risk)"),
        ({"possible_causes": ""}, [0, 0, 1.0, 0, 0], "Its facts say nothing of a cause (raises the risk)"),
        ({}, [0, 0, 0, 0, 1.0], "ledger owner: ann (raises the risk)"),
    ],
    ids=["missing flag", "percent", "missing number", "one day", "many days", "nan", "empty category", "no words"],
)
def test_each_type_of_value_is_said(values: dict[str, object], contributions: list[float], text: str) -> None:
    assert explain(values, contributions) == [text]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("exception", "Its facts fit an error only"),
        ("double_charge", "Its facts fit a charge made twice, unless the customer bought the same again"),
        ("expected", "Its facts fit an expected difference only"),
        ("new_word", "Its facts fit new word"),
    ],
)
def test_a_word_of_a_closed_list_is_said_in_a_controllers_words(value: str, text: str) -> None:
    scores = Scores(pl.Series([0.0]), pl.Series([0.5]), pl.DataFrame({"possible_causes": [1.0]}), 0.0)
    assert explain_scores(scores, pl.DataFrame({"possible_causes": [value]}), (Feature("possible_causes", "categorical"),))[0].to_list() == [
        f"{text} (raises the risk)"
    ]


@pytest.mark.parametrize(("members", "expected"), [(0.0, ["Open for 3 days at the cut-off (raises the risk)"]), (30.0, None)], ids=["none", "a difference"])
def test_only_the_difference_of_a_match_is_explained_by_rates(members: float, expected: list[str] | None) -> None:
    features = (Feature("age_days", "numeric"), Feature("is_within_rates", "boolean"), Feature("n_members", "numeric"))
    scores = Scores(pl.Series([0.0]), pl.Series([0.5]), pl.DataFrame({"age_days": [0.5], "is_within_rates": [2.0], "n_members": [1.0]}), 0.0)
    frame = pl.DataFrame({"age_days": [3.0], "is_within_rates": [False], "n_members": [members]})
    told = explain_scores(scores, frame, features)[0].to_list()
    assert told == (
        expected
        or [
            "No exchange rate explains the amount (raises the risk)",
            "Items in the match whose difference it is: 30 (raises the risk)",
            "Open for 3 days at the cut-off (raises the risk)",
        ]
    )


def test_what_a_difference_lacks_because_it_is_one_counts_with_the_size_of_its_match() -> None:
    features = (Feature("nearest_other_side", "numeric"), Feature("n_members", "numeric"), Feature("nearest_member", "numeric"))
    contributions = {"nearest_other_side": [-2.0, -2.0, -2.0], "n_members": [0.5, 0.5, 0.5], "nearest_member": [0.3, 0.3, 0.3]}
    frame = pl.DataFrame({"nearest_other_side": [None, None, 0.5], "n_members": [2.0, 0.0, 2.0], "nearest_member": [None, None, 0.1]})
    scores = Scores(pl.Series([0.0] * 3), pl.Series([0.5] * 3), pl.DataFrame(contributions), 0.0)
    assert explain_scores(scores, frame, features).to_list() == [
        ["Items in the match whose difference it is: 2 (lowers the risk)"],
        ["Nothing is open on the other side (lowers the risk)"],
        [
            "The nearest open amount on the other side is 50.0 % away (lowers the risk)",
            "Items in the match whose difference it is: 2 (raises the risk)",
            "The nearest amount in its match is 10.0 % away from the difference (raises the risk)",
        ],
    ]


def test_what_is_missing_of_a_break_that_can_only_be_an_error_is_one_reason() -> None:
    missing = {"age_days": None, "possible_causes": "exception", "ledger_owner": ""}
    assert explain(missing, [1.0, 0.5, -0.2, 0.4, 0.3]) == ["Its facts fit an error only (raises the risk)"]


def test_contributions_of_missing_facts_that_cancel_are_no_reason() -> None:
    assert explain({"age_days": None, "possible_causes": "exception"}, [1.0, -0.5, -0.5, 0.0, 0.0]) == []


def test_a_row_that_nothing_moves_has_no_reasons() -> None:
    assert explain({}, [0.01, -0.04, 0, 0, 0]) == []


def test_many_rows_keep_their_own_reasons_in_order() -> None:
    random = np.random.default_rng(3)
    frame = pl.DataFrame({"age_days": random.integers(2, 90, 500).astype(float), "kind": random.choice(["a_b", "c"], 500)})
    features = (Feature("age_days", "numeric"), Feature("kind", "categorical"))
    scores = Scores(pl.Series(np.zeros(500)), pl.Series(np.zeros(500)), pl.DataFrame({"age_days": np.full(500, 1.0), "kind": np.full(500, -0.5)}), 0.0)
    reasons = explain_scores(scores, frame, features)
    wanted = [
        [f"Open for {int(age)} days at the cut-off (raises the risk)", f"kind: {kind.replace('_', ' ')} (lowers the risk)"] for age, kind in frame.iter_rows()
    ]
    assert reasons.to_list() == wanted


def test_an_empty_frame_has_no_reasons() -> None:
    features = (Feature("age_days", "numeric"),)
    frame = pl.DataFrame({"age_days": []}, schema={"age_days": pl.Float64})
    assert explain_scores(Scores(pl.Series([]), pl.Series([]), frame, 0.0), frame, features).len() == 0


def test_every_feature_of_the_product_has_words() -> None:
    assert sorted(WORDS) == sorted(FEATURES)


def test_risk_is_said_in_three_words() -> None:
    assert pl.select(risk_level(pl.Series([0.0371, 0.1, 0.49, 0.5]))).to_series().to_list() == ["Low", "Medium", "Medium", "High"]
