"""Evaluation: figures agree with worked examples and with an independent implementation."""

import numpy as np
import polars as pl
import pytest

from reconciliation.classifier.evaluation import (
    average_precision,
    clear_lowest,
    clear_rate_at_recall,
    match_quality,
    measure_frame,
    measure_quality,
    measure_segments,
)


def test_average_precision_equals_scikit_learn_with_and_without_ties() -> None:
    from sklearn.metrics import average_precision_score

    random = np.random.default_rng(1)
    for decimals in (1, 6):
        probabilities = random.random(2000).round(decimals)
        labels = random.random(2000) < probabilities * 0.2
        assert average_precision(probabilities, labels) == pytest.approx(average_precision_score(labels, probabilities))


def test_equal_probabilities_are_cleared_together_or_not_at_all() -> None:
    assert clear_lowest(np.array([0.1, 0.1, 0.1, 0.2, 0.9]), 0.8).tolist() == [True, True, True, True, False]
    assert clear_lowest(np.array([0.1, 0.2, 0.2, 0.2, 0.2]), 0.8).tolist() == [True, False, False, False, False]


def test_figures_of_a_worked_example() -> None:
    probabilities = np.array([0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.5, 0.9])
    labels = np.array([False, True, False, False, False, False, False, False, True, True])
    amounts = np.array([1, -300, 1, 1, 1, 1, 1, 1, 500, -200])
    quality = measure_quality(probabilities, labels, amounts_minor=amounts, threshold=0.045)
    assert quality.recall_at_clear == pytest.approx(2 / 3)
    assert quality.money_recall_at_clear == pytest.approx(0.7)
    assert quality.clear_at_recall == pytest.approx(0.1)
    assert quality.recall == pytest.approx(2 / 3)
    assert quality.alert_precision == pytest.approx(2 / 6)
    assert quality.cleared == pytest.approx(0.4)
    assert quality.missed_largest_minor == 300


def test_a_hindsight_threshold_may_miss_one_of_a_hundred() -> None:
    probabilities = np.linspace(0, 1, 100)
    assert clear_rate_at_recall(probabilities, np.ones(100, dtype=bool), 0.99) == pytest.approx(0.01)
    assert clear_rate_at_recall(probabilities[:99], np.ones(99, dtype=bool), 0.99) == 0.0


def test_a_set_without_exceptions_has_no_ranking_figures_but_a_clear_rate() -> None:
    quality = measure_quality(np.array([0.1, 0.2]), np.array([False, False]), amounts_minor=np.array([1, 2]), threshold=0.15)
    assert (quality.pr_auc, quality.recall, quality.cleared) == (None, None, 0.5)


def test_segments_too_small_to_say_something_are_left_out() -> None:
    frame = pl.DataFrame(
        {"probability": [0.9, 0.1] * 30, "is_true_exception": [True, False] * 30, "amount_minor": [1] * 60, "currency": ["GBP"] * 50 + ["JPY"] * 10}
    )
    segments = measure_segments(frame, by=["currency"], threshold=0.5)
    assert segments["value"].to_list() == ["GBP"]
    assert segments["recall"].to_list() == [1.0]
    assert measure_segments(frame, by=["currency"], threshold=0.5, exceptions_min=99).is_empty()
    assert measure_frame(frame, threshold=0.5).pr_auc == 1.0


def test_matching_is_judged_by_edges_and_only_decidable_ones_count_for_recall() -> None:
    members = pl.DataFrame(
        {
            "match_id": ["m1", "m1", "m1", "m2", "m2", "m3", "m3"],
            "leg": ["books"] * 5 + ["cash"] * 2,
            "strategy": ["exact_reference"] * 7,
            "difference_minor": [0] * 7,
            "side": ["stripe", "stripe", "ledger", "stripe", "ledger", "stripe", "bank"],
            "item": ["txn_1/gross", "txn_1/fee", "JE-1", "txn_2/gross", "JE-9", "po_1", "REF-1"],
        }
    )
    truth = pl.DataFrame(
        {
            "leg": ["books", "books", "books", "books", "cash"],
            "stripe_item": ["txn_1/gross", "txn_1/fee", "txn_2/gross", "txn_3/gross", "po_1"],
            "other_item": ["JE-1", "JE-1", "JE-2", "JE-3", "REF-1"],
            "decidable": [True, True, True, False, True],
        }
    )
    quality = match_quality(members, truth, items=100)
    assert (quality.edges_true, quality.edges_decidable, quality.edges_found, quality.edges_right) == (5, 4, 4, 3)
    assert quality.precision == pytest.approx(0.75)
    assert quality.recall == pytest.approx(0.75)
    assert quality.false_matches_per_10000 == pytest.approx(100.0)


