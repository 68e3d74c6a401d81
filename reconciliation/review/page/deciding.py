"""Forms -> decisions. Every rule stands in `review.decide`; here is only what a form says, and what is asked for when something is missing."""

import hashlib
import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import polars as pl
from starlette.datastructures import FormData, UploadFile
from starlette.responses import Response

from reconciliation.errors import DecisionRefusedError, IdentityRefusedError, InputsMissingError, StaleViewError
from reconciliation.lake import write_atomically
from reconciliation.review.decide import DecisionRequest, ShownItem, decide
from reconciliation.review.desk import View
from reconciliation.review.filters import filter_cases, read_filters
from reconciliation.review.log import Entry
from reconciliation.review.page import words
from reconciliation.review.page.actions import ACTIONS, BY_KEY, Action
from reconciliation.review.page.owed import count_owed
from reconciliation.review.page.rendering import show_case, show_sums
from reconciliation.review.page.strip import describe_strip
from reconciliation.review.page.visit import Visit, own_address, text_of
from reconciliation.review.queue import add_up
from reconciliation.review.rules import why_second
from reconciliation.review.situation import check_views
from reconciliation.review.standing import waiting_for_second
from reconciliation.review.vocabulary import BREAK_DECISIONS, NATURE_OF_CAUSE, REASONED, WRITE_OFF

LISTED_MAX = 50
EVIDENCE_BYTES_MAX = 20_000_000
Picks = Mapping[str, str]
"""Break -> digest of what was shown of it."""


def confirm_page(visit: Visit, form: FormData) -> Response:
    """Show what is about to be decided: how many cases, net and gross, before anything is."""
    view = _view(visit, form)
    picks = _picks(form) or _all_of_view(visit, view, text_of(form, "view"))
    if not picks:
        raise InputsMissingError("No case was ticked. Go back and tick at least one.")
    action = BY_KEY.get(text_of(form, "do"))
    return _ask(visit, view, picks, action, form, fault="")


def decide_form(visit: Visit, form: FormData) -> Response:
    """Write the decision of a form into the log, and go back to where it was made; what is missing is asked for again."""
    view, action = _view(visit, form), BY_KEY.get(text_of(form, "do"))
    picks = _picks(form)
    if action is None or not picks:
        raise InputsMissingError("Nothing was ticked, or no decision was chosen. Go back and choose one.")
    try:
        entry = _decide(visit, view, action, picks, form)
    except StaleViewError:
        raise
    except (IdentityRefusedError, DecisionRefusedError) as error:
        return _ask(visit, view, picks, action, form, fault=str(error))
    return visit.go(_with_notice(text_of(form, "back") or f"/review/?{text_of(form, 'view')}", entry))


def undo_form(visit: Visit, form: FormData) -> Response:
    """Take a decision back by a new entry."""
    number = text_of(form, "entry")
    target = visit.entries[int(number) - 1] if number.isdecimal() and 0 < int(number) <= len(visit.entries) else None
    if target is None:
        raise InputsMissingError(f"There is no entry {number}.")
    period = target.body.get("period") or visit.desk.current_period()
    view = visit.desk.view(period, visit.entries)
    reason = text_of(form, "reason") or "Taken back on the review page."
    proof = visit.proof(text_of(form, "code"), is_fresh=False)
    entry = decide(visit.desk.log, DecisionRequest("undo", visit.reviewer, proof, visit.now, targets=(target.number,), reason=reason), view.situation)
    return visit.go(_with_notice(text_of(form, "back") or f"/review/?month={period}", entry))


def comment_form(visit: Visit, form: FormData) -> Response:
    """Keep a note, an evidence file, or both on a case."""
    view, files = (
        _view(visit, form),
        [_keep_evidence(visit.desk.evidence_folder, one) for one in form.getlist("file") if isinstance(one, UploadFile) and one.filename],
    )
    note = text_of(form, "note") or (f"Evidence: {files[0]['name']}" if files else "")
    proof = visit.proof(text_of(form, "code"), is_fresh=False)
    request = DecisionRequest("comment", visit.reviewer, proof, visit.now, shown=_picks(form), reason=note, evidence=tuple(files))
    return visit.go(_with_notice(text_of(form, "back"), decide(visit.desk.log, request, view.situation)))


