"""Accounting months and local days: instants <-> days in the books' time zone <-> periods.

A period is named `2026-10`. The calendar is `month`, or a file of period, first day, last day (4-4-5, 13 periods).
"""

import csv
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl

from reconciliation.errors import SettingsError

SECONDS_A_DAY = 86_400


@dataclass(frozen=True)
class Calendar:
    """The books' calendar: a time zone, and periods that follow each other without a gap when they are listed."""

    zone: str
    periods: tuple[tuple[str, date, date], ...] = ()

    def first_day(self, period: str) -> date:
        """Return the first day of a period."""
        if self.periods:
            return self._listed(period)[1]
        year, month = _year_and_month(period)
        return date(year, month, 1)

    def last_day(self, period: str) -> date:
        """Return the last day of a period."""
        if self.periods:
            return self._listed(period)[2]
        return self.first_day(self.following(period)) - timedelta(days=1)

    def following(self, period: str) -> str:
        """Return the period after this one."""
        if self.periods:
            names = [name for name, _, _ in self.periods]
            place = names.index(self._listed(period)[0]) + 1
            if place == len(names):
                raise SettingsError(f"[close] calendar: no period is listed after {period}; add the next one")
            return names[place]
        year, month = _year_and_month(period)
        return f"{year + month // 12:04d}-{month % 12 + 1:02d}"

    def preceding(self, period: str) -> str:
        """Return the period before this one."""
        if self.periods:
            names = [name for name, _, _ in self.periods]
            place = names.index(self._listed(period)[0])
            if place:
                return names[place - 1]
        year, month = _year_and_month(period)
        return f"{year - (month == 1):04d}-{(month + 10) % 12 + 1:02d}"

    def period_of(self, day: date) -> str:
        """Return the period a day belongs to; days outside a listed calendar fall to their calendar month."""
        for name, first, last in self.periods:
            if first <= day <= last:
                return name
        return f"{day.year:04d}-{day.month:02d}"

    def day_start(self, day: date) -> datetime:
        """Return the instant (UTC) at which a local day begins."""
        return datetime.combine(day, time(), ZoneInfo(self.zone)).astimezone(UTC)

    def local_day(self, instant: datetime) -> date:
        """Return the local day of an instant."""
        return instant.astimezone(ZoneInfo(self.zone)).date()

    def cut_off(self, period: str) -> datetime:
        """Return the instant (UTC) at which a period ends; it belongs to the next one."""
        return self.day_start(self.last_day(period) + timedelta(days=1))

    def local_day_of(self, column: str) -> pl.Expr:
        """Return the local day of a UTC timestamp column."""
        return pl.col(column).dt.convert_time_zone(self.zone).dt.date()

    def period_of_day(self, column: str) -> pl.Expr:
        """Return the period of a day column."""
        result = pl.col(column).dt.strftime("%Y-%m")
        for name, first, last in self.periods:
            result = pl.when(pl.col(column).is_between(first, last)).then(pl.lit(name)).otherwise(result)
        return result

    def _listed(self, period: str) -> tuple[str, date, date]:
        for row in self.periods:
            if row[0] == period:
                return row
        raise SettingsError(f"[close] calendar: {period} is not listed; it has {self.periods[0][0]} to {self.periods[-1][0]}")


def read_calendar(*, zone: str, calendar: str, folder: Path) -> Calendar:
    """Build the calendar from the settings.

    Raises:
        SettingsError: the calendar's file is missing, malformed, or its periods overlap or leave a gap.
    """
    if calendar == "month":
        return Calendar(zone)
    path = folder / calendar
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            rows = [(row["period"], date.fromisoformat(row["first day"]), date.fromisoformat(row["last day"])) for row in csv.DictReader(handle)]
    except (OSError, KeyError, ValueError) as error:
        raise SettingsError(f"[close] calendar = {calendar!r}: {error}; expected 'month' or a CSV with period, first day, last day") from error
    for earlier, later in pairwise(rows):
        if later[1] != earlier[2] + timedelta(days=1):
            raise SettingsError(f"{path}: period {later[0]} begins on {later[1]}, expected the day after {earlier[0]} ends ({earlier[2]})")
    return Calendar(zone, tuple(rows))


def _year_and_month(period: str) -> tuple[int, int]:
    try:
        first = date.fromisoformat(f"{period}-01")
    except ValueError as error:
        raise SettingsError(f"period {period!r} is not a month; write it as 2026-10") from error
    return first.year, first.month
