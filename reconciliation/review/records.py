"""Verified entries of the log -> what a package records of people: `decisions.csv`, `signoffs.csv` and the head of the chain."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from reconciliation.close.records import DECISIONS, SIGNOFFS, Records
from reconciliation.review.log import Entry, canonical
from reconciliation.review.reviewers import known_reviewers
from reconciliation.review.standing import find_standings
from reconciliation.review.vocabulary import CERTIFY, PREPARER, REVIEWER, UNLOCK

TIME = "%Y-%m-%dT%H:%M:%SZ"


def record_people(entries: Sequence[Entry], period: str, *, manifest: Mapping[str, Any]) -> Records:
    """Make what the package of a month records of people.

    Args:
        entries: the verified log.
        period: the month, for its certifications.
        manifest: what else the manifest says beside the figures.
    """
    decided = [
        (
            str(entry.number), entry.at.strftime(TIME), entry.by, entry.kind, str(entry.body.get("period", "")), str(entry.body.get("reason", "")),
            entry.digest, entry.previous, stored_text(entry),
        )
        for entry in entries
    ]  # fmt: skip
    signed = [
        (period, str(one.body["role"]), one.by, one.at.strftime(TIME), str(one.body["package_hash"]), str(one.number), one.digest)
        for one in _certified(entries, period)
    ]
    return Records(
        pl.DataFrame(decided, schema=dict.fromkeys(DECISIONS, pl.String), orient="row"),
        pl.DataFrame(signed, schema=dict.fromkeys(SIGNOFFS, pl.String), orient="row"),
        {**manifest, "decision_log": {"entries": len(entries), "head": entries[-1].digest if entries else ""}},
    )


def stored_text(entry: Entry) -> str:
    """Return an entry as the log stores it; its SHA-256 is the entry's digest."""
    fields = {"at": entry.at.strftime(TIME), "body": entry.body, "by": entry.by, "kind": entry.kind, "number": entry.number, "previous": entry.previous}
    return canonical({**fields, "seal": entry.seal}).decode()


def missing_signatures(entries: Sequence[Entry], period: str, package_hash: str) -> list[str]:
    """Return the roles that have not signed a package; none where nobody was ever enrolled, since then nobody reviews here."""
    if not any(reviewer.is_active for reviewer in known_reviewers(entries).values()):
        return []
    signed = {entry.body["role"] for entry in _certified(entries, period) if entry.body["package_hash"] == package_hash}
    return [role for role in (PREPARER, REVIEWER) if role not in signed]


def approved_unlock(entries: Sequence[Entry], period: str, *, after: int) -> Entry | None:
    """Return the request to re-open a month that two people stand behind and that was made since its lock, or None.

    Args:
        entries: the verified log.
        period: the month.
        after: how many entries the log held at the lock; an older request was used up by an earlier re-opening.
    """
    found = [
        one.entry
        for one in find_standings(entries).values()
        if one.entry.kind == UNLOCK and one.state == "in_force" and one.entry.body["period"] == period and one.entry.number > after
    ]
    return found[-1] if found else None


def _certified(entries: Sequence[Entry], period: str) -> list[Entry]:
    standings = find_standings(entries).values()
    return [one.entry for one in standings if one.entry.kind == CERTIFY and one.state == "in_force" and one.entry.body["period"] == period]
