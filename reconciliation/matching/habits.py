"""Sums that fit a summary line -> those that agree with how these books were seen to post.

Some other sum of a day or week fits a line by chance often enough: where prices are few, sales without one that was left out
equal sales less the refunds, or the sales of the same day in UTC. What most lines of the books do decides then.
"""

import polars as pl

from reconciliation.matching.buckets import OUTSIDE, line_buckets, summary_lines_ever, total_parts
from reconciliation.matching.pool import IS_POSTING, SAYS_REFUND, Pool

REFUND_SETS = ["sales_and_refunds", "sales_and_refunds_net_of_fees", "everything"]
ALONE_SHARE_MIN, ALONE_MIN = 0.5, 2
UTC_LINES_MIN, UTC_RATIO_MIN = 2, 4
"""UTC is the calendar when this many lines fit it alone, and this many times more than fit the books' own alone."""


def drop_unusual(hits: pl.DataFrame, pool: Pool) -> pl.DataFrame:
    """Leave out sums that contradict the habits of these books.

    Args:
        hits: `said, bucket, set, refunds` and others; a line with a sum it may stand for.
        pool: what is open, and everything.
    """
    if hits.is_empty():
        return hits
    holds_refunds = (pl.col("said") == "sales") & pl.col("set").is_in(REFUND_SETS) & (pl.col("refunds") > 0)
    is_unusual = holds_refunds & pl.lit(_posts_refunds_alone(pool))
    unused = _unused_calendar(pool) if hits["bucket"].is_in(["day", "utc_day"]).any() else ""
    return hits.filter(~is_unusual & (pl.col("bucket") != unused))


def _posts_refunds_alone(pool: Pool) -> bool:
    """Tell whether refunds have lines of their own: most have the amount of a line that says refund."""
    return bool(pool.once("refunds alone", lambda: _count_refunds_alone(pool))["is_usual"].item())


def _count_refunds_alone(pool: Pool) -> pl.DataFrame:
    refunds = pool.everything.filter((pl.col("side") == "stripe") & (pl.col("category") == "refund") & (pl.col("component") == "gross"))
    posted = pool.everything.filter(IS_POSTING & SAYS_REFUND & (pl.col("amount_minor") < 0))
    alone = refunds.join(posted, on=["currency", "amount_minor"], how="semi").height
    return pl.DataFrame({"is_usual": [alone >= ALONE_MIN and alone >= ALONE_SHARE_MIN * refunds.height]})


def _unused_calendar(pool: Pool) -> str:
    """Name the calendar, of the books or UTC, whose days the summaries do not follow; empty where that cannot be told."""
    return str(pool.once("unused calendar", lambda: _compare_calendars(pool))["bucket"].item())


def _compare_calendars(pool: Pool) -> pl.DataFrame:
    keys = line_buckets(summary_lines_ever(pool), pool).filter(pl.col("is_named") & pl.col("bucket").is_in(["day", "utc_day"]) & (pl.col("far") == 0))
    ever = pool.everything.filter((pl.col("side") == "stripe") & ~pl.col("category").is_in(OUTSIDE))
    fitting = keys.join(total_parts(ever, keys), left_on=["bucket", "key", "currency", "amount_minor"], right_on=["bucket", "key", "currency", "total"])
    agreeing = fitting.filter(pl.col("said") == pl.col("meaning"))
    of_line = agreeing.group_by("item_id").agg(day=(pl.col("bucket") == "day").any(), utc_day=(pl.col("bucket") == "utc_day").any())
    local, utc = (of_line.filter(pl.col(name) & ~pl.col(other)).height for name, other in (("day", "utc_day"), ("utc_day", "day")))
    unused = "utc_day" if local >= max(utc, 1) else "day" if utc >= max(UTC_LINES_MIN, UTC_RATIO_MIN * local) else ""
    return pl.DataFrame({"bucket": [unused]})
