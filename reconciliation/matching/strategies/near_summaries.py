"""Summary lines that name their bucket and do not add up exactly -> the components they must mean.

In this order: within what the rates allow for the converted payments among them; without what is not posted yet (a channel
posted net of fees, repeated charges, or one or two payments of which only one choice fits); off by rounding; off by a small share, which becomes a
residual. Where several choices of payments left out fit equally well, nothing is matched: line and payments are declared ambiguous.

Worked: 'Stripe sales 2026-06-11' of 95.00, the day holds 50.00, 25.00, 25.00 and 20.00: without one of two equal payments of 25.00, nobody knows which.

Worked: 'Stripe sales 2026-06-10' 3,866.18; the day's sales are 3,864.77 with EUR 120.00 among them, which the rates of
those days put between 101.50 and 106.20: matched, the 1.41 is a difference of translation.
"""

from collections.abc import Sequence
from typing import Any

import polars as pl

from reconciliation.matching.buckets import KEY, NET_SETS, count_ever, in_words, line_buckets, members_of, open_parts, summary_lines, total_parts
from reconciliation.matching.habits import drop_unusual
from reconciliation.matching.omissions import choose_omitted
from reconciliation.matching.pool import Pool, nothing, pair_proposals

WHOLE_SHARE_MIN = 0.8
EXACT, TRANSLATED, OMITTED, ROUNDED, OFF = 0.94, 0.9, 0.88, 0.8, 0.72
WITHOUT_CHANNEL = "without a channel posted net of fees"


def match_near_sales(pool: Pool) -> pl.DataFrame:
    """Propose summaries of sales or refunds with the components they must mean."""
    ways, last = [], []
    *without_channel, whole = _parts_of_sales(pool)
    for parts in (*without_channel, whole):
        known = _sales_offers(pool, parts)
        if known.is_empty():
            continue
        decided, undecided = _with_omissions(pool, known, parts)
        if parts is not whole:
            ways.append(_propose(pool, known.filter(pl.col("off") == 0), parts, score=EXACT, why=WITHOUT_CHANNEL))
        ways += [_translated(pool, known, parts), decided]
        last.append(_off(pool, known.join(undecided, on="item_id", how="anti"), parts))
    return _first_of([*ways, *last], pool) if ways else nothing(pool)


def declare_near_sales(pool: Pool) -> pl.DataFrame:
    """Propose summaries that leave payments out, and nothing says which: they are ambiguous with all their bucket holds."""
    unclear = [_with_omissions(pool, known, parts)[1] for parts in _parts_of_sales(pool) if not (known := _sales_offers(pool, parts)).is_empty()]
    return _first_of(unclear, pool) if unclear else nothing(pool)


def _parts_of_sales(pool: Pool) -> list[pl.DataFrame]:
    """List what summaries of sales may hold: what is open without the channels posted payment by payment, net of fees; then everything open."""
    parts = open_parts(pool)
    without = parts.filter(~pl.col("is_of_net_channel"))
    return [parts] if without.height in (0, parts.height) else [without, parts]


def _sales_offers(pool: Pool, parts: pl.DataFrame) -> pl.DataFrame:
    """Join summaries of sales or refunds with the sums they may mean."""
    lines = summary_lines(pool).filter(pl.col("said").is_in(["sales", "refunds"]))
    if lines.is_empty() or parts.is_empty():
        return pl.DataFrame()
    offers = drop_unusual(_offers(pool, lines, parts).filter(pl.lit(pool.sums_net) | ~pl.col("set").is_in(NET_SETS)), pool)
    # Where refunds have lines of their own, the few without are not all the summary's.
    return offers.filter(pl.col("refunds") >= WHOLE_SHARE_MIN * pl.col("refunds_ever"))


