"""Balance transactions -> signed components; payouts -> cash items.

A balance transaction is split so that its parts add to `net`: `gross`, the itemised `fee_tax`, `withheld_tax` and
`application_fee`, and `fee`, the rest. A zero part is no item unless it is the only one.
"""

import polars as pl

from reconciliation.calendar import Calendar
from reconciliation.schemas.items import Item

COMPONENTS = ["gross", "fee_tax", "withheld_tax", "application_fee", "fee"]


def split_components(
    transactions: pl.DataFrame, *, sources: pl.DataFrame, payouts: pl.DataFrame, members: pl.DataFrame, calendar: Calendar, book: str
) -> pl.DataFrame:
    """Split balance transactions into items of the books leg.

    Args:
        transactions: `BalanceTransaction`.
        sources: `StripeSource`, for names and references.
        payouts: `Payout`.
        members: `PayoutMember`; which payout a transaction was paid out with.
        calendar: the books' calendar; decides each component's date and month.
        book: name of the book.

    Returns:
        `Item` rows (population `new`), one per component.
    """
    described = _describe(transactions, sources=sources, payouts=payouts, members=members)
    parts = described.with_columns(
        gross=pl.col("amount_minor"),
        fee_tax=-pl.col("fee_tax_minor"),
        withheld_tax=-pl.col("withheld_tax_minor"),
        application_fee=-pl.col("application_fee_minor"),
        fee=-(pl.col("fee_minor") - pl.col("fee_tax_minor") - pl.col("withheld_tax_minor") - pl.col("application_fee_minor")),
    )
    nothing = pl.all_horizontal(pl.col(part) == 0 for part in COMPONENTS)
    long = (
        parts.with_columns(is_zero=nothing)
        .drop("amount_minor")
        .unpivot(
            on=COMPONENTS,
            index=[c for c in parts.columns if c not in [*COMPONENTS, "amount_minor"]] + ["is_zero"],
            variable_name="component",
            value_name="amount_minor",
        )
        .filter((pl.col("amount_minor") != 0) | (pl.col("is_zero") & (pl.col("component") == "gross")))
    )
    return _as_items(
        long.with_columns(
            leg=pl.lit("books"),
            item_id=pl.col("balance_transaction_id") + "/" + pl.col("component"),
            line=pl.col("reporting_category") + "." + pl.col("component"),
            occurred_at=pl.col("created_at"),
            account=pl.col("balance_type"),
        ),
        calendar=calendar,
        book=book,
    )


def list_cash_items(payouts: pl.DataFrame, *, transactions: pl.DataFrame, calendar: Calendar, book: str) -> pl.DataFrame:
    """List the cash leg's Stripe side: payouts, their returns and top-ups, positive towards the bank.

    A return is dated when its failure or cancellation was booked, never by the payout's status of today.
    """
    paid = payouts.select(
        "stripe_account",
        "payout_id",
        "currency",
        "amount_minor",
        item_id=pl.col("payout_id"),
        occurred_at=pl.col("created_at"),
        balance_transaction_id=pl.col("balance_transaction_id").fill_null(""),
        description=pl.col("statement_descriptor").fill_null(""),
        reference=pl.col("trace_id").fill_null(""),
        reporting_category=pl.lit("payout"),
        expected_on=pl.col("arrival_on"),
    )
    booked = transactions.select("stripe_account", "balance_transaction_id", "created_at")
    returned = (
        payouts.filter(pl.col("failure_balance_transaction_id").is_not_null())
        .drop("balance_transaction_id", "created_at")
        .rename({"failure_balance_transaction_id": "balance_transaction_id"})
        .join(booked, on=["stripe_account", "balance_transaction_id"])
        .select(
            "stripe_account",
            "payout_id",
            "currency",
            amount_minor=-pl.col("amount_minor"),
            item_id=pl.col("payout_id") + "/returned",
            occurred_at=pl.col("created_at"),
            balance_transaction_id=pl.col("balance_transaction_id"),
            description=pl.col("statement_descriptor").fill_null(""),
            reference=pl.col("trace_id").fill_null(""),
            reporting_category=pl.lit("payout_reversal"),
            expected_on=pl.col("arrival_on"),
        )
    )
    # A top-up may be given back in parts: the second part is `<top-up>/2/returned`.
    again = pl.int_range(1, pl.len() + 1).over("stripe_account", "source_id", "type")
    part = pl.when(again == 1).then(pl.lit("")).otherwise(pl.format("/{}", again))
    moved = transactions.filter(pl.col("type").is_in(["topup", "topup_reversal"]) & pl.col("source_id").is_not_null())
    top_ups = moved.sort("created_at", "balance_transaction_id").select(
        "stripe_account",
        "currency",
        amount_minor=-pl.col("amount_minor"),
        payout_id=pl.lit(""),
        item_id=pl.concat_str(["source_id", part, pl.when(pl.col("type") == "topup").then(pl.lit("")).otherwise(pl.lit("/returned"))]),
        occurred_at=pl.col("created_at"),
        balance_transaction_id=pl.col("balance_transaction_id"),
        description=pl.col("description"),
        reference=pl.lit(""),
        reporting_category=pl.col("reporting_category"),
        expected_on=pl.lit(None, dtype=pl.Date),
    )
    both = pl.concat([paid, returned, top_ups], how="diagonal_relaxed")
    return _as_items(both.with_columns(leg=pl.lit("cash"), component=pl.lit(""), line=pl.lit(""), account=pl.lit("")), calendar=calendar, book=book)


