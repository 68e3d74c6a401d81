"""A reviewer's request + the month as it stands -> an entry of the log, or a refusal. Every way of deciding ends here.

The rules: who decides is proven; what was shown still stands there; a locked month is not decided about; the one who approves is not the one who
prepared; two people where `rules` asks for them; an undo is an entry of its own. One request may close any number of breaks.
"""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import polars as pl

from reconciliation.errors import DecisionRefusedError, LockedPeriodError, StaleViewError
from reconciliation.matching.strategies.by_hand import HAND
from reconciliation.review.controls import check_settings
from reconciliation.review.log import DecisionLog, Draft, Entry
from reconciliation.review.reviewers import Proof, check_name, prove
from reconciliation.review.rules import why_second, why_second_for_items
from reconciliation.review.situation import Shown, Situation, check_views
from reconciliation.review.standing import Standing, find_standings
from reconciliation.review.vocabulary import (
    ANSWERS,
    APPROVABLE,
    APPROVE,
    BREAK_DECISIONS,
    CARRY_FORWARD,
    CERTIFY,
    CHANGE_CAUSE,
    CORRECT_IN_ERP,
    FRESH,
    ITEM_DECISIONS,
    KINDS,
    MATCH,
    NATURE_OF_CAUSE,
    POST_ENTRY,
    POSTED_NATURES,
    PREPARER,
    REASONED,
    REVIEWER,
    SETTINGS,
    UNDO,
    UNDOABLE,
    UNLOCK,
    UNMATCH,
    WRITE_OFF,
)
from reconciliation.schemas.breaks import EXCEPTION_CAUSES, UNDETERMINED
from reconciliation.schemas.items import EFFECT

REASON_LENGTH_MAX = 4000


@dataclass(frozen=True)
class ShownItem:
    """An item as the reviewer saw it."""

    leg: str
    item_id: str
    amount_minor: int


@dataclass(frozen=True)
class DecisionRequest:
    """What a reviewer asks for.

    Attributes:
        kind: one of `vocabulary.KINDS`.
        by: who.
        proof: what shows it.
        at: now.
        shown: break -> digest of the view it was decided on (`situation.view_digest`).
        items: for `match`: what belongs together; for `unmatch`: the members that were shown.
        match_id: for `unmatch`.
        targets: for `approve`, `send_back`, `undo`: entries.
        reason: in the reviewer's words.
        cause: for `change_cause`.
        assigned_to: for `correct_in_erp`: who corrects it.
        due_on: by when.
        evidence: files kept with `store_evidence`: `name`, `sha256`, `bytes`.
        role: for `certify`: `preparer` or `reviewer`.
        package_hash: for `certify`: the package that was read.
        settings: for `settings`: control -> value.
    """

    kind: str
    by: str
    proof: Proof
    at: datetime
    shown: Mapping[str, str] = field(default_factory=dict)
    items: tuple[ShownItem, ...] = ()
    match_id: str = ""
    targets: tuple[int, ...] = ()
    reason: str = ""
    cause: str = ""
    assigned_to: str = ""
    due_on: date | None = None
    evidence: tuple[Mapping[str, Any], ...] = ()
    role: str = ""
    package_hash: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)


def decide(log: DecisionLog, request: DecisionRequest, situation: Situation | None) -> Entry:
    """Write a decision into the log.

    Args:
        log: the log.
        request: what is asked for.
        situation: the month as it stands; None only for what concerns no month (settings, approving or sending back such entries).

    Returns:
        The entry; its `body["needs_second"]` says why it waits for a second person, or is empty.

    Raises:
        IdentityRefusedError: who decides is not proven.
        StaleViewError: what was shown is not what stands there now.
        LockedPeriodError: the month is locked.
        DecisionRefusedError: a rule does not allow it; nothing was written.
    """
    _check_form(request)

    def make(entries: Sequence[Entry]) -> Draft:
        body = {"reason": request.reason.strip(), "needs_second": "", **_content(request, situation, entries)}
        if situation is not None:
            body |= {"period": situation.period, "versions": dict(situation.versions)}
        if request.evidence:
            body["evidence"] = [dict(one) for one in request.evidence]
        is_fresh = request.kind in FRESH or (request.kind == WRITE_OFF and bool(body["needs_second"]))
        body["proof"] = prove(log, entries, request.by, request.proof, at=request.at, is_fresh=is_fresh)
        return Draft(request.kind, check_name(request.by), body)

    return log.append_made(make, at=request.at)


