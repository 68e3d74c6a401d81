"""What a night has to pull, and how far an account counts as pulled."""

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from assets.partitions import PARTITION_TAG, PullWindow, pull_window, range_tags, run_window
from assets.planning import Days, complete_through, days_to_pull, pulled_through, record_pull
from reconciliation.config import Book, Entity, Settings, Start, Stripe
from reconciliation.connectors.stripe.filing import LOCAL_DAY
from reconciliation.errors import InputsMissingError, SettingsError
from reconciliation.lake import Lake

SETTINGS = Settings(
    entity=Entity(name="E", timezone="Europe/London", currency="GBP"), start=Start(period="2026-10", lookback_days=10), stripe=Stripe(lookback_days=5)
)
FIRST = date(2026, 9, 21)


def noon(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 12, tzinfo=UTC)


def window(first: date, last: date) -> PullWindow:
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    return pull_window([f"self|{day}" for day in days], SETTINGS.calendar)


def pulled(lake: Lake, first: date, last: date, *, taken_at: datetime) -> datetime | None:
    """Leave in the lake what a pull leaves, and record it."""
    snapshot = pl.DataFrame({"taken_at": [taken_at], LOCAL_DAY: [taken_at.date()]}, schema_overrides={"taken_at": pl.Datetime("us", "UTC")})
    lake.write_days("balance_snapshots", account="self", frame=snapshot, day_column=LOCAL_DAY, days=[taken_at.date()])
    return record_pull(lake, SETTINGS, window(first, last))


@pytest.fixture
def lake(tmp_path) -> Lake:
    return Lake(tmp_path / "lake")


def test_the_first_night_pulls_from_the_lookback_to_the_servers_day(lake):
    assert days_to_pull(lake, SETTINGS, "self", clock=noon(date(2026, 10, 20))) == Days(FIRST, date(2026, 10, 20))


def test_a_later_night_pulls_what_can_still_change(lake):
    pulled(lake, FIRST, date(2026, 10, 20), taken_at=noon(date(2026, 10, 20)))
    assert days_to_pull(lake, SETTINGS, "self", clock=noon(date(2026, 10, 21))) == Days(date(2026, 10, 16), date(2026, 10, 21))


def test_days_missed_for_weeks_are_made_up_from_the_last_pull(lake):
    pulled(lake, FIRST, date(2026, 10, 2), taken_at=noon(date(2026, 10, 2)))
    assert days_to_pull(lake, SETTINGS, "self", clock=noon(date(2026, 10, 30))).first == date(2026, 10, 2)


@pytest.mark.parametrize(("status", "itemised"), [("in_transit", "completed"), ("paid", "in_progress")], ids=["not arrived", "not itemised"])
def test_a_payout_that_can_still_change_is_read_again_however_old(lake, status, itemised):
    pulled(lake, FIRST, date(2026, 10, 20), taken_at=noon(date(2026, 10, 20)))
    days = [date(2026, 9, 25), date(2026, 10, 1)]
    made = {
        "status": ["paid", status],
        "reconciliation_status": ["completed", itemised],
        "is_automatic": [True, True],
        "created_at": [noon(day) for day in days],
    }
    payouts = pl.DataFrame(made).with_columns(pl.col("created_at").cast(pl.Datetime("us", "UTC")), pl.Series(LOCAL_DAY, days))
    lake.write_days("payouts", account="self", frame=payouts, day_column=LOCAL_DAY, days=days)
    assert days_to_pull(lake, SETTINGS, "self", clock=noon(date(2026, 10, 21))).first == date(2026, 10, 1)


def test_nothing_is_pulled_while_the_servers_clock_stands_still(lake):
    clock = noon(date(2026, 10, 20))
    pulled(lake, FIRST, date(2026, 10, 20), taken_at=clock)
    assert days_to_pull(lake, SETTINGS, "self", clock=clock) is None


def test_an_account_counts_as_pulled_up_to_the_balance_read_before_the_rest(lake):
    assert pulled(lake, FIRST, date(2026, 10, 20), taken_at=noon(date(2026, 10, 20))) == noon(date(2026, 10, 20))


def test_a_pull_of_old_days_alone_reaches_no_further_than_those_days(lake):
    assert pulled(lake, FIRST, date(2026, 10, 2), taken_at=noon(date(2026, 10, 20))) == SETTINGS.calendar.day_start(date(2026, 10, 3))


def test_a_pull_that_leaves_a_gap_behind_moves_nothing(lake):
    pulled(lake, FIRST, date(2026, 10, 2), taken_at=noon(date(2026, 10, 2)))
    assert pulled(lake, date(2026, 10, 5), date(2026, 10, 20), taken_at=noon(date(2026, 10, 20))) == noon(date(2026, 10, 2))


def test_a_first_pull_that_begins_too_late_counts_for_nothing(lake):
    assert pulled(lake, FIRST + timedelta(days=1), date(2026, 10, 20), taken_at=noon(date(2026, 10, 20))) is None
    assert pulled_through(lake, "self") is None


def test_a_book_is_complete_as_far_as_the_account_that_was_pulled_least(lake):
    book = Book(stripe_accounts=("self", "acct_1"))
    pulled(lake, FIRST, date(2026, 10, 20), taken_at=noon(date(2026, 10, 20)))
    with pytest.raises(InputsMissingError, match="acct_1"):
        complete_through(lake, book)
    lake.publish("pull/acct_1", {}, facts={"pulled_through": noon(date(2026, 10, 3)).isoformat()})
    assert complete_through(lake, book) == noon(date(2026, 10, 3))


def test_a_window_over_a_change_of_the_clocks_is_as_long_as_its_local_days():
    over = window(date(2026, 10, 24), date(2026, 10, 26))
    assert over.end - over.start == timedelta(days=3, hours=1)


def test_what_is_read_once_a_run_covers_the_days_that_the_run_covers():
    last = date(2026, 10, 26)
    assert run_window(range_tags("self", first=FIRST, last=last), SETTINGS.calendar) == window(FIRST, last)
    assert run_window({PARTITION_TAG: f"self|{FIRST}"}, SETTINGS.calendar) == window(FIRST, FIRST)


def test_a_run_of_the_pull_without_a_day_is_refused_with_the_next_step():
    with pytest.raises(SettingsError, match="start the job `pull` with a range of days"):
        run_window({}, SETTINGS.calendar)
