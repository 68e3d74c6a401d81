"""Measure the product on a month of millions of payments over 30 daily partitions, stage by stage.

    python benchmarks/large_month.py --payments 1000000 --folder /tmp/large          # again: goes on where it stopped
    python benchmarks/large_month.py --payments 1000000 --folder /tmp/large --table  # the table of what was measured
    python benchmarks/large_month.py --payments 10000000 --books 10 --folder /tmp/ten --against /tmp/large

The month is made without the simulator, which would need more memory than the product: every payment is one charge with its fee, posted gross by the ledger;
one in a thousand is missing there and one in a thousand is off by a cent. Stages, each in a process of its own: `make` (not the product's time), `days`, which writes each
day's rows into the lake as the pull does after parsing, `read` (the ledger exports, one a day), `opening`, `items`, `match`, `breaks` and `state`. For every stage the table has wall
and CPU time, the peak of resident memory and the bytes it left on disk. What is done is not done again, so that a long measurement may be broken off.

With `--books N` the payments belong to N entities with a lake each, one after another on this machine: times and disk add up, memory is the largest of them. A book's month is
what one run works on, wherever it runs, so this is also what a cluster divides.

The table ends with what the stages predict for 100 million and 1 billion payments in books of the size measured: so many times the CPU, since books share nothing, divided by the
workers. The exponent says how a book itself grows, between its size and a smaller one (`--against FOLDER`): where it is 1, how the payments are spread over books does not matter.
"""

import argparse
import json
import math
import multiprocessing
import os
import platform
import resource
import time
from collections.abc import Callable
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

from reconciliation.breaks.explain import explain_breaks, score_breaks
from reconciliation.close.balances import close_balances
from reconciliation.close.statement import state_month
from reconciliation.config import Settings, read_settings
from reconciliation.connectors.stripe.filing import LOCAL_DAY
from reconciliation.lake import Lake
from reconciliation.matching.cascade import Matching
from reconciliation.months import define_month
from reconciliation.pipeline import match_population
from reconciliation.population import CarriedIn, Population, build_population, open_book
from reconciliation.rates import Rates
from reconciliation.schemas.stripe import BalanceSnapshot, BalanceTransaction, Payout, PayoutMember, StripeSource
from reconciliation.sources import Sources, assemble_sources, read_files, read_stripe_tables, register_deliveries

DAYS = 30
FIRST = datetime(2026, 9, 1, tzinfo=UTC)
ACCOUNT = "1050 Stripe Clearing"
SETTINGS = f"""
[entity]
name = "Large Ltd"
timezone = "UTC"
currency = "GBP"
[start]
period = "2026-09"
lookback_days = 1
[ledger]
inbox = "inbox/ledger"
balances = "inbox/balances"
day_first = false
[bank]
inbox = "inbox/bank"
[[books]]
name = "main"
[[books.ledger_accounts]]
account = "{ACCOUNT}"
currency = "GBP"
[storage]
lake = "lake"
[close]
folder = "close"
"""


