"""Items presented in another currency -> what the books may hold for them where the ERP translated the amount itself.

The band is that of the pair's own daily rates around the payment, widened by Stripe's published conversion fee. No rate,
no band: the amount then stands as it is.

Worked: EUR 25.00 settled at 21.14 on a day whose rates were 0.853 to 0.866: the books may hold 20.90 to 22.08.
"""

from datetime import date

import polars as pl

from reconciliation.money import currency_exponent
from reconciliation.rates import Rates


def add_translation_band(items: pl.DataFrame, rates: Rates) -> pl.DataFrame:
    """Add `low_minor, high_minor`, between which the books may hold each item, and `presentment_text` (`EUR25.00`).

    Both are the amount itself, and the text is empty, where nothing was converted.

    Args:
        items: `Item`.
        rates: daily rates; they bound, they never make an amount.
    """
    is_converted = (
        (pl.col("side") == "stripe")
        & (pl.col("component") == "gross")
        & pl.col("presentment_currency").is_not_null()
        & (pl.col("presentment_currency") != pl.col("currency"))
        & pl.col("presentment_amount_minor").is_not_null()
    )
    pairs = items.lazy().filter(is_converted).select("presentment_currency", "currency", "date").unique().collect()
    if pairs.is_empty():
        return items.with_columns(presentment_text=pl.lit(""), low_minor=pl.col("amount_minor"), high_minor=pl.col("amount_minor"))
    schema = {**pairs.schema, "low_rate": pl.Float64(), "high_rate": pl.Float64()}
    bands = pl.DataFrame([(*pair, *band) for pair in pairs.iter_rows() if (band := _minor_band(rates, *pair))], schema=schema, orient="row")
    placed = items.join(bands, on=["presentment_currency", "currency", "date"], how="left", maintain_order="left")
    sign = pl.col("amount_minor").sign()
    ends = [
        pl.when(is_converted).then(sign * pl.col("presentment_amount_minor").abs() * pl.col(name)).fill_null(pl.col("amount_minor"))
        for name in bands.columns[3:]
    ]
    exponents = {currency: currency_exponent(currency) for currency in pairs["presentment_currency"].unique().sort()}
    exponent = pl.col("presentment_currency").replace_strict(list(exponents), list(exponents.values()), default=0, return_dtype=pl.Int64)
    size, unit = pl.col("presentment_amount_minor").abs(), 10**exponent
    decimals = pl.when(exponent > 0).then(pl.concat_str([pl.lit("."), (size % unit).cast(pl.String).str.zfill(exponent)])).otherwise(pl.lit(""))
    text = pl.concat_str(["presentment_currency", (size // unit).cast(pl.String), decimals])
    return placed.with_columns(
        presentment_text=pl.when(is_converted).then(text).otherwise(pl.lit("")),
        low_minor=pl.min_horizontal(*ends, "amount_minor").floor().cast(pl.Int64),
        high_minor=pl.max_horizontal(*ends, "amount_minor").ceil().cast(pl.Int64),
    ).drop("low_rate", "high_rate")


def _minor_band(rates: Rates, source: str, target: str, day: date) -> tuple[float, float] | None:
    """Return the band of a pair's rates around a day, from minor unit to minor unit."""
    band = rates.band(source, target, first=day, last=day)
    if band is None:
        return None
    scale: float = 10.0 ** (currency_exponent(target) - currency_exponent(source))
    return band[0] * scale, band[1] * scale
