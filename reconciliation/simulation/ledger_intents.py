"""Event log -> what the bookkeeping means to post, before anybody types it.

One intent becomes one ledger line when nothing goes wrong. `claims` says which components of Stripe's transactions an
intent stands for; it is part of the truth and no recorder of another side sees it.
"""

from dataclasses import dataclass
from datetime import timedelta

import polars as pl

from reconciliation.simulation import stories
from reconciliation.simulation.charges import ecb_rate
from reconciliation.simulation.events import EventLog
from reconciliation.simulation.horizon import local_day
from reconciliation.simulation.streams import half_up, stream

INTENT_COLUMNS = {
    "intent": pl.String,
    "kind": pl.String,
    "due_on": pl.Date,
    "amount_minor": pl.Int64,
    "invoice": pl.String,
    "customer": pl.String,
    "note": pl.String,
    "story": pl.String,
}
CLAIM_COLUMNS = {"intent": pl.String, "item": pl.String}
DISPUTE_POSTED_AT_ONCE_SHARE = 0.4
DISPUTE_FEE_POSTED_SHARE = 0.8
NET_NOTE = "marketplace, net of fee"


@dataclass(frozen=True)
class Intents:
    """Intents, the components each stands for, and the charges that the bookkeeping overlooks from the start."""

    intents: pl.DataFrame
    claims: pl.DataFrame


def make_intents(log: EventLog, overlooked: pl.Series) -> Intents:
    """Decide what is to be posted.

    Args:
        log: what happened.
        overlooked: transaction ids of charges and refunds that will never be posted.
    """
    booked = log.charges.filter((pl.col("created") >= log.horizon.start) & ~pl.col("is_second") & ~pl.col("transaction_id").is_in(overlooked.implode()))
    parts = [
        _per_payment(log, booked.filter(pl.col("posting") != "summary")),
        _summaries(log, booked.filter(pl.col("posting") == "summary")),
        _refunds(log, overlooked),
        _payouts(log),
        _disputes(log),
        _fees(log),
        _reserves(log),
    ]
    return Intents(pl.concat([part.intents for part in parts]), pl.concat([part.claims for part in parts]))


def books_amounts(log: EventLog, sales: pl.DataFrame) -> pl.Series:
    """Return the gross amounts as the ERP knows them: euro converted at the ECB rate of the day before."""
    currency = log.options.currency
    before = (
        sales.select(day=pl.col("local_on") - timedelta(days=1), code="presentment_currency").filter(pl.col("code") != currency).unique().sort("day", "code")
    )
    rates = [round(ecb_rate(code, currency, day), 4) for day, code in before.iter_rows()]
    table = before.with_columns(books_rate=pl.Series(rates, dtype=pl.Float64))
    joined = sales.select(day=pl.col("local_on") - timedelta(days=1), code="presentment_currency", minor="presentment_minor").join(
        table, on=["day", "code"], how="left", maintain_order="left"
    )
    return pl.Series(half_up(joined["minor"].to_numpy() * joined["books_rate"].fill_null(1.0).to_numpy()))


def _intents(frame: pl.DataFrame, kind: str, **columns: pl.Expr) -> pl.DataFrame:
    blank = {"kind": pl.lit(kind), "invoice": pl.lit(""), "customer": pl.lit(""), "note": pl.lit(""), "story": pl.lit("")}
    given = {**blank, **columns}
    return frame.select(**{name: given[name].cast(dtype) for name, dtype in INTENT_COLUMNS.items()})


def _claims(frame: pl.DataFrame, component: str, *, intent: pl.Expr, transaction: str = "transaction_id") -> pl.DataFrame:
    return frame.select(intent=intent, item=pl.col(transaction) + f"/{component}")


