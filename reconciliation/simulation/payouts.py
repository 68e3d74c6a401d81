"""Transactions + schedule -> payouts: what each sweeps, when its money arrives, which fail.

An automatic payout sweeps everything that is available and was not swept before; it is negative when that is less than
nothing. A failed payout's money returns as a transaction of its own and leaves with a later payout. A manual payout
takes from what rests on the account and is no part of any automatic one.
"""

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import polars as pl

from reconciliation.calendar import SECONDS_A_DAY
from reconciliation.simulation import stories
from reconciliation.simulation.horizon import Horizon
from reconciliation.simulation.options import SimulationOptions
from reconciliation.simulation.streams import make_ids, stream

FRIDAY = 4
ARRIVES_NEXT_DAY_SHARE = 0.65
BOOKED_LATE_SHARE = 0.04

PAYOUT_COLUMNS = {
    "payout_id": pl.String,
    "transaction_id": pl.String,
    "failure_transaction_id": pl.String,
    "created": pl.Int64,
    "arrival_on": pl.Date,
    "arrived_on": pl.Date,
    "fails_at": pl.Int64,
    "amount_minor": pl.Int64,
    "is_automatic": pl.Boolean,
    "is_lost": pl.Boolean,
    "trace": pl.String,
    "story": pl.String,
}


@dataclass(frozen=True)
class Paid:
    """Payouts, and for each sweepable transaction (same order) the payout that swept it, null while it waits."""

    payouts: pl.DataFrame
    swept_by: pl.Series


@dataclass(frozen=True)
class _Cut:
    day: date
    at: int
    payout_id: str
    transaction_id: str
    failure_transaction_id: str
    trace: str
    arrival_on: date
    booked_late: bool
    fails: float
    lost: bool
    story: str


def make_payouts(options: SimulationOptions, horizon: Horizon, sweepable: pl.DataFrame) -> Paid:
    """Pay out what is available.

    Args:
        options: the company.
        horizon: its time.
        sweepable: created, available, net_minor of the transactions an automatic payout takes.
    """
    cuts = _cuts(options, horizon)
    instants = np.array([cut.at for cut in cuts], dtype=np.int64)
    ready = np.maximum(sweepable["created"].to_numpy(), sweepable["available"].to_numpy())
    place = np.searchsorted(instants, ready)
    sums = np.zeros(len(cuts) + 1, dtype=np.int64)
    np.add.at(sums, place, sweepable["net_minor"].to_numpy())
    rows: list[dict[str, object]] = []
    names: list[str | None] = []
    for number, cut in enumerate(cuts):
        amount = int(sums[number])
        names.append(cut.payout_id if amount else None)
        if not amount:
            continue
        fails_at = _fails_at(options, horizon, cut, amount)
        if fails_at is not None:
            sums[np.searchsorted(instants, fails_at)] += amount
        rows.append(_row(horizon, cut, amount, fails_at))
    rows += _manual(options, horizon)
    swept = pl.Series([*names, None], dtype=pl.String).gather(place)
    payouts = pl.DataFrame(rows, schema=PAYOUT_COLUMNS).sort("created", "payout_id")
    return Paid(_tell(options, horizon, payouts), swept)


def failures_swept_by(payouts: pl.DataFrame) -> pl.Series:
    """Return for each failed payout (in order) the automatic payout that took its money again, null while it waits."""
    failed = payouts.filter(pl.col("fails_at").is_not_null()).select("fails_at", place=pl.int_range(pl.len())).sort("fails_at")
    later = payouts.filter("is_automatic").select("created", "payout_id").sort("created")
    return failed.join_asof(later, left_on="fails_at", right_on="created", strategy="forward").sort("place")["payout_id"]


