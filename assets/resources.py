"""What assets share: the settings, the lake with its lock, and the working tables of a month."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import dagster as dg

from assets import planning
from assets.partitions import PARTITION_TAG, RANGE_START_TAG, PullWindow, pull_window, run_window, split_book_month
from reconciliation.calendar import Calendar
from reconciliation.close.summaries import Frame
from reconciliation.config import Settings, read_settings
from reconciliation.connectors.stripe.filing import LOCAL_DAY
from reconciliation.connectors.stripe.history import History, read_history
from reconciliation.connectors.stripe.reports import read_reports
from reconciliation.errors import DefectError, SettingsError
from reconciliation.lake import Lake
from reconciliation.lake import open_lake as open_lake
from reconciliation.months import complete_book, define_month
from reconciliation.population import Month
from reconciliation.sources import Sources, assemble_sources, read_stripe_tables

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

WAIT_SECONDS = 600.0
FILE_TABLES = ("ledger_lines", "bank_lines", "ledger_balances", "set_aside", "files")

MODE = "stripe_mode"
PULL, RECONCILE, CLOSE = "pull", "reconcile", "close"
"""The jobs by name; `jobs` makes them, and sees this module."""

Stage = TypeVar("Stage", bound="DataclassInstance")


def check_mode(lake: Lake, *, is_live: bool) -> None:
    """Check that a lake does not hold the other kind of money than a key reads.

    Raises:
        SettingsError: it does.
    """
    known = lake.facts(MODE).get("is_live")
    if known is not None and known is not is_live:
        kinds = ("test", "live")
        raise SettingsError(
            f"STRIPE_API_KEY is a {kinds[is_live]} key, but the lake at {lake.place} holds {kinds[known]} data; use a {kinds[known]} key, or name another folder in [storage] lake"
        )


@lru_cache(maxsize=8)
def _read_unchanged(file: Path, changed_ns: int) -> Settings:  # noqa: ARG001 - part of the key
    return read_settings(file)


class SettingsResource(dg.ConfigurableResource[Settings]):
    """The settings file; an empty name is the default one."""

    file: str = ""

    @property
    def path(self) -> Path | None:
        """The settings file, None for the default one."""
        return Path(self.file) if self.file else None

    def read(self) -> Settings:
        """Read the settings, as they stand now."""
        path = self.path
        return _read_unchanged(path, path.stat().st_mtime_ns) if path and path.exists() else read_settings(path)


@dataclass(frozen=True)
class MonthWork:
    """The tables of one month of one book while it is computed: each stage leaves its frames for the next one.

    They are the scope `work/<book>/<period>` of the lake; what readers see is published by the last stage alone.
    """

    lake: Lake
    settings: Settings
    book: str
    period: str

    @property
    def scope(self) -> str:
        """Name the scope."""
        return f"work/{self.book}/{self.period}"

    @property
    def facts(self) -> dict[str, Any]:
        """Return the facts noted so far."""
        return self.lake.facts(self.scope)

    def begin(self, frames: Mapping[str, Frame], **facts: Any) -> None:
        """Start afresh with the first tables."""
        self.lake.publish(self.scope, self._staged(frames), facts=facts)

    def keep(self, name: str, stage: "DataclassInstance | Frame", **facts: Any) -> None:
        """Keep a frame, or every frame of a stage's outcome under `<name>.<field>`."""
        frames = {name: stage} if isinstance(stage, Frame) else {f"{name}.{field.name}": getattr(stage, field.name) for field in fields(stage)}
        known = self.lake.tables(self.scope) or {}
        self.lake.publish(self.scope, known | self._staged(frames), facts=self.facts | facts)

    def note_pull(self) -> None:
        """Note how far the book's accounts are pulled, for every later stage of this month."""
        through = planning.complete_through(self.lake, self.settings.book(self.book))
        self.lake.publish(self.scope, self.lake.tables(self.scope) or {}, facts=self.facts | {"complete_through": through.isoformat()})

    def frame(self, name: str) -> Frame:
        """Return a kept frame."""
        return self.lake.load((self.lake.tables(self.scope) or {})[name])

    def recall(self, name: str, kind: type[Stage]) -> Stage:
        """Return a stage's outcome as it was kept."""
        return kind(**{field.name: self.frame(f"{name}.{field.name}") for field in fields(kind)})

    def sources(self) -> Sources:
        """Assemble what the month is computed from: the files as read at its start, and what was pulled."""
        book = complete_book(self.settings.book(self.book), self.frame("ledger_lines"))
        files = {name: self.frame(name) for name in FILE_TABLES}
        return assemble_sources(read_stripe_tables(self.lake, book), files, book, complete_through=datetime.fromisoformat(self.facts["complete_through"]))

    def reports(self) -> Frame:
        """Read Stripe's itemised reports of the book's accounts, where a person dropped any."""
        stripe = self.settings.stripe
        accounts = self.settings.book(self.book).stripe_accounts
        return read_reports(self.settings.path(stripe.reports), accounts=accounts, time_zone=stripe.reports_timezone)

    def month(self) -> Month:
        """Return the month with its cut-off."""
        book = complete_book(self.settings.book(self.book), self.frame("ledger_lines"))
        as_of = self.facts["as_of"]
        through = datetime.fromisoformat(self.facts["complete_through"])
        return define_month(self.lake, self.settings, book, self.period, complete_through=through, as_of=date.fromisoformat(as_of) if as_of else None)

    def _staged(self, frames: Mapping[str, Frame]) -> dict[str, str]:
        return {name: self.lake.stage(name, frame) for name, frame in frames.items()}