def _check_form(request: DecisionRequest) -> None:
    if request.kind not in KINDS:
        near = difflib.get_close_matches(request.kind, KINDS, n=1)
        raise DecisionRefusedError(f"{request.kind!r} is no decision; " + (f"did you mean {near[0]!r}?" if near else f"there are {', '.join(KINDS)}"))
    if request.kind in REASONED and not request.reason.strip():
        raise DecisionRefusedError(f"{request.kind.replace('_', ' ')}: say why; the reason stands in the close package")
    if len(request.reason) > REASON_LENGTH_MAX or any(ord(letter) < 32 and letter not in "\n\r\t" for letter in request.reason):
        raise DecisionRefusedError(f"the reason has {len(request.reason)} characters or some that cannot be printed; {REASON_LENGTH_MAX} plain ones are taken")
    if request.kind == CHANGE_CAUSE and request.cause not in NATURE_OF_CAUSE:
        near = difflib.get_close_matches(request.cause, NATURE_OF_CAUSE, n=1)
        raise DecisionRefusedError(f"{request.cause!r} is no cause a break can be given" + (f"; did you mean {near[0]!r}?" if near else ""))


def _content(request: DecisionRequest, situation: Situation | None, entries: Sequence[Entry]) -> dict[str, Any]:
    """Return what the entry says beyond who and why."""
    if request.kind in ANSWERS:
        return _answer(request, situation, entries)
    if request.kind == SETTINGS:
        return {"settings": check_settings(request.settings), "needs_second": "settings that loosen a control take two"}
    if situation is None:
        raise DecisionRefusedError(f"{request.kind}: name the month it is about")
    if request.kind in BREAK_DECISIONS:
        return _about_breaks(request, situation, entries)
    if request.kind in ITEM_DECISIONS:
        _check_open(situation)
        return _match(request, situation, entries) if request.kind == MATCH else _unmatch(request, situation)
    if request.kind == CERTIFY:
        return _certify(request, situation, entries)
    if request.kind == UNLOCK:
        return _unlock(situation, entries)
    return {"shown": check_views(situation, entries, request.shown), "match_id": request.match_id}


def _check_open(situation: Situation) -> None:
    if situation.locked_through and situation.period <= situation.locked_through:
        raise LockedPeriodError(f"{situation.period} is locked; decide in the next open month, or re-open it first: reconcile close unlock {situation.period}")


def _about_breaks(request: DecisionRequest, situation: Situation, entries: Sequence[Entry]) -> dict[str, Any]:
    _check_open(situation)
    if not request.shown:
        raise DecisionRefusedError(f"{request.kind.replace('_', ' ')}: name at least one break")
    shown = check_views(situation, entries, request.shown)
    _check_not_waiting(shown, entries)
    if request.kind not in (CHANGE_CAUSE, CARRY_FORWARD):
        unknown = [one["break_id"] for one in shown if one["cause"] == UNDETERMINED]
        if unknown:
            raise DecisionRefusedError(f"{', '.join(unknown)}: nobody knows the cause yet, so there is nothing to accept; change the cause first")
    if request.kind in (POST_ENTRY, WRITE_OFF):
        _check_postable(request.kind, shown, situation)
    body: dict[str, Any] = {"shown": shown, "needs_second": why_second(request.kind, shown, situation.limits, cause=request.cause)}
    if request.kind == CHANGE_CAUSE:
        body |= {"cause": request.cause, "nature": NATURE_OF_CAUSE[request.cause]}
    if request.kind == CORRECT_IN_ERP:
        body |= {"assigned_to": request.assigned_to.strip(), "due_on": request.due_on.isoformat() if request.due_on else ""}
    return body


