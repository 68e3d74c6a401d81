"""Texts of dates and posting periods -> days and periods, with the order of day and month decided for a whole table."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from typing import Literal, NamedTuple

import polars as pl

from reconciliation.connectors.tabular.faults import Fault, show_cell

DateOrder = Literal["year_first", "day_first", "month_first", "named_month", "day_month"]
Span = tuple[date, date]

YEAR_MIN, YEAR_MAX = 1990, 2099

# English, German, French, Spanish, Dutch, Italian, Portuguese, Scandinavian and Polish month names, by their first letters as far as they are told apart.
_MONTH_NAMES = (
    "jan janvier januar januari enero ene january gennaio gen janeiro sty styczeń stycznia",
    "feb februar februari février fevrier fév fev fevr févr febrero february febbraio fevereiro lut luty lutego",
    "mar mär märz mrz mars marzo march maart mrt março marzec marca",
    "apr april avril avr abril abr aprile kwi kwiecień kwietnia",
    "may mai mayo mei maggio mag maio maj maja",
    "jun juni juin junio june giugno giu junho cze czerwiec czerwca",
    "jul juli juillet juil julio july luglio lug julho lip lipiec lipca",
    "aug august augusti août aout agosto ago augustus sie sierpień sierpnia",
    "sep sept september septembre septiembre settembre set setembro wrz wrzesień września",
    "oct okt october oktober octobre octubre ottobre ott outubro out paź październik października",
    "nov november novembre noviembre novembro lis listopad listopada",
    "dec dez des december dezember desember décembre decembre déc diciembre dic dicembre dezembro gru grudzień grudnia",
)
_MONTHS = {name: number for number, names in enumerate(_MONTH_NAMES, start=1) for name in names.split()}
BEGINS_LIKE_A_DAY = rf"(?i)^\W*(?:\p{{Nd}}|(?:{'|'.join(sorted(_MONTHS))})\P{{L}})"
"""A pattern of Polars for cells of a date column that are no label: a digit or a month's name comes first."""
_TIME = r"[T ]\d{1,2}:\d{2}.*$"
_YEAR_FIRST = re.compile(r"(\d{4})([-/.])(\d{1,2})\2(\d{1,2})|(\d{4})(\d{2})(\d{2})")
_NUMERIC = re.compile(r"(\d{1,2})([-/.])(\d{1,2})\2(\d{4}|\d{2})")
_NAMED = re.compile(r"(\d{1,2})[ ./-]*([^\W\d_]+)\.?[ ,./-]+(\d{4}|\d{2})|([^\W\d_]+)\.? (\d{1,2}),? (\d{4})|(\d{4})[ -]([^\W\d_]+)[ -](\d{1,2})")
_PERIOD_NAMED = re.compile(r"([^\W\d_]+)\.?[ /-]?(\d{4}|\d{2})|(\d{4})[ /-]([^\W\d_]+)")
_PERIOD_NUMERIC = re.compile(r"(\d{4})[-/.]?(\d{2})|0?(\d{1,2})[-/.](\d{4})")


class _Parts(NamedTuple):
    text: str
    row: int
    column: str
    form: str
    first: int
    second: int
    third: int
    has_short_year: bool


@dataclass(frozen=True)
class DateReading:
    """All dates of a table: the order, why, `text` and `day` of every distinct text, and what is no date."""

    order: DateOrder | Literal[""]
    evidence: str
    values: pl.DataFrame
    faults: tuple[Fault, ...]


def month_number(text: str) -> int | None:
    """Return the number of a month by its name, or None where it is none.

    >>> month_number("Okt."), month_number("March"), month_number("Total")
    (10, 3, None)
    """
    return _MONTHS.get(text.casefold().strip("."))


def without_time(column: str) -> pl.Expr:
    """Return an expression that cuts a time of day off a date column's texts."""
    return pl.col(column).str.replace(_TIME, "")


