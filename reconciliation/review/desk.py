"""Settings, lake and log -> the state a reviewer works on: one month of all books, with what was decided since it was computed.

Months are read once and kept while their stored files are the same; decisions are applied at every look, so that a case leaves the queue with
its decision.
"""

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Protocol

import polars as pl

from reconciliation.config import Settings
from reconciliation.errors import InputsMissingError
from reconciliation.lake import Lake, locked_through, month_scope, open_lake
from reconciliation.review.controls import settings_in_force
from reconciliation.review.log import DecisionLog, Entry, open_log
from reconciliation.review.pending import apply_since
from reconciliation.review.queue import MonthTables, list_cases, order_cases, read_month
from reconciliation.review.situation import Situation, package_hash, read_situation, view_breaks, view_digest
from reconciliation.schemas.queue import QueueCase

MONTHS_KEPT = 6


@dataclass(frozen=True)
class View:
    """One month as it stands now.

    Attributes:
        period: which month.
        months: its stored tables, a book each.
        cases: `QueueCase` of all books, decisions applied.
        situation: what decisions are checked against.
        entries: the log, verified.
        is_locked: whether it can be read only.
    """

    period: str
    months: Mapping[str, MonthTables]
    cases: pl.DataFrame
    situation: Situation
    entries: list[Entry]
    is_locked: bool

    def digests(self, break_ids: Iterable[str]) -> dict[str, str]:
        """Return, by break, the digest of what is shown of it; a form carries it, and a decision on anything else is refused."""
        return {break_id: view_digest(shown) for break_id, shown in view_breaks(self.situation, self.entries, break_ids).items()}


class Keeper(Protocol):
    """Who locks and re-opens months: that writes the month and not the log, so the desk is given it."""

    def lock(self, period: str) -> Path:
        """Lock a certified month and write the next version of its package."""
        ...

    def reopen(self, period: str) -> None:
        """Re-open the last locked month, which two have agreed to."""
        ...

    def may_reopen(self, period: str) -> bool:
        """Whether two have agreed to it since the month was locked."""
        ...


@dataclass
class Desk:
    """Where reviewers work.

    Attributes:
        read_settings: returns the settings as they stand now.
        clock: returns the instant now, in UTC.
        keeper: locks and re-opens months; None where that is done elsewhere.
    """

    read_settings: Callable[[], Settings]
    clock: Callable[[], datetime]
    keeper: Keeper | None = None
    _months: dict[tuple[str, str], tuple[str, MonthTables]] = field(default_factory=dict)
    _situations: dict[str, tuple[str, Situation]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def settings(self) -> Settings:
        """The settings."""
        return self.read_settings()

    @property
    def lake(self) -> Lake:
        """The lake."""
        settings = self.settings
        return open_lake(settings)

    @property
    def log(self) -> DecisionLog:
        """The decision log."""
        return open_log(self.lake)

    @property
    def evidence_folder(self) -> Path:
        """Where evidence files are kept, named by their content."""
        return self.lake.review_root() / "evidence"

    def periods(self) -> list[str]:
        """Return the months that were reconciled for any book, the latest first."""
        return sorted({scope.rsplit("/", 1)[-1] for scope in self.lake.scopes("month")}, reverse=True)

    def current_period(self) -> str:
        """Return the month to work on: the earliest one that is open, else the latest.

        Raises:
            InputsMissingError: no month was reconciled yet.
        """
        known, lake = self.periods(), self.lake
        if not known:
            raise InputsMissingError("No month was reconciled yet. Once the first one is, its cases stand here.")
        still_open = [period for period in known if not is_locked(lake, period)]
        return still_open[-1] if still_open else known[0]

    def view(self, period: str, entries: list[Entry] | None = None) -> View:
        """Return a month with its cases as they stand now.

        Raises:
            InputsMissingError: the month was not reconciled.
            LogDamagedError: the log does not verify.
        """
        lake, log = self.lake, self.log
        verified = log.entries() if entries is None else entries
        months = {book.name: month for book in self.settings.books if (month := self._month(lake, book.name, period)) is not None}
        if not months:
            raise InputsMissingError(f"{period} was not reconciled yet; there is nothing to review in it")
        current = {name: replace(month, breaks=apply_since(month.breaks, verified, period=period)) for name, month in months.items()}
        cases = order_cases(pl.concat([QueueCase.create_empty(), *(list_cases(month) for month in current.values())]))
        return View(period, current, cases, self._situation(lake, period, verified), verified, is_locked(lake, period))

    def earlier(self, book: str, period: str, *, origin: str = "", count: int = 3) -> list[MonthTables]:
        """Return the months before one, the latest first: the last ones, and the one where something began, however long ago."""
        before = [known for known in self.periods() if known < period]
        wanted = [known for place, known in enumerate(before) if place < count or known == origin]
        found = [self._month(self.lake, book, known) for known in wanted]
        return [month for month in found if month is not None]

    def _month(self, lake: Lake, book: str, period: str) -> MonthTables | None:
        scope = month_scope(book, period)
        state = repr(lake.tables(scope))
        with self._lock:
            kept = self._months.get((book, period))
            if kept and kept[0] == state:
                return kept[1]
        month = read_month(lake, scope, book=book, period=period)
        if month is not None:
            with self._lock:
                while len(self._months) >= MONTHS_KEPT:
                    self._months.pop(next(iter(self._months)))
                self._months[book, period] = (state, month)
        return month

    def _situation(self, lake: Lake, period: str, entries: list[Entry]) -> Situation:
        settings = settings_in_force(self.settings, entries)
        package = package_hash(settings, period)
        state = repr([settings, package, locked_through(lake), [lake.tables(month_scope(book.name, period)) for book in settings.books]])
        with self._lock:
            kept = self._situations.get(period)
        if kept and kept[0] == state:
            return kept[1]
        situation = read_situation(lake, settings, period)
        with self._lock:
            while len(self._situations) >= MONTHS_KEPT:
                self._situations.pop(next(iter(self._situations)))
            self._situations[period] = (state, situation)
        return situation


def is_locked(lake: Lake, period: str) -> bool:
    """Whether a month is locked; every month before the last locked one is."""
    return period <= locked_through(lake)