def _describe(transactions: pl.DataFrame, *, sources: pl.DataFrame, payouts: pl.DataFrame, members: pl.DataFrame) -> pl.DataFrame:
    """Add the names, references and payouts that other objects know about a transaction."""
    keys = ["stripe_account", "source_id"]
    own = sources.select(
        *keys, "charge_id", "counterparty", "presentment_amount_minor", "presentment_currency", "payment_intent_id",
        own_description=pl.col("description"), own_references=pl.col("references"),
    )  # fmt: skip
    charges = sources.filter(pl.col("object").is_in(["charge", "payment"])).select(
        "stripe_account",
        charge_id=pl.col("source_id"),
        charge_counterparty=pl.col("counterparty"),
        charge_references=pl.col("references"),
    )
    payout_facts = payouts.select("stripe_account", source_id=pl.col("payout_id"), arrival_on="arrival_on", trace_id="trace_id")
    membership = members.select("stripe_account", "balance_transaction_id", member_of=pl.col("payout_id"))
    return (
        transactions.join(own, on=keys, how="left")
        .with_columns(charge_id=pl.coalesce("charge_id", pl.when(pl.col("source_id").str.contains(r"^(ch|py)_")).then("source_id")))
        .join(charges, on=["stripe_account", "charge_id"], how="left")
        .join(payout_facts, on=keys, how="left")
        .join(membership, on=["stripe_account", "balance_transaction_id"], how="left")
        .with_columns(
            source_id=pl.col("source_id").fill_null(""),
            charge_id=pl.col("charge_id").fill_null(""),
            counterparty=pl.coalesce(_not_blank("counterparty"), _not_blank("charge_counterparty"), pl.lit("")),
            references=pl.concat_list(pl.col("own_references").fill_null([]), pl.col("charge_references").fill_null([])).list.unique(maintain_order=True),
            payout_id=pl.coalesce(pl.when(pl.col("source_id").str.starts_with("po_")).then("source_id"), "member_of", pl.lit("")),
            expected_on=pl.col("arrival_on"),
            payment_intent_id=pl.col("payment_intent_id").fill_null(""),
        )
        .with_columns(reference=pl.coalesce(pl.col("references").list.first(), "trace_id", pl.lit("")))
    )


def _not_blank(column: str) -> pl.Expr:
    return pl.when(pl.col(column).str.strip_chars() != "").then(pl.col(column))


def _as_items(frame: pl.DataFrame, *, calendar: Calendar, book: str) -> pl.DataFrame:
    """Fill what a Stripe item shares with all items and keep the schema's columns, plus `reference_text`."""
    texts = [
        c
        for c in ("source_id", "charge_id", "payment_intent_id", "balance_transaction_id", "payout_text", "reference", "description", "own_description")
        if c in frame.columns
    ]
    listed = [pl.col("references").list.join(" ")] if "references" in frame.columns else []
    dated = frame.with_columns(date=calendar.local_day_of("occurred_at"), category=pl.col("reporting_category")).with_columns(
        origin_period=calendar.period_of_day("date")
    )
    complete = dated.with_columns(
        reference_text=pl.concat_str([*(pl.col(text).fill_null("") for text in texts), *listed], separator=" "),
        book=pl.lit(book),
        side=pl.lit("stripe"),
        population=pl.lit("new"),
        document=pl.lit(""),
        source_file=pl.lit(""),
        source_row=pl.lit(""),
        poster=pl.lit(""),
        is_accrual=pl.lit(value=False),
        reverses=pl.lit(""),
    )
    defaults = {
        "counterparty": pl.lit(""),
        "type": pl.lit(""),
        "source_id": pl.lit(""),
        "charge_id": pl.lit(""),
        "payout_id": pl.lit(""),
        "presentment_amount_minor": pl.lit(None, dtype=pl.Int64),
        "presentment_currency": pl.lit(None, dtype=pl.String),
    }
    complete = complete.with_columns(**{name: value for name, value in defaults.items() if name not in complete.columns})
    return cast_items(complete)


def cast_items(frame: pl.DataFrame) -> pl.DataFrame:
    """Keep the columns of `Item` in order and type, and `reference_text` if there is one."""
    extra = [pl.col("reference_text")] if "reference_text" in frame.columns else []
    return frame.select(*(pl.col(name).cast(dtype) for name, dtype in Item.create_empty().schema.items()), *extra)
