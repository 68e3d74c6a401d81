"""Open items of two months -> how each cause moved: carried in + new - settled = carried out.

An item whose cause changed counts as settled under the old cause and new under the new one.
"""

import polars as pl

from reconciliation.schemas.items import EFFECT


def roll_forward(carried_items: pl.DataFrame, carried_open: pl.DataFrame, items: pl.DataFrame, open_items: pl.DataFrame) -> pl.DataFrame:
    """Roll the open items forward by leg, currency and cause, signed as in law 4.

    Args:
        carried_items: `Item` rows carried in.
        carried_open: their `OpenItem` rows; items without one (the first month's opening) count under their cause of today or `opening_difference`.
        items: every item of the month.
        open_items: `OpenItem` of the month.
    """
    key = ["leg", "item_id"]
    now = items.join(open_items.select(*key, "cause"), on=key).select(*key, "book", "currency", "cause", effect=EFFECT)
    named = carried_items.join(carried_open.select(*key, before="cause"), on=key, how="left").join(now.select(*key, "cause"), on=key, how="left")
    opening = pl.when(pl.col("side") == "opening").then(pl.lit("opening_difference")).otherwise(pl.lit("opening_item"))
    before = named.select(*key, "book", "currency", cause=pl.coalesce("before", "cause", opening), effect=EFFECT)
    same = [*key, "cause"]
    parts = {
        "carried_in": before,
        "new": now.join(before, on=same, how="anti"),
        "settled": before.join(now, on=same, how="anti"),
        "carried_out": now,
    }
    group = ["book", "leg", "currency", "cause"]
    rolled = pl.concat([frame.select(*group) for frame in parts.values()]).unique()
    for name, frame in parts.items():
        rolled = rolled.join(
            frame.group_by(group).agg(pl.col("effect").sum().alias(name), pl.len().cast(pl.Int64).alias(f"{name}_count")), on=group, how="left"
        )
    return rolled.with_columns(pl.col(name, f"{name}_count").fill_null(0) for name in parts).sort(group)
