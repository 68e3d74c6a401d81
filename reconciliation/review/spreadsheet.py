"""Cases -> `review.xlsx` to be filled in, and a filled-in one -> decisions in the log.

Sheet `Review`: one row a case, the columns of the queue; yellow cells are the reviewer's: decision, cause, reason, assign to, due, note. The key column
is hidden and protected; it holds the case and a digest of what was shown, so that a row that changed meanwhile is refused, alone, and the rest
is taken. Sheet `Definitions`: what the words mean. Sheet `Sign`: reviewer and one-time code, for a file that goes through the inbox; without them it
waits there until a reviewer takes it on the page. Text is written as text, so no cell becomes a formula; amounts are numbers.
"""

import io
import logging
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import xlsxwriter

from reconciliation.config import Settings
from reconciliation.connectors.tabular.cells import open_grids
from reconciliation.errors import DecisionRefusedError, FileRefusedError, InputsMissingError, ReconciliationError
from reconciliation.lake import write_atomically
from reconciliation.money import currency_exponent
from reconciliation.review.decide import DecisionRequest, decide
from reconciliation.review.desk import Desk, View
from reconciliation.review.log import Entry
from reconciliation.review.page import words
from reconciliation.review.page.actions import ACTIONS
from reconciliation.review.reviewers import OneTimeCode, Proof, open_session
from reconciliation.review.vocabulary import NATURE_OF_CAUSE

logger = logging.getLogger(__name__)

FILE_BYTES_MAX = 20_000_000
SHEET, DEFINITIONS, SIGN = "Review", "Definitions", "Sign"
KEY = "key"
READ_COLUMNS = {
    "money at risk": "money_at_risk_minor", "bridge amount": "amount_minor", "currency": "currency", "what": "kind", "proposed cause": "cause", "nature": "nature",
    "confidence": "confidence", "age in days": "age_days", "counterparty": "counterparty", "reference": "reference", "Stripe date": "stripe_on",
    "ledger date": "ledger_on", "document no.": "document", "origin month": "origin_period", "prepared by": "prepared_by", "status": "disposition", "Stripe id": "stripe_id",
}  # fmt: skip
OWN_COLUMNS = ("decision", "cause", "reason", "assign to", "due", "note")
WIDTHS = {
    "what": 27,
    "proposed cause": 22,
    "counterparty": 22,
    "reference": 18,
    "status": 20,
    "Stripe id": 20,
    "decision": 22,
    "cause": 24,
    "reason": 36,
    "note": 30,
}
MONEY = ("money_at_risk_minor", "amount_minor")
TRANSLATED = {"kind": words.kind, "cause": words.cause, "nature": words.nature, "disposition": words.status}
DONE = "done"
ANY_DAY = datetime(2026, 1, 1)  # noqa: DTZ001 - a workbook's own stamp has no zone, and a real one would make equal workbooks differ
HEADER_ROWS = 1


@dataclass(frozen=True)
class FilledRow:
    """One row somebody has filled in: where it stands, which case, and what they decided."""

    row: int
    break_id: str
    digest: str
    decision: str
    cause: str
    reason: str
    assign_to: str
    due: str
    note: str


@dataclass
class Outcome:
    """What became of a filled-in spreadsheet.

    Attributes:
        entries: what was written into the log.
        taken: rows that were taken.
        refused: row -> why not.
        blank: how many rows hold no decision.
    """

    entries: list[Entry] = field(default_factory=list)
    taken: list[int] = field(default_factory=list)
    refused: dict[int, str] = field(default_factory=dict)
    blank: int = 0

    def lines(self) -> list[str]:
        """Say it in sentences."""
        waiting = sum(bool(entry.body.get("needs_second")) for entry in self.entries)
        told = [f"{len(self.taken)} rows taken as {len(self.entries)} entries, {len(self.refused)} refused, {self.blank} without a decision."]
        told += [f"{waiting} of the entries wait for a second person."] if waiting else []
        return told + [f"Row {row}: {why}" for row, why in sorted(self.refused.items())]

    def lay_aside(self, path: Path) -> Path:
        """Move a file of the inbox to `done/` with a result sheet beside it; returns the sheet."""
        done = path.parent / DONE
        done.mkdir(exist_ok=True)
        number, target = 1, done / path.name
        while target.exists():
            number += 1
            target = done / f"{path.stem}-{number}{path.suffix}"
        shutil.move(path, target)
        result = target.with_name(f"{target.stem}-result.xlsx")
        write_atomically(result, write_result(self))
        return result