def read_dates(texts: pl.DataFrame, *, stated: DateOrder | None, day_first: bool | None, span: Span | None = None) -> DateReading:
    """Read every date of a table.

    Args:
        texts: `text`, `row`, `column`: one row for each distinct text with its first place; blanks left out.
        stated: the order that a mapping states; None decides it.
        day_first: the operator's answer, consulted only where the dates are ambiguous.
        span: first and last day of the file, which give dates without a year (`day_month`: 3110) theirs.
    """
    if stated == "day_month":
        if texts.is_empty() or texts["text"].str.contains(r"^[0-9]{3,4}$").any():
            return _read_days_of_span(texts, span)
        # Programs that only imitate the format write whole dates.
        stated = "day_first"
    parts: list[_Parts] = []
    faults: list[Fault] = []
    for text, row, column in texts.select("text", "row", "column").sort("row").iter_rows():
        found = _parts(text, row, column)
        if found:
            parts.append(found)
        else:
            serial = (
                "; it looks like a spreadsheet's day number: format the column as dates"
                if re.fullmatch(r"\d{5}(\.\d+)?", text)
                else "; write dates as 2026-10-31"
            )
            faults.append(Fault(row, column, f"{show_cell(text)} is not a date{serial}"))
    order, evidence = _decide_order(parts, stated, day_first=day_first, faults=faults)
    days = []
    for part in parts:
        day = _day(part, order)
        if day is None and order and not any(fault.row == part.row and fault.column == part.column for fault in faults):
            faults.append(Fault(part.row, part.column, f"{show_cell(part.text)} is no day of the calendar ({order.replace('_', ' ')}, {evidence}); correct it"))
        days.append((part.text, day))
    return DateReading(order, evidence, pl.DataFrame(days, schema={"text": pl.String, "day": pl.Date}, orient="row"), tuple(faults))


def _read_days_of_span(texts: pl.DataFrame, span: Span | None) -> DateReading:
    days: list[tuple[str, date | None]] = []
    faults: list[Fault] = []
    for text, row, column in texts.select("text", "row", "column").sort("row").iter_rows():
        if span is None:
            faults.append(Fault(row, column, f"{show_cell(text)} has no year, and no line above the header states the days of the file; export it again"))
            continue
        years = range(span[0].year, span[1].year + 1)
        found = [day for year in years if (day := _day_of_year(text, year)) and span[0] <= day <= span[1]]
        if len(found) == 1:
            days.append((text, found[0]))
        else:
            message = f"{show_cell(text)} is {'more than one day' if found else 'no day'} between {span[0]} and {span[1]}, which the file states as its days"
            faults.append(Fault(row, column, f"{message}; export it again, a year at a time"))
    evidence = f"day and month; the year from the file's days {span[0]} to {span[1]}" if span else "day and month without a year"
    return DateReading("day_month", evidence, pl.DataFrame(days, schema={"text": pl.String, "day": pl.Date}, orient="row"), tuple(faults))


def _day_of_year(text: str, year: int) -> date | None:
    if not re.fullmatch(r"[0-9]{3,4}", text):
        return None
    try:
        return date(year, int(text[-2:]), int(text[:-2]))
    except ValueError:
        return None


def parse_day(text: str) -> date | None:
    """Parse a day written as 20261031 or 2026-10-31, or return None."""
    parts = _parts(text, 0, "")
    return _day(parts, "year_first") if parts and parts.form == "year_first" else None


def parse_period(text: str, *, listed: Collection[str] = ()) -> str | None:
    """Parse a posting period, or return None where it is none.

    Args:
        text: as an ERP writes it.
        listed: names of a calendar of its own, which are periods as they stand.

    >>> [parse_period(text) for text in ("Oct 2026", "2026-10", "10/2026", "FY 2026 : Q4 2026 : Oct 2026", "010.2026", "Q4 2026")]
    ['2026-10', '2026-10', '2026-10', '2026-10', '2026-10', None]
    """
    plain = text.rsplit(":", 1)[-1].strip()
    if plain in listed:
        return plain
    if named := _PERIOD_NAMED.fullmatch(plain):
        year, month = (named[2], named[1]) if named[1] else (named[3], named[4])
        number = _MONTHS.get(month.casefold())
    elif numeric := _PERIOD_NUMERIC.fullmatch(plain):
        year, number = (numeric[1], int(numeric[2])) if numeric[1] else (numeric[4], int(numeric[3]))
    else:
        return None
    full_year = int(year) + (2000 if len(year) == 2 else 0)
    if not number or not YEAR_MIN <= full_year <= YEAR_MAX:
        return None
    period = f"{full_year:04d}-{number:02d}"
    return period if number <= 12 or period in listed else None