def _check_postable(kind: str, shown: Sequence[Shown], situation: Situation) -> None:
    """Check that there is an entry to post: of the clearing account, and not for what clears by itself."""
    cash = [one["break_id"] for one in shown if one["leg"] == "cash"]
    if cash:
        raise DecisionRefusedError(
            f"{', '.join(cash)}: lies between payout and bank, where no entry of the clearing account helps; decide about its items in the books"
        )
    with_entry = set(situation.open_items.filter(pl.col("journal_id") != "")["item_id"])
    is_passing = [
        one["break_id"]
        for one in shown
        if not any(item[0] in with_entry or item[3] in POSTED_NATURES for item in one["items"]) and one["kind"] != "opening_difference"
    ]
    if kind == POST_ENTRY and is_passing:
        raise DecisionRefusedError(
            f"{', '.join(is_passing)}: no entry is proposed for it (timing items have one above [journals] post_timing_above); change the cause, or write it off"
        )


def _check_not_waiting(shown: Sequence[Shown], entries: Sequence[Entry]) -> None:
    """Check that nothing about these breaks waits for a second person, who would else approve what was overtaken."""
    items = {(one["leg"], item[0], item[1]): one["break_id"] for one in shown for item in one["items"]}
    waiting: dict[int, str] = {}
    for number, standing in find_standings(entries).items():
        if standing.state == "awaiting" and standing.entry.kind in BREAK_DECISIONS:
            waiting.update((number, items[key]) for key in _shown_items(standing.entry) if key in items)
    if waiting:
        named = ", ".join(f"{break_id} (entry {number})" for number, break_id in sorted(waiting.items()))
        raise DecisionRefusedError(f"{named}: a decision waits for a second person; approve it, send it back or undo it first")


def _match(request: DecisionRequest, situation: Situation, entries: Sequence[Entry]) -> dict[str, Any]:
    """Check what is to belong together: open, as shown, of one leg, book and currency; on one side only if it cancels exactly."""
    found = _items_as_shown(request.items, situation)
    still_open = found.join(situation.open_items, on=["leg", "item_id"], how="semi")
    taken = sorted(set(found["item_id"]) - set(still_open["item_id"]))
    if taken:
        raise StaleViewError(f"{', '.join(taken)}: not open any more, so nothing was matched; look again")
    if found.height < 2 or found["item_id"].n_unique() < found.height:
        raise DecisionRefusedError("a match takes at least two different items")
    for column, name in (("leg", "leg"), ("book", "book"), ("currency", "currency")):
        if found[column].n_unique() > 1:
            raise DecisionRefusedError(f"items of one {name} can be matched, these are of {', '.join(sorted(found[column].unique()))}")
    difference = int(found.select(EFFECT.sum()).item())
    is_two_sided = found["side"].is_in(["ledger", "bank"]).n_unique() > 1
    if not is_two_sided and difference != 0:
        raise DecisionRefusedError("items on one side belong together only if they cancel exactly; add what stands on the other side, or leave them open")
    own = found.filter(pl.col("side") == "residual").join(situation.members, left_on="item_id", right_on="match_id", how="semi")
    if own.height and (difference != 0 or found["leg"][0] == "cash"):
        raise DecisionRefusedError(
            f"{own['item_id'][0]}: what a match of this month left can be matched only where nothing is left; take that match apart first"
        )
    again = _matched_items(entries).intersection(found.select("leg", "item_id").iter_rows())
    if again:
        raise DecisionRefusedError(
            f"{', '.join(sorted(item for _, item in again))}: matched by hand before (in force, or waiting for a second person); undo that entry first"
        )
    needs = why_second_for_items([(found["currency"][0], max(abs(difference), int(found["amount_minor"].abs().max() or 0)))], situation.limits)  # type: ignore[arg-type]
    return {"members": _member_rows(found), "difference_minor": difference, "currency": found["currency"][0], "needs_second": needs}


def _unmatch(request: DecisionRequest, situation: Situation) -> dict[str, Any]:
    """Check that the match still stands as it was shown."""
    members = situation.members.filter(pl.col("match_id") == request.match_id)
    if members.is_empty():
        raise StaleViewError(f"{request.match_id or 'this match'}: there is no such match any more; look again")
    if HAND in members["strategy"].to_list():
        raise DecisionRefusedError(f"{request.match_id} was matched by hand; undo that decision, whose entry stands in the match's evidence")
    found = situation.items.join(members.select("leg", "item_id"), on=["leg", "item_id"], how="semi").sort("leg", "item_id")
    shown = {(item.leg, item.item_id, item.amount_minor) for item in request.items}
    if shown and shown != set(found.select("leg", "item_id", "amount_minor").iter_rows()):
        raise StaleViewError(f"{request.match_id}: its members are not those that were shown; look again")
    return {"match_id": request.match_id, "strategy": members["strategy"][0], "members": _member_rows(found), "currency": found["currency"][0]}


