"""Read, parse and prove a ledger export of a million rows, beside what DuckDB and Polars take to read the same file as text.

    python benchmarks/files.py --rows 1000000 --runs 3

The export is a NetSuite saved search with grouped amounts, a total row and distinct memos. `read, parsed and proved` is everything from
the bytes of the file to ledger lines: encoding, layout, dates and amounts decided for the file, totals proved, coverage applied, schema validated.
Each measurement is a process of its own; CPU seconds and peak memory are the kernel's.
"""

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HEADER = "Internal ID,Date,Period,Type,Document Number,Name,Account,Memo,Debit,Credit,Currency\n"

OURS = """
import hashlib
from reconciliation.config import Settings
from reconciliation.connectors.inbox import InboxFile
from reconciliation.connectors.ledger.reader import read_ledger
settings = Settings.model_validate({
    "entity": {"name": "E", "timezone": "Europe/London", "currency": "GBP"}, "start": {"period": "2026-10"},
    "books": [{"ledger_accounts": [{"account": "1050 Stripe Clearing", "currency": "GBP"}]}],
})
def work():
    content = path.read_bytes()
    return read_ledger([InboxFile("a.csv", content, hashlib.sha256(content).hexdigest(), 1)], settings=settings).lines.height
"""
POLARS = """
import polars
def work():
    return polars.read_csv(path, infer_schema=False).height
"""
DUCKDB = """
import duckdb
def work():
    return duckdb.sql(f"select * from read_csv('{path}', all_varchar=true, header=true)").to_arrow_table().num_rows
"""
FRAME = """
import json, resource, sys, time
from pathlib import Path
path = Path(sys.argv[1])
{code}
wall, cpu = time.perf_counter(), time.process_time()
rows = work()
print(json.dumps({{"rows": rows, "wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}}))
"""


def write_export(path, rows):
    generator = random.Random(7)
    debited = credited = 0
    with path.open("w", encoding="utf-8") as handle:
        handle.write(HEADER)
        for number in range(rows):
            minor = generator.randrange(100, 500_000)
            is_debit = generator.random() < 0.9
            debited, credited = (debited + minor, credited) if is_debit else (debited, credited + minor)
            text = money(minor)
            day = 1 + generator.randrange(31)
            cells = f"{text}," if is_debit else f",{text}"
            handle.write(
                f"{number},{day:02d}/10/2026,Oct 2026,Payment,PYMT-{number},Customer {number % 50_000},1050 Stripe Clearing,INV-{number} ch_{number:012x},{cells},GBP\n"
            )
        handle.write(f"Total,,,,,,,,{money(debited)},{money(credited)},\n")


def money(minor):
    text = f"{minor // 100:,}.{minor % 100:02d}"
    return f'"{text}"' if "," in text else text


def measure(code, path):
    done = subprocess.run([sys.executable, "-c", FRAME.format(code=code), path], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])  # DuckDB may draw its progress before it


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "export.csv"
        write_export(path, options.rows)
        print(f"{options.rows:,} rows, {path.stat().st_size / 1e6:.0f} MB, median of {options.runs} runs")
        print(f"{'':34}{'wall s':>8}{'CPU s':>8}{'peak MB':>9}")
        for name, code in (("read, parsed and proved", OURS), ("Polars, all text, nothing parsed", POLARS), ("DuckDB, all text, nothing parsed", DUCKDB)):
            runs = [measure(code, path) for _ in range(options.runs)]
            wall, cpu, mb = (statistics.median(run[key] for run in runs) for key in ("wall", "cpu", "mb"))
            print(f"{name:34}{wall:8.2f}{cpu:8.2f}{mb:9.0f}")


if __name__ == "__main__":
    main()
