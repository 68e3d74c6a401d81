"""Intents -> how each is typed: which slip happens to it, when it is entered, what its memo and name look like.

A slip's probability is the company's intensity times what the day was like: many orders, a Monday, a month end, and who
was at the desk. Draws of different mechanisms are independent streams, so toggling one changes nothing else.
"""

from datetime import timedelta

import numpy as np
import polars as pl

from reconciliation.simulation import stories
from reconciliation.simulation.business_days import add_business_days
from reconciliation.simulation.events import EventLog
from reconciliation.simulation.streams import Floats, Integers, stream

OPERATOR_FACTORS = (0.6, 1.0, 1.9)
MONDAY_FACTOR, MONTH_END_FACTOR = 1.3, 1.6
SLIPS = ("wrong_account", "reversed_sign", "wrong_amount", "duplicate_posting", "duplicate_voided", "reverse_and_repost", "back_dated")
SLIPPING_KINDS = ("payment", "summary", "refund", "payout")
TOLD = {
    stories.DUPLICATE_VOIDED: "duplicate_voided",
    stories.DUPLICATE_OPEN: "duplicate_posting",
    stories.WRONG_AMOUNT: "wrong_amount",
    stories.BACK_DATED: "back_dated",
}
LATE_BATCH_DAYS = (2, 6)
PAYOUT_POSTED_NEXT_DAY_SHARE = 0.15


def overlooked_transactions(log: EventLog) -> pl.Series:
    """Return the transactions that will never be posted: missing receipts and unrecorded refunds."""
    dirt, seed = log.options.dirt, log.options.seed
    charges, refunds = log.charges, log.refunds
    missing = stream(seed, "missing postings").random(charges.height) < dirt.missing_posting * _strain(log, charges["local_on"])
    unrecorded = stream(seed, "unrecorded refunds").random(refunds.height) < dirt.unrecorded_refund * _strain(log, refunds["local_on"])
    told = [charges.filter(pl.col("story") == stories.MISSING), refunds.filter(pl.col("story") == stories.UNRECORDED_REFUND)]
    drawn = [
        charges.filter(pl.Series(missing) & (pl.col("story") == "") & ~pl.col("is_second")),
        refunds.filter(pl.Series(unrecorded) & (pl.col("story") == "") & ~pl.col("is_second")),
    ]
    return pl.concat([frame.select("transaction_id") for frame in (*told, *drawn)])["transaction_id"]


def type_intents(log: EventLog, intents: pl.DataFrame) -> pl.DataFrame:
    """Give each intent its slip, the days on which it is entered and posted, its memo and its name.

    Returns:
        the intents with slip, entered_on, posting_on, memo, name, has_reference.
    """
    typed = _with_slips(log, intents.sort("due_on", "intent"))
    typed = _with_days(log, typed)
    return _with_text(log, typed)


