"""Open components -> totals of the sets a summary line may stand for, by day, week, month or payout.

A bucket is a span of time or a payout, a set is what a company puts into one line (sales, refunds, fees, net of fees, …).
A line says with its words which sets it may mean, and with a date, a month or a payout id which bucket; a line that names
no bucket may mean those near its own date.
"""

import polars as pl

from reconciliation.matching.pool import IS_POSTING, REFUND_WORDS, Pool

FEE_WORDS = r"(?i)\b(?:fee|fees|commission|commissions|processing)\b"
NET_OF_FEES_WORDS = r"(?i)\b(?:net|less|after|excl\w*|minus|without) (?:of )?(?:the )?(?:stripe )?(?:fees?|commissions?|processing)\b"
SALES_WORDS = r"(?i)\b(?:sales|takings|receipts|summary|batch|settlement|daily|weekly|payments|charges)\b"
OUTSIDE = ["payout", "payout_reversal", "topup", "topup_reversal", "reserve_hold", "reserve_release", "risk_reserved_funds"]
MONTH_NAMES = "January February March April May June July August September October November December".split()
FEE_ROWS = ["fee", "network_cost", "tax"]
IS_PART_OF_FEES = (pl.col("component") != "gross") | pl.col("category").is_in(FEE_ROWS)
SETS: dict[str, tuple[str, pl.Expr]] = {
    "sales": ("sales", (pl.col("category") == "charge") & (pl.col("component") == "gross")),
    "sales_and_refunds": ("sales", pl.col("category").is_in(["charge", "refund"]) & (pl.col("component") == "gross")),
    "sales_net_of_fees": ("sales", pl.col("category") == "charge"),
    "sales_and_refunds_net_of_fees": ("sales", pl.col("category").is_in(["charge", "refund"])),
    "everything": ("sales", pl.lit(value=True)),
    "refunds": ("refunds", (pl.col("category") == "refund") & (pl.col("component") == "gross")),
    "fees": ("fees", IS_PART_OF_FEES & (pl.col("category") != "dispute")),
    "fees_and_dispute_fees": ("fees", IS_PART_OF_FEES),
    "charge_fees": ("fees", (pl.col("component") != "gross") & (pl.col("category") == "charge")),
    "fee_rows": ("fees", pl.col("category").is_in(FEE_ROWS)),
}
NET_SETS = ["sales_net_of_fees", "sales_and_refunds_net_of_fees", "everything"]
BUCKETS: dict[str, pl.Expr] = {
    "day": pl.col("date").dt.to_string("iso"),
    "utc_day": pl.col("occurred_at").dt.date().dt.to_string("iso"),
    "week": pl.col("date").dt.strftime("%G-W%V"),
    "month": pl.col("origin_period"),
    "payout": pl.col("payout_id").str.to_uppercase(),
}
DAYS_LATER_MAX = 3
PAYOUT_DAYS_LATER_MAX = 3
REPEAT_DAYS_MAX = 3
KEY = ["bucket", "key", "set", "currency"]


def summary_lines(pool: Pool) -> pl.DataFrame:
    """List the lines that may be summaries: no reference of one payment, and what their text says.

    Returns:
        Open ledger lines with `said` (fees, refunds, sales or empty), `text_days` (list; a date in figures is read both ways), `text_week`
        (`2026-W24`), `text_month`, `text_payout`.
    """
    return summary_lines_ever(pool).join(pool.items.select("item_id"), on="item_id", how="semi", maintain_order="left")


def summary_lines_ever(pool: Pool) -> pl.DataFrame:
    """List the same lines whether they are still open or not."""
    return pool.once("summary lines", lambda: _read_lines(pool))


