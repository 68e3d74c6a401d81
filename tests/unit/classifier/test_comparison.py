"""The contenders beside a version: rules that know what they do not know, a reference that never judges whom it learned from."""

import numpy as np
import polars as pl
import pytest

from reconciliation.classifier.comparison import CHAMPION, REFERENCE, RULES, Comparison, compare_segments, render_comparison, rule_scores
from reconciliation.learning.additive import feature_types
from reconciliation.learning.probes import fit_across


def causes(expected: str, exception: str, lateness: float) -> dict[str, object]:
    """Describe a break as rules see it."""
    return {"expected_cause": expected, "exception_cause": exception, "days_beyond_usual_lag": lateness, "age_days": 1.0}


def test_rules_rank_errors_first_what_is_late_and_what_nobody_knows_next_and_the_expected_last() -> None:
    error, late, unknown, early, expected = causes("", "a", 0), causes("b", "a", 9), causes("", "", 3), causes("b", "a", -9), causes("b", "", 9)
    scores = rule_scores(pl.DataFrame([expected, early, unknown, late, error]))
    assert np.all(np.diff(scores) > 0)


def world(name: str, *, is_odd: bool, rows: int = 120) -> pl.DataFrame:
    """Return a company whose exceptions are its high values, or in an odd company the low ones."""
    values = np.linspace(0, 1, rows)
    return pl.DataFrame({"world": name, "value": values, "is_true_exception": (values < 0.3) if is_odd else (values > 0.7)})


def test_the_reference_learns_from_others_and_never_from_the_company_it_judges() -> None:
    frame = pl.concat([world("a", is_odd=False), world("b", is_odd=True)])
    features = feature_types(frame.select("value"), keys=())
    alone = fit_across(frame, features=features, seed=1, folds=2)
    truth = frame["is_true_exception"].to_numpy()
    assert alone.rows == 120
    assert alone.probabilities[truth].mean() < alone.probabilities[~truth].mean()  # Each half knows the other's habit alone.
    others = pl.concat([world(f"o{n}", is_odd=False) for n in range(8)])
    more = fit_across(frame, features=features, seed=1, folds=2, others=others)
    assert more.rows == 120 * 9
    straight = (frame["world"] == "a").to_numpy()
    assert more.probabilities[straight & truth].mean() > 0.5 > more.probabilities[straight & ~truth].mean()
    assert fit_across(frame, features=features, seed=1, folds=2, others=others, share=0.34).rows == pytest.approx(120 * 3, abs=120)


@pytest.mark.parametrize(("found_last", "is_below"), [("a", False), ("never a", True)], ids=["another order", "worse"])
def test_a_segment_is_below_the_rules_where_less_is_found_and_not_where_another_is_found_first(found_last: str, is_below: bool) -> None:
    """Half are exceptions, so 80 % cleared leave room for two of five: who ranks kind b before kind a has then found no a, and has still found all of both."""
    random = np.random.default_rng(5)
    kind, truth = np.tile(["a", "b"], 400), np.tile([True, True, False, False], 200)
    frame = pl.DataFrame({
        "world": np.repeat([f"c{number}" for number in range(20)], 40), "family": "f", "kind": kind, "amount_decade": "10^3", "period": "2026-08", "is_true_exception": truth,
    })  # fmt: skip
    rules = random.random(800) + (kind == "a") * truth
    champion = random.random(800) + np.where(kind == "b", 2.0, 1.0) * truth
    if found_last == "never a":
        champion = np.where(kind == "a", 0.0, champion)
    rows = compare_segments(frame, champion, rules, draws=50)
    assert {row["value"]: row["is_below_rules"] for row in rows if row["segment"] == "kind"} == {"a": is_below, "b": False}


def test_the_learning_curve_is_printed_only_where_there_is_one() -> None:
    figures = {
        name: dict.fromkeys(("pr_auc", "recall_at_80", "recall_at_90", "money_recall_at_80", "money_recall_at_90", "queue_money_recall_at_80", "queue_money_recall_at_90", "recall_at_r", "money_recall_at_r",
                             "missed_money_bp_at_80", "missed_money_bp_at_90", "clear_at_99_recall", "brier", "ece", "worst_segment", "worst_segment_recall_at_80", "cause_accuracy"), 0.5) | {"breaks": 9, "exceptions": 2}
        for name in (RULES, CHAMPION, REFERENCE)
    }  # fmt: skip
    points = tuple({"rows": rows, "set": "in-family", "pr_auc": 0.9, "recall_at_80": 0.8} for rows in (1000, 4000))
    plain = Comparison({"in-family": figures}, {"in-family": {"pr_auc": None}}, (), 4000, points[:1])
    assert not [line for line in render_comparison(plain) if "What more rows change" in line]
    lines = render_comparison(Comparison(plain.figures, plain.shares, (), 4000, points))
    assert any("1,000 rows 0.9000 / 0.8000; 4,000 rows 0.9000 / 0.8000" in line for line in lines)
