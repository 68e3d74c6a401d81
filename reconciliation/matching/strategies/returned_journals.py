"""Our own entries coming back in the next export -> they settle the items they were made for.

Conditions: the line carries an id that we gave, and its amount is that of a version of the entry that was shown, whose items are still open; or all
lines with that id come to it. An accrual's line settles nothing: it and its reversal match each other. A line whose amount is no
version's, but has its sign, is matched with what it was meant for, and the difference is an item of its own: somebody changed the entry. A
second line with the same id stays open.

Worked: RC-2026-10-0002 was proposed for a residual of -0.29; the export shows a credit of 0.29 with that id in its memo:
residual -0.29 - ledger -0.29 = 0. Had it shown -0.30, the match would leave 0.01.
"""

import polars as pl

from reconciliation.matching.pool import Pool, nothing, pair_proposals
from reconciliation.schemas.items import EFFECT


def match_returned_journals(pool: Pool) -> pl.DataFrame:
    """Propose each returned line with the items its entry was made for, and accruals with their reversals; amounts are equal."""
    if pool.journals.is_empty():
        return nothing(pool)
    entries = _open_versions(pool)
    lines = _lines(pool)
    together = lines.group_by("value", "currency").agg(
        pl.col("amount_minor").sum(), members=pl.col("item_id").sort(), spread=pl.col("account").n_unique(), signs=pl.col("amount_minor").sign().n_unique()
    ).filter((pl.col("members").list.len() > 1) & (pl.col("spread") == 1) & (pl.col("signs") == 1))  # fmt: skip
    named = _plain(pl.col("document").str.to_uppercase()).str.starts_with(pl.col("value"))
    alone = lines.select("value", "currency", "amount_minor", members=pl.concat_list("item_id"), score=pl.when(named).then(1.0).otherwise(0.999))
    both = pl.concat([alone, together.with_columns(score=pl.lit(1.0)).select(alone.columns)])
    settled = both.join(entries.filter(pl.col("nature") != "timing"), on=["value", "currency"]).filter(pl.col("effect") == pl.col("amount_minor"))
    best = settled.sort("version", descending=True).unique(["value", "currency", "members"], keep="first", maintain_order=True)
    pairs = pl.concat(
        [
            best.select(
                members=pl.concat_list("members", "items"),
                score="score",
                evidence=pl.format("entry {} came back in the ledger with the proposed amount", "journal_id"),
            ),
            _accruals_with_reversals(pool),
        ]
    )
    return pair_proposals(pairs)


def match_changed_journals(pool: Pool) -> pl.DataFrame:
    """Propose the first line that carries an entry's id, its sign and another amount with the items it was meant for; leaves the difference."""
    if pool.journals.is_empty():
        return nothing(pool)
    # Differences of this month's own matches are not items yet; an entry made for them waits for the last step.
    complete = _open_versions(pool).filter((pl.col("nature") != "timing") & ~pl.col("waits"))
    latest = complete.sort("version", descending=True).unique(["value", "currency"], keep="first", maintain_order=True)
    lines = _lines(pool).sort("date", "item_id").unique(["value", "currency"], keep="first", maintain_order=True)
    changed = lines.join(latest, on=["value", "currency"]).filter(pl.col("amount_minor").sign() == pl.col("effect").sign())
    return pair_proposals(
        changed.select(
            members=pl.concat_list(pl.concat_list("item_id"), "items"),
            score=pl.lit(0.5),
            evidence=pl.format("entry {} came back in the ledger with another amount than proposed", "journal_id"),
        )
    )


def _lines(pool: Pool) -> pl.DataFrame:
    return pool.postings().join(pool.values("journal"), on="item_id").select("item_id", "account", "document", "currency", "value", "amount_minor", "date")


def _open_versions(pool: Pool) -> pl.DataFrame:
    """Return `value, journal_id, version, currency, nature, effect, items, waits` of every version with items that are still open."""
    own = pool.journals.join(pool.items.select("item_id", "currency", effect=EFFECT), on="item_id")
    still_open = own.group_by("journal_id", "version", "currency", "nature").agg(pl.col("effect").sum(), items=pl.col("item_id").sort())
    present = pool.journals.join(pool.everything.select("item_id"), on="item_id", how="semi").group_by("journal_id", "version").agg(
        waits=pl.len() < pl.col("n_items").first()
    )  # fmt: skip
    return still_open.join(present, on=["journal_id", "version"], how="left").with_columns(value=_plain(pl.col("journal_id")))


def _accruals_with_reversals(pool: Pool) -> pl.DataFrame:
    """Pair the lines of an accrual of ours that cancel."""
    ours = pool.side("ledger").join(pool.values("journal"), on="item_id").filter(pl.col("is_accrual") | (pl.col("reverses") != ""))
    posted, reversing = (ours.filter(pl.col("is_accrual") == flag) for flag in (True, False))
    key = ["account", "currency", "value"]
    ranked = [frame.sort("date", "item_id").with_columns(rank=pl.int_range(pl.len()).over(key)) for frame in (posted, reversing)]
    pairs = ranked[0].join(ranked[1], on=[*key, "rank"], suffix="_reversing").filter(pl.col("amount_minor") == -pl.col("amount_minor_reversing"))
    return pairs.select(
        members=pl.concat_list("item_id", "item_id_reversing"),
        score=pl.lit(1.0),
        evidence=pl.format("{} accrues and {} reverses it; both amounts cancel", "document", "document_reversing"),
    )


def _plain(journal_id: pl.Expr) -> pl.Expr:
    return journal_id.str.replace_all("[^A-Z0-9]", "")