def test_pairs_on_one_side_have_no_edges() -> None:
    members = pl.DataFrame(
        {
            "match_id": ["m", "m"],
            "leg": ["books"] * 2,
            "strategy": ["named_reversal"] * 2,
            "difference_minor": [0] * 2,
            "side": ["ledger"] * 2,
            "item": ["JE-1", "JE-1-R"],
        }
    )
    truth = pl.DataFrame(schema={"leg": pl.String, "stripe_item": pl.String, "other_item": pl.String, "decidable": pl.Boolean})
    quality = match_quality(members, truth, items=2)
    assert (quality.edges_found, quality.precision, quality.recall, quality.false_matches_per_10000) == (0, 1.0, 1.0, 0.0)


def test_a_counted_match_claims_no_pairs_but_answers_for_lines_that_do_not_belong():
    members = pl.DataFrame(
        {
            "match_id": ["m"] * 5,
            "leg": ["books"] * 5,
            "strategy": ["interchangeable"] * 5,
            "difference_minor": [0] * 5,
            "side": ["stripe"] * 2 + ["ledger"] * 3,
            "item": ["txn_1/gross", "txn_2/gross", "P1", "P2", "P9"],
        }
    )
    truth = pl.DataFrame({"leg": ["books"] * 2, "stripe_item": ["txn_1/gross", "txn_2/gross"], "other_item": ["P2", "P1"], "decidable": [True, True]})
    quality = match_quality(members, truth, items=5)
    assert (quality.edges_found, quality.edges_right) == (3, 2)
    assert quality.recall == 1.0


@pytest.mark.parametrize(
    ("amount", "elsewhere", "exchanged"),
    [(2500, [], 1), (2500, [("n", "interchangeable", "stripe", "txn_3/gross")], 1), (2600, [], 0), (2500, [("n", "fuzzy", "stripe", "txn_3/gross")], 0)],
    ids=["its payment is open", "its payment is counted", "its payment has another amount", "its payment is paired"],
)
def test_an_equal_payment_in_the_place_of_another_is_no_false_claim_of_a_count(amount: int, elsewhere: list[tuple[str, ...]], exchanged: int) -> None:
    rows = [("m", "interchangeable", "stripe", "txn_1/gross"), ("m", "interchangeable", "ledger", "P3"), *elsewhere]
    members = pl.DataFrame(rows, schema=["match_id", "strategy", "side", "item"], orient="row").with_columns(leg=pl.lit("books"), difference_minor=0)
    truth = pl.DataFrame({"leg": ["books"], "stripe_item": ["txn_3/gross"], "other_item": ["P3"], "decidable": [True]})
    amounts = pl.DataFrame({"leg": ["books"] * 2, "item": ["txn_3/gross", "P3"], "amount_minor": [amount, 2500]})
    quality = match_quality(members, truth, items=10, amounts=amounts)
    assert (quality.edges_found, quality.edges_right, quality.edges_exchanged) == (1, 0, exchanged)
    assert (quality.false_matches_per_10000, quality.false_claims_per_10000) == (1000.0, 1000.0 * (1 - exchanged))


@pytest.mark.parametrize(("difference", "lacked"), [(2500, 1), (0, 0)])
def test_a_payment_never_posted_may_be_what_a_stated_difference_lacks(difference: int, lacked: int) -> None:
    """Of three payments one is in the sum, one was never posted and one was posted elsewhere; without a difference none may be absent."""
    members = pl.DataFrame(
        {
            "match_id": ["m"] * 4,
            "leg": ["books"] * 4,
            "strategy": ["near_summary"] * 4,
            "difference_minor": [difference] * 4,
            "side": ["stripe"] * 3 + ["ledger"],
            "item": ["txn_1/gross", "txn_2/gross", "txn_3/gross", "JE-1"],
        }
    )
    truth = pl.DataFrame({"leg": ["books"] * 2, "stripe_item": ["txn_1/gross", "txn_3/gross"], "other_item": ["JE-1", "JE-2"], "decidable": [True, True]})
    quality = match_quality(members, truth, items=4)
    assert (quality.edges_found, quality.edges_right, quality.edges_lacked) == (3, 1, lacked)