def _per_payment(log: EventLog, sales: pl.DataFrame) -> Intents:
    sales = sales.with_columns(books=books_amounts(log, sales), is_net=pl.col("posting") == "net")
    amount = pl.when("is_net").then(pl.col("amount_minor") - pl.col("fee_minor")).otherwise("books")
    euro = pl.col("presentment_currency") != log.options.currency
    rate = sales.select(minor=(pl.col("books") * 10_000 / pl.col("presentment_minor")).round().cast(pl.Int64)).select(rate=decimal_text("minor", 4))["rate"]
    converted = pl.format("{} {} at {}", "presentment_currency", decimal_text("presentment_minor"), pl.lit(rate))
    note = pl.when("is_net").then(pl.lit(NET_NOTE)).when(euro).then(converted).otherwise(pl.lit(""))
    intent = pl.lit("pay|") + pl.col("transaction_id")
    columns = {name: pl.col(name) for name in ("invoice", "customer", "story")}
    made = _intents(sales, "payment", intent=intent, due_on=pl.col("local_on"), amount_minor=amount, note=note, **columns)
    claims = [_claims(sales, "gross", intent=intent), _claims(sales.filter(pl.col("is_net") & (pl.col("fee_minor") != 0)), "fee", intent=intent)]
    return Intents(made, pl.concat(claims))


def _summaries(log: EventLog, sales: pl.DataFrame) -> Intents:
    placed = spans_of(log, sales.with_columns(books=books_amounts(log, sales)))
    totals = placed.group_by("intent", "due_on", "said").agg(pl.col("books").sum()).sort("intent")
    by_payout = log.options.posting_style == "payout_summary"
    note = pl.format("Stripe payout {} sales", "said") if by_payout else pl.format("Stripe sales {}", "said")
    made = _intents(totals, "summary", intent=pl.col("intent"), due_on=pl.col("due_on"), amount_minor=pl.col("books"), note=note)
    return Intents(made, _claims(placed, "gross", intent=pl.col("intent")))


SPANS = ("daily", "weekly", "monthly", "payout")
WAITS_DAYS = 45
"""What no payout has swept yet is posted after everything that is delivered."""


def spans_of(log: EventLog, sales: pl.DataFrame) -> pl.DataFrame:
    """Add `intent, due_on, said` of the summary that each sale belongs to."""
    span = log.options.posting_style.removesuffix("_summary")
    return _spans(log, sales, span if span in SPANS else "daily")


def _spans(log: EventLog, rows: pl.DataFrame, span: str, *, prefix: str = "sum|") -> pl.DataFrame:
    """Add `intent, due_on, said`: what a row of `transaction_id, local_on` is posted together with, when, and how that is called."""
    day = pl.col("local_on")
    if span == "payout":
        swept = log.transactions.select("transaction_id", "payout_id")
        paid = log.payouts.select("payout_id", paid_on="local_on")
        known = rows.join(swept, on="transaction_id", how="left", maintain_order="left").join(paid, on="payout_id", how="left", maintain_order="left")
        waits = log.horizon.last_on + timedelta(days=WAITS_DAYS)
        placed = known.with_columns(due_on=pl.col("paid_on").fill_null(pl.lit(waits)), said=pl.col("payout_id").fill_null("to come"))
    else:
        due = {"daily": day, "weekly": day.dt.truncate("1w") + timedelta(days=6), "monthly": day.dt.month_end()}[span]
        said = {"daily": day.cast(pl.String), "weekly": pl.lit("week ") + day.dt.strftime("%G-W%V"), "monthly": day.dt.strftime("%B %Y")}[span]
        placed = rows.with_columns(due_on=due, said=said)
    return placed.with_columns(intent=pl.lit(prefix) + pl.col("said"))


def _refunds(log: EventLog, overlooked: pl.Series) -> Intents:
    known = (pl.col("created") >= log.horizon.start) & ~pl.col("is_second") & ~pl.col("transaction_id").is_in(overlooked.implode())
    refunds = log.refunds.filter(known)
    refunds = refunds.with_columns(books=books_amounts(log, refunds))
    intent = pl.lit("ref|") + pl.col("transaction_id")
    columns = {name: pl.col(name) for name in ("invoice", "customer", "story")}
    made = _intents(refunds, "refund", intent=intent, due_on=pl.col("local_on"), amount_minor=-pl.col("books"), note=pl.lit("refund"), **columns)
    return Intents(made, pl.concat([_claims(refunds, "gross", intent=intent), *_second_charges(log)]))


