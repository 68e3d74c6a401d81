"""Event log -> Stripe's objects as its API shows them at the end, one JSON object a line, newest first.

Shaped like the objects of https://docs.stripe.com/api; fields that would be null, and that no reader of balances and
references needs, are left out to keep a committed sample small.
"""

from dataclasses import dataclass
from io import BytesIO

import orjson
import polars as pl

from reconciliation.simulation.events import EventLog
from reconciliation.simulation.payouts import payout_status

DESTINATION = "ba_main"


@dataclass(frozen=True)
class StripeRecord:
    """Stripe's side: file name -> content, as `reconciliation.simulation.sandbox` serves it."""

    files: dict[str, bytes]


def record_stripe(log: EventLog) -> StripeRecord:
    """Write Stripe's objects."""
    balances = _balance_transactions(log)
    contents = {
        "balance_transactions.jsonl": _lines(balances, drop=(b',"exchange_rate":null', b',"description":null')),
        "charges.jsonl": _lines(_charges(log), drop=(b',"amount_refunded":null', b',"disputed":null', b',"refunded":null')),
        "refunds.jsonl": _lines(_refunds(log)),
        "disputes.jsonl": _disputes(log, balances),
        "payouts.jsonl": _lines(_payouts(log)),
        "payout_balance_transactions.json": _members(log),
        "balance.json": _balance(log),
        "sandbox.json": orjson.dumps({"now": log.horizon.now}) + b"\n",
    }
    return StripeRecord(contents)


def _lines(frame: pl.DataFrame, drop: tuple[bytes, ...] = ()) -> bytes:
    """Write one object a line, without the fields that are null."""
    buffer = BytesIO()
    frame.write_ndjson(buffer)
    content = buffer.getvalue()
    for field in drop:
        content = content.replace(field, b"")
    return content


def _balance_transactions(log: EventLog) -> pl.DataFrame:
    currency = log.options.currency.lower()
    detail = pl.struct(
        amount=pl.col("fee_minor"),
        currency=pl.lit(currency),
        type=pl.lit("stripe_fee"),
        description=pl.when(pl.col("kind") == "dispute").then(pl.lit("Dispute fee")),
    )
    details = (
        pl.when(pl.col("fee_minor") != 0)
        .then(pl.concat_list(detail))
        .otherwise(pl.lit([], dtype=pl.List(pl.Struct({"amount": pl.Int64, "currency": pl.String, "type": pl.String, "description": pl.String}))))
    )
    status = pl.when(pl.col("available") <= log.horizon.now).then(pl.lit("available")).otherwise(pl.lit("pending"))
    return log.transactions.sort("created", "transaction_id", descending=True).select(
        id="transaction_id",
        object=pl.lit("balance_transaction"),
        amount="amount_minor",
        available_on="available",
        balance_type="balance_type",
        created="created",
        currency=pl.lit(currency),
        description="description",
        exchange_rate="rate",
        fee="fee_minor",
        fee_details=details,
        net="net_minor",
        reporting_category="category",
        source="source_id",
        status=status,
        type="type",
    )


def _charges(log: EventLog) -> pl.DataFrame:
    refunded = log.refunds.group_by("charge_id").agg(amount_refunded=pl.col("presentment_minor").sum())
    disputed = pl.when(pl.col("charge_id").is_in(log.disputes["charge_id"].implode())).then(pl.lit(value=True))
    charges = log.charges.join(refunded, on="charge_id", how="left")
    text = pl.when(pl.col("channel") == "marketplace").then(pl.lit("Marketplace order ")).otherwise(pl.lit("Invoice ")) + pl.col("invoice")
    card = pl.struct(card=pl.struct(country="card_country"), type=pl.lit("card"))
    return charges.sort("created", "charge_id", descending=True).select(
        id="charge_id",
        object=pl.lit("charge"),
        amount="presentment_minor",
        amount_refunded="amount_refunded",
        balance_transaction="transaction_id",
        billing_details=pl.struct(name="customer"),
        created="created",
        currency=pl.col("presentment_currency").str.to_lowercase(),
        customer="customer_id",
        description=text,
        disputed=disputed,
        metadata=pl.struct("invoice"),
        payment_intent="pi_" + pl.col("charge_id").str.strip_prefix("ch_"),
        payment_method_details=card,
        refunded=pl.col("amount_refunded") == pl.col("presentment_minor"),
        status=pl.lit("succeeded"),
    )


