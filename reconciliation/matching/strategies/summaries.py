"""Summary lines -> all open components of a period or payout, by category or component.

Conditions: the sum of a set of components (sales, refunds, fees, net of fees, …) in a bucket (day in the books' zone, day
in UTC, week, month, payout) equals the line exactly; the line's text, if it says fees or sales, agrees with the set. A
fee journal may leave out what is not posted yet (a channel posted net of fees, or one or two transactions that nobody
posted), and may be off by a rounding difference, which becomes a residual.

Worked: fees 2.90 + 3.00 + 29.00 + 4.35 + 1.74 and a fee row of 15.00 in October; journal 55.99 'Stripe fees October 2026'.
"""

from itertools import combinations

import polars as pl

from reconciliation.matching.pool import Pool, channel_of, nothing, pair_proposals

FEE_WORDS = r"(?i)\b(?:fee|fees|commission|commissions|processing)\b"
SALES_WORDS = r"(?i)\b(?:sales|takings|receipts|summary|batch|settlement|daily|weekly)\b"
REFUND_WORDS = r"(?i)\brefunds?\b"
OUTSIDE = ["payout", "payout_reversal", "topup", "topup_reversal", "reserve_hold", "reserve_release", "risk_reserved_funds"]
MONTH_NAMES = "January February March April May June July August September October November December".split()
OMITTED_MAX = 200
SETS: dict[str, tuple[str, pl.Expr]] = {
    "sales": ("sales", (pl.col("category") == "charge") & (pl.col("component") == "gross")),
    "sales_and_refunds": ("sales", pl.col("category").is_in(["charge", "refund"]) & (pl.col("component") == "gross")),
    "sales_net_of_fees": ("sales", pl.col("category") == "charge"),
    "sales_and_refunds_net_of_fees": ("sales", pl.col("category").is_in(["charge", "refund"])),
    "refunds": ("refunds", (pl.col("category") == "refund") & (pl.col("component") == "gross")),
    "fees": ("fees", ((pl.col("component") != "gross") & (pl.col("category") != "dispute")) | pl.col("category").is_in(["fee", "network_cost", "tax"])),
    "fees_and_dispute_fees": ("fees", (pl.col("component") != "gross") | pl.col("category").is_in(["fee", "network_cost", "tax"])),
    "charge_fees": ("fees", (pl.col("component") != "gross") & (pl.col("category") == "charge")),
    "fee_rows": ("fees", pl.col("category").is_in(["fee", "network_cost", "tax"])),
}


def match_summaries(pool: Pool) -> pl.DataFrame:
    """Propose lines with the set of open components whose sum they equal."""
    lines, parts = _summary_lines(pool), _bucketed(pool)
    if lines.is_empty() or parts.is_empty():
        return nothing()
    hits = _offers(lines, parts).filter((pl.col("total") == pl.col("amount_minor")) & ((pl.col("said") == "fees") | (pl.col("n") > 1)))
    return _proposals(hits, parts, score=0.97)


def match_fee_journals(pool: Pool) -> pl.DataFrame:
    """Propose fee journals that leave something out, or are off by a little."""
    lines = _summary_lines(pool).filter((pl.col("said") == "fees") & pl.col("text_month").is_not_null())
    parts = _bucketed(pool).filter(pl.col("bucket") == "month")
    if lines.is_empty() or parts.is_empty():
        return nothing()
    whole = _offers(lines, parts)
    without_channel = parts.filter(~pl.col("is_net_channel"))
    exact = _offers(lines, without_channel).filter(pl.col("total") == pl.col("amount_minor"))
    if not exact.is_empty():
        return _proposals(exact, without_channel, score=0.94)
    reduced = _with_omissions(whole, parts)
    if not reduced.is_empty():
        return reduced
    near = pl.concat([_offers(lines, without_channel).with_columns(source=pl.lit(1)), whole.with_columns(source=pl.lit(0))]).with_columns(
        off=(pl.col("total") - pl.col("amount_minor")).abs()
    )
    rounding = pl.max_horizontal(pl.lit(pool.settings.summary_rounding_minor), (pl.col("n") * 0.5).floor().cast(pl.Int64))
    bearable = near.filter((pl.col("off") <= rounding) | (pl.col("off") <= pl.col("amount_minor").abs() * pool.settings.summary_share_max))
    best = bearable.sort("off", "source", "set").unique(["item_id"], keep="first", maintain_order=True)
    return pl.concat(
        [
            _proposals(best.filter(pl.col("source") == 1).drop("source", "off"), without_channel, score=0.75),
            _proposals(best.filter(pl.col("source") == 0).drop("source", "off"), parts, score=0.74),
        ]
    )


