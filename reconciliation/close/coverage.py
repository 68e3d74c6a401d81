"""Items and their references -> how many lines of each source name what they are about, so that a team sees where its own data causes the work.

A payment that names its invoice is matched by it; one that names nothing is matched by amount and date, or stays open.
"""

import polars as pl

from reconciliation.sources import Sources

SCHEMA = pl.Schema(
    {"book": pl.String, "source": pl.String, "items": pl.Int64, "named": pl.Int64, "matched": pl.Int64, "open": pl.Int64, "open_unnamed": pl.Int64}
)


def cover_references(sources: Sources, items: pl.DataFrame, references: pl.DataFrame, members: pl.DataFrame) -> pl.DataFrame:
    """Count, for every source of items new in the month, those that name a Stripe id, an invoice or a trace id, and those still open.

    Returns:
        `SCHEMA`: a source is Stripe's payments, a ledger line's poster or export, the bank.
    """
    key = ["leg", "item_id"]
    telling = references.filter(pl.col("kind").is_in(["stripe_id", "invoice", "trace", "journal"])).select(key).unique()
    own_words = references.filter(pl.col("kind").is_in(["invoice", "trace"])).select(key).unique()
    profiles = sources.files.select("source_file", "profile")
    new = items.filter((pl.col("population") == "new") & pl.col("side").is_in(["stripe", "ledger", "bank"]))
    payments = new.filter((pl.col("side") != "stripe") | ((pl.col("component") == "gross") & pl.col("category").is_in(["charge", "refund"])))
    placed = payments.join(profiles, on="source_file", how="left", maintain_order="left")
    label = (
        pl.when(pl.col("side") == "stripe")
        .then(pl.format("Stripe: {}s", "category"))
        .when(pl.col("side") == "bank")
        .then(pl.lit("bank statement"))
        .otherwise(pl.concat_str([pl.lit("ledger: "), pl.when(pl.col("poster") != "").then("poster").otherwise(pl.coalesce("profile", pl.lit("export")))]))
    )
    flagged = (
        placed.with_columns(source=label)
        .join(telling.with_columns(has_any=pl.lit(value=True)), on=key, how="left")
        .join(own_words.with_columns(has_words=pl.lit(value=True)), on=key, how="left")
        .join(members.select(*key, is_matched=pl.lit(value=True)), on=key, how="left")
    )
    # Every Stripe payment has ids of Stripe's own; what counts is whether it names the company's document.
    named = pl.when(pl.col("side") == "stripe").then("has_words").otherwise("has_any").fill_null(value=False)
    is_open = pl.col("is_matched").is_null()
    counted = flagged.with_columns(is_named=named).group_by("book", "source").agg(
        items=pl.len(), named=pl.col("is_named").sum(), matched=(~is_open).sum(), open=is_open.sum(), open_unnamed=(is_open & ~pl.col("is_named")).sum()
    )  # fmt: skip
    return counted.select(pl.col(name).cast(dtype) for name, dtype in SCHEMA.items()).sort("book", "source")
