"""Options -> the event log: everything that happened, once, before anybody recorded it.

The three recorders read this log and nothing else; they never see each other. Ids of Stripe are part of what happened,
since the books quote them.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from reconciliation.calendar import SECONDS_A_DAY
from reconciliation.simulation import stories
from reconciliation.simulation.aftermath import make_billing, make_disputes, make_refunds, make_reserves
from reconciliation.simulation.business_days import add_business_days
from reconciliation.simulation.charges import make_charges
from reconciliation.simulation.horizon import Horizon, local_day, make_horizon, utc_days
from reconciliation.simulation.options import SimulationOptions
from reconciliation.simulation.payouts import failures_swept_by, make_payouts
from reconciliation.simulation.streams import stream

AVAILABLE_AFTER_BUSINESS_DAYS = 2

TRANSACTION_COLUMNS = {
    "transaction_id": pl.String,
    "kind": pl.String,
    "source_id": pl.String,
    "created": pl.Int64,
    "available": pl.Int64,
    "amount_minor": pl.Int64,
    "fee_minor": pl.Int64,
    "rate": pl.Float64,
    "type": pl.String,
    "category": pl.String,
    "balance_type": pl.String,
    "description": pl.String,
}


@dataclass(frozen=True)
class EventLog:
    """What happened. Instants are epoch seconds; `local_on` is the day in the books' zone; money in minor units.

    `transactions` holds every movement of the Stripe balance with the payout it was listed under; `opening_minor` rests on
    the account since before the first of them.
    """

    options: SimulationOptions
    horizon: Horizon
    charges: pl.DataFrame
    refunds: pl.DataFrame
    disputes: pl.DataFrame
    billing: pl.DataFrame
    reserves: pl.DataFrame
    payouts: pl.DataFrame
    transactions: pl.DataFrame
    opening_minor: int


def make_events(options: SimulationOptions) -> EventLog:
    """Let the company trade: orders, charges, refunds, disputes, Stripe's own bookings, payouts."""
    horizon = make_horizon(options)
    charges = make_charges(options, horizon)
    refunds = make_refunds(options, horizon, charges)
    disputes = make_disputes(options, horizon, charges, refunds)
    billing, reserves = make_billing(options, horizon, charges), make_reserves(options, horizon)
    moves = pl.concat([_charge_rows(horizon, charges), _refund_rows(refunds), *_dispute_rows(horizon, disputes), _billing_rows(billing)])
    paid = make_payouts(options, horizon, moves.select("created", "available", net_minor=pl.col("amount_minor") - pl.col("fee_minor")))
    payouts = paid.payouts.with_columns(local_day("created", horizon.calendar).alias("local_on"))
    own = _payout_rows(payouts).with_columns(payout_id=pl.when(payouts["is_automatic"]).then("source_id"))
    returned = _failure_rows(payouts).with_columns(payout_id=failures_swept_by(payouts))
    reserved = _reserve_rows(reserves).with_columns(payout_id=pl.lit(None, pl.String))
    transactions = pl.concat([moves.with_columns(payout_id=paid.swept_by), own, returned, reserved]).sort("created", "transaction_id")
    transactions = transactions.with_columns(local_day("created", horizon.calendar).alias("local_on"), net_minor=pl.col("amount_minor") - pl.col("fee_minor"))
    resting = 100_000 + int(stream(options.seed, "opening").integers(0, 400)) * 100
    return EventLog(options, horizon, charges, refunds, disputes, billing, reserves, payouts, transactions, resting)


def _rows(frame: pl.DataFrame, kind: str, **columns: pl.Expr) -> pl.DataFrame:
    blank = {
        "source_id": pl.lit(None),
        "available": pl.col("created"),
        "fee_minor": pl.lit(0),
        "rate": pl.lit(None),
        "balance_type": pl.lit("payments"),
        "kind": pl.lit(kind),
    }
    given = {**{name: pl.col(name) for name in ("transaction_id", "created", "amount_minor")}, **blank, **columns}
    return frame.select(**{name: given[name].cast(dtype) for name, dtype in TRANSACTION_COLUMNS.items()})