def _summary_lines(pool: Pool) -> pl.DataFrame:
    """List the lines that may be summaries: no reference of one payment, and what their text says."""
    stripe_values = pool.values("invoice", "stripe_id").join(pool.side("stripe").select("item_id"), on="item_id", how="semi").select("value").unique()
    pointing = pool.values("invoice", "stripe_id").filter(~pl.col("value").str.starts_with("PO_")).join(stripe_values, on="value", how="semi")["item_id"]
    lines = pool.postings().filter(~pl.col("item_id").is_in(pointing.implode()) & ~pl.col("item_id").is_in(pool.values("journal")["item_id"].implode()))
    text = pl.concat_str([pl.col("description"), pl.col("reference")], separator=" ")
    month = text.str.extract(r"(?i)\b((?:" + "|".join(name[:3] + "[a-z]*" for name in MONTH_NAMES) + r")\.? \d{4})\b", 1)
    number = month.str.slice(0, 3).str.to_lowercase().replace_strict([n[:3].lower() for n in MONTH_NAMES], [f"{i:02d}" for i in range(1, 13)], default=None)
    said = (
        pl.when(text.str.contains(FEE_WORDS))
        .then(pl.lit("fees"))
        .when(text.str.contains(REFUND_WORDS))
        .then(pl.lit("refunds"))
        .when(text.str.contains(SALES_WORDS))
        .then(pl.lit("sales"))
    )
    named = lines.with_columns(
        said=said.otherwise(pl.lit("")),
        text_day=text.str.extract(r"\b(\d{4}-\d{2}-\d{2})\b", 1).str.to_date("%Y-%m-%d", strict=False),
        text_month=pl.coalesce(
            pl.concat_str([month.str.extract(r"(\d{4})$", 1), number], separator="-"), text.str.extract(r"\b(\d{4}-\d{2})\b", 1), "origin_period"
        ),
    )
    # A line with a customer of its own stands for that customer's payments, whatever its amount happens to add up to.
    return named.filter((pl.col("counterparty") == "") | (pl.col("said") == "fees"))


def _bucketed(pool: Pool) -> pl.DataFrame:
    """Put every open component into its buckets and sets."""
    stripe = pool.side("stripe").filter(~pl.col("category").is_in(OUTSIDE))
    gross_open = stripe.filter(pl.col("component") == "gross").select("balance_transaction_id", is_gross_open=pl.lit(value=True)).unique()
    known = stripe.join(gross_open, on="balance_transaction_id", how="left").with_columns(
        is_gross_open=pl.col("is_gross_open").fill_null(value=False), is_net_channel=channel_of().is_in(sorted(pool.net_channels))
    )
    flagged = known.with_columns(is_net_channel=pl.col("is_net_channel") & pl.col("is_gross_open") & (pl.col("component") != "gross"))
    columns = ["item_id", "currency", "amount_minor", "category", "component", "is_gross_open", "is_net_channel"]
    buckets = {
        "day": pl.col("date").dt.to_string("iso"),
        "utc_day": pl.col("occurred_at").dt.date().dt.to_string("iso"),
        "week": pl.col("date").dt.strftime("%G-W%V"),
        "month": pl.col("origin_period"),
        "payout": pl.col("payout_id").str.to_uppercase(),
    }
    placed = pl.concat([flagged.select(*columns, bucket=pl.lit(name), key=key) for name, key in buckets.items()]).filter(
        pl.col("key").is_not_null() & (pl.col("key") != "")
    )
    return pl.concat([placed.filter(test).with_columns(set=pl.lit(name), meaning=pl.lit(meaning)) for name, (meaning, test) in SETS.items()])


def _offers(lines: pl.DataFrame, parts: pl.DataFrame) -> pl.DataFrame:
    """Join lines with the totals of the buckets they may stand for."""
    totals = parts.group_by("bucket", "key", "set", "meaning", "currency").agg(total=pl.col("amount_minor").sum(), n=pl.len())
    keys = _line_keys(lines)
    offers = keys.join(totals, on=["bucket", "key", "currency"])
    return offers.filter((pl.col("said") == "") | (pl.col("said") == pl.col("meaning")))


