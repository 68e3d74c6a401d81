"""Lines above a header -> the first and last day that a report states of itself.

    For the period 1 October 2026 to 31 October 2026      October 1-31, 2026      01.10.2026 - 31.10.2026

A day is believed where it can be read in one way: with a month's name, year first, or numbers of which one is over 12; the two
days of a line help each other. A line that states one day or three, or that several lines contradict, states nothing.
"""

import calendar
import re
from collections.abc import Sequence
from datetime import date, timedelta

from reconciliation.connectors.tabular.dates import YEAR_MAX, YEAR_MIN, Span, month_number

_ACCOUNT_LABEL = re.compile(
    r"(?:general |gl |g/l )?(?:ledger|account|nominal(?: code| account)?|konto|sachkonto|compte|cuenta|conto|rekening|grootboekrekening)(?: account| name| number| no\.?| nr\.?)?\s*:\s*(?P<account>.*)",
    re.IGNORECASE,
)
_SEVERAL_ACCOUNTS = re.compile(r"^(?:all|any|alle|tous|todas|tutti|several|multiple|various|diverse)\b|[;,*]|\.\.|\s(?:to|bis|à|a|-)\s+\d", re.IGNORECASE)
_WORD = r"[^\W\d_]{3,}\.?"
_BETWEEN = r"\s*(?:-|\u2013|\u2014|to|through|bis|au|al|a|tot|until|till)\s*(?:the\s+|le\s+)?"
_NAMED_PAIR = re.compile(
    rf"(?P<m1>{_WORD}) (?P<d1>\d{{1,2}})(?:, ?(?P<y1>\d{{4}}))?{_BETWEEN}(?:(?P<m2>{_WORD}) )?(?P<d2>\d{{1,2}}),? (?P<y2>\d{{4}})", re.IGNORECASE
)
_DAY_FIRST_PAIR = re.compile(
    rf"(?P<d1>\d{{1,2}})\.?(?: (?P<m1>{_WORD}))?(?:,? (?P<y1>\d{{4}}))?{_BETWEEN}(?P<d2>\d{{1,2}})\.? (?P<m2>{_WORD}),? (?P<y2>\d{{4}})", re.IGNORECASE
)
_MONTHS_PAIR = re.compile(rf"(?P<m1>{_WORD})(?: (?P<y1>\d{{4}}))?{_BETWEEN}(?P<m2>{_WORD}),? (?P<y2>\d{{4}})", re.IGNORECASE)
_ISO_PAIR = re.compile(rf"(\d{{4}}-\d{{2}}-\d{{2}}){_BETWEEN}(\d{{4}}-\d{{2}}-\d{{2}})", re.IGNORECASE)
_NUMERIC_PAIR = re.compile(rf"(\d{{1,2}})([./])(\d{{1,2}})\2(\d{{4}}){_BETWEEN}(\d{{1,2}})\2(\d{{1,2}})\2(\d{{4}})", re.IGNORECASE)
_ONE_MONTH = re.compile(rf"(?:for )?(?:the )?(?:month (?:of|ended) (?:\d{{1,2}} )?)(?P<m2>{_WORD}),? (?P<y2>\d{{4}})", re.IGNORECASE)


def stated_span(preamble: Sequence[Sequence[str]]) -> Span | None:
    """Return the days that the lines above a header state; None where they state none, or not the same."""
    found = {span for line in preamble for span in [_span_of(" ".join(cell for cell in line if cell))] if span}
    return next(iter(found)) if len(found) == 1 else None


def stated_account(preamble: Sequence[Sequence[str]]) -> str:
    """Return the one account that the lines above a header name for all rows below it; "" where they name none, or several.

    >>> stated_account([["Ledger: Stripe Clearing"]]), stated_account([["Account:", "", "1050 Stripe"]]), stated_account([["Account: All"]])
    ('Stripe Clearing', '1050 Stripe', '')
    """
    found = set()
    for line in preamble:
        filled = [cell for cell in line if cell]
        for place, cell in enumerate(filled):
            if label := _ACCOUNT_LABEL.fullmatch(cell):
                found.add(label["account"] or (filled[place + 1] if place + 1 < len(filled) else ""))
    found.discard("")
    account = next(iter(found)) if len(found) == 1 else ""
    return "" if _SEVERAL_ACCOUNTS.search(account) else account


def next_year(day: date) -> date:
    """Return the same day of the next year; of a leap day, the day before."""
    return date(day.year + 1, day.month, min(day.day, calendar.monthrange(day.year + 1, day.month)[1]))


def _span_of(line: str) -> Span | None:
    """Return the two days of a line.

    >>> _span_of("October 1-31, 2026")
    (datetime.date(2026, 10, 1), datetime.date(2026, 10, 31))
    >>> _span_of("For the period 1 October 2026 to 31 October 2026") == _span_of("01.10.2026 - 31.10.2026") == _span_of("October 1-31, 2026")
    True
    """
    if iso := _ISO_PAIR.search(line):
        days = [_iso(iso[1]), _iso(iso[2])]
    elif numeric := _NUMERIC_PAIR.search(line):
        days = _numeric(numeric)
    elif named := _DAY_FIRST_PAIR.search(line) or _NAMED_PAIR.search(line):
        months = [named["m1"] or named["m2"], named["m2"] or named["m1"]]
        years = [named["y1"] or named["y2"], named["y2"]]
        days = [_day(year, month_number(month), int(named[f"d{place}"])) for place, (year, month) in enumerate(zip(years, months, strict=True), start=1)]
    elif whole := _MONTHS_PAIR.search(line):
        days = [_day(whole["y1"] or whole["y2"], month_number(whole["m1"]), 1), _last_day(whole["y2"], month_number(whole["m2"]))]
    elif one := _ONE_MONTH.search(line):
        days = [_day(one["y2"], month_number(one["m2"]), 1), _last_day(one["y2"], month_number(one["m2"]))]
    else:
        return None
    first, last = days
    return (first, last) if first and last and first <= last else None


def _numeric(found: re.Match[str]) -> list[date | None]:
    first, second = (int(found[1]), int(found[3]), found[4]), (int(found[5]), int(found[6]), found[7])
    dotted = found[2] == "."
    can_be_day_first = max(first[1], second[1]) <= 12
    can_be_month_first = not dotted and max(first[0], second[0]) <= 12
    if can_be_day_first == can_be_month_first:
        return [None, None]
    return [_day(year, two if can_be_day_first else one, one if can_be_day_first else two) for one, two, year in (first, second)]


def _iso(text: str) -> date | None:
    return _day(text[:4], int(text[5:7]), int(text[8:]))


def _day(year: str, month: int | None, day: int) -> date | None:
    if not month or not YEAR_MIN <= int(year) <= YEAR_MAX or month > 12 or not 1 <= day <= calendar.monthrange(int(year), month)[1]:
        return None
    return date(int(year), month, day)


def _last_day(year: str, month: int | None) -> date | None:
    first = _day(year, month, 1)
    return next_month(first) - timedelta(days=1) if first else None


def next_month(first: date) -> date:
    """Return the first day of the month behind."""
    return date(first.year + first.month // 12, first.month % 12 + 1, 1)