def _items_as_shown(shown: Sequence[ShownItem], situation: Situation) -> pl.DataFrame:
    """Return the items a reviewer named, with side, book and currency.

    Raises:
        StaleViewError: one is not there, or with another amount.
    """
    asked = pl.DataFrame(
        [(item.leg, item.item_id, item.amount_minor) for item in shown], schema={"leg": pl.String, "item_id": pl.String, "amount_minor": pl.Int64}, orient="row"
    )
    found = asked.join(situation.items, on=["leg", "item_id", "amount_minor"], how="inner").sort("leg", "item_id")
    missing = sorted(set(asked["item_id"]) - set(found["item_id"]))
    if missing:
        raise StaleViewError(f"{', '.join(missing)}: not there, or not with the amount that was shown; look again")
    return found


def _member_rows(found: pl.DataFrame) -> list[list[Any]]:
    return [list(row) for row in found.select("leg", "item_id", "amount_minor", "side").sort("leg", "item_id").iter_rows()]


def _matched_items(entries: Sequence[Entry]) -> set[tuple[str, str]]:
    standing = [one for one in find_standings(entries).values() if one.ending is None and one.entry.kind == MATCH]
    return {(row[0], row[1]) for one in standing for row in one.entry.body["members"]}


def _answer(request: DecisionRequest, situation: Situation | None, entries: Sequence[Entry]) -> dict[str, Any]:
    """Check an answer to earlier entries: approving, sending back, undoing."""
    if not request.targets:
        raise DecisionRefusedError(f"{request.kind.replace('_', ' ')}: name at least one entry")
    standings = find_standings(entries)
    unknown = sorted(set(request.targets) - set(standings))
    if unknown:
        raise DecisionRefusedError(f"entry {', '.join(map(str, unknown))}: no decision that could be answered")
    faults = [fault for number in sorted(set(request.targets)) if (fault := _why_not(request, standings[number]))]
    if faults:
        raise DecisionRefusedError("\n".join(faults))
    if request.kind == APPROVE:
        _check_still_shown([standings[number] for number in sorted(set(request.targets))], situation)
    return {"targets": sorted(set(request.targets))}


def _why_not(request: DecisionRequest, standing: Standing) -> str:
    number, kind, by = standing.entry.number, standing.entry.kind, check_name(request.by)
    if request.kind == UNDO:
        if kind not in UNDOABLE:
            return f"entry {number}: {kind.replace('_', ' ')} is not undone; decide anew"
        return f"entry {number}: is {standing.state.replace('_', ' ')} already" if standing.ending else ""
    if kind not in APPROVABLE or standing.state != "awaiting":
        return f"entry {number}: does not wait for a second person" + (
            f" ({standing.state.replace('_', ' ')})" if standing.ending or standing.needs_second else ""
        )
    if request.kind == APPROVE and by in standing.preparers:
        return f"entry {number}: was prepared by {by}; another reviewer approves it"
    return ""


def _check_still_shown(standings: Sequence[Standing], situation: Situation | None) -> None:
    """Check that what is approved still stands as it was prepared.

    Raises:
        StaleViewError: items are gone or have other amounts.
        LockedPeriodError: the month was locked meanwhile.
    """
    bound = [standing for standing in standings if standing.entry.kind in (*BREAK_DECISIONS, *ITEM_DECISIONS)]
    if not bound:
        return
    if situation is None:
        raise DecisionRefusedError("approving a decision about breaks takes the month it is about")
    _check_open(situation)
    now = set(situation.items.select("leg", "item_id", "amount_minor").iter_rows())
    still_open = now if any(standing.entry.kind == UNMATCH for standing in bound) else _open_keys(situation)
    for standing in bound:
        gone = sorted(item_id for leg, item_id, amount in _shown_items(standing.entry) if (leg, item_id, amount) not in still_open)
        if gone:
            raise StaleViewError(f"entry {standing.entry.number}: {', '.join(gone[:5])} changed since it was prepared; send it back")