def match_near_fees(pool: Pool) -> pl.DataFrame:
    """Propose fee journals with the fees they must mean."""
    lines = summary_lines(pool).filter(pl.col("said") == "fees")
    parts = open_parts(pool)
    if lines.is_empty() or parts.is_empty():
        return nothing(pool)
    lines = lines.with_columns(text_month=pl.coalesce("text_month", "origin_period"))
    posted = parts.filter(~pl.col("is_net_channel"))
    whole, without_channel = _offers(pool, lines, parts), _offers(pool, lines, posted)
    exact = _propose(pool, without_channel.filter(pl.col("total") == pl.col("amount_minor")), posted, score=EXACT, why=WITHOUT_CHANNEL)
    near = _off(pool, without_channel, posted)
    return _first_of([exact, _with_omissions(pool, whole, parts)[0], near, _off(pool, whole, parts)], pool)


def _offers(pool: Pool, lines: pl.DataFrame, parts: pl.DataFrame) -> pl.DataFrame:
    """Join lines with the totals of the buckets they name, of the sets they speak of, and how many each bucket ever held."""
    keys = line_buckets(lines, pool).filter("is_named")
    totals = total_parts(parts, keys)
    offers = keys.join(totals, on=["bucket", "key", "currency"]).filter(pl.col("said") == pl.col("meaning"))
    return offers.join(count_ever(offers, pool), on=KEY, how="left").with_columns(off=(pl.col("total") - pl.col("amount_minor")).abs())


def _first_of(found: Sequence[pl.DataFrame], pool: Pool) -> pl.DataFrame:
    """Keep for each line the proposals of the first way that has one, and number them anew."""
    kept: list[pl.DataFrame] = []
    for proposals in found:
        known = pl.concat(kept)["item_id"] if kept else pl.Series("item_id", [], dtype=pool.items.schema["item_id"])
        named = proposals.filter(pl.col("item_id").is_in(known.implode()))["proposal"].unique()
        kept.append(proposals.filter(~pl.col("proposal").is_in(named.implode())).with_columns(way=pl.lit(len(kept))))
    joined = pl.concat(kept)
    order = joined.select("way", "proposal").unique().sort("way", "proposal").with_row_index("place")
    return joined.join(order, on=["way", "proposal"]).drop("proposal", "way").rename({"place": "proposal"}).select("proposal", "item_id", "score", "evidence")


def _propose(pool: Pool, hits: pl.DataFrame, parts: pl.DataFrame, *, score: float, why: str) -> pl.DataFrame:
    """Turn offers into proposals with their components."""
    if hits.is_empty():
        return nothing(pool)
    members = members_of(hits, parts).group_by(KEY, maintain_order=True).agg(parts_ids=pl.col("item_id"))
    return pair_proposals(
        hits.join(members, on=KEY).select(
            members=pl.concat_list(pl.concat_list("item_id"), "parts_ids"),
            score=pl.lit(score) - 0.002 * pl.col("far"),
            evidence=pl.format("sum of {} {} of {} {}, {}", "n", in_words("set"), in_words("bucket"), "key", pl.lit(why)),
        )
    )


def _best(offers: pl.DataFrame) -> pl.DataFrame:
    """Keep the nearest offer of each line."""
    return offers.sort("item_id", "off", "far", "bucket", "set").unique("item_id", keep="first", maintain_order=True)


def _translated(pool: Pool, offers: pl.DataFrame, parts: pl.DataFrame) -> pl.DataFrame:
    """Propose the nearest sum that the rates of its converted payments allow."""
    within = offers.filter((pl.col("low") < pl.col("high")) & pl.col("amount_minor").is_between("low", "high"))
    return _propose(pool, _best(within), parts, score=TRANSLATED, why="within the rates of the converted payments among them")


