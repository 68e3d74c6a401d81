"""Charges -> what happens to them later: refunds and disputes; and what Stripe books besides: billed fees and reserves."""

from datetime import timedelta

import numpy as np
import polars as pl

from reconciliation.calendar import SECONDS_A_DAY
from reconciliation.simulation import stories
from reconciliation.simulation.charges import stripe_rates
from reconciliation.simulation.horizon import Horizon, local_day
from reconciliation.simulation.options import SimulationOptions
from reconciliation.simulation.streams import Bools, Integers, half_up, make_ids, stream

DISPUTE_FEE_MINOR = 2_000
SECOND_CHARGE_NOTICED_SHARE = 0.35
"""Customers who complain about a second charge and are refunded."""
RADAR_MINOR = 2
REFUND_DAYS_MEAN = 9.0


def make_refunds(options: SimulationOptions, horizon: Horizon, charges: pl.DataFrame) -> pl.DataFrame:
    """Make refunds, full and partial, at most one a charge.

    Returns:
        refund_id, transaction_id, charge_id, created, local_on, presentment_minor, presentment_currency, rate, amount_minor
        (positive), is_full, plus invoice, customer, posting, is_second and story of the charge.
    """
    generator = stream(options.seed, "refunds")
    count = charges.height
    drawn, noticed, partial = generator.random(count), generator.random(count) < SECOND_CHARGE_NOTICED_SHARE, generator.random(count)
    fraction, days = generator.uniform(0.1, 0.75, count), np.floor(generator.exponential(REFUND_DAYS_MEAN, count)).astype(np.int64)
    second_of_day = generator.integers(9 * 3600, 18 * 3600, count)
    is_second, ordinary = charges["is_second"].to_numpy(), (charges["story"] == "").to_numpy()
    noticed &= (charges["presentment_currency"] == options.currency).to_numpy()  # Else charge and refund would not cancel.
    chosen = np.where(is_second, noticed & ordinary, (drawn < options.trade.refund_share) & ordinary)
    whole = (partial >= options.trade.refund_partial_share) | is_second
    chosen, whole, days = _with_story_refunds(charges, chosen, whole, days)
    refunded_on = charges["local_on"] + pl.Series(days) * timedelta(days=1)
    created = np.maximum(horizon.epochs(refunded_on, second_of_day), charges["created"].to_numpy() + 600)
    created = np.where((charges["story"] == stories.PAYOUT_NEGATIVE).to_numpy(), _cancellation(horizon), created)
    presentment = charges["presentment_minor"].to_numpy()
    part = np.where(whole, presentment, np.maximum(half_up(presentment * fraction), 1))
    refunds = charges.with_columns(created=pl.Series(created), presentment_minor=pl.Series(part), is_full=pl.Series(whole), chosen=pl.Series(chosen))
    refunds = refunds.filter(pl.col("chosen") & (pl.col("created") < horizon.now)).with_columns(local_day("created", horizon.calendar).alias("local_on"))
    refunds = refunds.with_columns(rate=stripe_rates(refunds["local_on"], refunds["presentment_currency"], options.currency))
    amount = half_up(refunds["presentment_minor"].to_numpy() * refunds["rate"].fill_null(1.0).to_numpy())
    ids = stream(options.seed, "refund ids")
    made = refunds.with_columns(
        refund_id=pl.Series(make_ids(ids, "re_", refunds.height), dtype=pl.String),
        transaction_id=pl.Series(make_ids(ids, "txn_", refunds.height), dtype=pl.String),
        amount_minor=pl.Series(amount),
    )
    return made.select(_REFUND_COLUMNS).sort("created", "refund_id")


_REFUND_COLUMNS = (
    "refund_id",
    "transaction_id",
    "amount_minor",
    "charge_id",
    "created",
    "local_on",
    "presentment_minor",
    "presentment_currency",
    "rate",
    "is_full",
    "invoice",
    "customer",
    "customer_id",
    "posting",
    "is_second",
    "story",
)


def _with_story_refunds(charges: pl.DataFrame, chosen: Bools, whole: Bools, days: Integers) -> tuple[Bools, Bools, Integers]:
    told = charges["story"].is_in([stories.UNRECORDED_REFUND, stories.PAYOUT_NEGATIVE]).to_numpy()
    return chosen | told, whole | told, np.where(told, 6, days)


def _cancellation(horizon: Horizon) -> int:
    """Return when the large order is cancelled: at night before a payout of the second month is cut."""
    first, _ = horizon.month(min(1, len(horizon.periods) - 1))
    return horizon.epoch(horizon.business_day(first, 5) - timedelta(days=1), 20, 17)


