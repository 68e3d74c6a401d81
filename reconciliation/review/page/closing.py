"""The page of the close: who signed what, the package to read and to hand out, locking, re-opening, and what else waits for a second person.

The package is certified by its hash: preparer first, somebody else as reviewer. Locking and re-opening themselves are done by what the desk was
given (`desk.keeper`), since they write the month and not the log.
"""

import io
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
from starlette.datastructures import FormData
from starlette.responses import Response

from reconciliation.errors import DecisionRefusedError, InputsMissingError
from reconciliation.review.controls import list_controls
from reconciliation.review.decide import DecisionRequest, certifications, decide
from reconciliation.review.desk import View
from reconciliation.review.effects import decisive_entries
from reconciliation.review.filters import WAITING
from reconciliation.review.page import words
from reconciliation.review.page.owed import count_owed
from reconciliation.review.page.rendering import ROOT
from reconciliation.review.page.strip import describe_strip
from reconciliation.review.page.telling import tell_entry, tell_notice
from reconciliation.review.page.visit import Visit, text_of
from reconciliation.review.standing import Standing, waiting_for_second
from reconciliation.review.vocabulary import BREAK_DECISIONS, CERTIFY, PREPARER, REVIEWER, SETTINGS, UNLOCK

ZIP_BYTES_MAX = 200_000_000
ZIP_TIME = (1980, 1, 1, 0, 0, 0)
REPORT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"
"""The report is one page with its own styles; it runs nothing and loads nothing."""
ABOUT = {
    "workbook.xlsx": "the workbook: statement, bridge, open items, entries, with live totals",
    "report.html": "the report: one page with charts",
    "statement.csv": "the statement",
    "open_items.csv": "what is carried forward",
    "exceptions.csv": "what a person must look at",
    "expected_variances.csv": "what was accepted",
    "journal_entries.csv": "proposed and approved entries",
    "receipts_to_apply.csv": "receipts for AR to apply",
    "payouts.csv": "payouts with what they are made of",
    "restatement.csv": "what changed since the lock",
    "audit.py": "the auditor's verifier: python audit.py",
    "manifest.json": "inputs, outputs and hashes",
}


def close_page(visit: Visit) -> Response:
    """Show how far the month is, its package, and what waits for a second person beside cases."""
    query = visit.request.query_params
    view = visit.desk.view(query.get("month", "") or visit.desk.current_period(), visit.entries)
    folder = _folder(visit, view.period)
    manifest = _manifest(folder)
    signed = certifications(visit.entries, view.period, view.situation.package_hash)
    values = {
        **describe_strip(visit.desk, view, here="close", owed=count_owed(view)),
        "notice": tell_notice(visit.entries, query),
        "steps": _steps(view, manifest, signed, _undecided(view)),
        "package_hash": view.situation.package_hash,
        "role": _role(visit, view, signed),
        "can_lock": visit.desk.keeper is not None and not view.is_locked and {PREPARER, REVIEWER} <= set(signed),
        "can_ask": view.is_locked and view.situation.locked_through == view.period,
        "can_reopen": _agreed(visit, view),
        "files": _files(folder, manifest),
        "versions": sorted((path.name for path in folder.parent.glob("v*")), reverse=True) if manifest else [],
        "version": folder.resolve().name.removeprefix(".").partition("-")[0] if manifest else "",
        "waiting": [_waiting(one, visit) for one in waiting_for_second(visit.entries) if one.entry.kind not in BREAK_DECISIONS],
        "controls": [vars(one) for one in list_controls(visit.desk.settings, visit.entries) if one.is_waiting],
    }
    return visit.page("close.html", values)


def certify_form(visit: Visit, form: FormData) -> Response:
    """Certify the package that was shown."""
    view = _view(visit, form)
    proof = visit.proof(text_of(form, "code"), is_fresh=True)
    request = DecisionRequest(CERTIFY, visit.reviewer, proof, visit.now, role=text_of(form, "role"), package_hash=text_of(form, "package"))
    return _back(visit, view.period, decide(visit.desk.log, request, view.situation).number)


