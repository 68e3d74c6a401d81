"""Matching beside the floor: N payments against N ledger lines, and DuckDB reading both, joining on an integer key and writing.

    python benchmarks/matching.py --payments 100000 --runs 3
    python benchmarks/matching.py --payments 1000000 --runs 5 --one-price 0.5

The payments and lines are synthetic: references intact in 55 %, reformatted in 12, their last five digits in 10, one digit wrong in 8,
absent in 15; names exact in half, else in capitals, turned round, with an initial, a typo or cut; 30 % posted net of fees; posted up to
three days later; 1 % missing, 1 % twice, 0.5 % with another amount; a third of all at ten prices. CPU seconds are those of all threads.
"""

import argparse
import os
import platform
import resource
import statistics
import tempfile
import time
from datetime import date
from pathlib import Path

import duckdb
import numpy as np
import polars as pl

from reconciliation.matching.cascade import match_items
from reconciliation.normalize.components import cast_items
from reconciliation.normalize.references import extract_references
from reconciliation.schemas.items import Item

FIRST_NAMES = "Ada Ben Cleo Dara Enid Finn Gita Hugo Ines Jun Kaia Leo Mara Nico Omar Pia Quin Remi Sena Tam Una Vera Wren Zora".split()
LAST_NAMES = [
    a + b
    for a in "Ash Beck Corm Dray Eld Fen Gar Hask Ild Kest Lang Mar Nor Oak Pell Rav Sed Ulm Vant Wex".split()
    for b in "by den fell gate ham low mere shaw ton worth".split()
]
PRICES = [999, 1499, 1999, 2499, 2999, 3999, 4900, 5900, 9900, 14900]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--payments", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--one-price", type=float, default=0.0, help="share of all payments at 9.99, on the same thirty days")
    options = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, polars {pl.__version__}, duckdb {duckdb.__version__}")
    items, true = make_items(options.payments, one_price=options.one_price)
    with tempfile.TemporaryDirectory() as scratch:
        figures = [measure(items, true, Path(scratch)) for _ in range(options.runs)]
    floor, ours, extraction, precision, recall = (statistics.median(column) for column in zip(*figures, strict=True))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"median of {options.runs}: floor {floor:.2f} CPU s, matching {ours:.2f} CPU s ({ours / floor:.1f} times the floor), references {extraction:.2f} CPU s; "
        f"precision {precision:.5f}, recall {recall:.5f}; peak of the process {peak:.0f} MB"
    )


def measure(items: pl.DataFrame, true: pl.DataFrame, folder: Path) -> tuple[float, float, float, float, float]:
    began = time.process_time()
    references = extract_references(items)
    extraction = time.process_time() - began
    plain = items.drop("reference_text")
    sides = plain.with_columns(key=pl.col("item_id").hash().cast(pl.Int64, strict=False).fill_null(0)).join(
        true.unpivot(["stripe_item", "line"], index="pair", value_name="item_id"), on="item_id", how="left"
    )
    for side in ("stripe", "ledger"):
        sides.filter((pl.col("side") == side) & (pl.col("component") != "fee")).write_parquet(folder / f"{side}.parquet")
    began = time.process_time()
    with duckdb.connect() as connection:
        connection.execute(
            f"copy (select s.*, l.item_id as line from '{folder}/stripe.parquet' s join '{folder}/ledger.parquet' l on s.pair = l.pair) to '{folder}/joined.parquet'"
        )
    floor = time.process_time() - began
    began = time.process_time()
    journals = pl.DataFrame(schema={"item_id": pl.String, "journal_id": pl.String})
    matching = match_items(plain, references, cut_off_on=date(2026, 10, 31), journals=journals)
    matching.members.write_parquet(folder / "members.parquet")
    ours = time.process_time() - began
    members = matching.members.select("match_id", "item_id", "strategy")
    counted = members.filter(pl.col("strategy") != "interchangeable")
    found = counted.filter(pl.col("item_id").str.ends_with("/gross")).join(
        counted.filter(pl.col("item_id").str.starts_with("gl_")), on="match_id", suffix="_line"
    )
    right = found.join(true, left_on=["item_id", "item_id_line"], right_on=["stripe_item", "line"], how="semi").height
    return floor, ours, extraction, right / max(found.height, 1), right / true.height


def make_items(count: int, *, one_price: float, seed: int = 20261001) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Draw payments and the lines posted for them; returns `Item` with `reference_text`, and the true pairs `pair, stripe_item, line`."""
    random = np.random.default_rng(seed)
    draw = random.random
    amount = np.round(np.exp(random.normal(8.3, 0.9, count))).astype(np.int64)
    amount = np.where(draw(count) < 0.35, np.array(PRICES)[random.integers(0, len(PRICES), count)], amount)
    amount = np.where(draw(count) < one_price, 999, amount)
    payments = pl.DataFrame(
        {
            "pair": np.arange(count),
            "amount_minor": amount,
            "fee": np.round(amount * 0.015 + 20).astype(np.int64),
            "day": random.integers(0, 30, count),
            "number": 100_000 + np.arange(count) * 7 % (10 * count) + 1_000_000,
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


if __name__ == "__main__":
    main()