def _strain(log: EventLog, days: pl.Series) -> Floats:
    """Return how much more often than usual slips happen on each day."""
    frame = pl.DataFrame({"day": days})
    load = log.charges.group_by(day="local_on").len("orders")
    load = load.with_columns(load=(pl.col("orders") / max(float(pl.Series(load["orders"]).cast(pl.Float64).median() or 1.0), 1.0)).clip(0.6, 1.8))  # type: ignore[arg-type]
    joined = frame.join(load, on="day", how="left", maintain_order="left")
    operators = np.array(OPERATOR_FACTORS)[stream(log.options.seed, "operators").permutation(len(OPERATOR_FACTORS))]
    desk = pl.Series(operators[(joined["day"].dt.ordinal_day().to_numpy() // 4) % operators.size])
    monday = pl.when(pl.col("day").dt.weekday() == 1).then(MONDAY_FACTOR).otherwise(1.0)
    month_end = pl.when((pl.col("day").dt.month_end() - pl.col("day")).dt.total_days() < 2).then(MONTH_END_FACTOR).otherwise(1.0)
    strain: Floats = joined.select(pl.col("load").fill_null(1.0) * monday * month_end * desk).to_series().to_numpy()
    return strain


def _with_slips(log: EventLog, intents: pl.DataFrame) -> pl.DataFrame:
    dirt, seed = log.options.dirt, log.options.seed
    strain = _strain(log, intents["due_on"])
    slipping = (intents["kind"].is_in(SLIPPING_KINDS) & (intents["story"] == "")).to_numpy()
    in_later_month = (intents["due_on"] >= log.horizon.month(min(1, len(log.horizon.periods) - 1))[0]).to_numpy() & (len(log.horizon.periods) > 1)
    slip = np.full(intents.height, "", dtype=object)
    for name in reversed(SLIPS):
        drawn = stream(seed, f"slip {name}").random(intents.height) < getattr(dirt, name) * strain
        allowed = slipping & (in_later_month & (intents["kind"] == "payment").to_numpy() if name == "back_dated" else True)
        slip = np.where(drawn & allowed, name, slip)
    told = pl.col("story").replace_strict(TOLD, default=None, return_dtype=pl.String)
    own_kind = pl.col("kind") == "payment"
    return intents.with_columns(slip=pl.Series(slip.astype(str))).with_columns(slip=pl.when(own_kind & told.is_not_null()).then(told).otherwise("slip"))


def _with_days(log: EventLog, intents: pl.DataFrame) -> pl.DataFrame:
    dirt, horizon = log.options.dirt, log.horizon
    generator = stream(log.options.seed, "posting lags")
    count = intents.height
    draw, long_days, order = generator.random(count), generator.integers(3, dirt.lag_long_days_max + 1, count), generator.random(count)
    factor = np.where(((intents["due_on"].dt.month_end() - intents["due_on"]).dt.total_days() < 3).to_numpy(), MONTH_END_FACTOR, 1.0)
    bounds = [dirt.lag_long_share, dirt.lag_long_share + dirt.lag_two_days_share, dirt.lag_long_share + dirt.lag_two_days_share + dirt.lag_one_day_share]
    lag = np.select([draw < bound * factor for bound in bounds], [long_days, np.full(count, 2), np.full(count, 1)], 0)
    lag = np.maximum(lag, _late_batches(log, intents))
    kind = intents["kind"]
    lag = np.where((kind == "payout").to_numpy(), (draw < PAYOUT_POSTED_NEXT_DAY_SHARE).astype(np.int64), lag)
    lag = np.where(((kind == "fee") & (log.options.fee_style != "per_payment")).to_numpy(), 0, lag)
    lag = np.where(intents["story"].is_in(list(stories.STORIES)).to_numpy() & ~(kind == "fee").to_numpy(), 0, lag)
    due = intents["due_on"].to_numpy().astype("datetime64[D]")
    rolled = add_business_days(due + lag, np.zeros(count, dtype=np.int64), horizon.holidays)
    entered = pl.Series(np.where(lag > 0, rolled, due))
    typed = intents.with_columns(entered_on=entered.cast(pl.Date), order=pl.Series(order))
    typed = typed.with_columns(entered_on=pl.when(_told_late(log)).then(_told_day(log)).otherwise("entered_on"))
    back_dated = pl.col("slip") == "back_dated"
    return typed.with_columns(posting_on=pl.when(back_dated).then(pl.col("due_on").dt.offset_by("-1mo")).otherwise("entered_on"))


def _told_late(log: EventLog) -> pl.Expr:
    if not log.options.stories:
        return pl.lit(value=False)
    return ((pl.col("story") == stories.LATE) & (pl.col("kind") == "payment")) | ((pl.col("story") == stories.TWO_LEGS) & (pl.col("kind") == "payout"))


def _told_day(log: EventLog) -> pl.Expr:
    late = log.horizon.business_day(log.horizon.calendar.last_day(log.horizon.periods[0]) + timedelta(days=1), 1)
    legs = log.horizon.business_day(log.horizon.calendar.last_day(log.horizon.periods[min(1, len(log.horizon.periods) - 1)]) + timedelta(days=1))
    return pl.when(pl.col("story") == stories.LATE).then(pl.lit(late)).otherwise(pl.lit(legs))


def _late_batches(log: EventLog, intents: pl.DataFrame) -> Integers:
    """Delay whole days: the nightly import failed and somebody ran it again later."""
    generator = stream(log.options.seed, "late batches")
    days = pl.date_range(log.horizon.first_on, log.horizon.last_on + timedelta(days=90), "1d", eager=True)
    delay = np.where(generator.random(days.len()) < log.options.dirt.late_batch, generator.integers(*LATE_BATCH_DAYS, days.len()), 0)
    joined = intents.select(due_on="due_on").join(pl.DataFrame({"due_on": days, "delay": delay}), on="due_on", how="left", maintain_order="left")
    delays: Integers = joined["delay"].fill_null(0).to_numpy()
    return np.where(intents["kind"].is_in(["payment", "summary"]).to_numpy(), delays, 0)


def _with_text(log: EventLog, intents: pl.DataFrame) -> pl.DataFrame:
    """Write memo and name as the person at the desk typed them."""
    dirt, generator = log.options.dirt, stream(log.options.seed, "typed text")
    count = intents.height
    told = (pl.col("story") != "").alias("told")
    draws = {name: pl.Series(generator.random(count)) for name in ("reference", "form", "name", "name_form")}
    typed = intents.with_columns(told, **draws)
    absent, truncated = dirt.reference_absent, dirt.reference_absent + dirt.reference_truncated
    style = (
        pl.when("told")
        .then(pl.lit("intact"))
        .when(pl.col("reference") < absent)
        .then(pl.lit("absent"))
        .when(pl.col("reference") < truncated)
        .then(pl.lit("truncated"))
        .when(pl.col("reference") < truncated + dirt.reference_reformatted)
        .then(pl.lit("reformatted"))
        .otherwise(pl.lit("intact"))
    )
    payout_style = (
        pl.when("told")
        .then(pl.lit("intact"))
        .when(pl.col("reference") < dirt.payout_reference_absent)
        .then(pl.lit("absent"))
        .when(pl.col("reference") < dirt.payout_reference_absent + dirt.payout_reference_trace)
        .then(pl.lit("trace"))
        .otherwise(pl.lit("intact"))
    )
    typed = typed.with_columns(
        style=pl.when(pl.col("kind") == "payout").then(payout_style).when(pl.col("kind").is_in(["payment", "refund"])).then(style).otherwise(pl.lit("intact"))
    )
    typed = typed.with_columns(memo=_memo(), name=_name(dirt.name_variant, dirt.name_absent), has_reference=pl.col("style") != "absent")
    return typed.drop("told", "reference", "form", "name_form", "style")


def _memo() -> pl.Expr:
    number, form = pl.col("invoice").str.strip_prefix("INV-"), pl.col("form")
    reformatted = (
        pl.when(form < 0.3)
        .then("INV " + number)
        .when(form < 0.5)
        .then("inv" + number)
        .when(form < 0.7)
        .then("Invoice " + number)
        .when(form < 0.85)
        .then(number)
        .otherwise("INV" + number + "/1")
    )
    absent = pl.when(form < 0.5).then(pl.lit("Card sale")).when(form < 0.8).then(pl.lit("Stripe")).otherwise(pl.lit(""))
    style = pl.col("style")
    reference = (
        pl.when(style == "intact")
        .then("invoice")
        .when(style == "reformatted")
        .then(reformatted)
        .when(style == "truncated")
        .then("INV " + number.str.tail(4))
        .otherwise(absent)
    )
    sale = (reference + " " + pl.col("note")).str.strip_chars(" ")
    payout_name = (
        pl.when(style == "intact")
        .then(" payout " + pl.col("invoice"))
        .when(style == "trace")
        .then(" payout " + pl.col("customer"))
        .otherwise(pl.lit(" transfer"))
    )
    dispute = pl.col("note") + " " + pl.col("invoice")
    kind = pl.col("kind")
    return (
        pl.when(kind.is_in(["payment", "refund"]))
        .then(sale)
        .when(kind == "payout")
        .then("Stripe" + payout_name + pl.col("note"))
        .when(kind == "dispute")
        .then(dispute)
        .otherwise("note")
    )


def _name(variant: float, absent: float) -> pl.Expr:
    name, form = pl.col("customer"), pl.col("name_form")
    words = name.str.split(" ")
    reversed_words = words.list.last() + ", " + words.list.slice(0, words.list.len() - 1).list.join(" ")
    initial = name.str.head(1) + " " + words.list.slice(1).list.join(" ")
    typo = name.str.head(3) + name.str.slice(4)
    varied = (
        pl.when(form < 0.25)
        .then(name.str.to_uppercase())
        .when(form < 0.5)
        .then(reversed_words)
        .when(form < 0.7)
        .then(initial)
        .when(form < 0.88)
        .then(typo)
        .otherwise(name.str.head(8))
    )
    chosen = pl.when("told").then(name).when(pl.col("name") < absent).then(pl.lit("")).when(pl.col("name") < absent + variant).then(varied).otherwise(name)
    return pl.when(pl.col("kind").is_in(["payout", "summary"])).then(pl.lit("")).otherwise(chosen)