def match_form(visit: Visit, form: FormData) -> Response:
    """Match the ticked items by hand."""
    view = _view(visit, form)
    leg = view.cases.filter(pl.col("break_id").is_in(list(_picks(form))))["leg"].unique().to_list()
    ticked = [str(one) for one in form.getlist("item")]
    items = _shown_items(view, ticked, leg[0] if leg else "books")
    proof = visit.proof(text_of(form, "code"), is_fresh=False)
    request = DecisionRequest("match", visit.reviewer, proof, visit.now, items=items, reason=text_of(form, "reason"))
    return visit.go(_with_notice(text_of(form, "back"), decide(visit.desk.log, request, view.situation)))


def unmatch_form(visit: Visit, form: FormData) -> Response:
    """Take a match apart."""
    view, match_id = _view(visit, form), text_of(form, "match")
    members = view.situation.members.filter(pl.col("match_id") == match_id).join(view.situation.items, on=["leg", "item_id"])
    items = tuple(ShownItem(row["leg"], row["item_id"], row["amount_minor"]) for row in members.to_dicts())
    proof = visit.proof(text_of(form, "code"), is_fresh=False)
    request = DecisionRequest("unmatch", visit.reviewer, proof, visit.now, items=items, match_id=match_id, reason=text_of(form, "reason"))
    return visit.go(_with_notice(text_of(form, "back"), decide(visit.desk.log, request, view.situation)))


def _decide(visit: Visit, view: View, action: Action, picks: Picks, form: FormData) -> Entry:
    targets = _targets(visit, view, picks) if action.key in ("approve", "send_back") else ()
    about = {} if targets else picks
    is_fresh = action.always_fresh or (action.key == WRITE_OFF and bool(_why_second(visit, view, action, picks)))
    due = text_of(form, "due")
    request = DecisionRequest(
        action.key, visit.reviewer, visit.proof(text_of(form, "code"), is_fresh=is_fresh), visit.now, shown=about, targets=targets,
        reason=text_of(form, "reason"), cause=text_of(form, "cause"), assigned_to=text_of(form, "assign_to", limit=120),
        due_on=date.fromisoformat(due) if re.fullmatch(r"\d{4}-\d\d-\d\d", due) else None,
    )  # fmt: skip
    return decide(visit.desk.log, request, view.situation)


def _ask(visit: Visit, view: View, picks: Picks, action: Action | None, form: FormData, *, fault: str) -> Response:
    """Ask for what a decision needs, with the totals of the cases before it."""
    cases = view.cases.filter(pl.col("break_id").is_in(list(picks)))
    sums = show_sums(add_up(cases))
    remarks = [fault] if fault else []
    second = _why_second(visit, view, action, picks) if action and action.key in BREAK_DECISIONS else ""
    if second:
        remarks.append(f"Two people decide this: {second}. It waits for the second one.")
    if action and action.key in ("approve", "send_back"):
        remarks.append(f"This answers the whole of {_entries_words(_targets(visit, view, picks))}, whatever else they hold.")
    is_fresh = action is not None and (action.always_fresh or (action.key == WRITE_OFF and bool(second)))
    values = {
        **describe_strip(visit.desk, view, here="queue", owed=count_owed(view)),
        "action": action,
        "actions": ACTIONS,
        "preset": "",
        "picks": [f"{break_id}:{digest}" for break_id, digest in picks.items()],
        "sums": sums,
        "total_line": "; ".join(f"{one['cases']} {'case' if one['cases'] == 1 else 'cases'}, {one['net']} {one['currency']}" for one in sums),
        "remarks": remarks,
        "cases": [show_case(row) for row in cases.head(LISTED_MAX).to_dicts()],
        "left_out": max(0, cases.height - LISTED_MAX),
        "causes": sorted(((name, words.cause(name)) for name in NATURE_OF_CAUSE), key=lambda pair: pair[1]),
        "reason": text_of(form, "reason"),
        "needs_reason": action is not None and action.key in REASONED,
        "needs_code": visit.needs_code or (is_fresh and visit.takes_code),
        "view": text_of(form, "view"),
        "back": own_address(text_of(form, "back") or f"/review/?{text_of(form, 'view')}"),
    }
    return visit.page("confirm.html", values, status=409 if fault else 200)