def write_review(cases: pl.DataFrame, digests: Mapping[str, str], *, entity: str, period: str) -> bytes:
    """Write the cases as a spreadsheet.

    Args:
        cases: `QueueCase`, in their order.
        digests: break -> digest of what is shown; a case without one cannot be decided and is left out.
        entity: the company's name.
        period: the month.

    Returns:
        The bytes of the workbook; the same cases give the same bytes.
    """
    buffer = io.BytesIO()
    book = xlsxwriter.Workbook(buffer, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False})
    book.set_properties({"title": f"{entity}: review of {period}", "created": ANY_DAY})
    rows = [row for row in cases.to_dicts() if row["break_id"] in digests]
    _review_sheet(book, rows, digests, entity=entity, period=period)
    _definitions_sheet(book)
    _sign_sheet(book)
    book.close()
    return buffer.getvalue()


def _review_sheet(book: Any, rows: Sequence[Mapping[str, Any]], digests: Mapping[str, str], *, entity: str, period: str) -> None:
    sheet = book.add_worksheet(SHEET)
    head = book.add_format({"bold": True, "bg_color": "#EEF1F5", "bottom": 1, "text_wrap": True, "valign": "top"})
    own_head = book.add_format({"bold": True, "bg_color": "#FFE699", "bottom": 1, "text_wrap": True, "valign": "top"})
    yellow = book.add_format({"bg_color": "#FFF9DB", "locked": False, "border": 1, "border_color": "#E6DFB8", "num_format": "@"})
    columns = [KEY, *READ_COLUMNS, *OWN_COLUMNS]
    for index, name in enumerate(columns):
        sheet.write_string(0, index, name, own_head if name in OWN_COLUMNS else head)
        sheet.set_column(index, index, WIDTHS.get(name, 13), None, {"hidden": name == KEY})
    formats = {places: book.add_format({"num_format": f"#,##0{mark};(#,##0{mark})"}) for places, mark in ((0, ""), (2, ".00"), (3, ".000"))}
    formats[-1] = book.add_format({"num_format": "yyyy-mm-dd", "align": "left"})
    for number, row in enumerate(rows, 1):
        sheet.write_string(number, 0, f"{period}|{row['break_id']}|{digests[row['break_id']]}")
        for index, column in enumerate(READ_COLUMNS.values(), 1):
            _write_cell(sheet, number, index, row, column, formats)
        for index in range(len(READ_COLUMNS) + 1, len(columns)):
            sheet.write_blank(number, index, None, yellow)
    last = max(len(rows), 1)
    first_own = len(READ_COLUMNS) + 1
    sheet.data_validation(
        1, first_own, last, first_own, {"validate": "list", "source": [action.verb for action in ACTIONS], "error_message": "Choose a decision from the list."}
    )
    sheet.data_validation(1, first_own + 1, last, first_own + 1, {"validate": "list", "source": f"={DEFINITIONS}!$D$2:$D${len(NATURE_OF_CAUSE) + 1}"})
    sheet.freeze_panes(HEADER_ROWS, 6)
    sheet.autofilter(0, 0, last, len(columns) - 1)
    sheet.protect("", {"autofilter": True, "sort": True, "format_columns": True, "format_rows": True, "select_locked_cells": True})
    sheet.set_landscape()
    sheet.fit_to_pages(1, 0)
    sheet.repeat_rows(0)
    sheet.set_header(f"&L{entity.replace('&', '&&')}&CReview of {period}&RPage &P of &N")


def _write_cell(sheet: Any, number: int, index: int, row: Mapping[str, Any], column: str, formats: Mapping[int, Any]) -> None:
    value = row[column]
    if value is None:
        return
    if column in MONEY:
        places = currency_exponent(row["currency"])
        sheet.write_number(number, index, Decimal(value).scaleb(-places), formats[places])
    elif isinstance(value, date):
        sheet.write_datetime(number, index, datetime(value.year, value.month, value.day), formats[-1])  # noqa: DTZ001 - a day of the books
    elif isinstance(value, int):
        sheet.write_number(number, index, value)
    else:
        sheet.write_string(number, index, TRANSLATED[column](value) if column in TRANSLATED else str(value))