def _read_lines(pool: Pool) -> pl.DataFrame:
    text = pl.concat_str([pl.col("description"), pl.col("reference")], separator=" ")
    journals = pool.values("journal")["item_id"]
    lines = pool.everything.filter(IS_POSTING & ~pl.col("item_id").is_in(journals.implode())).filter(
        (pl.col("counterparty") == "") | text.str.contains(FEE_WORDS)
    )
    values = pool.values("invoice", "stripe_id")
    own = values.join(lines.select("item_id"), on="item_id", how="semi").filter(~pl.col("value").str.starts_with("PO_"))
    named = values.join(own.select("value").unique(), on="value", how="semi")
    of_stripe = named.join(pool.everything.filter(pl.col("side") == "stripe").select("item_id"), on="item_id", how="semi").select("value").unique()
    pointing = own.join(of_stripe, on="value", how="semi")["item_id"]
    lines = lines.filter(~pl.col("item_id").is_in(pointing.implode()))
    month = text.str.extract(r"(?i)\b((?:" + "|".join(name[:3] + "[a-z]*" for name in MONTH_NAMES) + r")\.? \d{4})\b", 1)
    number = month.str.slice(0, 3).str.to_lowercase().replace_strict([n[:3].lower() for n in MONTH_NAMES], [f"{i:02d}" for i in range(1, 13)], default=None)
    said = (
        pl.when(text.str.replace_all(NET_OF_FEES_WORDS, "").str.contains(FEE_WORDS)).then(pl.lit("fees"))
        .when(text.str.contains(REFUND_WORDS)).then(pl.lit("refunds"))
        .when(text.str.contains(SALES_WORDS)).then(pl.lit("sales"))
        .otherwise(pl.lit(""))
    )  # fmt: skip
    named = lines.with_columns(
        said=said,
        text_days=_stated_days(text),
        text_week=pl.coalesce(text.str.extract(r"\b(\d{4}-W\d{2})\b", 1), _week_word(text)),
        text_month=pl.coalesce(pl.concat_str([month.str.extract(r"(\d{4})$", 1), number], separator="-"), text.str.extract(r"\b(\d{4}-\d{2})\b", 1)),
        text_payout=text.str.extract(r"\b(po_[A-Za-z0-9_]+)", 1).str.to_uppercase(),
    )
    # A line with a customer of its own stands for that customer's payments, whatever its amount happens to add up to.
    return named.filter((pl.col("counterparty") == "") | (pl.col("said") == "fees"))


def _stated_days(text: pl.Expr) -> pl.Expr:
    """List the days a text states: 2026-06-10, 10/06/2026 (day or month first: the sum decides), 10 June 2026."""
    figures = text.str.extract(r"\b(\d{1,2}[/.]\d{1,2}[/.]\d{4})\b", 1).str.replace_all(r"\.", "/")
    words = text.str.extract(r"\b(\d{1,2} (?:" + "|".join(name[:3] for name in MONTH_NAMES) + r")[a-z]* \d{4})\b", 1).str.replace(
        r"^(\d+ [A-Z][a-z]{2})[a-z]*", "${1}"
    )
    return (
        pl.concat_list(
            text.str.extract(r"\b(\d{4}-\d{2}-\d{2})\b", 1).str.to_date("%Y-%m-%d", strict=False),
            figures.str.to_date("%d/%m/%Y", strict=False),
            figures.str.to_date("%m/%d/%Y", strict=False),
            words.str.to_date("%d %b %Y", strict=False),
        )
        .list.drop_nulls()
        .list.unique(maintain_order=True)
    )


def _week_word(text: pl.Expr) -> pl.Expr:
    """Write `week 24 2026` and `W24/2026` as `2026-W24`."""
    number = text.str.extract(r"(?i)\b(?:week|wk|kw|w)\.? ?(\d{1,2})[ /-]+(?:of )?\d{4}\b", 1).str.zfill(2)
    year = text.str.extract(r"(?i)\b(?:week|wk|kw|w)\.? ?\d{1,2}[ /-]+(?:of )?(\d{4})\b", 1)
    return pl.concat_str([year, pl.lit("-W"), number])


