"""Lines of several exports -> for each line whether it is used, superseded by the same line of a newer export, or retired.

A report that states its first and last day covers, for each of its accounts, all days between them. Another export covers, for each
account, the dates from its first to its last line of each main period. Inside that the newest export alone counts. A line posted into another period than the export's main ones (a late posting that slipped in) widens
nothing, so it cannot retire the rest of its month.

Newest means: last delivered; then reaching to the latest date; then with most lines; then by hash. Never by name.
"""

from dataclasses import dataclass

import polars as pl

MAIN_PERIOD_LINES_MIN = 5
MAIN_PERIOD_DAYS_MIN = 15
MAIN_PERIOD_SHARE_MIN = 0.2
"""A further period is covered too when it is exported like the main one, not just touched: at least five lines, over half a month,
a fifth of the main period's lines. A quarter's or a year's export passes; a few late postings do not."""

IDENTITY = ("account_key", "currency", "document", "day", "amount_minor", "memo", "without_document")


@dataclass(frozen=True)
class Covered:
    """Lines with their fate, and what each export covers.

    Attributes:
        lines: the lines with `rank` (1 = oldest export) and `fate`: `used`, `superseded`, `retired`.
        spans: `sha256`, `account_key`, `month`, `covers_from`, `covers_to`.
    """

    lines: pl.DataFrame
    spans: pl.DataFrame


def apply_coverage(lines: pl.DataFrame) -> Covered:
    """Decide the fate of every line.

    Args:
        lines: of all exports: `source_file`, `sha256`, `delivery`, `row`, `month`, `stated_from`, `stated_to` (null where the
            export states no days) and the columns of `IDENTITY`.
    """
    lines = lines.join(_ranks(lines), on=["source_file", "sha256"], how="left", maintain_order="left")
    spans = _spans(lines)
    if lines["rank"].n_unique() < 2:
        return Covered(lines.with_columns(fate=pl.lit("used")), spans)
    newer = spans.rename({"rank": "newer_rank"}).select("account_key", "month", "covers_from", "covers_to", "newer_rank")
    days = lines.select("account_key", "month", "day", "rank").unique()
    keys = ["account_key", "month", "day", "rank"]
    is_newer = (pl.col("newer_rank") > pl.col("rank")) & pl.col("day").is_between("covers_from", "covers_to")
    by_lines = days.join(newer, on=["account_key", "month"], how="inner").filter(is_newer).select(keys)
    stated = _stated(lines).rename({"rank": "newer_rank"})
    by_statement = days.join(stated, on="account_key", how="inner").filter(is_newer).select(keys)
    covered = pl.concat([by_lines, by_statement]).unique().with_columns(is_covered=pl.lit(True))
    lines = lines.join(covered, on=["account_key", "month", "day", "rank"], how="left", maintain_order="left").with_columns(
        pl.col("is_covered").fill_null(value=False)
    )
    lines = lines.sort("rank", "row").with_columns(ordinal=pl.int_range(pl.len()).over("rank", *IDENTITY))
    newest = pl.col("rank").filter(~pl.col("is_covered")).max().over(*IDENTITY, "ordinal")
    fate = (
        pl.when(~pl.col("is_covered") & (pl.col("rank") == newest)).then(pl.lit("used"))
        .when(newest.is_not_null() & (newest > pl.col("rank"))).then(pl.lit("superseded"))
        .otherwise(pl.lit("retired"))
    )  # fmt: skip
    return Covered(lines.with_columns(fate=fate).drop("is_covered", "ordinal"), spans)


def _ranks(lines: pl.DataFrame) -> pl.DataFrame:
    files = lines.group_by("source_file", "sha256", "delivery").agg(pl.col("day").max().alias("last_day"), pl.len().alias("count"))
    ordered = files.sort("delivery", "last_day", "count", "sha256", "source_file").with_row_index("rank", offset=1)
    return ordered.select("source_file", "sha256", pl.col("rank").cast(pl.Int64))


def _stated(lines: pl.DataFrame) -> pl.DataFrame:
    """Return the days that exports state to cover, by account: `rank`, `account_key`, `covers_from`, `covers_to`."""
    stating = lines.filter(pl.col("stated_from").is_not_null())
    return stating.select("rank", "account_key", covers_from="stated_from", covers_to="stated_to").unique()


def _spans(lines: pl.DataFrame) -> pl.DataFrame:
    months = lines.group_by("rank", "month").agg(pl.len().alias("count"), pl.col("day").min().alias("first"), pl.col("day").max().alias("last"))
    main = months.sort("rank", "count", "month").group_by("rank", maintain_order=True).last().select("rank", main="month", main_count="count")
    months = months.join(main, on="rank", how="left")
    further = (
        (pl.col("count") >= MAIN_PERIOD_LINES_MIN)
        & ((pl.col("last") - pl.col("first")).dt.total_days() + 1 >= MAIN_PERIOD_DAYS_MIN)
        & (pl.col("count") >= MAIN_PERIOD_SHARE_MIN * pl.col("main_count"))
    )
    is_main = (pl.col("month") == pl.col("main")) | further
    months = months.with_columns(is_main=is_main)
    first, last = pl.col("month").filter(pl.col("is_main")).min().over("rank"), pl.col("month").filter(pl.col("is_main")).max().over("rank")
    exported = months.filter(pl.col("month").is_between(first, last)).select("rank", "month")
    return (
        lines.join(exported, on=["rank", "month"], how="semi")
        .group_by("rank", "source_file", "sha256", "account_key", "month")
        .agg(
            pl.coalesce(pl.col("stated_from").first(), pl.col("day").min()).alias("covers_from"),
            pl.coalesce(pl.col("stated_to").first(), pl.col("day").max()).alias("covers_to"),
        )
        .sort("rank", "account_key", "month")
    )
