"""What a night has to do: the lake's record of pulls + the server's clock -> days to pull.

Kept in the lake per account: the instant up to which every transaction was pulled. A day pulled at noon is pulled again,
since its afternoon was not there yet.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from assets.partitions import PullWindow
from reconciliation.config import Book, Settings
from reconciliation.connectors.stripe.filing import latest_snapshot, oldest_unsettled
from reconciliation.errors import InputsMissingError
from reconciliation.lake import Lake


@dataclass(frozen=True)
class Days:
    """A range of local days, both ends included."""

    first: date
    last: date

    @property
    def count(self) -> int:
        """How many days."""
        return (self.last - self.first).days + 1


def earliest_day(settings: Settings) -> date:
    """Return the first day that is ever pulled."""
    return settings.calendar.first_day(settings.start.period) - timedelta(days=settings.start.lookback_days)


def days_to_pull(lake: Lake, settings: Settings, account: str, *, clock: datetime) -> Days | None:
    """Return the days of an account to pull now: what was never pulled, and what can still change.

    None where the server's clock did not move since the last pull, as a sandbox's never does: nothing can have happened.

    Args:
        lake: knows what was pulled.
        settings: first period and lookback.
        account: the Stripe account.
        clock: the Stripe server's.
    """
    calendar, earliest = settings.calendar, earliest_day(settings)
    today = max(earliest, calendar.local_day(clock))
    through = pulled_through(lake, account)
    if through is None:
        return Days(earliest, today)
    if through >= clock:
        return None
    payouts = lake.read_days("payouts", account=account)
    unsettled = None if payouts is None else oldest_unsettled(payouts, calendar=calendar)
    first = min(calendar.local_day(through), today - timedelta(days=settings.stripe.lookback_days), unsettled or today)
    return Days(max(earliest, first), today)


def pulled_through(lake: Lake, account: str) -> datetime | None:
    """Return the instant up to which every transaction of an account was pulled, or None."""
    text = lake.facts(_record(account)).get("pulled_through")
    return datetime.fromisoformat(text) if text else None


def record_pull(lake: Lake, settings: Settings, window: PullWindow) -> datetime | None:
    """Record how far an account is pulled without a gap, and return it.

    That is the last reading of the balance, which was taken before the rest was read, or the end of the window if that comes
    first. A window that leaves a gap behind what was pulled before, or a pull without a reading, moves nothing.
    """
    before = pulled_through(lake, window.account)
    snapshots = lake.read_days("balance_snapshots", account=window.account)
    taken_at = None if snapshots is None else latest_snapshot(snapshots)
    if taken_at is None or window.start > (before or settings.calendar.day_start(earliest_day(settings))):
        return before
    reached = min(window.end, taken_at)
    through = max(reached, before or reached)
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
        raise InputsMissingError(f"{lake.place}: nothing was pulled from Stripe account {', '.join(missing)} yet; run without --no-pull")
    return min(through for through in reached.values() if through is not None)


def last_known_clock(lake: Lake, settings: Settings) -> datetime | None:
    """Return the latest instant any account was pulled through, or None: how far a sandbox's clock may be ahead."""
    reached = [pulled_through(lake, account) for book in settings.books for account in book.stripe_accounts]
    return max((through for through in reached if through is not None), default=None)


def _record(account: str) -> str:
    return f"pull/{account}"
