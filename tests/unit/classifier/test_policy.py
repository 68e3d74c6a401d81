"""Policy: what may clear, by whose proof, and that without proof nothing does."""

import numpy as np
import polars as pl
import pytest

from reconciliation.classifier.policy import Certificate, certify_threshold, decide_dispositions, misses_allowed, recall_bound

PROVEN = Certificate(
    source="simulated", threshold=0.05, exceptions=628, misses=2, recall_bound=0.99, target_recall=0.99, confidence=0.95, window="later months"
)
AUDITED = Certificate(
    source="audited", threshold=0.03, exceptions=299, misses=0, recall_bound=0.99, target_recall=0.99, confidence=0.95, window="audited months"
)
MONEY = {"GBP": 2500, "JPY": 4000}


def make_breaks(**columns: object) -> pl.DataFrame:
    """Return breaks that would clear, with some columns replaced."""
    rows = max((len(value) for value in columns.values() if isinstance(value, list)), default=1)
    base: dict[str, object] = {
        "break_id": [f"brk_{n}" for n in range(rows)],
        "kind": ["amount_difference"] * rows,
        "cause": ["rounding"] * rows,
        "amount_minor": [-100] * rows,
        "currency": ["GBP"] * rows,
        "probability_true_exception": [0.01] * rows,
    }
    return pl.DataFrame(base | columns)


def decide(breaks: pl.DataFrame, **changes: object) -> list[str]:
    """Return the dispositions."""
    arguments: dict[str, object] = {
        "mode": "copilot",
        "target_recall": 0.99,
        "simulated": PROVEN,
        "materiality_minor": MONEY,
        "cap_minor": {"GBP": 50000, "JPY": 90000},
    }
    return decide_dispositions(breaks, **(arguments | changes)).dispositions["disposition"].to_list()  # type: ignore[arg-type]


@pytest.mark.parametrize(("exceptions", "misses"), [(299, 0), (473, 1), (628, 2), (1049, 5)])
def test_the_bound_reaches_99_percent_from_the_published_numbers_on(exceptions: int, misses: int) -> None:
    assert recall_bound(exceptions=exceptions, misses=misses) >= 0.99 > recall_bound(exceptions=exceptions - 1, misses=misses)
    assert misses_allowed(exceptions=exceptions, target_recall=0.99) == misses


@pytest.mark.parametrize(("target", "needed"), [(0.95, 59), (0.98, 149), (0.995, 598), (0.999, 2995)])
def test_other_targets_need_the_published_numbers_too(target: float, needed: int) -> None:
    assert misses_allowed(exceptions=needed, target_recall=target) == 0
    assert misses_allowed(exceptions=needed - 1, target_recall=target) is None


def test_a_threshold_is_the_lowest_exception_that_may_not_be_missed() -> None:
    probabilities = np.concatenate([np.linspace(0.1, 0.9, 628), np.linspace(0, 0.2, 1000)])
    labels = np.arange(1628) < 628
    certificate = certify_threshold(probabilities, labels, source="simulated", target_recall=0.99, window="w")
    assert certificate.threshold == np.linspace(0.1, 0.9, 628)[2]
    assert (certificate.exceptions, certificate.misses) == (628, 2)
    assert certificate.recall_bound >= 0.99
    assert Certificate.from_json(certificate.to_json()) == certificate


def test_equal_probabilities_at_the_threshold_are_not_cleared() -> None:
    certificate = certify_threshold(np.full(628, 0.4), np.ones(628, dtype=bool), source="simulated", target_recall=0.99, window="w")
    assert (certificate.threshold, certificate.misses) == (0.4, 0)


def test_too_few_exceptions_prove_no_threshold() -> None:
    certificate = certify_threshold(np.linspace(0, 1, 298), np.ones(298, dtype=bool), source="simulated", target_recall=0.99, window="w")
    assert (certificate.threshold, certificate.recall_bound) == (None, 0.0)


def test_the_certified_recall_holds_in_19_of_20_fresh_samples() -> None:
    random = np.random.default_rng(11)
    below = 0
    for _ in range(400):
        certificate = certify_threshold(random.random(1000), np.ones(1000, dtype=bool), source="simulated", target_recall=0.99, window="w")
        below += certificate.threshold > 0.01  # true recall of a threshold t is 1 - t
    assert below <= 400 * 0.05 + 3 * (400 * 0.05 * 0.95) ** 0.5