def open_parts(pool: Pool) -> pl.DataFrame:
    """List the open components that summaries may hold.

    Returns:
        `item_id, label, currency, amount_minor, low_minor, high_minor, category, component, counterparty, date, occurred_at,
        origin_period, payout_id, is_gross_open, is_net_channel` (a fee of a payment that its channel posts net, and that is not posted yet),
        `is_of_net_channel` (anything of such a channel),
        `is_repeat` (a charge after another of the same reference, or else customer, and amount).
    """
    stripe = pool.side("stripe").filter(~pl.col("category").is_in(OUTSIDE))
    gross_open = stripe.filter(pl.col("component") == "gross")["balance_transaction_id"]
    is_gross_open = pl.col("balance_transaction_id").is_in(gross_open.implode())
    is_of_net = pl.col("channel").is_in(sorted(pool.net_channels))
    is_net = is_of_net & is_gross_open & (pl.col("component") != "gross")
    return stripe.select(
        "item_id", "currency", "amount_minor", "low_minor", "high_minor", "category", "component", "counterparty", "date", "occurred_at",
        "origin_period", "payout_id", is_gross_open=is_gross_open, is_net_channel=is_net, is_of_net_channel=is_of_net,
        is_repeat=pl.col("item_id").is_in(pool.once("repeated charges", lambda: _repeated_charges(pool))["item_id"].implode()),
    )  # fmt: skip


def _repeated_charges(pool: Pool) -> pl.DataFrame:
    charges = pool.everything.filter((pl.col("side") == "stripe") & (pl.col("category") == "charge") & (pl.col("component") == "gross"))
    who = pl.when(pl.col("reference") != "").then("reference").otherwise("counterparty")
    ordered = charges.with_columns(who=who).filter(pl.col("who") != "").sort("date", "occurred_at", "item_id")
    days = (pl.col("date") - pl.col("date").shift(1).over("stripe_account", "currency", "amount_minor", "who")).dt.total_days()
    return ordered.filter(days <= REPEAT_DAYS_MAX).select("item_id")


def total_parts(parts: pl.DataFrame, keys: pl.DataFrame) -> pl.DataFrame:
    """Add up the sets of the buckets that lines may mean.

    Args:
        parts: from `open_parts`.
        keys: `bucket, key` of interest.

    Returns:
        `bucket, key, set, currency, meaning, total, low, high, n, refunds, converted` (how many of the n are refunds, or were converted); sets of a bucket with the same members once, under the first name.
    """
    found = []
    for bucket, key in BUCKETS.items():
        wanted = keys.filter(pl.col("bucket") == bucket).select("key").unique()
        if wanted.is_empty():
            continue
        placed = parts.select("currency", "amount_minor", "low_minor", "high_minor", "category", "component", key=key).join(wanted, on="key", how="semi")
        sums = {
            name: pl.struct(
                total=pl.col("amount_minor").filter(test).sum(),
                low=pl.col("low_minor").filter(test).sum(),
                high=pl.col("high_minor").filter(test).sum(),
                n=test.sum(),
                refunds=(test & (pl.col("category") == "refund")).sum(),
                converted=(test & (pl.col("low_minor") < pl.col("high_minor"))).sum(),
            )
            for name, (_, test) in SETS.items()
        }
        wide = placed.group_by("key", "currency").agg(**sums)
        found += [
            wide.select("key", "currency", sums=name).unnest("sums").with_columns(bucket=pl.lit(bucket), set=pl.lit(name), meaning=pl.lit(meaning))
            for name, (meaning, _) in SETS.items()
        ]
    schema = pl.Schema({"key": pl.String(), "currency": parts.schema["currency"]})
    for names, dtype in ((("total", "low", "high"), pl.Int64()), (("n", "refunds", "converted"), pl.UInt32()), (("bucket", "set", "meaning"), pl.String())):
        schema.update(dict.fromkeys(names, dtype))
    empty = pl.DataFrame(schema=schema)
    totals = pl.concat([empty, *found]).filter(pl.col("n") > 0)
    return totals.unique(["bucket", "key", "currency", "meaning", "total", "n"], keep="first", maintain_order=True)


def count_ever(hits: pl.DataFrame, pool: Pool) -> pl.DataFrame:
    """Return `bucket, key, set, currency, n_ever, refunds_ever`: how many components each bucket of interest ever held, matched ones included."""
    ever = pool.everything.filter((pl.col("side") == "stripe") & ~pl.col("category").is_in(OUTSIDE))
    return total_parts(ever, hits).select(*KEY, n_ever="n", refunds_ever="refunds")


