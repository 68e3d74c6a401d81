"""Payments and lines that nothing tells apart -> one counted match of the earliest of both.

Conditions: lines without number or reference; open components (or transactions net of fees) of the same currency, amount and
customer, or of any where the line names nobody; each line within the window of the payment it is counted with, the nearest working days first. No pairing
is invented inside the match: k payments stand against k lines. What is left over stays open.

Worked: lines of 9.99 'Card sale' on the 4th, 4th and 5th; payments of 9.99 on the 3rd, 4th, 4th and 5th: three against
three, the payment of the 5th stays open.
"""

from datetime import date
from typing import Literal, NamedTuple

import polars as pl

from reconciliation.matching.blocking import name_words
from reconciliation.matching.pool import PAYOUT_CATEGORIES, Pool, nothing, pair_proposals, variants

SCORE = 0.7
KEY = ["currency", "amount_minor", "who"]
WINDOWS = ((0, 2), (-1, 5))
"""In working days, the nearest first, then the whole window of postings: equal payments are usually posted in order and soon, Friday's on Monday."""
EPOCH = date(1970, 1, 1)


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
        pairs: list[tuple[_Day, _Day]] = []
        left, paid = posted, waiting[key]
        for window in WINDOWS:
            left, paid, matched = _in_window(left, paid, window, by="working_day")
            pairs += matched
        pairs += _in_window(left, paid, whole, by="day")[2]
        last = -1
        for line, payment in sorted(pairs):
            group += 0 if min(line.day, payment.day) <= last else 1
            last = max(last, line.day, payment.day)
            found.append((group, line.item, payment.item))
    ids = pool.items.schema["item_id"]
    return pl.DataFrame(found, schema={"group": pl.UInt32, "item_id": ids, "key_id": ids}, orient="row")


class _Day(NamedTuple):
    """An item and its day, counted in days and in working days, Monday to Friday; a Saturday counts as the Monday after it."""

    day: int
    working_day: int
    item: int


def _in_window(
    posted: list[_Day], paid: list[_Day], window: tuple[int, int], *, by: Literal["day", "working_day"]
) -> tuple[list[_Day], list[_Day], list[tuple[_Day, _Day]]]:
    """Pair lines with payments in order where the line follows within the window; returns what is left of both, and the pairs."""
    lowest, highest = window
    pairs, early, old, i, j = [], [], [], 0, 0
    while i < len(posted) and j < len(paid):
        lag = getattr(posted[i], by) - getattr(paid[j], by)
        if lag > highest:
            old.append(paid[j])
            j += 1
        elif lag < lowest:
            early.append(posted[i])
            i += 1
        else:
            pairs.append((posted[i], paid[j]))
            i, j = i + 1, j + 1
    return early + posted[i:], old + paid[j:], pairs


def _by_key(frame: pl.DataFrame, name: str) -> dict[tuple[str, int, str], list[_Day]]:
    """List the rows of each key, the earliest first."""
    days = frame.select(*KEY, (pl.col("date") - EPOCH).dt.total_days(), pl.business_day_count(EPOCH, "date").alias("working_day"), name)
    listed: dict[tuple[str, int, str], list[_Day]] = {}
    for currency, amount, who, day, working_day, identity in days.sort("date", name).iter_rows():
        listed.setdefault((currency, amount, who), []).append(_Day(day, working_day, identity))
    return listed
