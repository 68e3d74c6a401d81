"""Matching side by side: this project, Splink, recordlinkage, a plain pandas merge, and DuckDB's floor, on the same payments and lines.

    make peers
    python benchmarks/peers.py --payments 100000 --runs 5

Makes the data (`benchmarks/matching_data.py` says which dirt they hold), runs each in a process of its own, interleaved, and writes a table with machine and commit to
`benchmarks/results/`. The floor reads both files, joins on an integer key and writes the result. Peers get what they need in plain columns (`reference`,
`name`, `amount`, `fee`, `day`) and a one-to-one step of ours, since none has one; this project reads its own tables and writes its evidence.
Start-up and imports are not counted, reading and writing are. Where a payment was posted twice either line is right.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

import polars as pl

HERE = Path(__file__).parent
PEERS = HERE.parent / ".venv-peers" / "bin" / "python"
PART = 1_000_000
PLAIN = ("floor", "pandas", "recordlinkage", "splink")
HEADINGS = ["what", "runs", "wall s", "CPU s", "CPU / floor", "peak MB", "precision", "recall", "F1"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--payments", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--slow-runs", type=int, default=2, help="of recordlinkage and Splink")
    parser.add_argument("--peers", nargs="+", default=PLAIN, choices=PLAIN, help="what to run beside this project; `floor` alone at millions of rows")
    parser.add_argument("--one-price", type=float, default=0.0, help="share of all payments at 9.99, on the same thirty days")
    parser.add_argument("--no-febrl4", action="store_true")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(ours(Path(options.one))))
        return
    if not PEERS.exists():
        raise SystemExit(f"{PEERS}: not there; make it: make peers")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_data(folder, options.payments, options.one_price)
        runs = {name: options.slow_runs if name in ("recordlinkage", "splink") else options.runs for name in ("this project", *options.peers)}
        rows = table(runs, folder)
        febrl4 = [] if options.no_febrl4 else table_febrl4(options.runs, options.slow_runs, folder)
    text = render(options, rows, febrl4)
    suffix = f"_one_price_{round(options.one_price * 100)}" if options.one_price else ""
    results = HERE / "results"
    results.mkdir(exist_ok=True)
    (results / f"matching_{options.payments}{suffix}.md").write_text(text, encoding="utf-8")
    print(text)


def write_data(folder: Path, count: int, one_price: float) -> None:
    """Write `items.parquet` for this project, and `payments`, `lines`, `true` with the same facts in plain columns for the others."""
    for first in range(0, count, PART):
        write_part(folder, count, one_price, first)
    for name in ("items", "payments", "lines", "true"):
        parts = sorted(folder.glob(f"{name}_*.parquet"))
        pl.scan_parquet(parts).sink_parquet(folder / f"{name}.parquet")
        for part in parts:
            part.unlink()


def write_part(folder: Path, total: int, one_price: float, first: int) -> None:
    """Write a part of the payments, which bounds the memory that making them needs."""
    from matching_data import make_items

    items, true = make_items(total, one_price=one_price, first=first, count=min(PART, total - first))
    place = f"_{first // PART:04d}.parquet"
    items.write_parquet(folder / f"items{place}")
    day = (pl.col("date") - pl.lit(date(2026, 10, 1))).dt.total_days()
    pair = pl.col("balance_transaction_id").str.slice(4).cast(pl.Int64)
    stripe = items.filter(pl.col("side") == "stripe").with_columns(pair=pair, day=day)
    fees = stripe.filter(pl.col("component") == "fee").select("pair", fee=-pl.col("amount_minor"))
    gross = stripe.filter(pl.col("component") == "gross")
    payments = gross.join(fees, on="pair").select("pair", "day", "fee", "reference", payment="item_id", amount="amount_minor", name="counterparty")
    payments.sort("pair").write_parquet(folder / f"payments{place}")
    ledger = items.filter(pl.col("side") == "ledger").with_columns(day=day, pair=pl.col("document").str.slice(3).cast(pl.Int64))
    reference = pl.when(pl.col("description") == "Card sale").then(pl.lit("")).otherwise(pl.col("description"))
    ledger.select("pair", "day", line="item_id", reference=reference, amount="amount_minor", name="counterparty").sort("line").write_parquet(
        folder / f"lines{place}"
    )
    lines = ledger.select("pair", line="item_id")
    true.select("pair", payment="stripe_item").join(lines, on="pair").select("payment", "line").write_parquet(folder / f"true{place}")


def peak_mb() -> float:
    """Return the most memory of this process; the kernel's other count is handed on by the parent."""
    return next(int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")) / 1024


def spill_references(items: pl.LazyFrame, folder: Path) -> pl.LazyFrame:
    """Extract the references into files, as many items at a time as fit: a scan of them is what matching takes."""
    from reconciliation.normalize.references import extract_references

    texts = items.select("leg", "item_id", "document", "reference_text")
    for number, first in enumerate(range(0, items.select(pl.len()).collect().item(), PART)):
        extract_references(texts.slice(first, PART).collect()).write_parquet(folder / f"references_{number:04d}.parquet")
    return pl.scan_parquet(folder / "references_*.parquet")


def ours(folder: Path) -> dict[str, float]:
    """Match as the pipeline does, references extracted and evidence written; returns seconds, memory and quality."""
    from reconciliation.matching.cascade import match_items

    began, wall = time.process_time(), time.perf_counter()
    items = pl.scan_parquet(folder / "items.parquet")
    references = spill_references(items, folder)
    extracted = time.process_time()
    journals = pl.DataFrame(
        schema={
            "journal_id": pl.String,
            "version": pl.Int64,
            "nature": pl.String,
            "effect_minor": pl.Int64,
            "posted_period": pl.String,
            "items": pl.List(pl.String),
        }
    )
    matching = match_items(items.drop("reference_text"), references, cut_off_on=date(2026, 10, 31), journals=journals)
    matching.members.write_parquet(folder / "members.parquet")
    cpu, wall = time.process_time() - began, time.perf_counter() - wall
    members, peak = matching.members.select("match_id", "item_id", "strategy"), peak_mb()
    counted = members.filter(pl.col("strategy") != "interchangeable")
    payments = counted.filter(pl.col("item_id").str.ends_with("/gross")).select("match_id", payment="item_id")
    pairs = payments.join(counted.filter(pl.col("item_id").str.starts_with("gl_")).select("match_id", line="item_id"), on="match_id")
    true = pl.read_parquet(folder / "true.parquet")
    right = pairs.join(true, on=["payment", "line"], how="semi").height
    pooled = members.filter((pl.col("strategy") == "interchangeable") & pl.col("item_id").str.starts_with("gl_")).height
    named = {"precision": right / max(pairs.height, 1), "recall": right / true["payment"].n_unique()}
    return {"wall": wall, "cpu": cpu, "mb": peak, **named, "cpu_references": extracted - began, "counted_lines": pooled}


def run_one(command: list[str]) -> dict[str, float]:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return {"failed": 1.0}
    return json.loads(done.stdout.strip().splitlines()[-1])


def table(runs: dict[str, int], folder: Path) -> list[dict[str, object]]:
    """Run all in turn, as often as each is asked for, and take medians."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in runs}
    for number in range(max(runs.values())):
        for name in (name for name, times in runs.items() if number < times):
            own = [sys.executable, str(HERE / "peers.py"), "--one", str(folder)]
            found[name].append(run_one(own if name == "this project" else [str(PEERS), str(HERE / "peers_run.py"), name, str(folder)]))
            print(name, found[name][-1], file=sys.stderr, flush=True)
    return medians(found)


def table_febrl4(runs: int, slow_runs: int, folder: Path) -> list[dict[str, object]]:
    """Link the records of FEBRL4 with each."""
    run_one([str(PEERS), str(HERE / "peers_run.py"), "febrl4_write", str(folder)])
    commands = {"this project": [sys.executable, str(HERE / "febrl4.py"), str(folder)]}
    commands |= {name: [str(PEERS), str(HERE / "peers_run.py"), f"febrl4_{name}", str(folder)] for name in ("recordlinkage", "splink")}
    found: dict[str, list[dict[str, float]]] = {name: [] for name in commands}
    for number in range(runs):
        for name, command in commands.items():
            if name == "this project" or number < slow_runs:
                found[name].append(run_one(command))
                print("febrl4", name, found[name][-1], file=sys.stderr, flush=True)
    return medians(found)


def medians(found: dict[str, list[dict[str, float]]]) -> list[dict[str, object]]:
    rows = []
    for name, all_figures in found.items():
        figures = [each for each in all_figures if "failed" not in each]
        names = sorted({key for each in figures for key in each})
        rows.append({"what": name, "runs": len(figures), **{key: statistics.median(each[key] for each in figures) for key in names}})
    return rows


def render(options: argparse.Namespace, rows: list[dict[str, object]], febrl4: list[dict[str, object]]) -> str:
    """Write the tables as Markdown, with machine and commit."""
    commit = subprocess.run(["git", "-C", HERE, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    cpu = next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), platform.processor())
    head = [
        f"# Matching, {options.payments:,} payments against as many lines",
        "",
        f"{cpu}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end, Python {platform.python_version()}, polars {pl.__version__} with {pl.thread_pool_size()} threads, commit {commit}.",
        f"Medians of the runs named. Payments at one price: {options.one_price:.0%} beyond the usual third at ten prices. CPU seconds are those of all threads.",
        "",
    ]
    floor = next((float(str(row["cpu"])) for row in rows if row["what"] == "floor" and "cpu" in row), 0.0)
    parts = [*head, *markdown(rows, floor)]
    own = rows[0]
    if "cpu_references" in own:
        parts += [
            "",
            f"Of this project's CPU {own['cpu_references']:.2f} s read the file and extract references; {own['counted_lines']:.0f} lines stand in counted matches, which claim no pair.",
        ]
    if febrl4:
        parts += ["", "## FEBRL4, 5,000 records against 5,000", "", *markdown(febrl4, 0.0)]
    return "\n".join(parts) + "\n"


def markdown(rows: list[dict[str, object]], floor: float) -> list[str]:
    lines = ["| " + " | ".join(HEADINGS) + " |", "|---" * len(HEADINGS) + "|"]
    for row in rows:
        if "cpu" not in row:
            lines.append(f"| {row['what']} | failed |")
            continue
        wall, cpu, mb = (float(str(row[name])) for name in ("wall", "cpu", "mb"))
        ratio = f"{cpu / floor:.1f}" if floor else ""
        quality = ["", "", ""]
        if "precision" in row:
            precision, recall = float(str(row["precision"])), float(str(row["recall"]))
            quality = [f"{precision:.5f}", f"{recall:.5f}", f"{2 * precision * recall / max(precision + recall, 1e-9):.5f}"]
        lines.append("| " + " | ".join([str(row["what"]), str(row["runs"]), f"{wall:.2f}", f"{cpu:.2f}", ratio, f"{mb:.0f}", *quality]) + " |")
    return lines


if __name__ == "__main__":
    main()