def _view(visit: Visit, form: FormData) -> View:
    return visit.desk.view(text_of(form, "month") or visit.desk.current_period(), visit.entries)


def _picks(form: FormData) -> dict[str, str]:
    pairs = [str(one).partition(":") for one in form.getlist("pick")]
    return {break_id: digest for break_id, _, digest in pairs if break_id and digest}


def _all_of_view(visit: Visit, view: View, address: str) -> dict[str, str]:
    """Return every case of a view, as it stands now; the page that follows shows what they are."""
    asked = read_filters(dict(parse_qsl(address)))
    kept = filter_cases(view.cases, asked, reviewer=visit.reviewer, materiality_minor=visit.desk.settings.materiality_minor)
    return view.digests(kept["break_id"])


def _targets(visit: Visit, view: View, picks: Picks) -> tuple[int, ...]:
    """Find the decisions that wait for a second person and are about the picked cases."""
    cases = view.cases.filter(pl.col("break_id").is_in(list(picks)))
    items = {item for row in cases["item_ids"].to_list() for item in row}
    found = []
    for standing in waiting_for_second(visit.entries):
        body = standing.entry.body
        own = {item[0] for one in body.get("shown", []) for item in one["items"]} | {row[1] for row in body.get("members", [])}
        if own & items:
            found.append(standing.entry.number)
    return tuple(found)


def _why_second(visit: Visit, view: View, action: Action | None, picks: Picks) -> str:
    if action is None or action.key not in BREAK_DECISIONS:
        return ""
    return why_second(action.key, check_views(view.situation, visit.entries, picks), view.situation.limits)


def _entries_words(numbers: tuple[int, ...]) -> str:
    return ("entry " if len(numbers) == 1 else "entries ") + ", ".join(map(str, numbers))


def _with_notice(address: str, entry: Entry) -> str:
    path, _, query = own_address(address).partition("?")
    kept = "&".join(part for part in query.split("&") if part and not part.startswith("done="))
    return f"{path}?{kept}{'&' if kept else ''}done={entry.number}"


def _shown_items(view: View, item_ids: list[str], leg: str) -> tuple[ShownItem, ...]:
    found = view.situation.items.filter((pl.col("leg") == leg) & pl.col("item_id").is_in(item_ids))
    return tuple(ShownItem(row["leg"], row["item_id"], row["amount_minor"]) for row in found.sort("item_id").to_dicts())


def _keep_evidence(folder: Path, file: UploadFile) -> dict[str, Any]:
    """Keep an evidence file under the hash of its content; its name is only shown."""
    content = file.file.read(EVIDENCE_BYTES_MAX + 1)
    if len(content) > EVIDENCE_BYTES_MAX:
        raise InputsMissingError(f"{file.filename}: holds more than {EVIDENCE_BYTES_MAX // 1_000_000} MB; keep it elsewhere and note where")
    digest = hashlib.sha256(content).hexdigest()
    if not (folder / digest).exists():
        write_atomically(folder / digest, content)
    name = "".join(letter for letter in (file.filename or "file").replace("\\", "/").rsplit("/", 1)[-1] if letter.isprintable())[:120]
    return {"name": name or "file", "sha256": digest, "bytes": len(content)}