def _cuts(options: SimulationOptions, horizon: Horizon) -> list[_Cut]:
    generator = stream(options.seed, "payouts")
    last = horizon.last_on + timedelta(days=3)
    every = pl.date_range(horizon.history_on + timedelta(days=1), last, "1d", eager=True).to_list()
    wanted = {horizon.business_day(day) for day in every if options.payout_schedule == "daily" or day.weekday() == FRIDAY}
    if options.stories:
        wanted |= {horizon.business_day_before(horizon.first_on - timedelta(days=1)), horizon.business_day_before(horizon.month(0)[1])}
    days = sorted(day for day in wanted if day <= last)
    count = len(days)
    ids = [make_ids(generator, prefix, count) for prefix in ("po_", "txn_", "txn_")]
    second, lag, late, fails, lost = (
        generator.integers(16_200, 23_400, count),
        generator.random(count),
        generator.random(count),
        generator.random(count),
        generator.random(count),
    )
    traces = generator.integers(10**7, 10**8, count)
    made = []
    for i, day in enumerate(days):
        at = int(np.datetime64(day, "s").astype(np.int64)) + int(second[i])
        arrival = horizon.business_day(day, 1 if lag[i] < ARRIVES_NEXT_DAY_SHARE else 2)
        story = stories.PAYOUT_FAILED if options.stories and day == horizon.business_day_before(horizon.month(0)[1]) else ""
        names = (ids[0][i], ids[1][i], ids[2][i], f"FP{traces[i]}")
        made.append(_Cut(day, at, *names, arrival, bool(late[i] < BOOKED_LATE_SHARE), float(fails[i]), bool(lost[i] < options.dirt.missing_settlement), story))
    return made


def _fails_at(options: SimulationOptions, horizon: Horizon, cut: _Cut, amount: int) -> int | None:
    fails = cut.story == stories.PAYOUT_FAILED or (cut.fails < options.trade.failed_payout_share and cut.day >= horizon.first_on)
    at = horizon.epoch(horizon.business_day(cut.arrival_on, 1), 9, 30)
    return at if fails and amount > 0 and at < horizon.now - 2 * SECONDS_A_DAY else None


def _row(horizon: Horizon, cut: _Cut, amount: int, fails_at: int | None) -> dict[str, object]:
    lost = cut.lost and fails_at is None and cut.day >= horizon.first_on
    arrived = None if fails_at is not None or lost else horizon.business_day(cut.arrival_on, 1 if cut.booked_late else 0)
    names = {
        "payout_id": cut.payout_id,
        "transaction_id": cut.transaction_id,
        "failure_transaction_id": cut.failure_transaction_id if fails_at else None,
        "trace": cut.trace,
    }
    times = {"created": cut.at, "arrival_on": cut.arrival_on, "arrived_on": arrived, "fails_at": fails_at}
    return names | times | {"amount_minor": amount, "is_automatic": True, "is_lost": lost, "story": cut.story if fails_at else ""}


def _manual(options: SimulationOptions, horizon: Horizon) -> list[dict[str, object]]:
    if not options.stories:
        return []
    generator = stream(options.seed, "manual payout")
    day = horizon.business_day(horizon.month(1)[0] + timedelta(days=12 + int(generator.integers(0, 4))))
    arrival = horizon.business_day(day, 1)
    ids = [make_ids(generator, prefix, 1)[0] for prefix in ("po_", "txn_")]
    names = {"payout_id": ids[0], "transaction_id": ids[1], "failure_transaction_id": None, "trace": f"FP{generator.integers(10**7, 10**8)}"}
    times = {"created": horizon.epoch(day, 14, 42), "arrival_on": arrival, "arrived_on": arrival, "fails_at": None}
    return [names | times | {"amount_minor": int(generator.integers(40, 80)) * 500, "is_automatic": False, "is_lost": False, "story": stories.PAYOUT_MANUAL}]


def _tell(options: SimulationOptions, horizon: Horizon, payouts: pl.DataFrame) -> pl.DataFrame:
    """Name the payouts of the stories: the negative one, and the last that arrives within the second month."""
    if not options.stories:
        return payouts
    first, last = horizon.month(1)
    free = pl.col("story") == ""
    negative = free & (pl.col("amount_minor") < 0) & pl.col("arrival_on").is_between(first, last)
    candidates = payouts.filter(free & (pl.col("amount_minor") > 0) & pl.col("arrived_on").is_between(first, last)).sort("arrived_on", "created")
    legs = candidates["payout_id"].tail(1).implode()
    told = pl.when(negative).then(pl.lit(stories.PAYOUT_NEGATIVE)).when(pl.col("payout_id").is_in(legs)).then(pl.lit(stories.TWO_LEGS)).otherwise("story")
    return payouts.with_columns(story=told)


def payout_status(payouts: pl.DataFrame, now: int) -> pl.Series:
    """Return Stripe's status of each payout when it is read."""
    arrival = pl.col("arrival_on").cast(pl.Datetime("us")).dt.epoch("s")
    status = pl.when(pl.col("fails_at").is_not_null()).then(pl.lit("failed")).when(arrival <= now).then(pl.lit("paid")).otherwise(pl.lit("in_transit"))
    return payouts.select(status=status)["status"]