def _open_keys(situation: Situation) -> set[tuple[str, str, int]]:
    across = situation.breaks.filter(pl.col("kind") == "period_difference").select("leg", item_id="item_ids").explode("item_id", empty_as_null=False)
    keys = pl.concat([situation.open_items.select("leg", "item_id"), across]).unique()
    return set(situation.items.join(keys, on=["leg", "item_id"], how="semi").select("leg", "item_id", "amount_minor").iter_rows())


def _shown_items(entry: Entry) -> list[tuple[str, str, int]]:
    if entry.kind in ITEM_DECISIONS:
        return [(row[0], row[1], row[2]) for row in entry.body["members"]]
    return [(one["leg"], item[0], item[1]) for one in entry.body["shown"] for item in one["items"]]


def _certify(request: DecisionRequest, situation: Situation, entries: Sequence[Entry]) -> dict[str, Any]:
    """Check a certification: of the package as it is now, by two people, the preparer first."""
    if request.role not in (PREPARER, REVIEWER):
        raise DecisionRefusedError(f"{request.role!r}: certify as {PREPARER} or as {REVIEWER}")
    if not situation.package_hash or request.package_hash != situation.package_hash:
        raise StaleViewError(f"{situation.period}: the package is not the one that was read; read it again: reconcile close status {situation.period}")
    by, signed = check_name(request.by), certifications(entries, situation.period, situation.package_hash)
    if request.role in signed:
        raise DecisionRefusedError(f"{situation.period}: certified as {request.role} by {signed[request.role].by} already")
    if request.role == REVIEWER and PREPARER not in signed:
        raise DecisionRefusedError(f"{situation.period}: the preparer certifies first")
    if any(entry.by == by for entry in signed.values()):
        raise DecisionRefusedError(f"{situation.period}: {by} has certified as preparer; another reviewer certifies as reviewer")
    return {"role": request.role, "package_hash": request.package_hash}


def certifications(entries: Sequence[Entry], period: str, package_hash: str) -> dict[str, Entry]:
    """Return who certified a package: role -> entry; a package with another hash is not certified."""
    standings = find_standings(entries).values()
    return {
        one.entry.body["role"]: one.entry
        for one in standings
        if one.entry.kind == CERTIFY and one.state == "in_force" and one.entry.body["period"] == period and one.entry.body["package_hash"] == package_hash
    }


def _unlock(situation: Situation, entries: Sequence[Entry]) -> dict[str, Any]:
    if situation.period != situation.locked_through:
        last = situation.locked_through or "none"
        raise LockedPeriodError(f"{situation.period} cannot be re-opened: the last locked month is {last}, and months are re-opened from the last one back")
    waiting = [
        one for one in find_standings(entries).values() if one.entry.kind == UNLOCK and one.state == "awaiting" and one.entry.body["period"] == situation.period
    ]
    if waiting:
        raise DecisionRefusedError(f"{situation.period}: entry {waiting[0].entry.number} asks to re-open it already; another reviewer approves that one")
    return {"needs_second": "a locked month is re-opened by two"}


def approved_unlocks(entries: Sequence[Entry], period: str) -> list[Standing]:
    """Return the approved requests to re-open a month, the oldest first; whoever re-opens uses each once."""
    return [one for one in find_standings(entries).values() if one.entry.kind == UNLOCK and one.state == "in_force" and one.entry.body["period"] == period]


def disposition_of(decision: str, *, kind: str, cause: str) -> str:
    """Return what a decision in force makes of a break.

    >>> disposition_of("accept", kind="missing_in_ledger", cause="timing"), disposition_of("accept", kind="duplicate_in_ledger", cause="duplicate_posting")
    ('cleared_by_reviewer', 'confirmed_exception')
    """
    if decision == WRITE_OFF:
        return "written_off"
    if decision == POST_ENTRY:
        return "cleared_by_reviewer"
    if decision in ("claim", CORRECT_IN_ERP):
        return "confirmed_exception"
    if kind == "period_difference":
        return "settled"
    if cause == UNDETERMINED:
        return "needs_review"
    return "confirmed_exception" if cause in EXCEPTION_CAUSES else "cleared_by_reviewer"
