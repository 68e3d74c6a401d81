"""Years -> bank holidays of England and Wales; days -> the business day some steps away.

Stripe pays GBP out, and British banks book, on business days only. Rules: https://www.gov.uk/bank-holidays (substitute
days included; one-off royal holidays are not).
"""

from collections.abc import Iterable
from datetime import date, timedelta
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Days = npt.NDArray[np.datetime64]


def easter_sunday(year: int) -> date:
    """Return Easter Sunday (anonymous Gregorian computus).

    >>> easter_sunday(2026)
    datetime.date(2026, 4, 5)
    """
    golden, century, rest = year % 19, year // 100, year % 100
    epact = (19 * golden + century - century // 4 - (century - (century + 8) // 25 + 1) // 3 + 15) % 30
    weekday = (32 + 2 * (century % 4) + 2 * (rest // 4) - epact - rest % 4) % 7
    shift = epact + weekday - 7 * ((golden + 11 * epact + 22 * weekday) // 451) + 114
    return date(year, shift // 31, shift % 31 + 1)


@lru_cache(maxsize=64)
def bank_holidays(year: int) -> tuple[date, ...]:
    """Return the bank holidays of a year, with substitutes for weekends."""
    easter = easter_sunday(year)
    mondays = [_first_monday(date(year, 5, 1)), _last_monday(date(year, 5, 31)), _last_monday(date(year, 8, 31))]
    days = [_moved(date(year, 1, 1), ()), easter - timedelta(days=2), easter + timedelta(days=1), *mondays]
    christmas = _moved(date(year, 12, 25), ())
    return (*days, christmas, _moved(date(year, 12, 26), (christmas, date(year, 12, 25))))


def holidays_between(first: date, last: date) -> Days:
    """Return the bank holidays of all years touched, for numpy's business-day functions."""
    found: Iterable[date] = (day for year in range(first.year, last.year + 2) for day in bank_holidays(year))
    return np.array(sorted(set(found)), dtype="datetime64[D]")


def add_business_days(days: Days, steps: npt.NDArray[np.int64] | int, holidays: Days) -> Days:
    """Move days forward by business days, counted from the next business day where a day is none."""
    moved: Days = np.busday_offset(days, steps, roll="forward", holidays=holidays)
    return moved


def _moved(day: date, taken: tuple[date, ...]) -> date:
    while day.weekday() >= 5 or day in taken:
        day += timedelta(days=1)
    return day


def _first_monday(day: date) -> date:
    return day + timedelta(days=-day.weekday() % 7)


def _last_monday(day: date) -> date:
    return day - timedelta(days=day.weekday())
