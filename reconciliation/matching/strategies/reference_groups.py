"""Several lines and several components of one reference that add up -> one match (1:N, N:1, N:M).

Conditions: same currency; every open line (our own journals aside) and every open Stripe item (gross alone, or with its fees) that carries the
reference; both sums equal to the minor unit; more than two members, at most twenty.

Worked: order SO-77 paid in two charges of 60.00 and 40.00, posted as one line of 100.00 'SO-77'.
"""

import polars as pl

from reconciliation.matching.pool import PAYOUT_CATEGORIES, Pool, pair_proposals

MEMBERS_MAX = 20
SCORE = 0.96


def match_reference_groups(pool: Pool) -> pl.DataFrame:
    """Propose the lines and components of a reference whose sums are equal."""
    named = pool.values("invoice", "stripe_id").filter(~pl.col("value").str.starts_with("PO_"))
    columns = ["item_id", "currency", "amount_minor", "component", "date", "value"]
    ours = pool.values("journal")["item_id"]
    lines = pool.postings().filter(~pl.col("item_id").is_in(ours.implode())).join(named, on="item_id").select(columns)
    stripe = pool.side("stripe").filter(~pl.col("category").is_in(PAYOUT_CATEGORIES)).join(named, on="item_id").select(columns)
    posted = _sums(lines).rename({"items": "lines", "total": "posted"})
    gross = _sums(stripe.filter(pl.col("component") == "gross")).with_columns(form=pl.lit("gross amounts"))
    net = _sums(stripe).with_columns(form=pl.lit("amounts net of fees"))
    both = pl.concat([gross, net]).join(posted, on=["currency", "value"], suffix="_lines")
    window = pl.duration(days=pool.settings.difference_window_days)
    near = (pl.col("first_lines") <= pl.col("last") + window) & (pl.col("first") <= pl.col("last_lines") + window)
    size = pl.col("items").list.len() + pl.col("lines").list.len()
    fitting = both.filter((pl.col("total") == pl.col("posted")) & size.is_between(3, MEMBERS_MAX) & near)
    return pair_proposals(
        fitting.sort("currency", "value", "form").select(
            members=pl.concat_list("lines", "items"),
            score=pl.lit(SCORE),
            evidence=pl.format(
                "{} on all of them, {} ledger lines equal {} Stripe {} together", "value", pl.col("lines").list.len(), pl.col("items").list.len(), "form"
            ),
        )
    )


def _sums(frame: pl.DataFrame) -> pl.DataFrame:
    """Add up what carries one reference."""
    return (
        frame.sort("currency", "value", "item_id")
        .group_by("currency", "value", maintain_order=True)
        .agg(items=pl.col("item_id"), total=pl.col("amount_minor").sum(), first=pl.col("date").min(), last=pl.col("date").max())
    )
