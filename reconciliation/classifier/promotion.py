"""Challenger + champion on the same breaks -> evidence; evidence + two people -> the version that acts; one command back.

A trained version is a challenger: it scores nothing until one reviewer proposes it with sufficient evidence and another approves. Both are entries
of the sealed log. Sufficient means that on breaks neither version learned from, drawn company by company, the challenger misses less money
of true exceptions than the champion with a 95 % interval below zero, and that no segment with a hundred exceptions
loses more than two points of recall. A rollback needs one person: it leads back to what two people approved before.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from reconciliation.classifier.comparison import CLEAR_RATES, SEGMENT_EXCEPTIONS_MIN, SEGMENTS, clear_share, missed_money, paired_bootstrap
from reconciliation.classifier.examples import HELD_OUT, TEST
from reconciliation.classifier.training import score_examples
from reconciliation.classifier.versions import MODELS, ModelRefusedError, ModelVersion, load_version
from reconciliation.errors import DecisionRefusedError
from reconciliation.review.log import DecisionLog, Draft, Entry
from reconciliation.review.reviewers import Proof, check_name, prove

PROMOTE, APPROVE, ROLL_BACK = "promote_model", "approve_model", "roll_back_model"
SEGMENT_LOSS_MAX = 0.02


@dataclass(frozen=True)
class Evidence:
    """How a challenger compares with the champion on breaks that neither learned from.

    Attributes:
        champion: version number.
        challenger: version number.
        breaks: how many were judged by both.
        exceptions: true ones among them.
        missed_money: share of the money of true exceptions missed at 80 % cleared, challenger less champion: low, difference, high.
        losses: segments in which the challenger finds fewer exceptions by more than two points, with the loss.
    """

    champion: int
    challenger: int
    breaks: int
    exceptions: int
    missed_money: tuple[float, float, float]
    losses: tuple[tuple[str, float], ...]

    @property
    def objections(self) -> tuple[str, ...]:
        """Why the challenger may not be promoted; empty when it may."""
        low, difference, high = self.missed_money
        found = [] if high < 0 else [f"missed money changes by {difference:+.2%} [{low:+.2%}, {high:+.2%}], which is no proven improvement"]
        return (*found, *(f"{segment} loses {loss:.1%} of its exceptions" for segment, loss in self.losses))

    def to_json(self) -> dict[str, Any]:
        """Return what the log keeps: numbers as text, since an entry holds no fractions."""
        return {
            "champion": self.champion,
            "challenger": self.challenger,
            "breaks": self.breaks,
            "exceptions": self.exceptions,
            "missed_money": [f"{value:.6f}" for value in self.missed_money],
            "losses": [[segment, f"{loss:.6f}"] for segment, loss in self.losses],
        }


def compare_versions(champion: ModelVersion, challenger: ModelVersion, examples: pl.DataFrame) -> Evidence:
    """Compare two versions on the labeled breaks that were kept from learning.

    Args:
        champion: the version that acts.
        challenger: the one that would.
        examples: labeled breaks with `role`; those of test and held-out companies are judged. Give those of the challenger's training, or
            breaks of reviewers' decisions taken after both were trained.

    Raises:
        ModelRefusedError: no true exception is among the breaks.
    """
    judged = examples.filter(pl.col("role").is_in([TEST, HELD_OUT]))
    if not judged["is_true_exception"].any():
        raise ModelRefusedError("no judged break is a true exception, so the two versions cannot be compared; label more breaks")
    scored = score_examples(judged, tables=champion.tables, calibration=champion.calibration)
    old = scored["probability"].to_numpy()
    new = score_examples(judged, tables=challenger.tables, calibration=challenger.calibration)["probability"].to_numpy()
    interval = paired_bootstrap(scored, new, old, figure=missed_money)
    return Evidence(champion.version, challenger.version, judged.height, int(judged["is_true_exception"].sum()), interval, _losses(scored, old, new))


def champion_in_force(entries: Sequence[Entry]) -> int | None:
    """Return the version that two people promoted last and nobody rolled back, or None: the shipped one acts."""
    proposed = {entry.number: entry for entry in entries if entry.kind == PROMOTE}
    stack: list[int] = []
    for entry in entries:
        if entry.kind == APPROVE and _may_approve(entry, proposed.get(entry.body["target"])):
            stack.append(int(proposed.pop(entry.body["target"]).body["version"]))
        elif entry.kind == ROLL_BACK and stack:
            stack.pop()
    return stack[-1] if stack else None


def propose_promotion(log: DecisionLog, challenger: ModelVersion, evidence: Evidence, *, by: str, proof: Proof, at: datetime) -> Entry:
    """Propose a version; it acts once another reviewer approves.

    Raises:
        DecisionRefusedError: the evidence does not suffice, or was made for another version.
        IdentityRefusedError: who proposes is not proven.
    """
    if evidence.challenger != challenger.version:
        raise DecisionRefusedError(f"the evidence is about version {evidence.challenger} and not {challenger.version}; compare again: reconcile model compare")
    if evidence.objections:
        raise DecisionRefusedError(f"{challenger.label} is not promoted: {'; '.join(evidence.objections)}")

    def make(entries: Sequence[Entry]) -> Draft:
        body = {"version": challenger.version, "sha256": challenger.sha256, "evidence": evidence.to_json(), "needs_second": "a model is promoted by two people"}
        return Draft(PROMOTE, check_name(by), {**body, "proof": prove(log, entries, by, proof, at=at, is_fresh=True)})

    return log.append_made(make, at=at)


def approve_promotion(log: DecisionLog, number: int, *, by: str, proof: Proof, at: datetime) -> Entry:
    """Approve a proposed promotion; from the next run on the version acts.

    Raises:
        DecisionRefusedError: there is no such proposal, it was answered before, or the same person proposed it.
        IdentityRefusedError: who approves is not proven.
    """

    def make(entries: Sequence[Entry]) -> Draft:
        proposal = next((entry for entry in entries if entry.number == number and entry.kind == PROMOTE), None)
        answered = any(entry.kind == APPROVE and entry.body["target"] == number for entry in entries)
        if proposal is None or answered:
            waiting = [str(entry.number) for entry in waiting_promotions(entries)]
            raise DecisionRefusedError(f"entry {number} is no promotion that waits for approval; waiting: {', '.join(waiting) or 'none'}")
        if proposal.by == check_name(by):
            raise DecisionRefusedError(f"{proposal.by} proposed this promotion, so another reviewer approves it")
        return Draft(APPROVE, check_name(by), {"target": number, "proof": prove(log, entries, by, proof, at=at, is_fresh=True)})

    return log.append_made(make, at=at)


def roll_back(log: DecisionLog, *, by: str, proof: Proof, reason: str, at: datetime) -> Entry:
    """Return to the version before; one person suffices.

    Raises:
        DecisionRefusedError: nothing was promoted, or no reason is given.
        IdentityRefusedError: who does it is not proven.
    """
    if not reason.strip():
        raise DecisionRefusedError("say why the version is rolled back; the reason stays in the log")

    def make(entries: Sequence[Entry]) -> Draft:
        current = champion_in_force(entries)
        if current is None:
            raise DecisionRefusedError("no promotion is in force, so there is nothing to roll back; the shipped version acts")
        return Draft(ROLL_BACK, check_name(by), {"version": current, "reason": reason.strip(), "proof": prove(log, entries, by, proof, at=at, is_fresh=True)})

    return log.append_made(make, at=at)


def waiting_promotions(entries: Sequence[Entry]) -> list[Entry]:
    """Return the promotions that wait for a second person, the oldest first."""
    answered = {entry.body["target"] for entry in entries if entry.kind == APPROVE}
    return [entry for entry in entries if entry.kind == PROMOTE and entry.number not in answered]


def load_acting_version(wanted: str, entries: Sequence[Entry], *, folder: Path = MODELS) -> ModelVersion:
    """Load the version that scores.

    Args:
        wanted: `[classifier] model`: a number, or `latest`: the version that two people promoted last, else the newest that ships as champion.
        entries: the verified log.
        folder: where models lie.

    Raises:
        ModelRefusedError: there is none, or it is a challenger that nobody promoted.
    """
    promoted = champion_in_force(entries)
    number = str(promoted) if wanted == "latest" and promoted is not None else wanted
    return require_promoted(load_version(number, folder=folder), entries)


def require_promoted(version: ModelVersion, entries: Sequence[Entry]) -> ModelVersion:
    """Return a version that may act: one that ships as champion, or whose file is the one that two people approved.

    Raises:
        ModelRefusedError: it is a challenger, or another file than the approved one.
    """
    if not version.is_challenger:
        return version
    approved = {entry.body["target"] for entry in entries if entry.kind == APPROVE}
    hashes = [entry.body["sha256"] for entry in entries if entry.kind == PROMOTE and entry.number in approved and entry.body["version"] == version.version]
    if champion_in_force(entries) != version.version or hashes[-1:] != [version.sha256]:
        raise ModelRefusedError(
            f"{version.label} is a challenger that nobody has promoted; compare it (reconcile model compare {version.version}), have it promoted by two people, "
            'or set [classifier] model = "latest"'
        )
    return version


def _may_approve(approval: Entry, proposal: Entry | None) -> bool:
    return proposal is not None and proposal.number < approval.number and approval.by != proposal.by


def _losses(scored: pl.DataFrame, old: np.ndarray[Any, Any], new: np.ndarray[Any, Any]) -> tuple[tuple[str, float], ...]:
    """Return the segments with enough exceptions in which recall at 80 % cleared falls by more than two points."""
    lost = clear_share(new, CLEAR_RATES[0]).astype(np.float64) - clear_share(old, CLEAR_RATES[0])
    exceptions = scored.with_columns(lost=pl.Series(lost)).filter("is_true_exception")
    losses = []
    for column in (segment for segment in SEGMENTS if segment in exceptions.columns):
        for value, count, loss in exceptions.group_by(column).agg(pl.len(), pl.col("lost").mean()).sort(column).iter_rows():
            if count >= SEGMENT_EXCEPTIONS_MIN and loss > SEGMENT_LOSS_MAX:
                losses.append((f"{column} {value}", round(loss, 6)))
    return tuple(losses)