def unlock_form(visit: Visit, form: FormData) -> Response:
    """Ask to re-open a locked month."""
    view = _view(visit, form)
    proof = visit.proof(text_of(form, "code"), is_fresh=True)
    request = DecisionRequest(UNLOCK, visit.reviewer, proof, visit.now, reason=text_of(form, "reason"))
    return _back(visit, view.period, decide(visit.desk.log, request, view.situation).number)


def answer_form(visit: Visit, form: FormData) -> Response:
    """Approve or send back what waits for a second person and is no case: a re-opening, settings, a reviewer, a match."""
    number, kind = text_of(form, "entry"), text_of(form, "do")
    if not number.isdecimal() or kind not in ("approve", "send_back"):
        raise InputsMissingError("Choose an entry, and whether to approve it or send it back.")
    view = _view(visit, form)
    proof = visit.proof(text_of(form, "code"), is_fresh=True)
    request = DecisionRequest(kind, visit.reviewer, proof, visit.now, targets=(int(number),), reason=text_of(form, "reason"))
    target = next((one.entry for one in waiting_for_second(visit.entries) if one.entry.number == int(number)), None)
    period = target.body.get("period", "") if target else ""
    situation = visit.desk.view(period, visit.entries).situation if period else view.situation
    return _back(visit, view.period, decide(visit.desk.log, request, situation).number)


def settings_form(visit: Visit, form: FormData) -> Response:
    """Ask for the value that the settings file has and that loosens a control."""
    view, name = _view(visit, form), text_of(form, "control")
    found = next((one for one in list_controls(visit.desk.settings, visit.entries) if one.name == name and one.is_waiting), None)
    if found is None:
        raise InputsMissingError(f"{name} waits for nobody: the settings file and what counts are the same.")
    proof = visit.proof(text_of(form, "code"), is_fresh=True)
    request = DecisionRequest(SETTINGS, visit.reviewer, proof, visit.now, reason=text_of(form, "reason"), settings={found.name: found.in_file})
    return _back(visit, view.period, decide(visit.desk.log, request, None).number)


def lock_form(visit: Visit, form: FormData) -> Response:
    """Lock a month that two have certified, or re-open one that two have agreed to re-open."""
    view, keeper = _view(visit, form), visit.desk.keeper
    if visit.needs_code:
        visit.proof(text_of(form, "code"), is_fresh=False)
    if keeper is None:
        raise DecisionRefusedError(f"Months are locked from a terminal here: reconcile close lock {view.period}")
    if text_of(form, "do") == "reopen":
        keeper.reopen(view.period)
    else:
        keeper.lock(view.period)
    return visit.go(f"{ROOT}/close?month={view.period}")


def package_file(visit: Visit) -> Response:
    """Give a file of the month's newest package, or all of it as one ZIP."""
    view = visit.desk.view(visit.request.query_params.get("month", "") or visit.desk.current_period(), visit.entries)
    name, folder = str(visit.request.path_params["name"]), _folder(visit, view.period)
    listed = [one["name"] for one in _files(folder, _manifest(folder))]
    if name == "package.zip" and listed:
        return _attached(_zipped(folder, listed), f"{view.period}-{view.situation.package_hash[:8]}.zip")
    if name not in listed:
        raise InputsMissingError(f"The package of {words.month(view.period)} has no file {name}.")
    content = (folder / name).read_bytes()
    if name == "report.html":
        return Response(content, media_type="text/html; charset=utf-8", headers={"Content-Security-Policy": REPORT_POLICY})
    return _attached(content, f"{view.period}-{name}")