def _refunds(log: EventLog) -> pl.DataFrame:
    return log.refunds.sort("created", "refund_id", descending=True).select(
        id="refund_id",
        object=pl.lit("refund"),
        amount="presentment_minor",
        balance_transaction="transaction_id",
        charge="charge_id",
        created="created",
        currency=pl.col("presentment_currency").str.to_lowercase(),
        metadata=pl.struct("invoice"),
        payment_intent="pi_" + pl.col("charge_id").str.strip_prefix("ch_"),
        reason=pl.lit("requested_by_customer"),
        status=pl.lit("succeeded"),
    )


def _disputes(log: EventLog, balances: pl.DataFrame) -> bytes:
    listed: dict[str, list[dict[str, object]]] = {}
    for row in balances.filter(pl.col("source").str.starts_with("dp_")).sort("created").iter_rows(named=True):
        listed.setdefault(row["source"], []).append({name: value for name, value in row.items() if value is not None})
    lines = []
    for row in log.disputes.sort("opened", "dispute_id", descending=True).iter_rows(named=True):
        is_closed = row["closed"] < log.horizon.now
        status = ("won" if row["is_won"] else "lost") if is_closed else "under_review"
        shared = {
            "id": row["dispute_id"],
            "object": "dispute",
            "amount": row["amount_minor"],
            "balance_transactions": listed[row["dispute_id"]],
            "charge": row["charge_id"],
        }
        texts = {"payment_intent": "pi_" + row["charge_id"].removeprefix("ch_"), "reason": "product_not_received", "status": status, "metadata": {}}
        lines.append(orjson.dumps({**shared, "created": row["opened"], "currency": log.options.currency.lower(), **texts}) + b"\n")
    return b"".join(lines)


def _payouts(log: EventLog) -> pl.DataFrame:
    status = payout_status(log.payouts, log.horizon.now)
    failed = pl.col("fails_at").is_not_null()
    kind = pl.when("is_automatic").then(pl.lit("completed")).otherwise(pl.lit("not_applicable"))
    return (
        log.payouts.with_columns(status=status)
        .sort("created", "payout_id", descending=True)
        .select(
            id="payout_id",
            object=pl.lit("payout"),
            amount="amount_minor",
            arrival_date=pl.col("arrival_on").cast(pl.Datetime("us")).dt.epoch("s"),
            automatic="is_automatic",
            balance_transaction="transaction_id",
            created="created",
            currency=pl.lit(log.options.currency.lower()),
            description=pl.lit("STRIPE PAYOUT"),
            destination=pl.lit(DESTINATION),
            failure_balance_transaction="failure_transaction_id",
            failure_code=pl.when(failed).then(pl.lit("account_closed")),
            failure_message=pl.when(failed).then(pl.lit("The bank account has been closed.")),
            method=pl.lit("standard"),
            reconciliation_status=kind,
            source_type=pl.lit("card"),
            statement_descriptor=pl.lit(None, pl.String),
            status="status",
            trace_id=pl.struct(status=pl.lit("supported"), value="trace"),
            type=pl.lit("bank_account"),
        )
    )


def _members(log: EventLog) -> bytes:
    listed = (
        log.transactions.filter(pl.col("payout_id").is_not_null())
        .sort("payout_id", "created", "transaction_id")
        .group_by("payout_id", maintain_order=True)
        .agg("transaction_id")
    )
    return orjson.dumps(dict(listed.iter_rows())) + b"\n"


def _balance(log: EventLog) -> bytes:
    """Write the balance that the transactions come to; Stripe's Balance shows no `risk_reserved`."""
    payments = log.transactions.filter(pl.col("balance_type") == "payments")
    pending = int(payments.filter((pl.col("available") > log.horizon.now) & (pl.col("type") == "charge"))["net_minor"].sum())
    available = log.opening_minor + int(payments["net_minor"].sum()) - pending
    currency = log.options.currency.lower()
    parts = {
        name: [{"amount": amount, "currency": currency, "source_types": {"card": amount}}] for name, amount in (("available", available), ("pending", pending))
    }
    unused = {name: [{"amount": 0, "currency": currency}] for name in ("available", "pending")}
    return orjson.dumps({"object": "balance", **parts, "livemode": False, "refund_and_dispute_prefunding": unused}, option=orjson.OPT_INDENT_2) + b"\n"
