"""The stories of a company: what happens on purpose in every world that asks for stories, and under which name the truth has it.

Story orders are appended to the drawn ones and posted gross per payment (the net channel's one net), whatever the
posting style, so that each story can happen in each world. Months and days are counted from go-live.
"""

from dataclasses import dataclass
from datetime import date

import polars as pl

from reconciliation.simulation.horizon import Horizon
from reconciliation.simulation.options import SimulationOptions
from reconciliation.simulation.streams import Integers, stream

OPENING = "opening_difference_and_items"
TWO_LEGS = "two_legs"
SET_ASIDE = "set_aside_rows"
NET_CHANNEL = "net_channel"
FEE_JOURNAL = "fee_journal"
DUPLICATE_VOIDED = "duplicate_voided"
ACCRUAL = "accrual_and_reversal"
DISPUTE = "dispute_held_then_won"
PAYOUT_FAILED = "payout_in_transit_fails_and_is_swept_later"
PAYOUT_NEGATIVE = "negative_automatic_payout"
PAYOUT_MANUAL = "manual_payout"
EUR_CHARGE = "eur_charge"
BACK_DATED = "line_back_dated_into_closed_month"
DUPLICATE_OPEN = "duplicate_posting_left_open"
DOUBLE_CHARGE = "double_charge"
UNRECORDED_REFUND = "unrecorded_refund"
MISSING = "missing_posting"
WRONG_AMOUNT = "wrong_amount"
LATE = "posted_after_month_end"
RESERVE = "reserve_held_and_released"

STORIES = {
    OPENING: "the ledger opens with a difference of -12.00 that nobody can explain and with payouts under way",
    TWO_LEGS: "a payout that the bank shows in one month and the ledger posts in the next: matched in cash, open in the books",
    SET_ASIDE: "rent, wires and salaries on the statement, rows on other accounts in the export",
    NET_CHANNEL: "a sale that the books carry net of Stripe's fee",
    FEE_JOURNAL: "the fees of a month in one journal",
    DUPLICATE_VOIDED: "a receipt entered twice and voided some days later: posting and void belong together",
    ACCRUAL: "a receipt accrued at month end and reversed on the first: the two lines belong together",
    DISPUTE: "a dispute withdrawn in the first month, won in the second; the ledger shows neither",
    PAYOUT_FAILED: "a payout under way over month end that fails; its money leaves with a later payout",
    PAYOUT_NEGATIVE: "an automatic payout below zero, debited from the bank, after a large order was cancelled",
    PAYOUT_MANUAL: "a manual payout, which Stripe does not itemise",
    EUR_CHARGE: "a charge in euro: Stripe settles with its margin, the ERP converts at the day before",
    BACK_DATED: "a receipt of the second month typed with the first month's date, after that month was closed",
    DUPLICATE_OPEN: "a receipt entered twice and never voided",
    DOUBLE_CHARGE: "a customer charged twice for one order",
    UNRECORDED_REFUND: "a refund the books never recorded",
    MISSING: "a payment the books never recorded",
    WRONG_AMOUNT: "a receipt typed with two digits exchanged",
    LATE: "a payment of the last day, posted in the next month",
    RESERVE: "a reserve held by Stripe and released later",
}
"""Name -> what happens, in the words of the truth."""


@dataclass(frozen=True)
class _Order:
    """A story's order; a negative day is counted in business days back from the month's last one, so that its payout can be timed."""

    story: str
    month: int
    day: int
    hour: int
    amount_minor: int
    posting: str = "gross"


_ORDERS = (
    _Order(DISPUTE, 0, 4, 12, 18_950),
    _Order(EUR_CHARGE, 0, 6, 11, 12_500),
    _Order(NET_CHANNEL, 0, 7, 14, 8_640, "net"),
    _Order(MISSING, 0, 11, 10, 21_735),
    _Order(DUPLICATE_OPEN, 0, 13, 15, 34_280),
    _Order(PAYOUT_NEGATIVE, 0, 15, 11, 90_000),
    _Order(PAYOUT_FAILED, 0, -3, 12, 41_250),
    _Order(LATE, 0, 31, 17, 9_725),
    _Order(UNRECORDED_REFUND, 1, 4, 13, 15_640),
    _Order(WRONG_AMOUNT, 1, 9, 9, 53_790),
    _Order(DOUBLE_CHARGE, 1, 12, 16, 27_415),
    _Order(DUPLICATE_VOIDED, 1, 15, 10, 11_860),
    _Order(BACK_DATED, 1, 18, 14, 14_275),
)


def story_orders(options: SimulationOptions, horizon: Horizon) -> pl.DataFrame:
    """Draw the orders of the stories: story, posting, created (epoch seconds), amount_minor; none where no stories are asked for."""
    generator = stream(options.seed, "stories")
    orders = _ORDERS if options.stories else ()
    instants = [
        horizon.epoch(_day(horizon, order, int(generator.integers(0, 3))), order.hour, int(generator.integers(0, 60))) + int(generator.integers(0, 60))
        for order in orders
    ]
    amounts = [_distinct_digits(round(order.amount_minor * float(generator.uniform(0.7, 1.6)))) for order in orders]
    text = {"story": [order.story for order in orders], "posting": [order.posting for order in orders]}
    return pl.DataFrame(
        text | {"created": instants, "amount_minor": amounts}, schema={"story": pl.String, "posting": pl.String, "created": pl.Int64, "amount_minor": pl.Int64}
    )


def _day(horizon: Horizon, order: _Order, later: int) -> date:
    first, last = horizon.month(order.month)
    if order.day < 0:
        return horizon.business_day(horizon.business_day_before(last), order.day)
    return first.replace(day=min(order.day + later, last.day))


def negative_payout_amount(options: SimulationOptions) -> int:
    """Return the order value whose cancellation outweighs what one payout sweeps: several days' (or weeks') sales."""
    per_day = options.payments / (30 * options.months) * 36_000 * options.trade.value_scale
    days = 6 if options.payout_schedule == "daily" else 14
    return int(per_day * days) // 100 * 100 + 120_045


def _distinct_digits(amount_minor: int) -> int:
    """Change the last digits until two neighbors differ, so that exchanging them changes the amount."""
    while (amount_minor // 100) % 10 == (amount_minor // 1000) % 10:
        amount_minor += 100
    return amount_minor


def exchange_digits(amount_minor: Integers) -> Integers:
    """Exchange the last two digits before the decimal point, the slip typists make most."""
    ones, tens = (amount_minor // 100) % 10, (amount_minor // 1000) % 10
    exchanged: Integers = amount_minor + (tens - ones) * 100 + (ones - tens) * 1000
    return exchanged