def _line_keys(lines: pl.DataFrame) -> pl.DataFrame:
    """List the buckets each line may stand for, nearest first."""
    columns = ["item_id", "currency", "amount_minor", "said"]
    days = [
        lines.select(*columns, bucket=pl.lit(kind), key=(pl.col("date") - pl.duration(days=lag)).dt.to_string("iso"), far=pl.lit(lag))
        for lag in range(4)
        for kind in ("day", "utc_day")
    ]
    said = [lines.select(*columns, bucket=pl.lit(kind), key=pl.col("text_day").dt.to_string("iso"), far=pl.lit(0)) for kind in ("day", "utc_day")]
    weeks = [
        lines.select(*columns, bucket=pl.lit("week"), key=(pl.col("date") - pl.duration(days=lag)).dt.strftime("%G-W%V"), far=pl.lit(lag)) for lag in (0, 3, 7)
    ]
    months = [lines.select(*columns, bucket=pl.lit("month"), key=pl.col(name), far=pl.lit(far)) for far, name in enumerate(("text_month", "origin_period"))]
    payouts = [
        lines.select(
            *columns,
            bucket=pl.lit("payout"),
            key=pl.concat_str(["description", "reference"], separator=" ").str.extract(r"\b(po_[A-Za-z0-9_]+)", 1).str.to_uppercase(),
            far=pl.lit(0),
        )
    ]
    return (
        pl.concat([*days, *said, *weeks, *months, *payouts])
        .drop_nulls("key")
        .sort("far")
        .unique(["item_id", "bucket", "key"], keep="first", maintain_order=True)
    )


def _proposals(hits: pl.DataFrame, parts: pl.DataFrame, *, score: float) -> pl.DataFrame:
    """Turn hits into proposals with their components."""
    if hits.is_empty():
        return nothing()
    key = ["bucket", "key", "set", "currency"]
    members = hits.select(*key).unique().join(parts, on=key).group_by(key).agg(parts_ids=pl.col("item_id").sort())
    said = pl.when(pl.col("said") != "").then(0.01).otherwise(0.0)
    return pair_proposals(
        hits.join(members, on=key).select(
            members=pl.concat_list(pl.concat_list("item_id"), "parts_ids"),
            score=pl.lit(score) + said - 0.002 * pl.col("far"),
            evidence=pl.format("sum of {} {} of {} {}", "n", pl.col("set").str.replace_all("_", " "), pl.col("bucket").str.replace_all("_", " "), "key"),
        )
    )


def _with_omissions(offers: pl.DataFrame, parts: pl.DataFrame) -> pl.DataFrame:
    """Propose fee journals that equal a bucket without one or two transactions that are not posted at all, if only one choice fits."""
    found = []
    for offer in offers.filter(pl.col("meaning") == "fees").sort("item_id", "bucket", "key", "set").to_dicts():
        inside = parts.filter(
            (pl.col("bucket") == offer["bucket"])
            & (pl.col("key") == offer["key"])
            & (pl.col("set") == offer["set"])
            & (pl.col("currency") == offer["currency"])
        )
        candidates = inside.filter(pl.col("is_gross_open") & (pl.col("component") != "gross")).sort("item_id")
        excess = offer["total"] - offer["amount_minor"]
        if candidates.is_empty() or candidates.height > OMITTED_MAX or excess == 0:
            continue
        amounts = dict(zip(candidates["item_id"], candidates["amount_minor"], strict=True))
        choices = [chosen for size in (1, 2) for chosen in combinations(amounts, size) if sum(amounts[i] for i in chosen) == excess]
        if sum(amounts.values()) == excess and len(amounts) > 2:
            choices.append(tuple(amounts))
        if len(choices) == 1:
            kept = inside.filter(~pl.col("item_id").is_in(list(choices[0])))["item_id"].sort().to_list()
            found.append(
                {
                    "members": [offer["item_id"], *kept],
                    "score": 0.9,
                    "evidence": f"sum of {len(kept)} fees of {offer['key']} without {len(choices[0])} not posted yet, the only choice that fits",
                }
            )
    return pair_proposals(pl.DataFrame(found, schema={"members": pl.List(pl.String), "score": pl.Float64, "evidence": pl.String})) if found else nothing()