def _off(pool: Pool, offers: pl.DataFrame, parts: pl.DataFrame) -> pl.DataFrame:
    """Propose the nearest sum, with a residual."""
    rounding = _rounding(pool)
    best = _best(_near_enough(pool, offers))
    is_rounding = pl.col("off") <= rounding
    return _first_of(
        [
            _propose(pool, best.filter(is_rounding), parts, score=ROUNDED, why="off by rounding"),
            _propose(pool, best.filter(~is_rounding), parts, score=OFF, why="which the line names; the amounts differ"),
        ],
        pool,
    )


def _near_enough(pool: Pool, offers: pl.DataFrame) -> pl.DataFrame:
    """Keep sums that a line may mean although it is off."""
    share_max = pl.when(pl.col("said") == "fees").then(pool.settings.fees_share_max).otherwise(pool.settings.sales_share_max)
    # Where others of the bucket have lines of their own, what is left over is not all the summary's: a difference would hide it.
    mostly = offers.filter((pl.col("said") == "fees") | (pl.col("n") >= WHOLE_SHARE_MIN * pl.col("n_ever")))
    return mostly.filter((pl.col("off") > 0) & ((pl.col("off") <= _rounding(pool)) | (pl.col("off") <= pl.col("amount_minor").abs() * share_max)))


def _rounding(pool: Pool) -> pl.Expr:
    """Return what a sum may be off by when each of its converted amounts was rounded."""
    return pl.max_horizontal(pl.lit(pool.settings.summary_rounding_minor), (pl.col("converted") * 0.5).floor().cast(pl.Int64))


def _with_omissions(pool: Pool, offers: pl.DataFrame, parts: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Propose lines that equal a bucket without one or two payments (or the fees of all that are not posted yet).

    Returns:
        Proposals where one choice fits; and those where several do, with everything the bucket holds.
    """
    found: list[dict[str, Any]] = []
    unclear: list[dict[str, Any]] = []
    named = offers.filter(pl.col("off") > 0).with_columns(low=pl.col("low") - _rounding(pool), high=pl.col("high") + _rounding(pool))
    near = {tuple(row) for row in _near_enough(pool, offers).select("item_id", *KEY).iter_rows()}
    members = members_of(named, parts).join(
        parts.select("item_id", "amount_minor", "low_minor", "high_minor", "date", "occurred_at", "component", "is_gross_open", "is_repeat"), on="item_id"
    )
    inside_of = members.sort("date", "occurred_at", "item_id").partition_by(KEY, as_dict=True, maintain_order=True)
    for offer in named.sort("item_id", "far", "bucket", "key", "set").to_dicts():
        bucket = tuple(offer[name] for name in KEY)
        inside = inside_of[bucket]
        is_fees = offer["said"] == "fees"
        candidates = inside.filter(pl.col("is_gross_open") & (pl.col("component") != "gross")) if is_fees else inside
        choice = choose_omitted(candidates, offer, is_fees=is_fees)
        summed = f"{offer['set'].replace('_', ' ')} of {offer['bucket'].replace('_', ' ')} {offer['key']}"
        if choice.omitted and len(choice.omitted) < inside.height:
            kept = inside.filter(~pl.col("item_id").is_in(choice.omitted))["item_id"].sort().to_list()
            score = OMITTED - 0.002 * offer["far"] - 0.001 * len(choice.omitted)
            found.append({"members": [offer["item_id"], *kept], "score": score, "evidence": f"sum of {len(kept)} {summed} {choice.words}"})
        elif choice.is_unclear and (choice.is_of_one or (offer["item_id"], *bucket) in near):
            everything = [offer["item_id"], *inside["item_id"].sort().to_list()]
            unclear.append({"members": everything, "score": OMITTED - 0.002 * offer["far"], "evidence": f"{inside.height} {summed}, {choice.words}"})
    schema = pl.Schema({"members": pl.List(pool.items.schema["item_id"]), "score": pl.Float64(), "evidence": pl.String()})
    paired = [pair_proposals(pl.DataFrame(rows, schema=schema)) if rows else nothing(pool) for rows in (found, unclear)]
    return paired[0], paired[1]
