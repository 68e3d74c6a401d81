"""A challenger acts only with paired evidence and two people, and one command leads back."""

import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from reconciliation.classifier.comparison import clear_share, missed_money, paired_bootstrap
from reconciliation.classifier.promotion import (
    Evidence,
    approve_promotion,
    champion_in_force,
    load_acting_version,
    propose_promotion,
    require_promoted,
    roll_back,
    waiting_promotions,
)
from reconciliation.classifier.versions import CHALLENGER, ModelRefusedError, ModelVersion, load_version
from reconciliation.errors import DecisionRefusedError, IdentityRefusedError

spec = importlib.util.spec_from_file_location("office", Path(__file__).parents[2] / "office.py")
office_module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(office_module)

GOOD = Evidence(2, 9, 5000, 900, (-0.05, -0.03, -0.01), ())


@pytest.fixture
def office(tmp_path: Path):
    """Anna and ben, with their phones."""
    return office_module.Office(tmp_path, "anna", "ben")


@pytest.fixture(scope="module")
def challenger() -> ModelVersion:
    """The shipped version, as if it were number nine and waited for promotion."""
    shipped = load_version()
    return replace(shipped, version=9, manifest={**shipped.manifest, "status": CHALLENGER})


def fresh(office, name: str):
    """Wait a minute and read a new code."""
    office.later()
    return office.code(name)


def promote(office, challenger: ModelVersion, *, proposer: str = "anna", approver: str = "ben") -> int:
    """Propose and approve; returns the number of the proposal."""
    entry = propose_promotion(office.log, challenger, replace(GOOD, challenger=challenger.version), by=proposer, proof=fresh(office, proposer), at=office.now)
    approve_promotion(office.log, entry.number, by=approver, proof=fresh(office, approver), at=office.now)
    return entry.number


def test_two_people_promote_and_one_leads_back(office, challenger: ModelVersion) -> None:
    assert champion_in_force(office.log.entries()) is None
    promote(office, challenger)
    assert champion_in_force(office.log.entries()) == 9
    assert require_promoted(challenger, office.log.entries()) is challenger
    promote(office, replace(challenger, version=10))
    assert champion_in_force(office.log.entries()) == 10
    roll_back(office.log, by="ben", proof=fresh(office, "ben"), reason="too many false alarms", at=office.now)
    assert champion_in_force(office.log.entries()) == 9
    roll_back(office.log, by="anna", proof=fresh(office, "anna"), reason="and this one too", at=office.now)
    assert champion_in_force(office.log.entries()) is None
    with pytest.raises(DecisionRefusedError, match="nothing to roll back"):
        roll_back(office.log, by="anna", proof=fresh(office, "anna"), reason="again", at=office.now)


def test_nobody_promotes_alone_or_without_proof(office, challenger: ModelVersion) -> None:
    entry = propose_promotion(office.log, challenger, GOOD, by="anna", proof=fresh(office, "anna"), at=office.now)
    assert [one.number for one in waiting_promotions(office.log.entries())] == [entry.number]
    with pytest.raises(DecisionRefusedError, match="another reviewer"):
        approve_promotion(office.log, entry.number, by="anna", proof=fresh(office, "anna"), at=office.now)
    with pytest.raises(IdentityRefusedError):
        approve_promotion(office.log, entry.number, by="ben", proof=office_module.OneTimeCode("000000"), at=office.now)
    assert champion_in_force(office.log.entries()) is None
    with pytest.raises(ModelRefusedError, match="nobody has promoted"):
        require_promoted(challenger, office.log.entries())
    with pytest.raises(DecisionRefusedError, match=f"waiting: {entry.number}"):
        approve_promotion(office.log, 999, by="ben", proof=fresh(office, "ben"), at=office.now)


@pytest.mark.parametrize(
    ("evidence", "words"),
    [
        (replace(GOOD, missed_money=(-0.03, -0.01, 0.002)), "no proven improvement"),
        (replace(GOOD, missed_money=(0.01, 0.02, 0.03)), "no proven improvement"),
        (replace(GOOD, losses=(("kind missing_in_ledger", 0.031),)), "kind missing_in_ledger loses 3.1%"),
        (replace(GOOD, challenger=4), "about version 4"),
    ],
    ids=["interval holds zero", "worse", "a segment loses", "of another version"],
)
def test_insufficient_evidence_promotes_nothing(office, challenger: ModelVersion, evidence: Evidence, words: str) -> None:
    before = len(office.log.entries())
    with pytest.raises(DecisionRefusedError, match=words):
        propose_promotion(office.log, challenger, evidence, by="anna", proof=fresh(office, "anna"), at=office.now)
    assert len(office.log.entries()) == before


def test_a_file_changed_since_its_promotion_does_not_act(office, challenger: ModelVersion) -> None:
    promote(office, challenger)
    files = {**challenger.manifest["files"], "model.json": {"sha256": "0" * 64, "bytes": 1}}
    with pytest.raises(ModelRefusedError):
        require_promoted(replace(challenger, manifest={**challenger.manifest, "files": files}), office.log.entries())


def test_an_approval_written_by_the_proposer_has_no_effect_even_in_the_log(office, challenger: ModelVersion) -> None:
    entry = propose_promotion(office.log, challenger, GOOD, by="anna", proof=fresh(office, "anna"), at=office.now)
    office.log.append("approve_model", "anna", {"target": entry.number}, at=office.later())
    assert champion_in_force(office.log.entries()) is None


def test_without_a_log_the_shipped_version_acts() -> None:
    assert load_acting_version("latest", []).version == load_version().version


def test_the_paired_interval_holds_the_truth_and_is_narrower_than_an_unpaired_one() -> None:
    random = np.random.default_rng(4)
    rows, companies = 4000, 40
    truth = random.random(rows) < 0.2
    good = np.clip(truth * 0.5 + random.random(rows) * 0.7, 0, 1)
    frame = pl.DataFrame({"world": random.integers(0, companies, rows).astype(str), "is_true_exception": truth, "amount_minor": random.integers(1, 1000, rows)})
    low, difference, high = paired_bootstrap(frame, good, good, figure=missed_money)
    assert (low, difference, high) == (0.0, 0.0, 0.0)
    low, difference, high = paired_bootstrap(frame, good, random.random(rows), figure=missed_money)
    assert low <= difference <= high < 0


def test_exactly_a_share_is_cleared_and_ties_fall_by_lot() -> None:
    cleared = clear_share(np.zeros(1000), 0.8)
    assert cleared.sum() == 800
    assert clear_share(np.arange(10.0), 0.8).tolist() == [True] * 8 + [False] * 2
