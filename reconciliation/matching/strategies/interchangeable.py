"""Payments and lines that nothing tells apart -> one counted match of the earliest of both.

Conditions: lines without number or reference; open components (or transactions net of fees) of the same currency, amount and
customer, or of any where the line names nobody; each line within the window of the payment it is counted with. No pairing is invented inside the match: k payments
stand against k lines. What is left over stays open.

Worked: lines of 9.99 'Card sale' on the 4th, 4th and 5th; payments of 9.99 on the 3rd, 4th, 4th and 5th: three against
three, the payment of the 5th stays open.
"""

from datetime import date

import polars as pl

from reconciliation.matching.blocking import name_words
from reconciliation.matching.pool import PAYOUT_CATEGORIES, Pool, nothing, pair_proposals, variants

SCORE = 0.7
KEY = ["currency", "amount_minor", "who"]
WINDOWS_DAYS = ((0, 2), (-1, 5))
"""The nearest first, then the whole window of postings: equal payments are usually posted in order and soon."""


def match_interchangeable(pool: Pool) -> pl.DataFrame:
    """Propose counted matches of equal lines and payments: of one customer, or of nobody named."""
    lines = pool.postings()
    for kind in ("invoice", "stripe_id", "number", "journal"):
        lines = lines.join(pool.values(kind).select("item_id"), on="item_id", how="anti", maintain_order="left")
    lines = lines.with_columns(who=_who(pl.col("counterparty")))
    form = pl.when(pl.col("channel").is_in(sorted(pool.net_channels))).then(pl.lit("net")).otherwise(pl.lit("single"))
    forms = variants(pool.side("stripe").filter(~pl.col("category").is_in(PAYOUT_CATEGORIES)))
    offers = forms.filter((pl.col("form") == form) & (pl.col("component") == "gross")).join(lines, on=["currency", "amount_minor"], how="semi")
    offers = offers.with_columns(who=_who(pl.col("counterparty")))
    named = _count(lines.filter(pl.col("who") != ""), offers, pool)
    taken = named.select(item_id=pl.col("members").explode(empty_as_null=False))
    free = offers.join(taken, left_on="key_id", right_on="item_id", how="anti").with_columns(who=pl.lit(""))
    groups = pl.concat([named, _count(lines.filter(pl.col("who") == ""), free, pool)])
    if groups.is_empty():
        return nothing(pool)
    several = pl.format(
        "{} of {} equal lines against {} of {} equal payments that nothing tells apart, posted {} to {}", "n", "n_lines", "n", "n_offers", "first", "last"
    )
    only = pl.format("amount equal, nothing else to compare; the earliest of {} such payments", "n_offers")
    return pair_proposals(groups.select("members", score=pl.lit(SCORE), evidence=pl.when(pl.col("n_lines") == 1).then(only).otherwise(several)))


def _who(names: pl.Expr) -> pl.Expr:
    return name_words(names).list.join(" ")


def _count(lines: pl.DataFrame, offers: pl.DataFrame, pool: Pool) -> pl.DataFrame:
    """Make the counted groups of the lines and offers of one key: `members, n, n_lines, n_offers, first, last`."""
    pairs = _pair_in_order(lines.join(offers, on=KEY, how="semi"), offers.join(lines, on=KEY, how="semi"), pool)
    counts = lines.group_by(KEY).agg(n_lines=pl.len()).join(offers.group_by(KEY).agg(n_offers=pl.len()), on=KEY)
    placed = pairs.join(offers.select("key_id", "members"), on="key_id").join(lines.select("item_id", "date", *KEY), on="item_id").join(counts, on=KEY)
    members = pl.concat([placed.select("group", member="item_id"), placed.select("group", member="members").explode("member", empty_as_null=False)])
    listed = members.sort("group", "member").group_by("group", maintain_order=True).agg(members=pl.col("member"))
    facts = placed.group_by("group").agg(pl.col("n_lines", "n_offers").first(), n=pl.len(), first=pl.col("date").min(), last=pl.col("date").max())
    return listed.join(facts, on="group").sort("group").drop("group")


def _pair_in_order(lines: pl.DataFrame, offers: pl.DataFrame, pool: Pool) -> pl.DataFrame:
    """Take the earliest line with the earliest payment whose window holds it, key by key, the nearest windows first.

    Returns:
        `group, item_id, key_id`; pairs of one key whose windows meet are one group.
    """
    whole = (-pool.settings.posting_lead_days, pool.settings.posting_lag_days)
    waiting, found, group = _by_key(offers, "key_id"), [], -1
    for key, posted in _by_key(lines, "item_id").items():
        pairs: list[tuple[date, date, int, int]] = []
        left, paid = posted, waiting[key]
        for lowest, highest in (*WINDOWS_DAYS, whole):
            left, paid, matched = _in_window(left, paid, lowest, highest)
            pairs += matched
        last: date | None = None
        for on, before, line, payment in sorted(pairs):
            group += 0 if last is not None and min(on, before) <= last else 1
            last = max(last, on, before) if last is not None else max(on, before)
            found.append((group, line, payment))
    ids = pool.items.schema["item_id"]
    return pl.DataFrame(found, schema={"group": pl.UInt32, "item_id": ids, "key_id": ids}, orient="row")


def _in_window(
    posted: list[tuple[date, int]], paid: list[tuple[date, int]], lowest: int, highest: int
) -> tuple[list[tuple[date, int]], list[tuple[date, int]], list[tuple[date, date, int, int]]]:
    """Pair lines with payments in order where the line follows by `lowest` to `highest` days; returns what is left of both, and the pairs."""
    pairs, early, old, i, j = [], [], [], 0, 0
    while i < len(posted) and j < len(paid):
        days = (posted[i][0] - paid[j][0]).days
        if days > highest:
            old.append(paid[j])
            j += 1
        elif days < lowest:
            early.append(posted[i])
            i += 1
        else:
            pairs.append((posted[i][0], paid[j][0], posted[i][1], paid[j][1]))
            i, j = i + 1, j + 1
    return early + posted[i:], old + paid[j:], pairs


def _by_key(frame: pl.DataFrame, name: str) -> dict[tuple[str, int, str], list[tuple[date, int]]]:
    """List `date, id` of the rows of each key, the earliest first."""
    listed: dict[tuple[str, int, str], list[tuple[date, int]]] = {}
    for currency, amount, who, day, identity in frame.sort("date", name).select(*KEY, "date", name).iter_rows():
        listed.setdefault((currency, amount, who), []).append((day, identity))
    return listed