def _second_charges(log: EventLog) -> list[pl.DataFrame]:
    """Tie a second charge to its refund: the books record neither, so the two belong together."""
    refunds = log.refunds.filter((pl.col("created") >= log.horizon.start) & pl.col("is_second"))
    seconds = log.charges.filter("is_second").join(refunds.select("charge_id"), on="charge_id", how="semi")
    pair = pl.lit("pair|") + pl.col("charge_id")
    return [_claims(refunds, "gross", intent=pair), _claims(seconds, "gross", intent=pair)]


def _payouts(log: EventLog) -> Intents:
    at_bank = log.options.payout_posting == "at_bank_date"
    payouts = log.payouts.with_columns(due_on=pl.col("arrived_on" if at_bank else "local_on")).filter(pl.col("due_on") >= log.horizon.first_on)
    intent = pl.lit("out|") + pl.col("transaction_id")
    note = pl.when(~pl.col("is_automatic")).then(pl.lit(" manual")).when(pl.col("amount_minor") < 0).then(pl.lit(", debited by Stripe")).otherwise(pl.lit(""))
    shared = {"invoice": pl.col("payout_id"), "customer": pl.col("trace"), "story": pl.col("story")}
    made = [_intents(payouts, "payout", intent=intent, due_on=pl.col("due_on"), amount_minor=-pl.col("amount_minor"), note=note, **shared)]
    claims = [_claims(payouts, "gross", intent=intent)]
    failed = log.payouts.filter(pl.col("fails_at").is_not_null()).with_columns(local_day("fails_at", log.horizon.calendar).alias("failed_on"))
    if at_bank:  # The bank never showed it, so the books never saw payout or return: the two belong together.
        pair = pl.lit("pair|") + pl.col("transaction_id")
        kept = failed.filter(pl.col("created") >= log.horizon.start)
        claims += [_claims(kept, "gross", intent=pair), _claims(kept, "gross", intent=pair, transaction="failure_transaction_id")]
    else:
        back = pl.lit("back|") + pl.col("failure_transaction_id")
        made.append(
            _intents(failed, "payout", intent=back, due_on=pl.col("failed_on"), amount_minor=pl.col("amount_minor"), note=pl.lit(" returned"), **shared)
        )
        claims.append(_claims(failed, "gross", intent=back, transaction="failure_transaction_id"))
    return Intents(pl.concat(made), pl.concat(claims))


def _disputes(log: EventLog) -> Intents:
    """Post disputes late or not at all: lost ones with their fee in one journal, won ones by their fee only."""
    generator = stream(log.options.seed, "dispute postings")
    count = log.disputes.height
    at_once, unrecorded, fee_posted = (
        generator.random(count) < DISPUTE_POSTED_AT_ONCE_SHARE,
        generator.random(count) < log.options.dirt.unrecorded_dispute,
        generator.random(count) < DISPUTE_FEE_POSTED_SHARE,
    )
    steps = pl.Series(generator.integers(1, 6, count)) * timedelta(days=1)
    disputes = log.disputes.with_columns(
        at_once=pl.Series(at_once), steps=steps, told=pl.col("story") == stories.DISPUTE, unrecorded=pl.Series(unrecorded), fee_posted=pl.Series(fee_posted)
    )
    disputes = disputes.with_columns(local_day("opened", log.horizon.calendar).alias("opened_on"), local_day("closed", log.horizon.calendar).alias("closed_on"))
    lost = disputes.filter(~pl.col("is_won") & ~pl.col("unrecorded"))
    due = pl.when("at_once").then("opened_on").otherwise("closed_on") + pl.col("steps")
    intent = pl.lit("dis|") + pl.col("withdrawn_id")
    both = {"invoice": pl.col("invoice"), "customer": pl.col("customer"), "story": pl.col("story")}
    made = [
        _intents(
            lost,
            "dispute",
            intent=intent,
            due_on=due,
            amount_minor=-pl.col("amount_minor") - pl.col("fee_minor"),
            note="Dispute " + pl.col("dispute_id") + " withdrawn",
            **both,
        )
    ]
    claims = [_claims(lost, "gross", intent=intent, transaction="withdrawn_id"), _claims(lost, "fee", intent=intent, transaction="withdrawn_id")]
    won = disputes.filter("is_won")
    pair, fee = pl.lit("pair|") + pl.col("withdrawn_id"), pl.lit("fee|") + pl.col("withdrawn_id")
    claims += [_claims(won, "gross", intent=pair, transaction="withdrawn_id"), _claims(won, "gross", intent=pair, transaction="reinstated_id")]
    charged = won.filter(pl.col("fee_posted") & ~pl.col("told"))
    made.append(
        _intents(
            charged,
            "dispute",
            intent=fee,
            due_on=pl.col("closed_on") + pl.col("steps"),
            amount_minor=-pl.col("fee_minor"),
            note="Dispute fee " + pl.col("dispute_id"),
            **both,
        )
    )
    claims.append(_claims(charged, "fee", intent=fee, transaction="withdrawn_id"))
    return Intents(pl.concat(made), pl.concat(claims))