def test_observe_leaves_everything_to_a_person() -> None:
    assert decide(make_breaks(), mode="observe", audited=AUDITED) == ["needs_review"]


@pytest.mark.parametrize(
    "certificate",
    [None, Certificate("simulated", None, 100, 0, 0.0, 0.99, 0.95, "w"), Certificate("simulated", 0.5, 59, 0, 0.95, 0.95, 0.95, "w")],
    ids=["none", "no threshold", "lower target"],
)
@pytest.mark.parametrize("mode", ["copilot", "autonomous"])
def test_without_a_proven_threshold_nothing_is_cleared(mode: str, certificate: Certificate | None) -> None:
    assert decide(make_breaks(probability_true_exception=[0.0]), mode=mode, simulated=certificate) == ["needs_review"]


@pytest.mark.parametrize(
    "columns",
    [
        {"probability_true_exception": [0.05]},
        {"amount_minor": [2500]},
        {"amount_minor": [-2500]},
        {"currency": ["USD"]},
        {"kind": ["ambiguous_match"]},
        {"kind": ["opening_difference"]},
        {"cause": ["undetermined"]},
        {"cause": [None]},
        {"probability_true_exception": [None]},
    ],
    ids=[
        "at the threshold",
        "at materiality",
        "negative at materiality",
        "no materiality known",
        "ambiguous",
        "opening",
        "undetermined",
        "no cause",
        "no probability",
    ],
)
def test_copilot_proposes_only_what_is_below_every_limit(columns: dict[str, object]) -> None:
    assert decide(make_breaks()) == ["proposed_clear"]
    assert decide(make_breaks(**columns)) == ["needs_review"]


def test_autonomous_without_audited_labels_behaves_as_copilot_and_says_so() -> None:
    clearing = decide_dispositions(make_breaks(), mode="autonomous", target_recall=0.99, simulated=PROVEN, materiality_minor=MONEY, cap_minor=MONEY)
    assert clearing.dispositions["disposition"].to_list() == ["proposed_clear"]
    assert clearing.mode == "copilot"
    assert "no certificate on audited labels" in clearing.statement
    assert "recall at least 99.00% at 95% confidence" in clearing.statement


def test_an_alarm_stops_automatic_acceptance() -> None:
    assert decide(make_breaks(), mode="autonomous", audited=AUDITED) == ["auto_cleared"]
    assert decide(make_breaks(), mode="autonomous", audited=AUDITED, alarm="amounts drifted") == ["proposed_clear"]


def test_the_cap_is_spent_on_the_least_probable_exceptions_per_currency() -> None:
    breaks = make_breaks(
        amount_minor=[400, -400, 400, 300, 10],
        probability_true_exception=[0.02, 0.01, 0.005, 0.001, 0.5],
        currency=["GBP", "GBP", "GBP", "JPY", "GBP"],
        break_id=["a", "b", "c", "d", "e"],
    )
    found = decide(breaks, mode="autonomous", audited=AUDITED, cap_minor={"GBP": 800, "JPY": 299})
    assert found == ["proposed_clear", "auto_cleared", "auto_cleared", "proposed_clear", "needs_review"]


def test_dispositions_do_not_depend_on_the_order_of_breaks() -> None:
    random = np.random.default_rng(2)
    breaks = make_breaks(amount_minor=random.integers(1, 3000, 200).tolist(), probability_true_exception=(random.random(200) * 0.06).round(2).tolist())
    first = decide_dispositions(
        breaks, mode="autonomous", target_recall=0.99, simulated=PROVEN, audited=AUDITED, materiality_minor=MONEY, cap_minor={"GBP": 9000}
    )
    second = decide_dispositions(
        breaks.reverse(), mode="autonomous", target_recall=0.99, simulated=PROVEN, audited=AUDITED, materiality_minor=MONEY, cap_minor={"GBP": 9000}
    )
    assert first.dispositions.sort("break_id").equals(second.dispositions.sort("break_id"))
    assert 0 < first.dispositions.filter(pl.col("disposition") == "auto_cleared").height < 200