def _steps(view: View, manifest: dict[str, Any], signed: dict[str, Any], undecided: int) -> list[dict[str, str]]:
    """Tell what a month goes through, and how far it is."""
    decisive = decisive_entries(view.entries, view.period)
    is_current = (manifest.get("decision_log") or {}).get("head", "") == (decisive[-1].digest if decisive else "")
    since = "holds every decision" if is_current or view.is_locked else "decisions were made since; the next run takes them in, certify the package it writes"
    written = f"{view.situation.package_hash[:16]}… {since}." if manifest else "none is written yet; the next run writes it."
    steps = [
        {"what": "Cases", "words": "all are decided." if not undecided else f"{undecided:,} wait for a decision; they are carried on as they are.", "done": not undecided},
        {"what": "Package", "words": written, "done": bool(manifest) and (is_current or view.is_locked)},
    ]  # fmt: skip
    for role in (PREPARER, REVIEWER):
        entry = signed.get(role)
        who = f"{entry.by}, {words.moment(entry.at)} UTC." if entry else "has not certified it."
        steps.append({"what": role.capitalize(), "words": who, "done": entry is not None})
    steps.append({"what": "Lock", "words": "locked; its figures never change." if view.is_locked else "open.", "done": view.is_locked})
    return [{"what": one["what"], "words": str(one["words"]), "tone": "good" if one["done"] else "warn"} for one in steps]  # type: ignore[dict-item]


def _undecided(view: View) -> int:
    return int(view.cases["disposition"].is_in(WAITING).sum())


def _role(visit: Visit, view: View, signed: dict[str, Any]) -> str:
    """Return as what this reviewer may certify now, or an empty text."""
    if view.is_locked or not view.situation.package_hash or any(entry.by == visit.reviewer for entry in signed.values()):
        return ""
    return next((role for role in (PREPARER, REVIEWER) if role not in signed), "")


def _agreed(visit: Visit, view: View) -> bool:
    """Whether two have agreed to re-open the month and nobody has yet."""
    is_last = view.is_locked and view.situation.locked_through == view.period
    return is_last and visit.desk.keeper is not None and visit.desk.keeper.may_reopen(view.period)


def _waiting(standing: Standing, visit: Visit) -> dict[str, Any]:
    told, body = tell_entry(standing.entry, visit.entries), standing.entry.body
    settings = "; ".join(f"{name} = {value}" for name, value in body.get("settings", {}).items())
    about = settings or (words.month(body["period"]) if body.get("period") else "")
    what = told["what"].replace(" (waits for a second person)", "")
    return {**told, "what": f"{what} {about}".strip(), "is_own": visit.reviewer in standing.preparers}


def _folder(visit: Visit, period: str) -> Path:
    settings = visit.desk.settings
    return settings.path(settings.close.folder) / period / "latest"


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / "manifest.json"
    return dict(orjson.loads(path.read_bytes())) if path.is_file() else {}


def _files(folder: Path, manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """List the files of a package, those that people open first."""
    names = [*(str(one["path"]) for one in manifest.get("outputs", [])), "manifest.json"] if manifest else []
    first = list(ABOUT)
    order = sorted((name for name in names if (folder / name).is_file()), key=lambda name: (first.index(name) if name in first else len(first), name))
    rows = {str(one["path"]): one.get("rows") for one in manifest.get("outputs", [])}
    return [{"name": name, "about": ABOUT.get(name, _import_words(name)), "rows": "" if rows.get(name) is None else f"{rows[name]:,}"} for name in order]


def _import_words(name: str) -> str:
    return "to import into the ERP" if name.startswith("journal_entries_") else ""


def _zipped(folder: Path, names: list[str]) -> bytes:
    if sum((folder / name).stat().st_size for name in names) > ZIP_BYTES_MAX:
        raise InputsMissingError(f"The package holds more than {ZIP_BYTES_MAX // 1_000_000} MB; fetch its files one by one.")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(zipfile.ZipInfo(name, ZIP_TIME), (folder / name).read_bytes(), compress_type=zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def _attached(content: bytes, name: str) -> Response:
    return Response(content, media_type="application/octet-stream", headers={"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}"})


def _view(visit: Visit, form: FormData) -> View:
    return visit.desk.view(text_of(form, "month") or visit.desk.current_period(), visit.entries)


def _back(visit: Visit, period: str, number: int) -> Response:
    return visit.go(f"{ROOT}/close?month={period}&done={number}")
