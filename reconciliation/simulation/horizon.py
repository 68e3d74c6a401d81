"""Options -> the stretch of time that is simulated: history before go-live, the months, and the days until Stripe is read."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

import numpy as np
import numpy.typing as npt
import polars as pl

from reconciliation.calendar import SECONDS_A_DAY, Calendar
from reconciliation.simulation.business_days import Days, add_business_days, holidays_between
from reconciliation.simulation.options import SimulationOptions

HISTORY_DAYS = 6
"""Long enough that payouts before go-live are swept from real charges and one is under way on go-live."""
AFTER_DAYS = 4
"""Stripe is read this many days after the last month ended, so later objects exist and must change nothing."""


@dataclass(frozen=True)
class Horizon:
    """The simulated days. `first_on` and `last_on` bound the months; `now` is the instant Stripe is read, a few days after them unless `read_at` is given."""

    calendar: Calendar
    periods: tuple[str, ...]
    first_on: date
    last_on: date
    holidays: Days
    read_at: int | None = None

    @property
    def history_on(self) -> date:
        """The first day of the history before go-live."""
        return self.first_on - timedelta(days=HISTORY_DAYS)

    @property
    def now(self) -> int:
        """The epoch second at which Stripe is read."""
        if self.read_at is not None:
            return self.read_at
        return int(datetime.combine(self.last_on + timedelta(days=AFTER_DAYS), time(6), UTC).timestamp())

    @property
    def start(self) -> int:
        """The epoch second at which the first month begins in the books' time zone."""
        return int(self.calendar.day_start(self.first_on).timestamp())

    def month(self, number: int) -> tuple[date, date]:
        """Return the first and last day of a month; 0 is the first simulated one."""
        return self.calendar.first_day(self.periods[number]), self.calendar.last_day(self.periods[number])

    def business_day(self, day: date, steps: int = 0) -> date:
        """Return the business day `steps` after a day (or after the next business day)."""
        moved: date = add_business_days(np.datetime64(day, "D").reshape(1), steps, self.holidays)[0].astype(object)
        return moved

    def business_day_before(self, day: date) -> date:
        """Return the last business day on or before a day."""
        found: date = np.busday_offset(np.datetime64(day, "D"), 0, roll="backward", holidays=self.holidays).astype(object)
        return found

    def epochs(self, days: pl.Series, seconds: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Turn local days and seconds after local midnight into epoch seconds."""
        frame = pl.DataFrame({"day": days, "second": seconds})
        local = pl.col("day").cast(pl.Datetime("us")) + pl.duration(seconds=pl.col("second"))
        instants = frame.select(local.dt.replace_time_zone(self.calendar.zone, ambiguous="earliest", non_existent="null").dt.epoch("s"))
        return instants.to_series().to_numpy()

    def epoch(self, day: date, hour: int, minute: int = 0) -> int:
        """Return the epoch second of a local day and time."""
        return int(self.epochs(pl.Series([day]), np.array([hour * 3600 + minute * 60], dtype=np.int64))[0])

    def local_days(self, epochs: npt.NDArray[np.int64] | pl.Series) -> pl.Series:
        """Return the local days of epoch seconds."""
        return pl.DataFrame({"at": epochs}).select(local_day("at", self.calendar)).to_series()


def local_day(column: str, calendar: Calendar) -> pl.Expr:
    """Return the local day of a column of epoch seconds."""
    return pl.from_epoch(pl.col(column), time_unit="s").dt.replace_time_zone("UTC").dt.convert_time_zone(calendar.zone).dt.date()


def utc_days(epochs: npt.NDArray[np.int64]) -> Days:
    """Return the UTC days of epoch seconds."""
    return (epochs // SECONDS_A_DAY).astype("datetime64[D]")


def make_horizon(options: SimulationOptions) -> Horizon:
    """Lay out the months that the options ask for."""
    calendar = Calendar(options.zone)
    periods = [options.first_period]
    while len(periods) < options.months:
        periods.append(calendar.following(periods[-1]))
    first, last = calendar.first_day(periods[0]), calendar.last_day(periods[-1])
    return Horizon(calendar, tuple(periods), first, last, holidays_between(first - timedelta(days=60), last + timedelta(days=60)))
