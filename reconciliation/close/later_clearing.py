"""Open items + what is dated after the cut-off -> which of them have cleared since, when, and by what.

For the auditor's question after a close. It looks one month ahead at most, and changes nothing of the month: neither its
matches nor its balances.
"""

from dataclasses import replace
from datetime import timedelta

import polars as pl

from reconciliation.matching.cascade import PAIRS, match_items
from reconciliation.normalize.components import cast_items
from reconciliation.normalize.references import extract_references
from reconciliation.population import Month, list_all_items
from reconciliation.schemas.journals import ProposedEntry
from reconciliation.sources import Sources

DAYS_AHEAD = 31
SCHEMA = pl.Schema({"leg": pl.String, "item_id": pl.String, "cleared_after_cutoff_on": pl.Date, "cleared_by_item": pl.String})


def find_later_clearing(sources: Sources, month: Month, items: pl.DataFrame, references: pl.DataFrame, open_items: pl.DataFrame) -> pl.DataFrame:
    """Match the open items with what came after the cut-off.

    Args:
        sources: everything read.
        month: the month.
        items: every item of the month.
        references: their references.
        open_items: `OpenItem`.

    Returns:
        `leg, item_id, cleared_after_cutoff_on, cleared_by_item` of the open items that have cleared since.
    """
    last = month.cut_off_on + timedelta(days=DAYS_AHEAD)
    calendar = month.calendar
    ahead = replace(month, period=calendar.period_of(last), cut_off=calendar.day_start(last + timedelta(days=1)), cut_off_on=last)
    key = ["leg", "item_id"]
    later = (
        list_all_items(sources, ahead).filter((pl.col("origin_period") > month.period) & (pl.col("date") > month.cut_off_on)).join(items, on=key, how="anti")
    )
    still_open = items.join(open_items, on=key, how="semi")
    # Only an equal amount clears an item without a doubt; the rest of the later month is not looked at.
    size = pl.col("amount_minor").abs().alias("size")
    later = later.with_columns(size).join(still_open.select("leg", "currency", size).unique(), on=["leg", "currency", "size"], how="semi").drop("size")
    if later.is_empty() or still_open.is_empty():
        return pl.DataFrame(schema=SCHEMA)
    both = pl.concat([still_open, cast_items(later).drop("reference_text")])
    known = pl.concat([references.join(still_open, on=key, how="semi"), extract_references(later)])
    journals = ProposedEntry.create_empty()
    members = match_items(both, known, cut_off_on=last, journals=journals, strategies=PAIRS).members.join(both.select(*key, "date"), on=key)
    is_open = members.join(still_open.select(key), on=key, how="semi").select(*key, "match_id")
    clearing = members.join(later.select(key), on=key, how="semi").sort("date", "item_id")
    cleared = clearing.group_by("leg", "match_id", maintain_order=True).agg(
        cleared_after_cutoff_on=pl.col("date").max(), cleared_by_item=pl.col("item_id").first()
    )
    return is_open.join(cleared, on=["leg", "match_id"]).select(SCHEMA.names()).sort(key)
