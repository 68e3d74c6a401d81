"""Summary lines -> all open components of a period or payout, by category or component, that add up exactly.

Conditions: the sum of a set of components (sales, refunds, fees, net of fees, …) in a bucket (day in the books' zone, day
in UTC, week, month, payout) equals the line; the line's words, if it says fees or sales, agree with the set. A line that
names neither set nor bucket stands for a sum only if that is everything the bucket ever held, and a sum of few
in a bucket that the line does not name only if no single open payment near it has that amount: among what happens to be left over, some sum always fits.

Worked: fees 2.90 + 3.00 + 29.00 + 4.35 + 1.74 and a fee row of 15.00 in October; journal 55.99 'Stripe fees October 2026'.
"""

import polars as pl

from reconciliation.matching.buckets import KEY, count_ever, in_words, line_buckets, members_of, open_parts, summary_lines, total_parts
from reconciliation.matching.habits import drop_unusual
from reconciliation.matching.pool import Pool, nothing, pair_proposals

UNNAMED_PARTS_MIN = 3
FEW_PARTS_MAX = 3
"""So few parts add up to some line by chance."""
NAMED_SCORE, UNNAMED_SCORE = 0.98, 0.96


def match_summaries(pool: Pool) -> pl.DataFrame:
    """Propose lines with the set of open components whose sum they equal."""
    lines, parts = summary_lines(pool), open_parts(pool)
    if lines.is_empty() or parts.is_empty():
        return nothing(pool)
    keys = line_buckets(lines, pool)
    offers = keys.join(total_parts(parts, keys), left_on=["bucket", "key", "currency", "amount_minor"], right_on=["bucket", "key", "currency", "total"])
    agreeing = offers.filter((pl.col("said") == "") | (pl.col("said") == pl.col("meaning")))
    telling = agreeing.filter((pl.col("said") != "") & ((pl.col("n") > 1) | pl.col("is_named") | (pl.col("said") == "fees")))
    silent = agreeing.filter((pl.col("said") == "") & ((pl.col("bucket") == "payout") | (pl.col("n") >= UNNAMED_PARTS_MIN)))
    hits = drop_unusual(pl.concat([_without_single(telling, parts, pool), _whole(_without_payouts(silent, pool), pool)]), pool)
    if hits.is_empty():
        return nothing(pool)
    members = members_of(hits, parts).group_by(KEY, maintain_order=True).agg(parts_ids=pl.col("item_id"))
    named = pl.when(pl.col("is_named")).then(NAMED_SCORE).when(pl.col("said") != "").then((NAMED_SCORE + UNNAMED_SCORE) / 2).otherwise(UNNAMED_SCORE)
    return pair_proposals(
        hits.join(members, on=KEY).select(
            members=pl.concat_list(pl.concat_list("item_id"), "parts_ids"),
            score=named - 0.002 * pl.col("far"),
            evidence=pl.format("sum of {} {} of {} {}", "n", in_words("set"), in_words("bucket"), "key"),
        )
    )


def _whole(hits: pl.DataFrame, pool: Pool) -> pl.DataFrame:
    """Keep the sums that hold everything their bucket ever held of that set."""
    known = count_ever(hits, pool)
    return hits.join(known, on=KEY).filter(pl.col("n") == pl.col("n_ever")).drop("n_ever", "refunds_ever")


def _without_single(hits: pl.DataFrame, parts: pl.DataFrame, pool: Pool) -> pl.DataFrame:
    """Leave out sums of few in a bucket that the line does not name where one open payment of that amount explains the line better."""
    single = parts.filter(pl.col("component") == "gross").select("currency", "amount_minor", paid="date")
    lag = (pl.col("date") - pl.col("paid")).dt.total_days()
    is_guessed = ~pl.col("is_named") & pl.col("n").is_between(2, FEW_PARTS_MAX)
    guessed = hits.filter(is_guessed).select("item_id", "currency", "amount_minor", "date").unique()
    explained = guessed.join(single, on=["currency", "amount_minor"]).filter(lag.is_between(-pool.settings.posting_lead_days, pool.settings.posting_lag_days))
    return hits.filter(~(is_guessed & pl.col("item_id").is_in(explained["item_id"].unique().implode())))


def _without_payouts(hits: pl.DataFrame, pool: Pool) -> pl.DataFrame:
    """Leave out lines that name a payout and have its very amount: they are that payout, or it with the wrong sign."""
    payouts = pool.everything.filter(pl.col("category") == "payout").select(
        "currency", bucket=pl.lit("payout"), key=pl.col("payout_id").str.to_uppercase(), size=pl.col("amount_minor").abs()
    )
    sized = hits.with_columns(size=pl.col("amount_minor").abs())
    return sized.join(payouts, on=["bucket", "key", "currency", "size"], how="anti").drop("size")
