"""Open items beside what else is open or matched -> facts about their company: how things of their sort are posted here, what could answer them.

Relations to the company's own books, never absolute habits of a trade: what one learns of them in one kind of business holds in another.
"""

from dataclasses import dataclass

import polars as pl

NEAR_DAYS = 3
"""Days around an item within which what is open on the other side may be its answer, posted in another form."""
SORT = ["leg", "side", "currency", "category", "component"]
"""Items of one sort are posted alike."""
SIDES = ["stripe", "ledger", "bank"]
ITEM = ["leg", "item_id"]


@dataclass(frozen=True)
class Neighborhood:
    """What an open item is seen beside.

    Attributes:
        items: all items of the month, matched and open (`Item`).
        members: `MatchMember`.
        still_open: the open ones among them.
    """

    items: pl.DataFrame
    members: pl.DataFrame
    still_open: pl.DataFrame


def relate_to_neighbors(around: Neighborhood) -> pl.DataFrame:
    """Relate open items to others of their sort and to what is open on the other side.

    Returns:
        `leg, item_id` and, missing where there is nothing to compare with: `share_matched_same_day`, `share_matched_since`,
        `nearest_other_side`, `nearest_reversed`, `nearest_to_day`, `nearest_to_reversed_day`, `open_other_side_to_own`.
    """
    return (
        _matched_around(around).join(_nearest_amounts(around), on=ITEM, how="full", coalesce=True).join(_open_money(around), on=ITEM, how="full", coalesce=True)
    )


def _known(around: Neighborhood) -> pl.DataFrame:
    matched = around.members.select(*ITEM, is_matched=pl.lit(value=True)).unique(ITEM)
    return around.items.filter(pl.col("side").is_in(SIDES)).select(*ITEM, *SORT[1:], "date").join(matched, on=ITEM, how="left")


def _matched_around(around: Neighborhood) -> pl.DataFrame:
    """Say which share of the items of its sort and day, and of those since, is matched.

    Whoever has posted the payments after this one has hardly yet to post this one.
    """
    days = _known(around).group_by(*SORT, "date").agg(n=pl.len(), posted=pl.col("is_matched").sum()).sort(*SORT, "date")
    since = days.with_columns(n_since=pl.col("n").cum_sum(reverse=True).over(SORT), posted_since=pl.col("posted").cum_sum(reverse=True).over(SORT))
    placed = around.still_open.select("item_id", *SORT, "date").join(since, on=[*SORT, "date"])
    return placed.select(
        *ITEM,
        share_matched_same_day=pl.when(pl.col("n") > 1).then(pl.col("posted") / (pl.col("n") - 1)),
        share_matched_since=pl.when(pl.col("n_since") > 1).then(pl.col("posted_since") / (pl.col("n_since") - 1)),
    )


def _nearest_amounts(around: Neighborhood) -> pl.DataFrame:
    """Say how far the nearest open amount of the other side is, as a share, from the item and from all that is open of its sort and day.

    A payment that was posted with a wrong amount, and a day's summary with the wrong sign, leave something near them; what was never posted leaves nothing.
    """
    mine = _beside(around).with_columns(day=pl.col("amount_minor").sum().over([*SORT, "date"]))
    net = (
        mine.filter(pl.col("is_stripe") & (pl.col("leg") == "books") & (pl.col("balance_transaction_id") != ""))
        .group_by("leg", "currency", "is_stripe", "balance_transaction_id")
        .agg(pl.col("amount_minor").sum())
    )
    columns = ["leg", "currency", "is_stripe", "amount_minor"]
    theirs = pl.concat([mine.select(columns), net.select(columns)]).unique().with_columns(~pl.col("is_stripe"))
    sought = {
        "nearest_other_side": pl.col("amount_minor"),
        "nearest_reversed": -pl.col("amount_minor"),
        "nearest_to_day": pl.col("day"),
        "nearest_to_reversed_day": -pl.col("day"),
    }
    found = mine.select(ITEM)
    for name, amount in sought.items():
        found = found.join(_distance(mine.with_columns(sought=amount), theirs, name), on=ITEM, how="left")
    return found


def _distance(mine: pl.DataFrame, theirs: pl.DataFrame, name: str) -> pl.DataFrame:
    by = ["leg", "currency", "is_stripe"]
    there = theirs.select(*by, sought="amount_minor", nearest="amount_minor").sort("sought")
    met = mine.select(*ITEM, *by[1:], "sought").sort("sought").join_asof(there, on="sought", by=by, strategy="nearest", check_sortedness=False)
    return met.select(*ITEM, ((pl.col("nearest") - pl.col("sought")).abs() / pl.max_horizontal(pl.col("sought").abs(), 1)).alias(name))


def _open_money(around: Neighborhood) -> pl.DataFrame:
    """Relate the money open on the other side in the days around an item to that on its own side, of its sign: is it there in another form?"""
    mine = _beside(around).with_columns(is_debit=pl.col("amount_minor") < 0)
    place = ["leg", "currency", "is_stripe", "is_debit"]
    whole = mine.filter(pl.col("component").is_in(["", "gross"]))
    days = whole.group_by(*place, "date").agg(money=pl.col("amount_minor").abs().sum())
    shifts = pl.DataFrame({"shift": range(-NEAR_DAYS, NEAR_DAYS + 1)}).select(shift=pl.duration(days="shift"))
    near = days.join(shifts, how="cross").group_by(*place, date=pl.col("date") + pl.col("shift")).agg(pl.col("money").sum())
    other = near.with_columns(~pl.col("is_stripe"))
    both = mine.join(near, on=[*place, "date"], how="left").join(other, on=[*place, "date"], how="left", suffix="_other")
    return both.select(*ITEM, open_other_side_to_own=pl.col("money_other").fill_null(0) / pl.max_horizontal(pl.col("money").fill_null(0), 1))


def _beside(around: Neighborhood) -> pl.DataFrame:
    # An accrual will be reversed by itself: it is no sign that what it accrues was posted.
    items = around.still_open.filter(pl.col("side").is_in(SIDES) & ~pl.col("is_accrual"))
    return items.select(*ITEM, *SORT[1:], "date", "amount_minor", "balance_transaction_id", is_stripe=pl.col("side") == "stripe")
