"""What a night has to do: the lake's record of pulls + the server's clock -> days to pull, months to reconcile.

Kept in the lake per account: the instant up to which every transaction was pulled. A day pulled at noon is pulled again,
since its afternoon was not there yet.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from assets.partitions import PullWindow
from reconciliation.config import Book, Settings
from reconciliation.errors import InputsMissingError
from reconciliation.lake import Lake

FINAL_STATUSES = frozenset({"paid", "failed", "canceled"})


@dataclass(frozen=True)
class Days:
    """A range of local days, both ends included."""

    first: date
    last: date

    @property
    def count(self) -> int:
        """How many days."""
        return (self.last - self.first).days + 1


def days_to_pull(lake: Lake, settings: Settings, account: str, *, clock: datetime) -> Days:
    """Return the days of an account to pull now: what was never pulled, and what can still change.

    Args:
        lake: knows what was pulled.
        settings: first period and lookback.
        account: the Stripe account.
        clock: the Stripe server's.
    """
    calendar = settings.calendar
    today = calendar.local_day(clock)
    earliest = calendar.first_day(settings.start.period) - timedelta(days=settings.start.lookback_days)
    through = pulled_through(lake, account)
    if through is None:
        return Days(earliest, max(earliest, today))
    unsettled = [calendar.local_day(created) for created in _payouts_under_way(lake, account)]
    first = min(calendar.local_day(through), today - timedelta(days=settings.stripe.lookback_days), *unsettled)
    return Days(max(earliest, first), max(earliest, today))


def pulled_through(lake: Lake, account: str) -> datetime | None:
    """Return the instant up to which every transaction of an account was pulled, or None."""
    text = lake.facts(_record(account)).get("pulled_through")
    return datetime.fromisoformat(text) if text else None


def record_pull(lake: Lake, settings: Settings, window: PullWindow, *, taken_at: datetime) -> datetime | None:
    """Record how far an account is pulled without a gap, and return it.

    Args:
        lake: keeps the record.
        settings: say where the first pull must begin.
        window: what was pulled.
        taken_at: the server's clock before the pull; what was created later may be missing.
    """
    calendar = settings.calendar
    beginning = calendar.day_start(calendar.first_day(settings.start.period) - timedelta(days=settings.start.lookback_days))
    before = pulled_through(lake, window.account)
    reaches = min(window.end, taken_at)
    joins = window.start <= (before or beginning)
    through = max(reaches, before or reaches) if joins else before
    if through is not None:
        lake.publish(_record(window.account), {}, facts={"pulled_through": through.astimezone(UTC).isoformat()})
    return through


def complete_through(lake: Lake, book: Book) -> datetime:
    """Return how far all accounts of a book are pulled.

    Raises:
        InputsMissingError: one was never pulled.
    """
    reached = {account: pulled_through(lake, account) for account in book.stripe_accounts}
    missing = sorted(account for account, through in reached.items() if through is None)
    if missing:
        raise InputsMissingError(f"{lake.root}: nothing was pulled from Stripe account {', '.join(missing)} yet; run without --no-pull")
    return min(through for through in reached.values() if through is not None)


def last_known_clock(lake: Lake, settings: Settings) -> datetime | None:
    """Return the latest instant any account was pulled through, or None: how far a sandbox's clock may be ahead."""
    reached = [pulled_through(lake, account) for book in settings.books for account in book.stripe_accounts]
    return max((through for through in reached if through is not None), default=None)


def _payouts_under_way(lake: Lake, account: str) -> list[datetime]:
    payouts = lake.read_days("payouts", account=account)
    return [] if payouts is None else [created for status, created in payouts.select("status", "created_at").iter_rows() if status not in FINAL_STATUSES]


def _record(account: str) -> str:
    return f"pull/{account}"
