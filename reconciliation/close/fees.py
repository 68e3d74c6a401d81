"""A month's payments -> what Stripe charged for them, by where the card is from, what it paid in and the balance's currency (money in minor units).

Stripe's price is a share of the payment and a fixed part, agreed by card origin and conversion. It is not in the API, so it is read off the payments:
the share, to a twentieth of a percent, and the fixed part that explain most of them to the minor unit. Payments that it does not explain are counted
as off it: that is where a price was changed, or a payment charged at another's.
"""

import polars as pl

from reconciliation.close.csv_file import money_text
from reconciliation.population import Month, in_scope
from reconciliation.sources import Sources

# The European Economic Area: card schemes cap and price cards by it (https://stripe.com/pricing).
EEA = "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IS IT LI LT LU LV MT NL NO PL PT RO SE SI SK".split()
SHARES_BASIS_POINTS = range(0, 601, 5)
SAMPLE_MAX = 400
EXPLAINED_SHARE_MIN = 0.8
"""Below it the payments follow no single price, and none is claimed."""
SCHEMA = pl.Schema({
    "book": pl.String, "what": pl.String, "origin": pl.String, "paid_in": pl.String, "currency": pl.String, "payments": pl.Int64, "gross": pl.Int64, "fee": pl.Int64,
    "rate": pl.Float64, "share": pl.Int64, "fixed": pl.Int64, "off": pl.Int64, "off_fee": pl.Int64,
})  # fmt: skip
GROUP = ["origin", "paid_in", "currency"]


def list_fees(sources: Sources, month: Month) -> pl.DataFrame:
    """List payments by card origin and currency with their effective rate, and fees charged by themselves.

    Returns:
        `SCHEMA`; `rate` is fee / gross, for display.
    """
    local = month.calendar.period_of_day("date")
    booked = in_scope(sources.transactions.filter(pl.col("created_at") < month.cut_off), month.book)
    own = booked.with_columns(date=month.calendar.local_day_of("created_at")).filter(local == month.period)
    charges = _with_origin(own.filter(pl.col("reporting_category") == "charge"), sources)
    priced = charges.join(_prices(charges), on=GROUP, how="left").with_columns(
        expected=(pl.col("amount_minor") * pl.col("share") / 10_000).round(0).cast(pl.Int64) + pl.col("fixed")
    )
    is_off = pl.col("expected").is_not_null() & ((pl.col("fee_minor") - pl.col("expected")).abs() > 1)
    by_origin = priced.group_by(GROUP).agg(
        what=pl.lit("payments"),
        payments=pl.len().cast(pl.Int64),
        gross=pl.col("amount_minor").sum(),
        fee=pl.col("fee_minor").sum(),
        share=pl.col("share").first(),
        fixed=pl.col("fixed").first(),
        off=is_off.sum().cast(pl.Int64),
        off_fee=(pl.col("fee_minor") - pl.col("expected")).filter(is_off).sum(),
    )
    alone = own.filter(pl.col("reporting_category").is_in(["fee", "network_cost", "tax"])).group_by("currency", what="type").agg(
        origin=pl.lit(""), paid_in=pl.lit(""), payments=pl.len().cast(pl.Int64), gross=pl.lit(0, dtype=pl.Int64), fee=-pl.col("amount_minor").sum(), share=pl.lit(None, dtype=pl.Int64), fixed=pl.lit(None, dtype=pl.Int64),
        off=pl.lit(0, dtype=pl.Int64), off_fee=pl.lit(0, dtype=pl.Int64),
    )  # fmt: skip
    both = pl.concat([by_origin, alone.select(by_origin.columns)])
    return (
        both.with_columns(book=pl.lit(month.book.name), rate=pl.when(pl.col("gross") > 0).then(pl.col("fee") / pl.col("gross")))
        .select(pl.col(name).cast(dtype) for name, dtype in SCHEMA.items())
        .sort("currency", pl.col("what") != "payments", "gross", "what", "origin", "paid_in", descending=[False, False, True, False, False, False])
    )


def with_price_words(fees: pl.DataFrame) -> pl.DataFrame:
    """Add `price`, as a price list has it: `1.50 % + 0.20`; empty where the payments follow none."""
    percent = pl.format("{}.{} %", pl.col("share") // 100, (pl.col("share") % 100).cast(pl.String).str.zfill(2))
    fixed = money_text(pl.col("fixed"), pl.col("currency"))
    return fees.with_columns(price=pl.when(pl.col("share").is_null()).then(pl.lit("")).otherwise(pl.format("{} + {}", percent, fixed)))


def _with_origin(charges: pl.DataFrame, sources: Sources) -> pl.DataFrame:
    """Say where each payment's card is from: most cards' country by its name, then the EEA, then elsewhere."""
    known = sources.stripe_sources.select("stripe_account", "source_id", "card_country", paid_in="presentment_currency")
    placed = charges.join(known, on=["stripe_account", "source_id"], how="left", maintain_order="left")
    counted = placed.drop_nulls("card_country").group_by("card_country").len().sort("len", "card_country", descending=[True, False])
    home = counted["card_country"].head(1).to_list()
    country = pl.col("card_country")
    origin = (
        pl.when(country.is_null())
        .then(pl.lit("not a card"))
        .when(country.is_in(home))
        .then(pl.format("{} (most cards)", country))
        .when(country.is_in(EEA))
        .then(pl.lit("EEA"))
        .otherwise(pl.lit("elsewhere"))
    )
    return placed.with_columns(origin=origin, paid_in=pl.coalesce("paid_in", "currency"))


def _prices(charges: pl.DataFrame) -> pl.DataFrame:
    """Read each group's price off its payments: `origin, paid_in, currency, share` (basis points), `fixed` (minor units)."""
    sample = charges.sort("balance_transaction_id").with_columns(place=pl.int_range(pl.len()).over(GROUP)).filter(pl.col("place") < SAMPLE_MAX)
    shares = pl.DataFrame({"share": list(SHARES_BASIS_POINTS)}, schema={"share": pl.Int64})
    tried = sample.select(*GROUP, "amount_minor", "fee_minor").join(shares, how="cross")
    fixed = (pl.col("fee_minor") - (pl.col("amount_minor") * pl.col("share") / 10_000).round(0).cast(pl.Int64)).alias("fixed")
    counted = tried.with_columns(fixed).group_by(*GROUP, "share", "fixed").agg(hits=pl.len())
    best = counted.sort(*GROUP, "hits", "share", "fixed", descending=[False, False, False, True, False, False]).unique(GROUP, keep="first", maintain_order=True)
    sizes = sample.group_by(GROUP).agg(n=pl.len())
    explained = best.join(sizes, on=GROUP).filter((pl.col("hits") >= pl.col("n") * EXPLAINED_SHARE_MIN) & (pl.col("n") >= 5))
    return explained.select(*GROUP, "share", "fixed")
