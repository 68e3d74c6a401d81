"""Payouts, their lines, and where they arrived -> one row a payout (`payouts.csv`, money in minor units)."""

import polars as pl

from reconciliation.matching.composition import propose_payout_lines
from reconciliation.population import Month
from reconciliation.sources import Sources

FEE_ROWS = ["fee", "network_cost", "tax"]


def list_payouts(sources: Sources, month: Month, items: pl.DataFrame, members: pl.DataFrame) -> pl.DataFrame:
    """List the payouts made in the month and those carried into it.

    Args:
        sources: for the payouts and their lines.
        month: which month.
        items: every item of the month.
        members: `MatchMember`.
    """
    cash = items.filter((pl.col("leg") == "cash") & (pl.col("side") == "stripe") & (pl.col("payout_id") != "") & ~pl.col("item_id").str.ends_with("/returned"))
    listed = sources.payouts.join(cash.select("stripe_account", "payout_id", "item_id").unique(), on=["stripe_account", "payout_id"], how="inner")
    local = month.calendar.local_day_of("created_at")
    booked = sources.transactions.select("stripe_account", failure_balance_transaction_id="balance_transaction_id", returned_at="created_at")
    known = (
        listed.join(booked, on=["stripe_account", "failure_balance_transaction_id"], how="left")
        .join(_composition(sources, month, listed), on=["stripe_account", "payout_id"], how="left")
        .join(_bank(items, members), on="item_id", how="left")
        .join(_ledger(items, members), on=["stripe_account", "balance_transaction_id"], how="left")
        .join(
            items.filter(pl.col("leg") == "cash").join(members, on=["leg", "item_id"], how="anti").select("item_id", is_open=pl.lit(value=True)),
            on="item_id",
            how="left",
        )
    )
    returned = pl.col("returned_at").is_not_null() & (pl.col("returned_at") < month.cut_off)
    return known.select(
        "stripe_account",
        "payout_id",
        "currency",
        "method",
        "failure_code",
        "lines",
        "gross",
        "fees",
        "refunds",
        "disputes",
        "other",
        "lines_net",
        "bank_file",
        "bank_row",
        "bank_date",
        "bank_amount",
        "ledger_row",
        "ledger_date",
        "ledger_amount",
        "trace_id",
        "statement_descriptor",
        book=pl.lit(month.book.name),
        created=local,
        arrival_date=pl.col("arrival_on"),
        automatic=pl.col("is_automatic"),
        itemised=pl.col("itemised").fill_null("none"),
        solutions=pl.col("solutions"),
        status_at_cutoff=pl.when(returned)
        .then(pl.lit("failed"))
        .when(pl.col("arrival_on") <= month.cut_off_on)
        .then(pl.lit("paid"))
        .otherwise(pl.lit("in_transit")),
        status_latest=pl.col("status"),
        returned_on=pl.when(returned).then(pl.col("returned_at").dt.convert_time_zone(month.calendar.zone).dt.date()),
        amount=pl.col("amount_minor"),
        lines_difference=pl.col("amount_minor") - pl.col("lines_net"),
        bank_difference=pl.col("amount_minor") - pl.col("bank_amount"),
        ledger_difference=pl.col("amount_minor") + pl.col("ledger_amount"),
        in_transit_at_cutoff=pl.when(pl.col("is_open").fill_null(value=False)).then("amount_minor").otherwise(0),
    ).sort("book", "currency", "created", "payout_id")


def _composition(sources: Sources, month: Month, listed: pl.DataFrame) -> pl.DataFrame:
    """Add up what Stripe lists under each payout, and what is proposed for those under which it lists nothing."""
    made = sources.payouts.filter(pl.col("created_at") < month.cut_off)
    own = made.select("stripe_account", "balance_transaction_id")
    keys = ["stripe_account", "balance_transaction_id"]
    lines = sources.members.join(made, on=["stripe_account", "payout_id"], how="semi").join(own, on=keys, how="anti").join(sources.transactions, on=keys)
    proposed = propose_payout_lines(sources.transactions, payouts=made, members=sources.members, wanted=listed)
    asked = proposed.select("stripe_account", "payout_id", "solutions", itemised=pl.when("places_found").then(pl.lit("proposed")).otherwise(pl.lit("none")))
    chosen = proposed.filter("places_found").explode("balance_transaction_id").join(sources.transactions, on=keys)
    stated = _sums(lines).with_columns(solutions=pl.lit(None, dtype=pl.Int64), itemised=pl.lit("stripe"))
    return pl.concat([stated, asked.join(_sums(chosen), on=["stripe_account", "payout_id"], how="left").select(stated.columns)])


def _sums(lines: pl.DataFrame) -> pl.DataFrame:
    """Add up lines of payouts by what they are."""
    category, amount = pl.col("reporting_category"), pl.col("amount_minor")
    is_other = ~category.is_in(["charge", "refund", "dispute", "dispute_reversal", *FEE_ROWS])
    return lines.group_by("stripe_account", "payout_id").agg(
        lines=pl.len().cast(pl.Int64),
        gross=amount.filter(category == "charge").sum(),
        fees=amount.filter(category.is_in(FEE_ROWS)).sum() - pl.col("fee_minor").sum(),
        refunds=amount.filter(category == "refund").sum(),
        disputes=amount.filter(category.is_in(["dispute", "dispute_reversal"])).sum(),
        other=amount.filter(is_other).sum(),
        lines_net=pl.col("net_minor").sum(),
    )


def _bank(items: pl.DataFrame, members: pl.DataFrame) -> pl.DataFrame:
    inside = members.filter(pl.col("leg") == "cash").join(items, on=["leg", "item_id"])
    bank = (
        inside.filter(pl.col("side") == "bank")
        .sort("date", "item_id")
        .group_by("match_id", maintain_order=True)
        .agg(
            bank_file=pl.col("source_file").first(),
            bank_row=pl.col("source_row").first(),
            bank_date=pl.col("date").first(),
            bank_amount=pl.col("amount_minor").sum(),
        )
    )
    return inside.filter(pl.col("side") == "stripe").select("match_id", "item_id").join(bank, on="match_id").drop("match_id")


def _ledger(items: pl.DataFrame, members: pl.DataFrame) -> pl.DataFrame:
    inside = members.filter(pl.col("leg") == "books").join(items, on=["leg", "item_id"])
    payouts = inside.filter((pl.col("side") == "stripe") & (pl.col("component") == "gross") & (pl.col("category") == "payout"))
    ledger = (
        inside.filter(pl.col("side") == "ledger")
        .sort("date", "item_id")
        .group_by("match_id", maintain_order=True)
        .agg(
            ledger_row=pl.concat_str(["source_file", "source_row"], separator=":").first(),
            ledger_date=pl.col("date").first(),
            ledger_amount=pl.col("amount_minor").sum(),
        )
    )
    return payouts.select("match_id", "stripe_account", "balance_transaction_id").join(ledger, on="match_id").drop("match_id")
