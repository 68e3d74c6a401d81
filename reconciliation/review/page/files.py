"""The page of files: what is still missing, what was read, upload, the spreadsheet out and back in, evidence."""

import re
from typing import Any
from urllib.parse import quote

from starlette.datastructures import FormData, UploadFile
from starlette.responses import Response

from reconciliation.errors import InputsMissingError
from reconciliation.review.desk import View
from reconciliation.review.filters import filter_cases, read_filters
from reconciliation.review.page.owed import list_owed
from reconciliation.review.page.strip import describe_strip
from reconciliation.review.page.uploads import take_files
from reconciliation.review.page.visit import Visit, text_of
from reconciliation.review.spreadsheet import FILE_BYTES_MAX, import_decisions, list_waiting, write_review

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def files_page(visit: Visit) -> Response:
    """Show what is missing and what was read."""
    view = visit.desk.view(visit.request.query_params.get("month", "") or visit.desk.current_period(), visit.entries)
    return _page(visit, view, [])


def upload_form(visit: Visit, form: FormData) -> Response:
    """Take ledger exports, bank statements and trial balances."""
    if visit.needs_code:
        visit.proof(text_of(form, "code"), is_fresh=False)
    view = visit.desk.view(text_of(form, "month") or visit.desk.current_period(), visit.entries)
    return _page(visit, view, take_files(form, visit.desk.settings, text_of(form, "kind")))


def spreadsheet_file(visit: Visit) -> Response:
    """Give the cases of a view as a spreadsheet to be filled in."""
    query = visit.request.query_params
    view = visit.desk.view(query.get("month", "") or visit.desk.current_period(), visit.entries)
    cases = filter_cases(view.cases, read_filters(query), reviewer=visit.reviewer, materiality_minor=visit.desk.settings.materiality_minor)
    content = write_review(cases, view.digests(cases["break_id"]), entity=visit.desk.settings.entity.name, period=view.period)
    return _download(content, f"review-{view.period}.xlsx", XLSX)


def import_form(visit: Visit, form: FormData) -> Response:
    """Take the decisions of a filled-in spreadsheet: one that is sent, or one that lies in the inbox."""
    waiting, sent = text_of(form, "waiting"), form.get("file")
    settings = visit.desk.settings
    if waiting:
        path = next((path for path in list_waiting(settings) if path.name == waiting), None)
        if path is None:
            raise InputsMissingError(f"{waiting} does not lie in the inbox any more.")
        name, content = path.name, path.read_bytes()
    elif isinstance(sent, UploadFile) and sent.filename:
        path, name, content = None, sent.filename, sent.file.read(FILE_BYTES_MAX + 1)
    else:
        raise InputsMissingError("Choose the filled-in spreadsheet.")
    proof = visit.proof(text_of(form, "code"), is_fresh=False)
    outcome = import_decisions(visit.desk, name, content, by=visit.reviewer, proof=proof)
    if path is not None:
        outcome.lay_aside(path)
    visit.entries = visit.desk.log.entries()
    view = visit.desk.view(text_of(form, "month") or visit.desk.current_period(), visit.entries)
    return _page(visit, view, [{"name": name, "tone": "bad" if outcome.refused else "good", "lines": outcome.lines()}])


def evidence_file(visit: Visit) -> Response:
    """Give an evidence file that an entry of the log names."""
    digest = str(visit.request.path_params["digest"])
    names = {file["sha256"]: file["name"] for entry in visit.entries for file in entry.body.get("evidence") or []}
    path = visit.desk.evidence_folder / digest
    if not re.fullmatch(r"[0-9a-f]{64}", digest) or digest not in names or not path.is_file():
        raise InputsMissingError("There is no such evidence file.")
    return _download(path.read_bytes(), names[digest], "application/octet-stream")


def _page(visit: Visit, view: View, results: list[dict[str, Any]]) -> Response:
    facts = [month.facts for month in view.months.values()]
    owed = list_owed(view)
    values = {
        **describe_strip(visit.desk, view, here="files", owed=sum(one["tone"] == "bad" for one in owed)),
        "owed_lines": owed,
        "results": results,
        "waiting": [{"name": path.name, "words": "nobody has put their name to it yet."} for path in list_waiting(visit.desk.settings)],
        "read_files": [
            {
                "name": file["path"].rsplit("/", 1)[-1],
                "kind": {"ledger": "ledger", "bank": "bank", "balances": "trial balance"}[file["kind"]],
                "profile": str(file.get("profile", "")).replace("_", " "),
                "rows": f"{file['rows']:,}",
                "used": f"{file.get('rows_used', 0):,}",
                "aside": f"{file.get('rows_set_aside', 0):,}",
            }
            for known in facts[:1]
            for file in known.get("inputs", [])
            if file.get("kind") in ("ledger", "bank", "balances")
        ],
    }
    return visit.page("files.html", values)


def _download(content: bytes, name: str, kind: str) -> Response:
    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}"}
    return Response(content, media_type=kind, headers=headers)
