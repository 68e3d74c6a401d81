"""Event log -> the bank account's booked lines: payouts that arrived, and everything else a company's account sees."""

from dataclasses import dataclass
from datetime import timedelta

import polars as pl

from reconciliation.simulation import stories
from reconciliation.simulation.events import EventLog
from reconciliation.simulation.streams import stream

OPENING_BALANCE_MINOR = 4_000_000
IBAN = "GB29NWBK60161331926819"
"""The example of the IBAN registry, owned by nobody."""
SENDER = "STRIPE PAYMENTS UK"

BANK_COLUMNS = {
    "booked_on": pl.Date,
    "amount_minor": pl.Int64,
    "description": pl.String,
    "counterparty": pl.String,
    "end_to_end": pl.String,
    "payout_id": pl.String,
    "story": pl.String,
    "order": pl.Float64,
}


@dataclass(frozen=True)
class BankRecord:
    """The account: BANK_COLUMNS, the bank's own `servicer_reference`, `period`; oldest first. `payout_id` is truth, never written."""

    lines: pl.DataFrame
    opening_minor: int = OPENING_BALANCE_MINOR


def record_bank(log: EventLog) -> BankRecord:
    """Book what reached the account within the months."""
    generator = stream(log.options.seed, "bank")
    paid = log.payouts.filter(pl.col("arrived_on").is_between(log.horizon.first_on, log.horizon.last_on)).sort("arrived_on", "created", "payout_id")
    bare = pl.Series(generator.random(paid.height) < log.options.dirt.bank_reference_absent) & (paid["story"] == "")
    text = pl.when(pl.col("amount_minor") < 0).then(pl.lit(f"{SENDER} DEBIT")).otherwise(pl.lit(SENDER))
    lines = paid.with_columns(bare=bare, order=pl.Series(generator.random(paid.height))).select(
        booked_on="arrived_on",
        amount_minor="amount_minor",
        description=pl.when("bare").then(text).otherwise(text + " " + pl.col("trace")),
        counterparty=pl.lit(SENDER),
        end_to_end=pl.when("bare").then(pl.lit("NOTPROVIDED")).otherwise("trace"),
        payout_id="payout_id",
        story="story",
        order="order",
    )
    lines = pl.concat([lines.cast(pl.Schema(BANK_COLUMNS)), _other_lines(log)]).sort("booked_on", "order")
    first = int(generator.integers(10_000, 90_000))
    reference = "BR" + (first + pl.int_range(pl.len()) * 7).cast(pl.String).str.zfill(10)
    return BankRecord(lines.with_columns(servicer_reference=reference, period=log.horizon.calendar.period_of_day("booked_on")))


def _other_lines(log: EventLog) -> pl.DataFrame:
    """Book rent, salaries, a wholesale customer's wire and the bank's own charge, each month."""
    generator = stream(log.options.seed, "bank other")
    rows = []
    for period in log.horizon.periods:
        first, last = log.horizon.calendar.first_day(period), log.horizon.calendar.last_day(period)
        story = stories.SET_ASIDE if log.options.stories else ""
        items = (
            (log.horizon.business_day(first + timedelta(days=1)), -150_000, "RENT 12 HIGH STREET", "Highgrove Estates", "RENT"),
            (
                log.horizon.business_day(first + timedelta(days=8)),
                int(generator.integers(15_000, 60_000)),
                "WIRE QUARBOURNE TEXTILES REF 4471",
                "Quarbourne Textiles Ltd",
                "4471",
            ),
            (
                log.horizon.business_day_before(last - timedelta(days=3)),
                -int(generator.integers(300_000, 500_000)),
                "SALARIES",
                "Payroll bureau",
                "NOTPROVIDED",
            ),
            (log.horizon.business_day_before(last), -int(generator.integers(800, 2_600)), "ACCOUNT CHARGES", "", "NOTPROVIDED"),
        )
        rows += [
            {
                "booked_on": day,
                "amount_minor": amount,
                "description": text,
                "counterparty": name,
                "end_to_end": end,
                "payout_id": None,
                "story": story,
                "order": float(generator.random()),
            }
            for day, amount, text, name, end in items
        ]
    return pl.DataFrame(rows, schema=BANK_COLUMNS)
