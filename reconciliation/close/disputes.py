"""Items and objects of disputes -> the life of each dispute (`disputes.csv`), since the account it is held on must be proved too.

opening + withdrawn - reinstated - lost = closing, in the currency in which Stripe took the money. A lost dispute moves nothing at Stripe, so its loss is
shown in the first month whose data says that it is lost. Inquiries that took no money are not listed.
"""

import polars as pl

from reconciliation.population import Month
from reconciliation.sources import Sources

CATEGORIES = ["dispute", "dispute_reversal"]
SCHEMA = pl.Schema({
    "book": pl.String, "stripe_account": pl.String, "dispute_id": pl.String, "charge_id": pl.String, "reason": pl.String, "status": pl.String, "opened": pl.Date,
    "currency": pl.String, "amount": pl.Int64, "fee": pl.Int64, "opening": pl.Int64, "withdrawn": pl.Int64, "reinstated": pl.Int64, "lost": pl.Int64,
    "closing": pl.Int64, "ledger_account_amount": pl.Int64, "difference": pl.Int64,
})  # fmt: skip
MONEY = ["amount", "fee", "opening", "withdrawn", "reinstated", "lost", "closing", "ledger_account_amount", "difference"]


def list_disputes(sources: Sources, month: Month, *, before: pl.DataFrame | None) -> pl.DataFrame:
    """List the disputes that were held at the beginning of the month, or moved in it.

    Args:
        sources: everything read.
        month: which month.
        before: the same list of the month before, whose closing is this opening; None in the first month.

    Returns:
        `SCHEMA`, money in minor units; the ledger's amount is null where the book maps no account of the role `disputes`.
    """
    calendar = month.calendar
    booked = sources.transactions.filter((pl.col("created_at") < month.cut_off) & pl.col("reporting_category").is_in(CATEGORIES))
    first_day = calendar.first_day(month.period)
    moved = booked.with_columns(date=calendar.local_day_of("created_at")).with_columns(is_new=pl.col("date") >= first_day)
    taken = -pl.col("amount_minor")
    lives = moved.group_by("stripe_account", dispute_id=pl.col("source_id").fill_null(""), currency="currency").agg(
        opened=pl.col("date").min(),
        amount=taken.filter(pl.col("reporting_category") == "dispute").sum(),
        fee=pl.col("fee_minor").sum(),
        earlier=taken.filter(~pl.col("is_new")).sum(),
        withdrawn=taken.filter(pl.col("is_new") & (pl.col("reporting_category") == "dispute")).sum(),
        reinstated=-taken.filter(pl.col("is_new") & (pl.col("reporting_category") == "dispute_reversal")).sum(),
        moves=pl.col("is_new").sum(),
    )
    objects = sources.stripe_sources.filter(pl.col("object") == "dispute").select("stripe_account", "charge_id", "reason", "status", dispute_id="source_id")
    key = ["stripe_account", "dispute_id", "currency"]
    known = lives.join(objects, on=["stripe_account", "dispute_id"], how="left")
    if before is None:
        opened = known.with_columns(opening="earlier")
    else:
        opened = known.join(before.select(*key, opening="closing"), on=key, how="left").with_columns(pl.col("opening").fill_null(0))
    held = pl.col("opening") + pl.col("withdrawn") - pl.col("reinstated")
    lost = opened.with_columns(lost=pl.when(pl.col("status") == "lost").then(held).otherwise(0)).with_columns(closing=held - pl.col("lost"))
    shown = lost.filter((pl.col("opening") != 0) | (pl.col("moves") > 0))
    return (
        _tie_to_ledger(shown, sources, month)
        .with_columns(pl.lit(month.book.name).alias("book"), pl.col("charge_id", "reason", "status").fill_null(""))
        .select(pl.col(name).cast(dtype) for name, dtype in SCHEMA.items())
        .sort("book", "stripe_account", "currency", "opened", "dispute_id")
    )


def _tie_to_ledger(disputes: pl.DataFrame, sources: Sources, month: Month) -> pl.DataFrame:
    """Add what the ledger holds for each dispute on the accounts of the role `disputes`, found by the dispute's or the charge's id in the line's text."""
    accounts = [account.account for account in month.book.ledger_accounts if account.role == "disputes"]
    if not accounts:
        empty = pl.lit(None, dtype=pl.Int64)
        return disputes.with_columns(ledger_account_amount=empty, difference=empty)
    lines = sources.ledger_lines.filter(pl.col("account").is_in(accounts) & (pl.col("posting_on") <= month.cut_off_on))
    named = lines.select(
        "currency", "amount_minor", "item_id", name=pl.concat_str(["reference", "memo"], separator=" ").str.extract_all(r"\b(?:dp|du|ch|py)_\w+")
    )
    found = named.explode("name").drop_nulls("name").unique(["item_id", "name"])
    sums = [
        disputes.select("dispute_id", "currency", name=column).join(found, on=["name", "currency"]).select("dispute_id", "currency", "item_id", "amount_minor")
        for column in ("dispute_id", "charge_id")
    ]
    held = pl.concat(sums).unique().group_by("dispute_id", "currency").agg(ledger_account_amount=pl.col("amount_minor").sum())
    return (
        disputes.join(held, on=["dispute_id", "currency"], how="left")
        .with_columns(pl.col("ledger_account_amount").fill_null(0))
        .with_columns(difference=pl.col("closing") - pl.col("ledger_account_amount"))
    )