def _charge_rows(horizon: Horizon, charges: pl.DataFrame) -> pl.DataFrame:
    days = add_business_days(utc_days(charges["created"].to_numpy()), AVAILABLE_AFTER_BUSINESS_DAYS, horizon.holidays)
    available = pl.lit(pl.Series(days.astype(np.int64) * SECONDS_A_DAY))
    text = pl.when(pl.col("channel") == "marketplace").then(pl.lit("Marketplace order ")).otherwise(pl.lit("Invoice ")) + pl.col("invoice")
    return _rows(
        charges,
        "charge",
        source_id=pl.col("charge_id"),
        available=available,
        fee_minor=pl.col("fee_minor"),
        rate=pl.col("rate"),
        type=pl.lit("charge"),
        category=pl.lit("charge"),
        description=text,
    )


def _refund_rows(refunds: pl.DataFrame) -> pl.DataFrame:
    text = "REFUND FOR CHARGE (Invoice " + pl.col("invoice") + ")"
    return _rows(
        refunds,
        "refund",
        source_id=pl.col("refund_id"),
        amount_minor=-pl.col("amount_minor"),
        rate=pl.col("rate"),
        type=pl.lit("refund"),
        category=pl.lit("refund"),
        description=text,
    )


def _dispute_rows(horizon: Horizon, disputes: pl.DataFrame) -> list[pl.DataFrame]:
    won = disputes.filter(pl.col("is_won") & (pl.col("closed") < horizon.now))
    shared = {"source_id": pl.col("dispute_id"), "type": pl.lit("adjustment")}
    held = {
        "transaction_id": pl.col("withdrawn_id"),
        "created": pl.col("opened"),
        "available": pl.col("opened"),
        "amount_minor": -pl.col("amount_minor"),
        "fee_minor": pl.col("fee_minor"),
    }
    back = {"transaction_id": pl.col("reinstated_id"), "created": pl.col("closed"), "available": pl.col("closed")}
    return [
        _rows(disputes, "dispute", category=pl.lit("dispute"), description="Chargeback withdrawal for " + pl.col("charge_id"), **shared, **held),
        _rows(won, "dispute_won", category=pl.lit("dispute_reversal"), description="Chargeback reversal for " + pl.col("charge_id"), **shared, **back),
    ]


def _billing_rows(billing: pl.DataFrame) -> pl.DataFrame:
    return _rows(billing, "billing", amount_minor=-pl.col("amount_minor"), type=pl.lit("stripe_fee"), category=pl.lit("fee"), description=pl.col("description"))


def _payout_rows(payouts: pl.DataFrame) -> pl.DataFrame:
    arrival = pl.when("is_automatic").then(pl.col("arrival_on").cast(pl.Datetime("us")).dt.epoch("s")).otherwise("created")
    return _rows(
        payouts,
        "payout",
        source_id=pl.col("payout_id"),
        amount_minor=-pl.col("amount_minor"),
        available=arrival,
        type=pl.lit("payout"),
        category=pl.lit("payout"),
        description=pl.lit("STRIPE PAYOUT"),
    )


def _failure_rows(payouts: pl.DataFrame) -> pl.DataFrame:
    failed = payouts.filter(pl.col("fails_at").is_not_null())
    names = {
        "transaction_id": pl.col("failure_transaction_id"),
        "created": pl.col("fails_at"),
        "available": pl.col("fails_at"),
        "source_id": pl.col("payout_id"),
    }
    return _rows(
        failed,
        "payout_failure",
        type=pl.lit("payout_failure"),
        category=pl.lit("payout_reversal"),
        description=pl.lit("REFUND FOR PAYOUT (STRIPE PAYOUT)"),
        **names,
    )


def _reserve_rows(reserves: pl.DataFrame) -> pl.DataFrame:
    text = pl.when(pl.col("kind") == "reserve_hold").then(pl.lit("Risk reserve hold")).otherwise(pl.lit("Risk reserve release"))
    return _rows(reserves, "reserve", type=pl.col("kind"), category=pl.col("kind"), balance_type=pl.col("balance_type"), description=text)


def story_transactions(log: EventLog) -> pl.DataFrame:
    """Name the story of each transaction that belongs to one: transaction_id, story."""
    parts = [
        log.charges.select("transaction_id", "story"),
        log.refunds.select("transaction_id", "story"),
        log.disputes.select(transaction_id="withdrawn_id", story="story"),
        log.disputes.select(transaction_id="reinstated_id", story="story"),
        log.payouts.select("transaction_id", "story"),
        log.payouts.select(transaction_id="failure_transaction_id", story="story"),
        log.reserves.select("transaction_id", "story"),
    ]
    return pl.concat(parts).filter((pl.col("story") != "") & pl.col("transaction_id").is_not_null()).filter(pl.col("story").is_in(list(stories.STORIES)))