def what_is_written(job: str, tags: Mapping[str, str], settings: Settings) -> tuple[str, list[str]]:
    """Return the part of the lake that a run writes, and the parts that must stand still meanwhile.

    An account is pulled, a book reconciled and a package written by one run at a time; another account or book does not wait for it.
    What belongs to no account or book, as a run started by hand, takes everything.

    Args:
        job: the run's job.
        tags: the run's.
        settings: which accounts a book has.
    """
    named = (tags.get(RANGE_START_TAG) or tags.get(PARTITION_TAG, "")).rpartition("|")[0]
    books = {book.name: book for book in settings.books}
    if job == PULL and named:
        return f"account/{named}", []
    if job == RECONCILE and named in books:
        return f"book/{named}", [f"account/{account}" for account in books[named].stripe_accounts]
    if job == CLOSE:
        return "close", [f"book/{name}" for name in books]
    return "", []


class LakeResource(dg.ConfigurableResource[Any]):
    """The lake, held by a run as the single writer of what it writes, for as long as it lasts.

    The lock is the operating system's, so that a killed run frees it. A process that runs the jobs itself holds the
    lock around all of them and says so.
    """

    file: str = ""
    is_held: bool = False
    wait_seconds: float = WAIT_SECONDS

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator["LakeResource"]:
        """Hold the lake for a run."""
        if self.is_held:
            yield self
            return
        run = context.dagster_run
        part, read = what_is_written(run.job_name, run.tags, self.settings.read()) if run else ("", [])
        with self.open().writer(wait_seconds=self.wait_seconds, part=part, read=read):
            yield self
        if part == CLOSE:
            self.open().sweep_if_idle()

    @property
    def settings(self) -> SettingsResource:
        """The settings."""
        return SettingsResource(file=self.file)

    def open(self) -> Lake:
        """Return the lake."""
        return open_lake(self.settings.read())

    def calendar(self) -> Calendar:
        """Return the books' calendar."""
        return self.settings.read().calendar

    def window(self, keys: Iterable[str]) -> PullWindow:
        """Return what the partitions of a run of the pull stand for."""
        return pull_window(keys, self.calendar())

    def run_window(self, tags: Mapping[str, str]) -> PullWindow:
        """Return what a run of the pull covers."""
        return run_window(tags, self.calendar())

    def write_days(self, table: str, window: PullWindow, frame: Frame, *, raw: Sequence[bytes], is_ordered: bool = False) -> None:
        """Publish what was pulled for the days of a window."""
        self.open().write_days(table, account=window.account, frame=frame, day_column=LOCAL_DAY, days=list(window.days), raw=raw, is_ordered=is_ordered)

    def write_snapshot(self, table: str, window: PullWindow, frame: Frame, *, raw: Sequence[bytes]) -> None:
        """Publish a reading of now, which stands for the day it was taken on whatever days are pulled."""
        days = sorted(set(frame[LOCAL_DAY]))
        self.open().write_days(table, account=window.account, frame=frame, day_column=LOCAL_DAY, days=days, raw=raw)

    def read_days(self, table: str, window: PullWindow) -> Frame:
        """Return what was published for the days of a window."""
        frame = self.open().read_days(table, account=window.account, first=window.days[0], last=window.days[-1])
        if frame is None:
            raise DefectError(f"{table}: nothing is stored for {window.days[0]} to {window.days[-1]} of account {window.account}, though it was pulled before")
        return frame

    def require_mode(self, *, is_live: bool) -> None:
        """Keep real and test money apart: a lake holds one of them.

        Raises:
            SettingsError: the lake holds the other.
        """
        lake = self.open()
        check_mode(lake, is_live=is_live)
        lake.publish(MODE, {}, facts={"is_live": is_live})

    def record_pull(self, window: PullWindow) -> datetime | None:
        """Record how far the account is pulled now."""
        through = planning.record_pull(self.open(), self.settings.read(), window)
        self.open().forget_partial_pull(window.account)
        return through

    def partial_pull(self, window: PullWindow) -> Path:
        """Return where a pull of an account keeps what it has read until all of it is published."""
        return self.open().partial_pull(window.account)

    def read_known(self, table: str, window: PullWindow) -> Frame | None:
        """Return what an earlier pull published for the days of a window, or None."""
        return self.open().read_days(table, account=window.account, first=window.days[0], last=window.days[-1])

    def read_history(self, window: PullWindow) -> History | None:
        """Read Stripe's whole reports of an account, which stand for lists, where a person dropped any."""
        settings = self.settings.read()
        return read_history(settings.path(settings.stripe.history), account=window.account, time_zone=settings.stripe.reports_timezone)

    def read_states_before(self, table: str, window: PullWindow) -> Frame | None:
        """Return kind, state and age of what is published of the days before a window, or None where it reaches back to the first one."""
        day = timedelta(days=1)
        return self.open().read_days(table, account=window.account, last=window.days[0] - day, columns=["object", "status", "created_at"])

    def amend_days(self, table: str, window: PullWindow, frame: Frame, *, key: Sequence[str], raw: Sequence[bytes]) -> None:
        """Publish newer readings of rows of other days than the window's."""
        self.open().amend_days(table, account=window.account, frame=frame, day_column=LOCAL_DAY, key=key, raw=raw)

    def month(self, key: str) -> MonthWork:
        """Return the working tables of a month of a book."""
        book, period = split_book_month(key)
        return MonthWork(self.open(), self.settings.read(), book, period)
