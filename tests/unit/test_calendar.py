"""Days and periods in the books' zone."""

from datetime import UTC, date, datetime

import pytest

from reconciliation.calendar import Calendar, read_calendar
from reconciliation.errors import SettingsError


def test_the_cut_off_of_a_summer_month_is_midnight_in_london():
    assert Calendar("Europe/London").cut_off("2026-08") == datetime(2026, 8, 31, 23, tzinfo=UTC)


def test_the_cut_off_of_a_winter_month_is_midnight_in_utc():
    assert Calendar("Europe/London").cut_off("2026-10") == datetime(2026, 11, 1, tzinfo=UTC)


@pytest.mark.parametrize(("period", "following", "preceding"), [("2026-12", "2027-01", "2026-11"), ("2026-01", "2026-02", "2025-12")])
def test_months_follow_each_other_over_the_year(period, following, preceding):
    calendar = Calendar("UTC")
    assert (calendar.following(period), calendar.preceding(period)) == (following, preceding)


@pytest.mark.parametrize("period", ["2026-13", "October", "", "2026"])
def test_a_bad_period_is_refused_with_an_example(period):
    with pytest.raises(SettingsError, match="2026-10"):
        Calendar("UTC").first_day(period)


def test_a_listed_calendar_decides_which_period_a_day_belongs_to(tmp_path):
    (tmp_path / "periods.csv").write_text("period,first day,last day\n2026-01,2025-12-29,2026-01-25\n2026-02,2026-01-26,2026-02-22\n")
    calendar = read_calendar(zone="UTC", calendar="periods.csv", folder=tmp_path)
    assert calendar.period_of(date(2026, 1, 26)) == "2026-02"
    assert calendar.following("2026-01") == "2026-02"


def test_a_gap_in_a_listed_calendar_is_refused_with_the_place(tmp_path):
    (tmp_path / "periods.csv").write_text("period,first day,last day\n2026-01,2025-12-29,2026-01-25\n2026-02,2026-01-27,2026-02-22\n")
    with pytest.raises(SettingsError, match="2026-01-27"):
        read_calendar(zone="UTC", calendar="periods.csv", folder=tmp_path)