def _definitions_sheet(book: Any) -> None:
    sheet = book.add_worksheet(DEFINITIONS)
    bold, wrap = book.add_format({"bold": True, "bg_color": "#EEF1F5"}), book.add_format({"text_wrap": True, "valign": "top"})
    for index, name in enumerate(("decision", "what it does", "", "cause", "nature")):
        sheet.write_string(0, index, name, bold)
    for number, action in enumerate(ACTIONS, 1):
        sheet.write_string(number, 0, action.verb, wrap)
        sheet.write_string(number, 1, action.why, wrap)
    for number, name in enumerate(sorted(NATURE_OF_CAUSE, key=words.cause), 1):
        sheet.write_string(number, 3, words.cause(name))
        sheet.write_string(number, 4, words.nature(NATURE_OF_CAUSE[name]))
    sheet.set_column(0, 0, 24)
    sheet.set_column(1, 1, 70)
    sheet.set_column(3, 4, 30)
    sheet.freeze_panes(1, 0)
    sheet.protect("")


def _sign_sheet(book: Any) -> None:
    sheet = book.add_worksheet(SIGN)
    yellow = book.add_format({"bg_color": "#FFF9DB", "locked": False, "border": 1, "num_format": "@"})
    for number, text in enumerate(("reviewer", "one-time code")):
        sheet.write_string(number, 0, text)
        sheet.write_blank(number, 1, None, yellow)
    sheet.write_string(
        3,
        0,
        "Only for a file that you drop into the inbox: the code has to be fresh when it is read, within a minute. Without it the file waits for you on the review page.",
    )
    sheet.set_column(0, 0, 18)
    sheet.set_column(1, 1, 24)
    sheet.protect("")


def write_result(outcome: Outcome) -> bytes:
    """Write what became of a filled-in spreadsheet, row by row."""
    buffer = io.BytesIO()
    book = xlsxwriter.Workbook(buffer, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False})
    book.set_properties({"title": "result", "created": ANY_DAY})
    sheet, bold = book.add_worksheet("Result"), book.add_format({"bold": True})
    for index, name in enumerate(("row", "result", "why")):
        sheet.write_string(0, index, name, bold)
    told = {**dict.fromkeys(outcome.taken, ("taken", "")), **{row: ("refused", why) for row, why in outcome.refused.items()}}
    for number, (row, (result, why)) in enumerate(sorted(told.items()), 1):
        sheet.write_number(number, 0, row)
        sheet.write_string(number, 1, result)
        sheet.write_string(number, 2, why)
    sheet.set_column(2, 2, 100)
    sheet.freeze_panes(1, 0)
    book.close()
    return buffer.getvalue()


def read_filled(name: str, content: bytes) -> tuple[str, list[FilledRow], int]:
    """Read a filled-in spreadsheet.

    Returns:
        The month it is of, the rows with a decision or a note, and how many have neither.

    Raises:
        FileRefusedError: it is not a review spreadsheet of ours.
    """
    if len(content) > FILE_BYTES_MAX:
        raise FileRefusedError(file=name, message=f"holds more than {FILE_BYTES_MAX:,} bytes; a review spreadsheet has far less")
    table = _sheet(name, content, SHEET)
    header = [str(cell).strip() for cell in table[0]] if table else []
    missing = [column for column in (KEY, *OWN_COLUMNS) if column not in header]
    if missing:
        raise FileRefusedError(
            file=name,
            row=1,
            message=f"columns {', '.join(missing)} are missing in sheet {SHEET}; fill in the review.xlsx of the page, without changing its header",
        )
    at = {column: len(header) - 1 - header[::-1].index(column) for column in (KEY, *OWN_COLUMNS)}
    filled, periods, blank = [], set(), 0
    for number, cells in enumerate(table[1:], 2):
        values = {column: (cells[index].strip() if index < len(cells) else "") for column, index in at.items()}
        if not values[KEY]:
            continue
        period, _, rest = values[KEY].partition("|")
        break_id, _, digest = rest.partition("|")
        periods.add(period)
        if not any(values[column] for column in OWN_COLUMNS):
            blank += 1
            continue
        filled.append(FilledRow(number, break_id, digest, *(values[column] for column in OWN_COLUMNS)))
    if len(periods) != 1:
        raise FileRefusedError(file=name, message=f"holds keys of {len(periods)} months; one file is of one month")
    return periods.pop(), filled, blank


def read_signature(name: str, content: bytes) -> tuple[str, str]:
    """Return reviewer and one-time code of the sheet `Sign`; empty texts where it is not filled in."""
    rows = _sheet(name, content, SIGN)
    values = [row[1].strip() if len(row) > 1 else "" for row in rows[:2]]
    return (values[0].lower(), values[1]) if len(values) == 2 else ("", "")


