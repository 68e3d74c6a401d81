"""Our own journals coming back in the next export -> they settle the items they were made for.

Conditions: the line carries a journal id that we gave, the items of that journal are still open, and their effects add
up to the line exactly.

Worked: RC-2026-10-0002 was proposed for a residual of -0.29; the export shows a credit of 0.29 with that id in its memo:
residual -0.29 - ledger -0.29 = 0.
"""

import polars as pl

from reconciliation.matching.pool import Pool, nothing, pair_proposals
from reconciliation.schemas.items import EFFECT


def match_returned_journals(pool: Pool) -> pl.DataFrame:
    """Propose each returned journal line with the items its journal was proposed for."""
    if pool.journals.is_empty():
        return nothing(pool)
    made_for = (
        pool.items.join(pool.journals, on="item_id")
        .with_columns(effect=EFFECT, value=pl.col("journal_id").str.replace_all("[^A-Z0-9]", ""))
        .group_by("value", "currency")
        .agg(pl.col("effect").sum(), journal_id=pl.col("journal_id").first(), items=pl.col("item_id").sort())
    )
    lines = pool.postings().join(pool.values("journal"), on="item_id").select("item_id", "currency", "value", "amount_minor")
    pairs = lines.join(made_for, on=["value", "currency"]).filter(pl.col("effect") == pl.col("amount_minor"))
    return pair_proposals(
        pairs.select(
            members=pl.concat_list(pl.concat_list("item_id"), "items"),
            score=pl.lit(1.0),
            evidence=pl.format("journal {} came back in the ledger with the proposed amount", "journal_id"),
        )
    )