def make_disputes(options: SimulationOptions, horizon: Horizon, charges: pl.DataFrame, refunds: pl.DataFrame) -> pl.DataFrame:
    """Make disputes of charges that were not refunded.

    Returns:
        dispute_id, charge_id, opened, closed (epoch seconds; beyond the horizon while undecided), is_won, amount_minor, fee_minor,
        withdrawn_id, reinstated_id (transactions), plus invoice, customer, payment ids and story of the charge.
    """
    generator = stream(options.seed, "disputes")
    count = charges.height
    drawn, won = generator.random(count), generator.random(count) < options.trade.dispute_won_share
    wait, decision = generator.uniform(6, 40, count) * SECONDS_A_DAY, generator.uniform(18, 55, count) * SECONDS_A_DAY
    told = (charges["story"] == stories.DISPUTE).to_numpy()
    free = ~charges["charge_id"].is_in(refunds["charge_id"].implode()).to_numpy() & ((charges["story"] == "") & ~charges["is_second"]).to_numpy()
    free &= (charges["presentment_currency"] == options.currency).to_numpy()
    opened = charges["created"].to_numpy() + wait.astype(np.int64)
    closed = opened + decision.astype(np.int64)
    if told.any():
        opened = np.where(told, horizon.epoch(horizon.month(0)[0] + timedelta(days=19), 11, 4), opened)
        closed = np.where(told, horizon.epoch(horizon.month(1)[0] + timedelta(days=19), 15, 20), closed)
    disputes = charges.with_columns(
        opened=pl.Series(opened), closed=pl.Series(closed), is_won=pl.Series(won | told), fee_minor=pl.lit(DISPUTE_FEE_MINOR, pl.Int64)
    )
    disputes = disputes.filter(pl.Series(((drawn < options.trade.dispute_share) & free) | told) & pl.col("opened").is_between(horizon.start, horizon.now))
    ids = stream(options.seed, "dispute ids")
    names = {"dispute_id": "dp_", "withdrawn_id": "txn_", "reinstated_id": "txn_"}
    made = [pl.Series(name, make_ids(ids, prefix, disputes.height), dtype=pl.String) for name, prefix in names.items()]
    kept = ("charge_id", "opened", "closed", "is_won", "amount_minor", "fee_minor", "invoice", "customer", "story")
    return disputes.select(*made, *kept).sort("opened", "dispute_id")


def make_billing(options: SimulationOptions, horizon: Horizon, charges: pl.DataFrame) -> pl.DataFrame:
    """Make Stripe's fee rows: Billing for the month before, on its second day, and Radar for the week before, on Mondays."""
    generator = stream(options.seed, "billing")
    rows = []
    for period in horizon.periods:
        first = horizon.calendar.first_day(period)
        before = horizon.calendar.preceding(period)
        usage = 1_000 + int(generator.integers(0, 40)) * 50
        text = f"Billing ({horizon.calendar.first_day(before)} - {horizon.calendar.last_day(before)}): Subscriptions"
        rows.append((horizon.epoch(first + timedelta(days=1), 7), usage, text))
    per_day = dict(charges.group_by("local_on").len().iter_rows())
    for monday in pl.date_range(horizon.first_on, horizon.last_on, "1d", eager=True):
        if monday.weekday() == 0:
            screened = sum(per_day.get(monday - timedelta(days=back), 0) for back in range(1, 8))
            text = f"Radar ({monday - timedelta(days=7)} - {monday - timedelta(days=1)}): Radar for Fraud Teams"
            rows.append((horizon.epoch(monday, 8), screened * RADAR_MINOR, text))
    billed = (
        pl.DataFrame(rows, schema={"created": pl.Int64, "amount_minor": pl.Int64, "description": pl.String}, orient="row")
        .filter(pl.col("amount_minor") > 0)
        .sort("created")
    )
    return billed.with_columns(transaction_id=pl.Series(make_ids(stream(options.seed, "billing ids"), "txn_", billed.height), dtype=pl.String))


def make_reserves(options: SimulationOptions, horizon: Horizon) -> pl.DataFrame:
    """Make reserves: two rows when money is held (out of `payments`, into `risk_reserved`), two when it is released."""
    generator = stream(options.seed, "reserves")
    rows = []
    for number in range(len(horizon.periods) - 1):
        draw, amount = generator.random(), int(generator.integers(20, 90)) * 500
        told = options.stories and number == 0
        if draw < options.trade.reserve_share or told:
            held = horizon.epoch(horizon.month(number)[0] + timedelta(days=9), 11)
            released = horizon.epoch(horizon.month(number + 1)[0] + timedelta(days=9), 11)
            story = stories.RESERVE if told else ""
            rows += [(held, "reserve_hold", "payments", -amount, story), (held, "reserve_hold", "risk_reserved", amount, story)]
            rows += [(released, "reserve_release", "payments", amount, story), (released, "reserve_release", "risk_reserved", -amount, story)]
    names = {"created": pl.Int64, "kind": pl.String, "balance_type": pl.String, "amount_minor": pl.Int64, "story": pl.String}
    reserves = pl.DataFrame(rows, schema=names, orient="row")
    return reserves.with_columns(transaction_id=pl.Series(make_ids(stream(options.seed, "reserve ids"), "txn_", reserves.height), dtype=pl.String))
