"""How work is divided: settings + clock -> days by account for the pull, months by book for the reconciliation.

A day is a local day of the books, since a UTC day cannot be mapped to a local month. What is read once a run, whatever days it
covers (the balance, how far the pull came), is not divided by day. Accounts and books are registered
at run time, so that a new one needs no new code. Partitions reach as far as the Stripe server's clock does, which a
sandbox may set ahead of this machine's.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import dagster as dg

from reconciliation.calendar import Calendar
from reconciliation.config import Settings
from reconciliation.errors import SettingsError

ACCOUNTS = "stripe_account"
BOOKS = "book"
PARTITION_TAG = "dagster/partition"
RANGE_START_TAG = "dagster/asset_partition_range_start"
RANGE_END_TAG = "dagster/asset_partition_range_end"
ACCOUNT_TAG = "reconciliation/account"
"""A queue of runs takes one of an account at a time by it, so that a large account keeps no worker waiting for its own lock."""


@dataclass(frozen=True)
class Partitions:
    """The three partitionings: account x day, book x month, month."""

    days_by_account: dg.MultiPartitionsDefinition
    months_by_book: dg.MultiPartitionsDefinition
    months: dg.PartitionsDefinition


@dataclass(frozen=True)
class PullWindow:
    """What one run pulls: the local days of one account, and the instants [start, end) they stand for."""

    account: str
    days: tuple[date, ...]
    start: datetime
    end: datetime


def build_partitions(settings: Settings, *, now: datetime, clock: datetime) -> Partitions:
    """Lay out the partitions.

    Args:
        settings: time zone, calendar, first period and lookback.
        now: this machine's clock, which Dagster counts partitions from.
        clock: the Stripe server's clock, or the end of a later period that is asked for.
    """
    calendar = settings.calendar
    first = calendar.first_day(settings.start.period) - timedelta(days=settings.start.lookback_days)
    ahead = (max(calendar.local_day(clock), calendar.local_day(now)) - calendar.local_day(now)).days
    # One more than the distance, since Dagster ends at the last day that is over, and today is pulled too.
    days = dg.DailyPartitionsDefinition(start_date=first.isoformat(), timezone=settings.entity.timezone, end_offset=ahead + 1)
    months = _months(settings, calendar, now=now, clock=clock)
    return Partitions(
        days_by_account=dg.MultiPartitionsDefinition({"account": dg.DynamicPartitionsDefinition(name=ACCOUNTS), "day": days}),
        months_by_book=dg.MultiPartitionsDefinition({"book": dg.DynamicPartitionsDefinition(name=BOOKS), "month": months}),
        months=months,
    )


def register(instance: dg.DagsterInstance, settings: Settings) -> None:
    """Make the settings' accounts and books known to Dagster."""
    instance.add_dynamic_partitions(ACCOUNTS, [account for book in settings.books for account in book.stripe_accounts])
    instance.add_dynamic_partitions(BOOKS, [book.name for book in settings.books])


def range_tags(account: str, *, first: date, last: date) -> dict[str, str]:
    """Return the tags that make one run of the pull cover a range of days of one account."""
    return {RANGE_START_TAG: f"{account}|{first}", RANGE_END_TAG: f"{account}|{last}", ACCOUNT_TAG: account}


def book_month(book: str, period: str) -> str:
    """Return the partition key of a month of a book."""
    return str(dg.MultiPartitionKey({"book": book, "month": period}))


def split_book_month(key: str) -> tuple[str, str]:
    """Return book and period of a partition key; a book's name cannot hold the separator."""
    book, _, period = key.rpartition("|")
    return book, period


def pull_window(keys: Iterable[str], calendar: Calendar) -> PullWindow:
    """Return what the partition keys of a run stand for.

    Args:
        keys: `account|day`, all of one account; a run covers one account.
        calendar: maps days to instants.
    """
    pairs = sorted(key.rpartition("|")[::2] for key in keys)
    days = tuple(date.fromisoformat(day) for _, day in pairs)
    return PullWindow(pairs[0][0], days, calendar.day_start(days[0]), calendar.day_start(days[-1] + timedelta(days=1)))


def run_window(tags: Mapping[str, str], calendar: Calendar) -> PullWindow:
    """Return what a run of the pull covers, for what is read once a run and not by day.

    Args:
        tags: the run's.
        calendar: maps days to instants.

    Raises:
        SettingsError: the run was started without a day.
    """
    first, last = (tags.get(tag, tags.get(PARTITION_TAG, "")) for tag in (RANGE_START_TAG, RANGE_END_TAG))
    if not first or not last:
        raise SettingsError("this run covers no day of a Stripe account; start the job `pull` with a range of days, or use: reconcile run --period 2026-10")
    account, _, start = first.rpartition("|")
    day, end = date.fromisoformat(start), date.fromisoformat(last.rpartition("|")[2])
    return pull_window([f"{account}|{day + timedelta(days=number)}" for number in range((end - day).days + 1)], calendar)


def _months(settings: Settings, calendar: Calendar, *, now: datetime, clock: datetime) -> dg.PartitionsDefinition:
    if calendar.periods:
        return dg.StaticPartitionsDefinition([name for name, _, _ in calendar.periods])
    here, there = calendar.local_day(now), max(calendar.local_day(now), calendar.local_day(clock))
    ahead = (there.year - here.year) * 12 + there.month - here.month
    return dg.TimeWindowPartitionsDefinition(
        cron_schedule="0 0 1 * *", fmt="%Y-%m", start=settings.start.period, timezone=settings.entity.timezone, end_offset=ahead + 1
    )