def members_of(hits: pl.DataFrame, parts: pl.DataFrame) -> pl.DataFrame:
    """Return `bucket, key, set, currency, item_id` of the components behind totals.

    Args:
        hits: rows with `bucket, key, set, currency`.
        parts: from `open_parts`.
    """
    wanted = hits.select(KEY).unique()
    found = [
        parts.filter(test).with_columns(bucket=pl.lit(bucket), key=key, set=pl.lit(name)).join(wanted, on=KEY, how="semi").select(*KEY, "item_id")
        for (bucket, name) in wanted.select("bucket", "set").unique().sort("bucket", "set").iter_rows()
        for key, test in [(BUCKETS[bucket], SETS[name][1])]
    ]
    return pl.concat(found).sort(*KEY, "item_id") if found else wanted.with_columns(item_id=pl.lit(None, dtype=parts.schema["item_id"])).clear()


def line_buckets(lines: pl.DataFrame, pool: Pool) -> pl.DataFrame:
    """List the buckets each line may mean: the one it names, else those near its date.

    Returns:
        `item_id, currency, amount_minor, said, date, bucket, key, far, is_named`.
    """
    columns = ["item_id", "currency", "amount_minor", "said", "date"]

    def may_mean(frame: pl.DataFrame, bucket: str, key: pl.Expr, far: int, *, is_named: bool) -> pl.DataFrame:
        return frame.select(*columns, bucket=pl.lit(bucket), key=key, far=pl.lit(far), is_named=pl.lit(value=is_named))

    of_payout = lines.filter(pl.col("text_payout").is_not_null())
    dated = lines.filter(pl.col("text_payout").is_null())
    day_named = dated.explode("text_days", empty_as_null=False).drop_nulls("text_days")
    has_day = pl.col("text_days").list.len() > 0
    week_named = dated.filter(pl.col("text_week").is_not_null())
    month_named = dated.filter(pl.col("text_month").is_not_null() & ~has_day & pl.col("text_week").is_null())
    unnamed = dated.filter(~has_day & pl.col("text_month").is_null() & pl.col("text_week").is_null())
    earlier = [pl.col("date") - pl.duration(days=lag) for lag in range(8)]
    found = [
        may_mean(of_payout, "payout", pl.col("text_payout"), 0, is_named=True),
        *(may_mean(day_named, kind, pl.col("text_days").dt.to_string("iso"), 0, is_named=True) for kind in ("day", "utc_day")),
        may_mean(day_named, "week", pl.col("text_days").dt.strftime("%G-W%V"), 1, is_named=True),
        may_mean(week_named, "week", pl.col("text_week"), 0, is_named=True),
        may_mean(month_named, "month", pl.col("text_month"), 0, is_named=True),
        *(may_mean(unnamed, kind, earlier[lag].dt.to_string("iso"), lag, is_named=False) for lag in range(DAYS_LATER_MAX + 1) for kind in ("day", "utc_day")),
        *(may_mean(unnamed, "week", earlier[lag].dt.strftime("%G-W%V"), lag, is_named=False) for lag in (0, 3, 7)),
        may_mean(unnamed, "month", pl.col("origin_period"), 0, is_named=False),
        _payouts_near(dated.filter(pl.col("said") != ""), pool).select(
            *columns, bucket=pl.lit("payout"), key="key", far=pl.lit(3), is_named=pl.lit(value=False)
        ),
    ]
    return (
        pl.concat(found)
        .filter(pl.col("key").is_not_null() & (pl.col("key") != ""))
        .sort("item_id", "far", "bucket", "key")
        .unique(["item_id", "bucket", "key"], keep="first", maintain_order=True)
    )


def _payouts_near(lines: pl.DataFrame, pool: Pool) -> pl.DataFrame:
    """Join lines with the payouts that were made or arrived around their date."""
    payouts = pool.everything.filter((pl.col("category") == "payout") & (pl.col("payout_id") != "")).select(
        "currency", key=pl.col("payout_id").str.to_uppercase(), made_on=pl.col("date"), due_on=pl.coalesce("expected_on", "date")
    )
    near = lines.join(payouts.unique(), on="currency")
    return near.filter(pl.col("date").is_between(pl.col("made_on"), pl.col("due_on") + pl.duration(days=PAYOUT_DAYS_LATER_MAX)))


def in_words(name: str) -> pl.Expr:
    """Write the name of a set or a bucket as words."""
    return pl.col(name).str.replace_all("_", " ")
