"""Open items with kinds -> breaks; matches across months -> breaks of their own.

A break is the largest set of open items of one leg, kind and currency that share a balance transaction, else a ledger
document, else a payout; or one residual or opening difference; or one ambiguous group; or a match whose ledger line lies in a month before its
component's.
"""

import polars as pl

from reconciliation.engine import content_ids


def group_breaks(open_items: pl.DataFrame) -> pl.DataFrame:
    """Add `break_id` to open items; it comes from the members and the leg."""
    own = pl.col("side").is_in(["residual", "opening", "bank"])
    key = (
        pl.when(pl.col("ambiguous_group") != "").then(pl.concat_str([pl.lit("ambiguous"), pl.col("ambiguous_group")], separator=":"))
        .when(own).then(pl.concat_str([pl.lit("item"), pl.col("item_id")], separator=":"))
        .when(pl.col("balance_transaction_id") != "").then(pl.concat_str([pl.lit("bt"), pl.col("balance_transaction_id")], separator=":"))
        .when(pl.col("document") != "").then(pl.concat_str([pl.lit("doc"), pl.col("document")], separator=":"))
        .when(pl.col("payout_id") != "").then(pl.concat_str([pl.lit("po"), pl.col("payout_id")], separator=":"))
        .otherwise(pl.concat_str([pl.lit("item"), pl.col("item_id")], separator=":"))
    )  # fmt: skip
    keyed = open_items.with_columns(break_key=key)
    on = ["leg", "kind", "currency", "break_key"]
    groups = (
        keyed.group_by(on)
        .agg(members=pl.col("item_id").sort())
        .sort(on)
        .with_columns(content=pl.concat_str(["leg", "kind", pl.col("members").list.join(";")], separator="|"))
    )
    named = groups.with_columns(break_id=content_ids(groups, prefix="br_")).select(*on, "break_id")
    return keyed.join(named, on=on, how="left").drop("break_key")


def find_period_differences(members: pl.DataFrame, items: pl.DataFrame) -> pl.DataFrame:
    """Find matches whose ledger line lies in a month before its component's.

    A carried-in line that is settled is none: its month was open, and the line was shown there.

    Returns:
        `break_id, match_id, leg, currency, item_ids, balance_transaction_ids, source_rows, moved_minor, date, …`, one row per match.
    """
    late = items.filter((pl.col("leg") == "books") & (pl.col("side") == "ledger") & (pl.col("population") == "late")).select("leg", "item_id")
    moved = members.join(late, on=["leg", "item_id"], how="semi").select("leg", "match_id")
    inside = members.join(moved, on=["leg", "match_id"], how="semi").join(items, on=["leg", "item_id"])
    matches = inside.group_by("match_id").agg(
        ledger_period=pl.col("origin_period").filter((pl.col("side") == "ledger") & (pl.col("population") == "late")).min(),
        stripe_period=pl.col("origin_period").filter(pl.col("side") == "stripe").max(),
        moved_minor=pl.col("amount_minor").filter((pl.col("side") == "ledger") & (pl.col("population") == "late")).sum(),
        item_ids=pl.col("item_id").sort(),
        balance_transaction_ids=pl.col("balance_transaction_id").filter(pl.col("balance_transaction_id") != "").unique().sort(),
        source_rows=pl.concat_str(["source_file", "source_row"], separator=":").filter(pl.col("source_file") != "").sort(),
        date=pl.col("date").filter(pl.col("side") == "ledger").min(),
        currency=pl.col("currency").first(),
        book=pl.col("book").first(),
        stripe_account=pl.col("stripe_account").max(),
        counterparty=pl.col("counterparty").max(),
        reference=pl.col("reference").max(),
    )
    across = matches.filter(pl.col("ledger_period") < pl.col("stripe_period")).sort("match_id")
    content = across.select(content=pl.concat_str([pl.lit("across"), pl.col("match_id")], separator="|"))
    return across.with_columns(break_id=content_ids(content, prefix="br_"))