def payments_of_day(day: int, count: int) -> pl.DataFrame:
    """Make the payments of a day: number, id, moment, amount, fee."""
    number = pl.int_range(day * count, (day + 1) * count, eager=True).alias("number")
    second = (pl.col("number") % count) * 86_400 // count
    return (
        pl.DataFrame(number)
        .with_columns(
            created_at=pl.lit(FIRST + timedelta(days=day)) + pl.duration(seconds=second),
            amount_minor=500 + (pl.col("number") * 7919) % 99_991,
            key=pl.format("3Px{}", pl.col("number").cast(pl.String).str.zfill(12)),
            invoice=pl.format("INV-{}", 1_000_000_000 + pl.col("number")),
        )
        .with_columns(fee_minor=20 + pl.col("amount_minor") * 15 // 1000)
    )


def stripe_day(day: int, count: int) -> dict[str, pl.DataFrame]:
    """Return a day's rows of the tables of the pull."""
    rows = payments_of_day(day, count)
    shared = {"stripe_account": pl.lit("self"), "created_at": pl.col("created_at").dt.cast_time_unit("us")}
    text = pl.lit("")
    transactions = rows.select(
        **shared, balance_transaction_id=pl.format("txn_{}", "key"), available_at=pl.col("created_at") + timedelta(days=2), amount_minor="amount_minor",
        fee_minor="fee_minor", net_minor=pl.col("amount_minor") - pl.col("fee_minor"), fee_tax_minor=pl.lit(0), withheld_tax_minor=pl.lit(0),
        application_fee_minor=pl.lit(0), fee_details_minor="fee_minor", currency=pl.lit("GBP"), type=pl.lit("charge"), reporting_category=pl.lit("charge"),
        balance_type=pl.lit("payments"), status=pl.lit("available"), source_id=pl.format("ch_{}", "key"), description=pl.format("Invoice {}", "invoice"),
    )  # fmt: skip
    charges = rows.select(
        **shared, source_id=pl.format("ch_{}", "key"), object=pl.lit("charge"), charge_id=pl.format("ch_{}", "key"), payment_intent_id=pl.format("pi_{}", "key"),
        customer_id=text, counterparty=pl.format("Customer {}", pl.col("number") % 50_000), description=pl.format("Invoice {}", "invoice"),
        references=pl.concat_list("invoice"), presentment_amount_minor="amount_minor", presentment_currency=pl.lit("GBP"), status=pl.lit("succeeded"),
        reason=pl.lit(None, pl.String), balance_transaction_ids=pl.concat_list(pl.format("txn_{}", "key")), card_country=pl.lit("GB"),
    )  # fmt: skip
    return {"balance_transactions": fit(transactions, BalanceTransaction), "stripe_sources": fit(charges, StripeSource)}


def fit(frame: pl.DataFrame, schema: type) -> pl.DataFrame:
    """Give a frame the columns and types of a table."""
    empty = schema.create_empty()
    return frame.select(empty.columns).cast(empty.schema)


def ledger_day(day: int, count: int) -> pl.DataFrame:
    """Return a day's ledger export: each payment gross, its fee, one in a thousand missing, one in a thousand a cent off."""
    rows = payments_of_day(day, count).filter(pl.col("number") % 1000 != 17)
    date = (FIRST + timedelta(days=day)).date().isoformat()
    amount = pl.col("amount_minor") + (pl.col("number") % 1000 == 431).cast(pl.Int64)
    lines = pl.concat(
        [
            rows.select(document=pl.format("P-{}", "number"), memo=pl.format("Payment {}", "invoice"), minor=amount),
            rows.select(document=pl.format("F-{}", "number"), memo=pl.format("Stripe fee {}", "invoice"), minor=-pl.col("fee_minor")),
        ]
    )
    size = pl.col("minor").abs()
    money = pl.format("{}.{}", size // 100, (size % 100).cast(pl.String).str.zfill(2))
    debit = pl.when(pl.col("minor") > 0).then(money).otherwise(pl.lit(""))
    credit = pl.when(pl.col("minor") < 0).then(money).otherwise(pl.lit(""))
    return lines.select(Date=pl.lit(date), Account=pl.lit(ACCOUNT), Document="document", Description="memo", Debit=debit, Credit=credit, Currency=pl.lit("GBP"))


# --- stages -----------------------------------------------------------------------------------------------------------


def make(folder: Path, payments: int) -> None:
    (folder / "reconciliation.toml").write_text(SETTINGS)
    for name in ("ledger", "bank", "balances"):
        (folder / "inbox" / name).mkdir(parents=True, exist_ok=True)
    for day in range(DAYS):
        ledger_day(day, payments // DAYS).write_csv(folder / "inbox" / "ledger" / f"{day + 1:02d}.csv")
    (folder / "inbox" / "bank" / "2026-09.csv").write_text("Date,Description,Amount,Currency\n2026-09-30,Rent,-1.00,GBP\n")
    (folder / "inbox" / "balances" / "tb.csv").write_text(f"account,currency,period,closing_balance\n{ACCOUNT},GBP,2026-08,0.00\n")


def days(folder: Path, payments: int) -> None:
    lake = Lake(folder / "lake")
    total = 0
    for day in range(DAYS):
        date = (FIRST + timedelta(days=day)).date()
        for table, frame in stripe_day(day, payments // DAYS).items():
            total += int(frame["net_minor"].sum()) if "net_minor" in frame.columns else 0
            lake.write_days(table, account="self", frame=frame.with_columns(pl.lit(date).alias(LOCAL_DAY)), day_column=LOCAL_DAY, days=[date], is_ordered=True)
    last = (FIRST + timedelta(days=DAYS)).date()
    taken_at = FIRST + timedelta(days=DAYS, seconds=1)
    snapshot = pl.DataFrame({"stripe_account": ["self"], "taken_at": [taken_at], "currency": ["GBP"], "balance_type": ["payments"], "amount_minor": [total]})
    tables = {
        "balance_snapshots": fit(snapshot, BalanceSnapshot),
        "payouts": Payout.create_empty(),
        "payout_members": PayoutMember.create_empty(),
    }
    for table, frame in tables.items():
        lake.write_days(table, account="self", frame=frame.with_columns(pl.lit(last).alias(LOCAL_DAY)), day_column=LOCAL_DAY, days=[last])


def read(folder: Path, _: int) -> None:
    settings, lake = opened(folder)
    keep(folder, "read", read_files(settings, register_deliveries(lake, settings)))


def opening(folder: Path, _: int) -> None:
    sources, month, _, _ = stage(folder)
    carried = open_book(sources, month, opening_items=None, opening_balances={})
    keep(folder, "opening", {field.name: getattr(carried, field.name) for field in fields(carried)})


def items(folder: Path, _: int) -> None:
    sources, month, carried, _ = stage(folder)
    population = build_population(sources, month, carried)
    keep(folder, "items", vars(population))


def match(folder: Path, _: int) -> None:
    _, month, carried, population = stage(folder, with_items=True)
    found = match_population(population, carried, month, Rates())
    keep(folder, "match", vars(found))
    print(f"   {found.members.height:,} members of {population.items.height:,} items")


def breaks(folder: Path, _: int) -> None:
    _, month, carried, population = stage(folder, with_items=True)
    explained = explain_breaks(population, recall_matching(folder), carried, month, Rates())
    judged = score_breaks(explained, explained.features.select("break_id", probability_true_exception=pl.lit(0.5), reasons=pl.lit(["none"])))
    keep(folder, "breaks", {"items": explained.items, "judged": judged})
    print(f"   {judged.height:,} open items in breaks")


def state(folder: Path, _: int) -> None:
    sources, month, carried, population = stage(folder, with_items=True)
    kept = recall(folder, "breaks")
    balances = close_balances(sources, month, carried, population)
    statement = state_month(kept["items"], recall_matching(folder).members, kept["judged"].with_columns(disposition=pl.lit("needs_review")), balances, month)
    total = statement.filter((pl.col("section") == "bridge") & (pl.col("line") == "total"))["difference"].item()
    print(f"   difference explained: {total:,} minor units; unexplained {balances['unexplained_minor'].sum():,}")


STAGES: dict[str, Callable[[Path, int], None]] = {
    "make": make,
    "days": days,
    "read": read,
    "opening": opening,
    "items": items,
    "match": match,
    "breaks": breaks,
    "state": state,
}


def opened(folder: Path) -> tuple[Settings, Lake]:
    settings = read_settings(folder / "reconciliation.toml")
    return settings, Lake(settings.path(settings.storage.lake))


def keep(folder: Path, stage_name: str, frames: dict[str, pl.DataFrame]) -> None:
    place = folder / "kept" / stage_name
    place.mkdir(parents=True, exist_ok=True)
    for name, frame in frames.items():
        frame.write_parquet(place / f"{name}.parquet", compression="zstd", statistics=False)


def recall(folder: Path, stage_name: str) -> dict[str, pl.DataFrame]:
    return {path.stem: pl.read_parquet(path) for path in sorted((folder / "kept" / stage_name).iterdir())}


def recall_matching(folder: Path) -> Matching:
    return Matching(**recall(folder, "match"))


def stage(folder: Path, *, with_items: bool = False) -> tuple[Sources, object, object, Population | None]:
    settings, lake = opened(folder)
    book, through = settings.books[0], FIRST + timedelta(days=DAYS, seconds=2)
    sources = assemble_sources(read_stripe_tables(lake, book), recall(folder, "read"), book, complete_through=through)
    month = define_month(lake, settings, book, "2026-09", complete_through=through)
    carried = CarriedIn(**recall(folder, "opening")) if (folder / "kept" / "opening").exists() else None
    return sources, month, carried, Population(**recall(folder, "items")) if with_items else None


# --- measuring --------------------------------------------------------------------------------------------------------


def measure(folder: Path, name: str, payments: int) -> dict[str, float]:
    """Run a stage in a process of its own and return its figures."""
    before, began = size_of(folder), time.monotonic()
    child = multiprocessing.get_context("spawn").Process(target=run_stage, args=(folder, name, payments))
    child.start()
    child.join()
    if child.exitcode:
        raise SystemExit(f"{name}: ended with {child.exitcode}")
    used = json.loads((folder / "used.json").read_text())
    return {"wall": time.monotonic() - began, **used, "disk": size_of(folder) - before}


def run_stage(folder: Path, name: str, payments: int) -> None:
    STAGES[name](folder, payments)
    used = resource.getrusage(resource.RUSAGE_SELF)
    (folder / "used.json").write_text(json.dumps({"cpu": used.ru_utime + used.ru_stime, "peak": used.ru_maxrss / 1024}))


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def print_table(figures: dict[str, dict[str, float]], payments: int, books: int, smaller: tuple[int, dict[str, dict[str, float]]] | None) -> None:
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, Polars {pl.__version__}"
    print(f"{machine}; {payments:,} payments over {DAYS} days in {books} book{'s' * (books > 1)}\n")
    print("| stage | wall s | CPU s | peak MB | disk MB | exponent | CPU h at 100M | CPU h at 1B |\n|---|---:|---:|---:|---:|---:|---:|---:|")
    for name, one in figures.items():
        exponent = "" if not smaller or name not in smaller[1] else f"{growth(one['cpu'] / books, payments / books, smaller[1][name]['cpu'], smaller[0]):.2f}"
        hours = [one["cpu"] * size / payments / 3600 for size in (10**8, 10**9)]
        print(
            f"| {name} | {one['wall']:.1f} | {one['cpu']:.1f} | {one['peak']:,.0f} | {one['disk'] / 1e6:,.0f} | {exponent} | {hours[0]:.2f} | {hours[1]:.2f} |"
        )


def growth(cpu: float, payments: float, smaller_cpu: float, smaller_payments: float) -> float:
    """Return the exponent with which CPU grows between two sizes of a book."""
    return math.log(cpu / smaller_cpu) / math.log(payments / smaller_payments)


def load(folder: Path) -> tuple[int, dict[str, dict[str, float]]]:
    stored = json.loads((folder / "figures.json").read_text())
    return stored["payments"], stored["stages"]


def measure_book(folder: Path, payments: int, *, until: str) -> dict[str, dict[str, float]]:
    """Run the stages of one book that were not run yet, and return the figures of all of them."""
    folder.mkdir(parents=True, exist_ok=True)
    stored = folder / "figures.json"
    figures = load(folder)[1] if stored.exists() else {}
    for name in list(STAGES)[: list(STAGES).index(until) + 1]:
        if name not in figures:
            print(f"{folder.name}: {name} …", flush=True)
            figures[name] = measure(folder, name, payments)
            stored.write_text(json.dumps({"payments": payments, "stages": figures}))
    return figures


def add_up(books: list[dict[str, dict[str, float]]]) -> dict[str, dict[str, float]]:
    """Add the figures of books up; the peak is the largest."""
    return {
        name: {figure: (max if figure == "peak" else sum)(book[name][figure] for book in books) for figure in ("wall", "cpu", "peak", "disk")}
        for name in books[0]
        if all(name in book for book in books)
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--payments", type=int, default=1_000_000)
    parser.add_argument("--books", type=int, default=1)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--against", type=Path)
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--until", choices=STAGES, default="state")
    options = parser.parse_args()
    folders = [options.folder] if options.books == 1 else [options.folder / f"book_{number:02d}" for number in range(1, options.books + 1)]
    if options.table:
        books = [load(folder) for folder in folders if (folder / "figures.json").exists()]
        figures, payments = add_up([one for _, one in books]), sum(size for size, _ in books)
    else:
        payments = options.payments
        figures = add_up([measure_book(folder, payments // options.books, until=options.until) for folder in folders])
    print_table(figures, payments, len(folders), load(options.against) if options.against else None)


if __name__ == "__main__":
    main()
