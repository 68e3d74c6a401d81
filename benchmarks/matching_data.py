"""The data of the matching benchmark: N payments and the ledger lines posted for them, drawn from a seed.

References intact in 55 %, reformatted in 12, their last five digits in 10, one digit wrong in 8, absent in 15; names exact in half, else in
capitals, turned round, with an initial, a typo or cut; 30 % posted net of fees; posted up to three days later; 1 % missing, 1 % twice, 0.5 %
with another amount; a third of all at ten prices. `benchmarks/peers.py` measures what is made of them.
"""

from datetime import date

import numpy as np
import polars as pl

from reconciliation.normalize.components import cast_items
from reconciliation.schemas.items import Item

FIRST_NAMES = "Ada Ben Cleo Dara Enid Finn Gita Hugo Ines Jun Kaia Leo Mara Nico Omar Pia Quin Remi Sena Tam Una Vera Wren Zora".split()
LAST_NAMES = [
    a + b
    for a in "Ash Beck Corm Dray Eld Fen Gar Hask Ild Kest Lang Mar Nor Oak Pell Rav Sed Ulm Vant Wex".split()
    for b in "by den fell gate ham low mere shaw ton worth".split()
]
PRICES = [999, 1499, 1999, 2499, 2999, 3999, 4900, 5900, 9900, 14900]


def make_items(total: int, *, one_price: float, seed: int = 20261001, first: int = 0, count: int | None = None) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Draw payments and the lines posted for them, `count` of the `total` from the `first` on.

    Returns:
        `Item` with `reference_text`, and the true pairs `pair, stripe_item, line`.
    """
    random = np.random.default_rng(seed + first)
    count = total if count is None else count
    draw = random.random
    amount = np.round(np.exp(random.normal(8.3, 0.9, count))).astype(np.int64)
    amount = np.where(draw(count) < 0.35, np.array(PRICES)[random.integers(0, len(PRICES), count)], amount)
    amount = np.where(draw(count) < one_price, 999, amount)
    payments = pl.DataFrame(
        {
            "pair": first + np.arange(count),
            "amount_minor": amount,
            "fee": np.round(amount * 0.015 + 20).astype(np.int64),
            "day": random.integers(0, 30, count),
            "number": 100_000 + (first + np.arange(count)) * 7 % (10 * total) + 1_000_000,
            "first": random.integers(0, len(FIRST_NAMES), count),
            "last": random.integers(0, len(LAST_NAMES), count),
            "is_net": draw(count) < 0.3,
            "lag": random.choice([0, 1, 2, 3], count, p=[0.5, 0.3, 0.15, 0.05]),
            "dirt": draw(count),
            "style": draw(count),
            "name_style": draw(count),
        }
    ).with_columns(
        reference=pl.format("INV-{}", "number"),
        first_name=pl.col("first").replace_strict(range(len(FIRST_NAMES)), FIRST_NAMES),
        last_name=pl.col("last").replace_strict(range(len(LAST_NAMES)), LAST_NAMES),
        date=pl.lit(date(2026, 10, 1)) + pl.duration(days=pl.col("day")),
    )
    payments = payments.with_columns(counterparty=pl.col("first_name") + " " + pl.col("last_name"))
    digits, style, name = pl.col("number").cast(pl.String), pl.col("style"), pl.col("name_style")
    memo = (
        pl.when(style < 0.55).then(pl.col("reference"))
        .when(style < 0.67).then("inv " + digits)
        .when(style < 0.77).then("INV " + digits.str.tail(5))
        .when(style < 0.85).then("INV-" + digits.str.head(4) + ((digits.str.slice(4, 1).cast(pl.Int64) + 1) % 10).cast(pl.String) + digits.str.slice(5))
        .otherwise(pl.lit("Card sale"))
    )  # fmt: skip
    written = (
        pl.when(name < 0.5).then(pl.col("counterparty"))
        .when(name < 0.65).then(pl.col("counterparty").str.to_uppercase())
        .when(name < 0.75).then(pl.col("last_name") + ", " + pl.col("first_name"))
        .when(name < 0.85).then(pl.col("first_name").str.head(1) + " " + pl.col("last_name"))
        .when(name < 0.95).then(pl.col("counterparty").str.head(3) + pl.col("counterparty").str.slice(4))
        .otherwise(pl.col("counterparty").str.head(6))
    )  # fmt: skip
    posted = pl.when("is_net").then(pl.col("amount_minor") - pl.col("fee")).otherwise("amount_minor")
    lines = payments.filter(pl.col("dirt") > 0.01).with_columns(
        amount_minor=posted + pl.when(pl.col("dirt") > 0.995).then(100).otherwise(0),
        date=pl.col("date") + pl.duration(days=pl.col("lag")),
        memo=memo,
        written=written,
    )
    twice = lines.filter(pl.col("dirt").is_between(0.02, 0.03))
    documents = pl.concat([lines.with_columns(copy=pl.lit("A")), twice.with_columns(copy=pl.lit("B"))]).with_columns(
        document=pl.format("PY{}{}", "copy", "pair")
    )
    empty = Item.create_empty()
    shared = {"leg": pl.lit("books"), "book": pl.lit("main"), "population": pl.lit("new"), "origin_period": pl.lit("2026-10"), "currency": pl.lit("GBP")}

    def complete(frame: pl.DataFrame) -> pl.DataFrame:
        blank = {name: pl.lit("") if dtype == pl.String else pl.lit(None, dtype=dtype) for name, dtype in empty.schema.items() if name not in frame.columns}
        return (
            frame.with_columns(**blank)
            .with_columns(is_accrual=pl.lit(value=False))
            .select(*(pl.col(n).cast(t) for n, t in empty.schema.items()), "reference_text")
        )

    components = pl.concat(
        [
            payments.select("pair", "amount_minor", "date", "counterparty", "reference", component=pl.lit("gross")),
            payments.select("pair", -pl.col("fee").alias("amount_minor"), "date", "counterparty", "reference", component=pl.lit("fee")),
        ]
    )
    stripe = components.with_columns(
        **shared, side=pl.lit("stripe"), category=pl.lit("charge"), type=pl.lit("charge"), line=pl.format("charge.{}", "component"),
        balance_transaction_id=pl.format("txn_{}", "pair"), item_id=pl.format("txn_{}/{}", "pair", "component"), source_id=pl.format("ch_{}", "pair"), charge_id=pl.format("ch_{}", "pair"),
        description=pl.format("Invoice {}", "reference"), reference_text=pl.format("{} ch_{}", "reference", "pair"),
    )  # fmt: skip
    ledger = documents.with_columns(
        **shared, side=pl.lit("ledger"), item_id=pl.format("gl_{}/1", "document"), description=pl.col("memo"), counterparty=pl.col("written"), account=pl.lit("1050"),
        reference=pl.lit(""), reference_text=pl.concat_str(["document", "memo"], separator=" "),
    )  # fmt: skip
    both = cast_items(pl.concat([complete(stripe), complete(ledger)]))
    true = documents.filter(pl.col("copy") == "A").select("pair", stripe_item=pl.format("txn_{}/gross", "pair"), line=pl.format("gl_{}/1", "document"))
    return both, true