def import_decisions(desk: Desk, name: str, content: bytes, *, by: str, proof: Proof) -> Outcome:
    """Take the decisions of a filled-in spreadsheet into the log: equal ones as one entry, refused rows alone.

    Raises:
        FileRefusedError: it is not a review spreadsheet of ours.
        InputsMissingError: its month was never reconciled.
    """
    period, filled, blank = read_filled(name, content)
    outcome, view = Outcome(blank=blank), desk.view(period)
    current = view.digests([row.break_id for row in filled])
    groups: dict[tuple[str, ...], list[FilledRow]] = {}
    for row in filled:
        why = _why_not(row, current)
        if why:
            outcome.refused[row.row] = why
        else:
            groups.setdefault((row.decision, row.cause, row.reason or row.note, row.assign_to, row.due), []).append(row)
    for rows in groups.values():
        _take(desk, view, rows, by, proof, outcome)
    return outcome


def list_waiting(settings: Settings) -> list[Path]:
    """Return the spreadsheets that lie in the review inbox, in order of their names."""
    folder = settings.path(settings.review.inbox)
    found = [path for path in folder.glob("*.xlsx") if path.is_file() and not path.is_symlink()] if folder.is_dir() else []
    return sorted(path for path in found if not path.name.startswith((".", "~$")))


def take_signed(desk: Desk, paths: Sequence[Path]) -> Iterator[tuple[Path, Outcome]]:
    """Take those spreadsheets of the inbox that carry a reviewer and a code that is good now; the others wait.

    Call it once for a file: a code that came too late counts as a wrong one, and five of those close the door for ten minutes.

    Yields:
        The result sheet of each that was taken, and what became of it.
    """
    for path in paths:
        content = path.read_bytes()
        try:
            reviewer, code = read_signature(path.name, content)
            if not (reviewer and code):
                continue
            read_filled(path.name, content)
            _, token = open_session(desk.log, reviewer, OneTimeCode(code), at=desk.clock())
        except (FileRefusedError, InputsMissingError, DecisionRefusedError) as error:
            logger.warning("%s is not taken from the inbox: %s", path.name, type(error).__name__)
            continue
        outcome = import_decisions(desk, path.name, content, by=reviewer, proof=token)
        yield outcome.lay_aside(path), outcome


VERBS = {action.verb.lower(): action.key for action in ACTIONS} | {action.key: action.key for action in ACTIONS}
CAUSE_NAMES = {words.cause(name): name for name in NATURE_OF_CAUSE} | {name: name for name in NATURE_OF_CAUSE}


def _why_not(row: FilledRow, current: Mapping[str, str]) -> str:
    if row.break_id not in current:
        return "is not open any more; nothing was decided about it"
    if current[row.break_id] != row.digest:
        return "has changed since the spreadsheet was written, or was decided meanwhile; take a new spreadsheet for it"
    if row.decision and row.decision.lower() not in VERBS:
        return f"{row.decision!r} is no decision; there are {', '.join(action.verb for action in ACTIONS)}"
    if not row.decision and (row.cause or row.assign_to or row.due):
        return "names a cause, a person or a day and no decision; choose one in the column decision"
    if row.cause and row.cause not in CAUSE_NAMES:
        return f"{row.cause!r} is no cause; choose one from the list"
    if row.due and _day(row.due) is None:
        return f"{row.due!r} is no day; write it as 2026-11-30"
    return ""


def _take(desk: Desk, view: View, rows: list[FilledRow], by: str, proof: Proof, outcome: Outcome) -> None:
    """Decide about rows together; where that is refused, one by one, so that one row does not hold the others up."""
    first = rows[0]
    request = DecisionRequest(
        VERBS[first.decision.lower()] if first.decision else "comment", by, proof, desk.clock(), shown={row.break_id: row.digest for row in rows},
        reason=first.reason or first.note, cause=CAUSE_NAMES.get(first.cause, ""), assigned_to=first.assign_to, due_on=_day(first.due),
    )  # fmt: skip
    try:
        outcome.entries.append(decide(desk.log, request, view.situation))
        outcome.taken.extend(row.row for row in rows)
    except ReconciliationError as error:
        if len(rows) == 1:
            outcome.refused[first.row] = str(error)
            return
        for row in rows:
            _take(desk, view, [row], by, proof, outcome)


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text[:10])
    except ValueError:
        return None


def _sheet(name: str, content: bytes, title: str) -> list[list[str]]:
    """Return the cells of one sheet as text; an empty list where there is none of that name."""
    for grid in open_grids(name, content):
        if grid.file.endswith(f"!{title}"):
            return grid.head(delimiter="", count=100_000)
    raise InputsMissingError(f"{name}: has no sheet {title}; fill in the review.xlsx of the page")
