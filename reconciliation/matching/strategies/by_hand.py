"""What people matched and took apart -> matches as given, before anything else; and no match that they took apart.

Conditions: every item that was matched by hand is open in this leg with the amount it had then; one that is gone or has changed leaves the
others to the strategies, and the break says that it was decided before. A residual that this month's matching made can be settled by hand too,
once it exists, if it then comes to nothing.

Worked: payment 120.00 and line 118.00 matched by hand with the reason "customer paid the fee": one match, residual 2.00. Later taken
apart: payment and line are never in one match again, and the payment may still go with another line.
"""

import polars as pl

from reconciliation.matching.pool import Pool, nothing, pair_proposals
from reconciliation.schemas.items import EFFECT

HAND = "matched_by_hand"
LEG = pl.col("leg").cast(pl.String)


def match_by_hand(pool: Pool) -> pl.DataFrame:
    """Propose what people matched, whatever difference it leaves: that becomes a residual."""
    return _given(pool, is_zero_only=False)


def settle_by_hand(pool: Pool) -> pl.DataFrame:
    """Propose what people matched with a residual of this month, where nothing is left: a residual of a residual there is none."""
    return _given(pool, is_zero_only=True)


def drop_kept_apart(proposals: pl.DataFrame, pool: Pool) -> pl.DataFrame:
    """Drop proposals that hold items which people keep apart."""
    if pool.hands.apart.is_empty() or proposals.is_empty():
        return proposals
    parts = pool.hands.apart.join(pool.items.select(LEG, "item_id", "label"), left_on=["leg", "item_id"], right_on=["leg", "label"]).select(
        "number", "part", item_id="item_id_right"
    )
    held = proposals.select("proposal", "item_id").join(parts, on="item_id")
    refused = held.group_by("proposal", "number").agg(n=pl.col("part").n_unique()).filter(pl.col("n") > 1)
    return proposals.join(refused, on="proposal", how="anti", maintain_order="left")


def _given(pool: Pool, *, is_zero_only: bool) -> pl.DataFrame:
    if pool.hands.matched.is_empty():
        return nothing(pool)
    sizes = pool.hands.matched.with_columns(size=pl.len().over("number"))
    still_open = pool.items.select(LEG, "label", "item_id", "side", "amount_minor")
    here = sizes.join(still_open, left_on=["leg", "item_id", "amount_minor"], right_on=["leg", "label", "amount_minor"])
    groups = (
        here.with_columns(effect=EFFECT)
        .group_by("number", maintain_order=True)
        .agg(pl.col("size").first(), pl.col("evidence").first(), pl.col("effect").sum(), members=pl.col("item_id_right").sort(), n=pl.len())
        .filter((pl.col("n") == pl.col("size")) & ((pl.col("effect") == 0) | (not is_zero_only)))
    )
    return pair_proposals(groups.select("members", "evidence", score=pl.lit(1.0)))
