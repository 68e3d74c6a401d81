"""Locked months and what the data says now -> every change since, linked to the month it belongs to (`restatement.csv`).

Two questions have the same answer in the same form. While the month is locked: what arrived, changed or vanished since the lock; it is counted in the first open month, on the
line `posted_into_locked_month`. Once it is open again: how the new version differs from the one that was signed, item by item.
"""

import polars as pl

from reconciliation.population import RESTATED

SCHEMA = pl.Schema({
    "period": pl.String, "change": pl.String, "book": pl.String, "leg": pl.String, "side": pl.String, "item_id": pl.String, "currency": pl.String,
    "amount_before": pl.Int64, "amount_now": pl.Int64, "difference": pl.Int64, "status_before": pl.String, "status_now": pl.String, "what": pl.String,
    "date": pl.Date, "source_file": pl.String, "source_row": pl.String, "posted_into": pl.String,
})  # fmt: skip
MONEY = ["amount_before", "amount_now", "difference"]
KEY = ["leg", "item_id"]
FACTS = ["amount_minor", "currency", "date", "origin_period", "account", "line"]
"""A change of one of the first three makes an item `changed`, of one of the others or of its status `reclassified`."""


def list_late_changes(items: pl.DataFrame, status: pl.DataFrame, locked: pl.DataFrame, *, period: str) -> pl.DataFrame:
    """List what reached locked months since: the month's late items.

    Args:
        items: `Item` rows of the first open month.
        status: `leg, item_id, status` of each of them.
        locked: what the locked months knew (`population.LOCKED`).
        period: the first open month.
    """
    late = items.filter(pl.col("population") == "late").join(status, on=KEY, how="left")
    origin = pl.col("item_id").str.split(RESTATED).list.first()
    counted = locked.group_by("leg", item_id=origin).agg(counted=pl.col("amount_minor").sum())
    is_restated = pl.col("item_id").str.contains(RESTATED, literal=True)
    known = late.with_columns(id=pl.col("item_id"), is_restated=is_restated, item_id=origin).join(counted, on=KEY, how="left")
    before = pl.when("is_restated").then("counted")
    now = pl.col("amount_minor") + before.fill_null(0)
    return _shaped(
        known.with_columns(
            item_id="id",
            period="origin_period",
            change=pl.when(~pl.col("is_restated")).then(pl.lit("appeared")).when(now == 0).then(pl.lit("vanished")).otherwise(pl.lit("changed")),
            amount_before=before,
            amount_now=now,
            status_before=pl.lit(""),
            status_now="status",
            what=pl.format("counted in {}", pl.lit(period)),
            posted_into=pl.lit(period),
        )
    )


def compare_versions(before: pl.DataFrame, now: pl.DataFrame, *, period: str, book: str) -> pl.DataFrame:
    """List how a re-opened month differs from the version that was locked.

    Args:
        before: `Item` rows of the locked version with `status` (from `describe_status`).
        now: the same of the month as it is now.
        period: the month.
        book: the book.
    """
    columns = [*FACTS, "side", "status", "source_file", "source_row"]
    both = before.select(*KEY, *(pl.col(name).alias(f"{name}_before") for name in columns)).join(now.select(*KEY, *columns), on=KEY, how="full", coalesce=True)
    is_new, is_gone = pl.col("amount_minor_before").is_null(), pl.col("amount_minor").is_null()
    differs = {name: pl.col(name).ne_missing(pl.col(f"{name}_before")) for name in (*FACTS, "status")}
    named = {
        name: pl.when(differs[name]).then(
            pl.format("{}: {} -> {}", pl.lit(name), pl.col(f"{name}_before").cast(pl.String).fill_null(""), pl.col(name).cast(pl.String).fill_null(""))
        )
        for name in ("currency", "date", "origin_period", "account", "line")
    }
    described = both.filter(is_new | is_gone | pl.any_horizontal(differs.values())).with_columns(
        period=pl.lit(period),
        book=pl.lit(book),
        change=pl.when(is_new).then(pl.lit("appeared"))
        .when(is_gone).then(pl.lit("vanished"))
        .when(pl.any_horizontal(differs[name] for name in FACTS[:3])).then(pl.lit("changed"))
        .otherwise(pl.lit("reclassified")),
        what=pl.when(is_new | is_gone).then(pl.lit("")).otherwise(pl.concat_str(list(named.values()), separator="; ", ignore_nulls=True)),
        amount_before="amount_minor_before",
        amount_now="amount_minor",
        status_before=pl.col("status_before").fill_null(""),
        status_now=pl.col("status").fill_null(""),
        posted_into=pl.lit(""),
        **{name: pl.coalesce(name, f"{name}_before") for name in ("side", "currency", "date", "source_file", "source_row")},
    )  # fmt: skip
    return _shaped(described)


def describe_status(items: pl.DataFrame, open_items: pl.DataFrame) -> pl.DataFrame:
    """Add `status` to items: `matched`, or `open as <nature> <cause>`."""
    named = open_items.select(*KEY, status=pl.concat_str([pl.lit("open as"), pl.col("nature"), pl.col("cause")], separator=" ").str.replace("  ", " "))
    return items.join(named, on=KEY, how="left").with_columns(pl.col("status").fill_null("matched"))


def _shaped(rows: pl.DataFrame) -> pl.DataFrame:
    counted = rows.with_columns(difference=pl.col("amount_now").fill_null(0) - pl.col("amount_before").fill_null(0))
    return counted.select(pl.col(name).cast(dtype) for name, dtype in SCHEMA.items()).sort("period", "book", "leg", "side", "change", "item_id", "posted_into")