def _parts(text: str, row: int, column: str) -> _Parts | None:
    if found := _YEAR_FIRST.fullmatch(text):
        year, month, day = (found[1], found[3], found[4]) if found[1] else (found[5], found[6], found[7])
        return _Parts(text, row, column, "year_first", int(year), int(month), int(day), has_short_year=False)
    if found := _NUMERIC.fullmatch(text):
        return _Parts(text, row, column, "numeric", int(found[1]), int(found[3]), _full_year(found[4]), has_short_year=len(found[4]) == 2)
    if found := _NAMED.fullmatch(text):
        day, month, year = next(group for group in ((found[1], found[2], found[3]), (found[5], found[4], found[6]), (found[9], found[8], found[7])) if group[0])
        number = _MONTHS.get(month.casefold())
        return _Parts(text, row, column, "named_month", int(day), number, _full_year(year), has_short_year=False) if number else None
    return None


def _full_year(text: str) -> int:
    return int(text) + (2000 if len(text) == 2 else 0)


def _decide_order(parts: list[_Parts], stated: DateOrder | None, *, day_first: bool | None, faults: list[Fault]) -> tuple[DateOrder | Literal[""], str]:
    if not parts:
        return "", "no dates"
    # The form of most dates is the file's; a stray one is the fault, wherever it stands.
    forms = [part.form for part in parts]
    usual = max(dict.fromkeys(forms), key=forms.count)
    first = next(part for part in parts if part.form == usual)
    other_way = f"is written in another way than {show_cell(first.text)} in row {first.row}; export one date format"
    faults.extend(Fault(part.row, part.column, f"{show_cell(part.text)} {other_way}") for part in parts if part.form != usual)
    if first.form != "numeric":
        order: DateOrder = "named_month" if first.form == "named_month" else "year_first"
        return order, f"row {first.row}: {show_cell(first.text)}"
    if stated:
        return stated, "stated in the mapping"
    numeric = [part for part in parts if part.form == "numeric"]
    day_over = next((part for part in numeric if part.first > 12), None)
    month_over = next((part for part in numeric if part.second > 12), None)
    if day_over and month_over:
        message = (
            f"{show_cell(month_over.text)} has the month first, but {show_cell(day_over.text)} in row {day_over.row} has the day first; export one date format"
        )
        faults.append(Fault(month_over.row, month_over.column, message))
        return "", "contradictory"
    if any(part.has_short_year for part in numeric) and day_first is None:
        faults.append(
            Fault(
                first.row,
                first.column,
                f"{show_cell(first.text)} has a two-digit year, which may be its first or last part; export four digits, or set [ledger] day_first",
            )
        )
        return "", "ambiguous"
    if day_over:
        return "day_first", f"row {day_over.row}: {show_cell(day_over.text)}"
    if month_over:
        return "month_first", f"row {month_over.row}: {show_cell(month_over.text)}"
    return _ambiguous_order(numeric, day_first=day_first, faults=faults)


def _ambiguous_order(numeric: list[_Parts], *, day_first: bool | None, faults: list[Fault]) -> tuple[DateOrder | Literal[""], str]:
    differs = next((part for part in numeric if part.first != part.second), None)
    if differs is None:
        return "day_first", "day and month are equal in every date"
    if day_first is None:
        message = f"{show_cell(differs.text)} may have the day or the month first, and no date of the file decides it"
        message += "; set [ledger] day_first, or export dates as 2026-10-31"
        faults.append(Fault(differs.row, differs.column, message))
        return "", "ambiguous"
    return ("day_first" if day_first else "month_first"), "[ledger] day_first, since no date of the file decides"


def _day(part: _Parts, order: str) -> date | None:
    if part.form == "year_first":
        year, month, day = part.first, part.second, part.third
    elif part.form == "named_month" or order == "day_first":
        day, month, year = part.first, part.second, part.third
    elif order == "month_first":
        month, day, year = part.first, part.second, part.third
    else:
        return None
    if not YEAR_MIN <= year <= YEAR_MAX:
        return None
    try:
        return date(year, month, day)
    except ValueError:
        return None
