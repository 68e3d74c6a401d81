"""Entries of the log -> sentences: what was done, by whom, about what; and what may still be undone."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from reconciliation.money import format_minor
from reconciliation.review.log import Entry
from reconciliation.review.page import words
from reconciliation.review.page.actions import said
from reconciliation.review.page.rendering import ROOT
from reconciliation.review.standing import find_standings
from reconciliation.review.vocabulary import APPROVE, BREAK_DECISIONS, ITEM_DECISIONS, SEND_BACK, UNDO, UNDOABLE

ANSWERS_WORDS = {"in_force": "", "awaiting": "waits for a second person", "sent_back": "sent back", "undone": "undone"}


def tell_entry(entry: Entry, entries: Sequence[Entry]) -> dict[str, Any]:
    """Write an entry for a list of the log."""
    body, standing = entry.body, find_standings(entries).get(entry.number)
    state = ANSWERS_WORDS[standing.state] if standing else ""
    files = body.get("evidence") or []
    return {
        "number": entry.number,
        "when": words.moment(entry.at),
        "by": entry.by,
        "what": _what(entry).removesuffix(" of").removesuffix(" for") + (f" ({state})" if state else ""),
        "month": body.get("period", ""),
        "cases": len(body.get("shown", [])) or "",
        "amounts": "; ".join(f"{words.money(net, currency)} {currency}" for currency, net in _nets(body).items()),
        "reason": body.get("reason", ""),
        "file": {"name": files[0]["name"], "href": f"{ROOT}/evidence/{files[0]['sha256']}"} if files else None,
        "undo": entry.number if can_be_undone(entry, entries) else "",
    }


def tell_notice(entries: Sequence[Entry], query: Mapping[str, str]) -> dict[str, Any] | None:
    """Say what was just done, as the address names it; the log itself is the source, so an address invents nothing."""
    number = query.get("done", "")
    if not number.isdecimal() or not 0 < int(number) <= len(entries):
        return None
    entry = entries[int(number) - 1]
    told = tell_entry(entry, entries)
    cases = f"{told['cases']} {'case' if told['cases'] == 1 else 'cases'}" if told["cases"] else ""
    amounts = f", {told['amounts']} net" if told["amounts"] and cases else ""
    second = entry.body.get("needs_second")
    waits = f" It waits for a second person: {second}." if second else ""
    takes = "" if waits or entry.kind in ("comment", "certify") else " It takes effect in the next run, which is on its way."
    return {"text": f"Entry {entry.number}: {entry.by} {_what(entry)} {cases}{amounts}.".replace(" .", ".") + waits + takes, "tone": "", "undo": told["undo"]}


def can_be_undone(entry: Entry, entries: Sequence[Entry]) -> bool:
    """Whether an entry is a decision that nothing ended yet."""
    standing = find_standings(entries).get(entry.number)
    return entry.kind in UNDOABLE and standing is not None and standing.ending is None


def about_case(entries: Sequence[Entry], break_id: str, item_ids: Iterable[str]) -> list[Entry]:
    """Return the entries about a case or its items, and the answers to them, oldest first."""
    items, numbers, found = set(item_ids), set[int](), []
    for entry in entries:
        shown = [one for one in entry.body.get("shown", []) if isinstance(one, dict)]
        of_items = {row[1] for row in entry.body.get("members", [])} | {item[0] for one in shown for item in one["items"]}
        is_about = any(one["break_id"] == break_id for one in shown) or (
            entry.kind in (*BREAK_DECISIONS, *ITEM_DECISIONS, "comment") and bool(items & of_items)
        )
        is_answer = entry.kind in (APPROVE, SEND_BACK, UNDO) and bool(numbers & set(entry.body["targets"]))
        if is_about or is_answer:
            numbers.add(entry.number)
            found.append(entry)
    return found


def _what(entry: Entry) -> str:
    targets = entry.body.get("targets", [])
    if targets:
        return f"{said(entry.kind)} {'entry' if len(targets) == 1 else 'entries'} {', '.join(map(str, targets))}".replace("entry entry", "entry").replace(
            "undid entry entries", "undid entries"
        )
    if entry.kind == "change_cause":
        return f"changed the cause to {words.cause(entry.body['cause'])} of"
    if entry.kind in ("enroll", "revoke"):
        return f"{said(entry.kind)} {entry.body['reviewer']}"
    if entry.kind == "certify":
        return f"certified the package of {words.month(entry.body['period'])} as {entry.body['role']}"
    if entry.kind == "unlock":
        return "asked to re-open"
    if entry.kind == "match":
        return f"matched {len(entry.body['members'])} items by hand, difference {format_minor(entry.body['difference_minor'], entry.body['currency'])}"
    if entry.kind == "unmatch":
        return f"took apart a match of {len(entry.body['members'])} items"
    return said(entry.kind)


def _nets(body: Mapping[str, Any]) -> dict[str, int]:
    nets: dict[str, int] = {}
    for one in body.get("shown", []):
        nets[one["currency"]] = nets.get(one["currency"], 0) + one["amount_minor"]
    return dict(sorted(nets.items()))
