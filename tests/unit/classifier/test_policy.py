"""Policy: what may clear, by whose proof, and that without proof nothing does."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciliation.breaks.clearing import Clearing
from reconciliation.classifier.policy import (
    Certificate,
    Limits,
    Proofs,
    certify_threshold,
    decide_dispositions,
    is_beyond,
    misses_allowed,
    recall_bound,
    wrong_share_bound,
)

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
        "exposure_minor": [100] * rows,
        "currency": ["GBP"] * rows,
        "probability_true_exception": [0.01] * rows,
    }
    return pl.DataFrame(base | columns)


def clear(breaks: pl.DataFrame, *, mode: str = "copilot", proofs: Proofs | None = None, cap: dict[str, int] | None = None) -> Clearing:
    """Let the policy decide."""
    limits = Limits(mode=mode, target_recall=0.99, materiality_minor=MONEY, cap_minor=cap or {"GBP": 50000, "JPY": 90000})  # type: ignore[arg-type]
    return decide_dispositions(breaks, limits=limits, proofs=proofs or Proofs(PROVEN))


def decide(breaks: pl.DataFrame, **changes: object) -> list[str]:
    """Return the dispositions."""
    return clear(breaks, **changes).dispositions["disposition"].to_list()  # type: ignore[arg-type]


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


def test_an_exception_that_always_goes_to_a_person_is_not_missed_and_still_counts() -> None:
    """The lowest ten are payouts on their way: the threshold is the lowest of the others, and recall is that of all."""
    probabilities = np.linspace(0.01, 0.9, 628)
    clearable = np.arange(628) >= 10
    certificate = certify_threshold(probabilities, np.ones(628, dtype=bool), source="simulated", target_recall=0.99, window="w", clearable=clearable)
    assert certificate.threshold == probabilities[12]
    assert (certificate.exceptions, certificate.misses, certificate.cleared) == (628, 2, 2)


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


def test_the_company_is_the_unit_where_the_proof_is_about_companies() -> None:
    """All misses of sixty companies lie in three: of all breaks the target holds up to a threshold at which those three break it."""
    companies = np.repeat([f"company {number:02d}" for number in range(60)], 100)
    probabilities = np.tile(np.linspace(0.5, 0.9, 100), 60)
    probabilities[:300] = np.tile(np.linspace(0.01, 0.4, 100), 3)  # the three
    of_breaks = certify_threshold(probabilities, np.ones(6000, dtype=bool), source="simulated", target_recall=0.99, window="w")
    of_companies = certify_threshold(probabilities, np.ones(6000, dtype=bool), source="simulated", target_recall=0.99, window="w", companies=companies)
    own = np.linspace(0.01, 0.4, 100)
    assert own[14] < of_breaks.threshold < own[20]
    assert misses_allowed(exceptions=60, target_recall=0.9) == 1
    assert of_companies.threshold == own[1]  # of a hundred exceptions one may be missed; two of three companies would be too many below
    assert (of_companies.companies, of_companies.companies_below, of_companies.misses, of_companies.recall_bound) == (60, 0, 3, 0.99)
    assert Certificate.from_json(of_companies.to_json()) == of_companies


def test_too_few_companies_prove_no_threshold_however_many_their_breaks() -> None:
    proven = {}
    for count in (28, 29):
        companies = np.repeat([str(number) for number in range(count)], 1000)
        proven[count] = certify_threshold(
            np.tile(np.linspace(0, 1, 1000), count), np.ones(1000 * count, dtype=bool), source="simulated", target_recall=0.99, window="w", companies=companies
        )
    assert (proven[28].threshold, proven[28].recall_bound, proven[28].companies) == (None, 0.0, 28)
    assert proven[29].threshold is not None


def test_companies_without_exceptions_count_and_are_never_below() -> None:
    companies = np.repeat([f"{number:02d}" for number in range(40)], 50)
    labels = np.arange(2000) < 1000  # the first twenty companies
    certificate = certify_threshold(np.linspace(0.1, 0.9, 2000), labels, source="simulated", target_recall=0.99, window="w", companies=companies)
    assert (certificate.companies, certificate.threshold) == (40, 0.1)


def test_the_target_holds_in_nine_of_ten_fresh_companies_in_19_of_20_samples() -> None:
    """Companies differ in how low their exceptions score; of each draw of companies the share below the target at the threshold is known exactly."""
    random = np.random.default_rng(12)
    beyond = 0
    for _ in range(300):
        lowest = random.random(56)  # one exception each, so a company keeps a threshold t with the probability 1 - t
        certificate = certify_threshold(
            np.concatenate([lowest, np.ones(448)]), np.ones(504, dtype=bool), source="simulated", target_recall=0.9, window="w",
            companies=np.concatenate([np.arange(56), np.arange(448) % 56]).astype(str),
        )  # fmt: skip
        beyond += certificate.threshold > 0.1
    assert beyond <= 300 * 0.05 + 3 * (300 * 0.05 * 0.95) ** 0.5


def test_observe_leaves_everything_to_a_person() -> None:
    assert decide(make_breaks(), mode="observe", proofs=Proofs(PROVEN, AUDITED)) == ["needs_review"]


@pytest.mark.parametrize(
    "certificate",
    [None, Certificate("simulated", None, 100, 0, 0.0, 0.99, 0.95, "w"), Certificate("simulated", 0.5, 59, 0, 0.95, 0.95, 0.95, "w")],
    ids=["none", "no threshold", "lower target"],
)
@pytest.mark.parametrize("mode", ["copilot", "autonomous"])
def test_without_a_proven_threshold_nothing_is_cleared(mode: str, certificate: Certificate | None) -> None:
    assert decide(make_breaks(probability_true_exception=[0.0]), mode=mode, proofs=Proofs(certificate)) == ["needs_review"]


@pytest.mark.parametrize(
    "columns",
    [
        {"probability_true_exception": [0.05]},
        {"exposure_minor": [2500]},
        {"currency": ["USD"]},
        {"kind": ["ambiguous_match"]},
        {"kind": ["opening_difference"]},
        {"cause": ["undetermined"]},
        {"cause": ["wrong_amount"]},
        {"cause": ["payout_in_transit"]},
        {"cause": [None]},
        {"probability_true_exception": [None]},
    ],
    ids=[
        "at the threshold",
        "at materiality",
        "no materiality known",
        "ambiguous",
        "opening",
        "undetermined",
        "named as a true exception",
        "a payout on its way",
        "no cause",
        "no probability",
    ],
)
def test_copilot_proposes_only_what_is_below_every_limit(columns: dict[str, object]) -> None:
    assert decide(make_breaks()) == ["proposed_clear"]
    assert decide(make_breaks(**columns)) == ["needs_review"]


def test_autonomous_without_audited_labels_behaves_as_copilot_and_says_so() -> None:
    clearing = clear(make_breaks(), mode="autonomous")
    assert clearing.dispositions["disposition"].to_list() == ["proposed_clear"]
    assert (clearing.mode, clearing.facts["acted"]) == ("copilot", "simulated")
    assert "no certificate on audited labels" in clearing.statement
    assert "simulated at least 99.00% at 95% confidence (n = 628, 2 missed); audited none (n = 0)" in clearing.statement


def test_both_bounds_are_printed_and_the_audited_one_acts_where_it_is_proven() -> None:
    clearing = clear(make_breaks(probability_true_exception=[0.04]), mode="copilot", proofs=Proofs(PROVEN, AUDITED))
    assert clearing.dispositions["disposition"].to_list() == ["needs_review"]  # below the simulated threshold, above the audited one
    assert clearing.facts["acted"] == "audited"
    assert "simulated at least" in clearing.statement
    assert "audited at least" in clearing.statement


def test_an_alarm_stops_automatic_acceptance() -> None:
    assert decide(make_breaks(), mode="autonomous", proofs=Proofs(PROVEN, AUDITED)) == ["auto_cleared"]
    stopped = clear(make_breaks(), mode="autonomous", proofs=Proofs(PROVEN, AUDITED, ("amounts drifted",)))
    assert stopped.dispositions["disposition"].to_list() == ["proposed_clear"]
    assert "Automatic acceptance is off (amounts drifted)" in stopped.statement
    assert stopped.to_json()["alarms"] == ["amounts drifted"]


def test_the_cap_is_spent_on_the_least_probable_exceptions_per_currency() -> None:
    breaks = make_breaks(
        exposure_minor=[400, 400, 400, 300, 10],
        probability_true_exception=[0.02, 0.01, 0.005, 0.001, 0.5],
        currency=["GBP", "GBP", "GBP", "JPY", "GBP"],
        break_id=["a", "b", "c", "d", "e"],
    )
    found = decide(breaks, mode="autonomous", proofs=Proofs(PROVEN, AUDITED), cap={"GBP": 800, "JPY": 299})
    assert found == ["proposed_clear", "auto_cleared", "auto_cleared", "proposed_clear", "needs_review"]


@given(
    amounts=st.lists(st.integers(0, 5000), min_size=1, max_size=40),
    cap=st.integers(0, 20000),
    seed=st.integers(0, 2**16),
)
def test_no_more_than_the_cap_is_ever_accepted_without_a_person(amounts: list[int], cap: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    breaks = make_breaks(exposure_minor=amounts, probability_true_exception=random.choice([0.0, 0.01, 0.02, 0.5], len(amounts)).tolist())
    decided = clear(breaks, mode="autonomous", proofs=Proofs(None, AUDITED), cap={"GBP": cap}).dispositions
    accepted = breaks.join(decided, on="break_id").filter(pl.col("disposition") == "auto_cleared")
    assert accepted["exposure_minor"].sum() <= cap
    assert accepted.filter((pl.col("exposure_minor") >= 2500) | (pl.col("probability_true_exception") >= 0.03)).is_empty()
    shuffled = clear(breaks.sample(fraction=1, shuffle=True, seed=seed), mode="autonomous", proofs=Proofs(None, AUDITED), cap={"GBP": cap}).dispositions
    assert shuffled.sort("break_id").equals(decided.sort("break_id"))


def test_a_certificate_says_how_many_wrong_acceptances_it_allows() -> None:
    certificate = certify_threshold(
        np.concatenate([np.linspace(0.1, 0.9, 1000), np.zeros(3000)]), np.arange(4000) < 1000, source="audited", target_recall=0.99, window="w"
    )
    assert (certificate.breaks, certificate.cleared) == (4000, 3000 + certificate.misses)
    assert certificate.wrong_share_allowed == pytest.approx(10 / certificate.cleared)
    assert Certificate.from_json(certificate.to_json()) == certificate
    assert PROVEN.wrong_share_allowed is None


@pytest.mark.parametrize(("looked_at", "share"), [(300, 0.01), (598, 0.005), (2995, 0.001)])
def test_a_clean_sample_bounds_the_share_of_wrong_acceptances_as_published(looked_at: int, share: float) -> None:
    assert wrong_share_bound(looked_at=looked_at, wrong=0) <= share < wrong_share_bound(looked_at=looked_at - 3, wrong=0)


def test_the_audit_calls_a_share_broken_in_at_most_one_of_twenty_samples_when_it_holds() -> None:
    found = np.random.default_rng(3).binomial(60, 0.014, 4000)
    assert np.mean([is_beyond(looked_at=60, wrong=int(wrong), share_allowed=0.014) for wrong in found]) <= 0.05
    assert is_beyond(looked_at=60, wrong=60, share_allowed=0.014)
