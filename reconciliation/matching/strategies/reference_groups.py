"""Several lines and several components of one reference that add up -> one match (1:N, N:1, N:M).

Conditions: same currency; every open line (our own journals aside) and every open Stripe item (gross alone, or with its fees) that carries the
reference; both sums equal to the minor unit, and where both sides have several, what came in and what went out each; more than two members, at
most twenty.

Worked: order SO-77 paid in two charges of 60.00 and 40.00, posted as one line of 100.00 'SO-77'.
"""

import polars as pl

from reconciliation.matching.parts import in_parts
from reconciliation.matching.pool import PAYOUT_CATEGORIES, Pool, pair_proposals

MEMBERS_MAX = 20
SCORE = 0.96


def match_reference_groups(pool: Pool) -> pl.DataFrame:
    """Propose the lines and components of a reference whose sums are equal."""
    named = pool.values("invoice", "stripe_id").filter(~pl.col("value").str.starts_with("PO_"))
    columns = ["item_id", "currency", "amount_minor", "component", "date", "value", "unit"]
    ours = pool.values("journal")["item_id"]
    posted_lines = pool.postings().filter(~pl.col("item_id").is_in(ours.implode())).with_columns(unit=pl.col("label"))
    lines = posted_lines.join(named, on="item_id").select(columns)
    offered = pool.side("stripe").filter(~pl.col("category").is_in(PAYOUT_CATEGORIES)).with_columns(unit=pl.col("balance_transaction_id"))
    stripe = offered.join(named.join(lines.select("value").unique(), on="value", how="semi"), on="item_id").select(columns)
    parts = [_with_equal_totals(*part) for part in in_parts(lines, stripe, key="value", rows_max=pool.settings.rows_per_part)]
    lines, stripe = (pl.concat(side) for side in zip(*parts, strict=True))
    posted = _sums(lines).rename({"items": "lines", "total": "posted"})
    gross = _sums(stripe.filter(pl.col("component") == "gross")).with_columns(form=pl.lit("gross amounts"))
    net = _sums(stripe).with_columns(form=pl.lit("amounts net of fees"))
    both = pl.concat([gross, net]).join(posted, on=["currency", "value"], suffix="_lines")
    window = pl.duration(days=pool.settings.difference_window_days)
    near = (pl.col("first_lines") <= pl.col("last") + window) & (pl.col("first") <= pl.col("last_lines") + window)
    size = pl.col("items").list.len() + pl.col("lines").list.len()
    # A charge and its refund cancel whatever was posted for each: sums of zero say nothing.
    both_ways = (pl.col("came_in") == pl.col("came_in_lines")) | (pl.col("lines").list.len() == 1) | (pl.col("units") == 1)
    fitting = both.filter((pl.col("total") == pl.col("posted")) & both_ways & size.is_between(3, MEMBERS_MAX) & near)
    return pair_proposals(
        fitting.sort("currency", "value", "form").select(
            members=pl.concat_list("lines", "items"),
            score=pl.lit(SCORE),
            evidence=pl.format(
                "{} on all of them, {} ledger lines equal {} Stripe {} together", "value", pl.col("lines").list.len(), pl.col("items").list.len(), "form"
            ),
        )
    )


def _with_equal_totals(lines: pl.DataFrame, stripe: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Keep the references whose lines and components come to the same total and are few enough: hardly any, so that the rest is done for them alone."""
    key, is_gross = ["currency", "value"], pl.col("component") == "gross"
    posted = lines.group_by(key).agg(posted=pl.col("amount_minor").sum(), n_lines=pl.len())
    offered = stripe.group_by(key).agg(
        gross=pl.col("amount_minor").filter(is_gross).sum(), net=pl.col("amount_minor").sum(), n_gross=is_gross.sum(), n=pl.len()
    )
    both = posted.join(offered, on=key)
    fits = [
        (pl.col(total) == pl.col("posted")) & (pl.col(count) + pl.col("n_lines")).is_between(3, MEMBERS_MAX)
        for total, count in (("gross", "n_gross"), ("net", "n"))
    ]
    equal = both.filter(pl.any_horizontal(fits)).select(key)
    return lines.join(equal, on=key, how="semi"), stripe.join(equal, on=key, how="semi")


def _sums(frame: pl.DataFrame) -> pl.DataFrame:
    """Add up what carries one reference; `came_in` is the sum of its positive units (a line, or a transaction)."""
    units = frame.group_by("currency", "value", "unit").agg(amount=pl.col("amount_minor").sum())
    came_in = units.group_by("currency", "value").agg(came_in=pl.col("amount").clip(lower_bound=0).sum(), units=pl.len())
    return (
        frame.sort("currency", "value", "item_id")
        .group_by("currency", "value", maintain_order=True)
        .agg(items=pl.col("item_id"), total=pl.col("amount_minor").sum(), first=pl.col("date").min(), last=pl.col("date").max())
        .join(came_in, on=["currency", "value"], maintain_order="left")
    )