def _reserves(log: EventLog) -> Intents:
    """Post nothing for a reserve: its two rows are one movement between parts of the balance."""
    pair = pl.lit("pair|") + pl.col("kind") + pl.col("created").cast(pl.String)
    return Intents(pl.DataFrame(schema=INTENT_COLUMNS), _claims(log.reserves, "gross", intent=pair))


def _fees(log: EventLog) -> Intents:
    """Post charge fees (not those of the net channel, nor of disputes) and billed fees: by month, by day or one by one."""
    sales = log.charges.filter((pl.col("created") >= log.horizon.start) & (pl.col("posting") != "net") & (pl.col("fee_minor") != 0))
    billed = log.billing.with_columns(local_day("created", log.horizon.calendar).alias("local_on"))
    rows = pl.concat(
        [
            sales.select(
                "transaction_id",
                item=pl.col("transaction_id") + "/fee",
                local_on="local_on",
                minor="fee_minor",
                invoice="invoice",
                customer="customer",
                text=pl.lit(""),
            ),
            billed.select(
                "transaction_id",
                item=pl.col("transaction_id") + "/gross",
                local_on="local_on",
                minor="amount_minor",
                invoice=pl.lit(""),
                customer=pl.lit(""),
                text="description",
            ),
        ]
    )
    one_by_one = log.options.fee_style == "per_payment"
    span = {"monthly_journal": "monthly", "payout_journal": "payout"}.get(log.options.fee_style, "daily")
    rows = _spans(log, rows, span, prefix="jnl|")
    single = pl.when(pl.col("invoice") == "").then(pl.lit("Stripe ") + pl.col("text")).otherwise(pl.lit("Stripe fee ") + pl.col("invoice"))
    note = single if one_by_one else pl.format("Stripe payout {} fees", "said") if span == "payout" else pl.format("Stripe fees {}", "said")
    rows = rows.with_columns(note=note, customer=pl.when(one_by_one).then("customer").otherwise(pl.lit("")))
    rows = rows.with_columns(intent=pl.lit("jnl|") + pl.col("item") if one_by_one else pl.col("intent"))
    totals = rows.group_by("intent", "due_on", "note").agg(pl.col("minor").sum(), pl.col("customer").first()).sort("due_on", "intent")
    story = pl.when(one_by_one | (not log.options.stories)).then(pl.lit("")).otherwise(pl.lit(stories.FEE_JOURNAL))
    made = _intents(
        totals,
        "fee",
        intent=pl.col("intent"),
        due_on=pl.col("due_on"),
        amount_minor=-pl.col("minor"),
        note=pl.col("note"),
        customer=pl.col("customer"),
        story=story,
    )
    return Intents(made, rows.select("intent", "item"))


def decimal_text(column: str, exponent: int = 2) -> pl.Expr:
    """Write a column of minor units as plain decimals."""
    digits = pl.col(column).abs().cast(pl.String).str.zfill(exponent + 1)
    sign = pl.when(pl.col(column) < 0).then(pl.lit("-")).otherwise(pl.lit(""))
    if exponent == 0:
        return sign + pl.col(column).abs().cast(pl.String)
    return sign + digits.str.head(-exponent) + "." + digits.str.tail(exponent)
