"""Real invoice lines -> the committed facts `reconciliation/simulation/order_values.json`.

Reads "Online Retail" (UCI, 541,909 invoice lines of a British online shop, December 2010 to December 2011; listed as
CC BY 4.0) and keeps quantiles and counts only, no row. Run: `python benchmarks/make_order_values.py LINES.parquet OUT.json`.
"""

import json
import sys
from pathlib import Path

import polars as pl

STEPS = 200
QUANTILE_MAX = 0.998
"""The handful of invoices above it are bulk orders that would dominate a small company's month."""
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def summarize(lines: pl.DataFrame) -> dict[str, object]:
    """Summarize invoices: quantiles of their totals in pence, and how many begin in each hour of each weekday."""
    invoices = (
        lines.filter(~pl.col("InvoiceNo").str.starts_with("C"))
        .group_by("InvoiceNo")
        .agg(total=(pl.col("Quantity") * pl.col("UnitPrice")).sum().cast(pl.Float64), at=pl.col("InvoiceDate").min())
        .filter(pl.col("total") > 0)
    )
    totals = [invoices["total"].quantile(QUANTILE_MAX * step / STEPS, "linear") or 0.0 for step in range(STEPS + 1)]
    counts = invoices.group_by(weekday=pl.col("at").dt.weekday(), hour=pl.col("at").dt.hour()).len()
    cells = {(weekday, hour): count for weekday, hour, count in counts.iter_rows()}
    return {
        "source": "Online Retail (UCI), 541,909 invoice lines, one British online shop, 2010-12-01 to 2011-12-09",
        "invoices": invoices.height,
        "currency": "GBP",
        "quantile_max": QUANTILE_MAX,
        "total_quantiles_minor": [round(total * 100) for total in totals],
        "invoices_by_weekday_and_hour": {name: [cells.get((number, hour), 0) for hour in range(24)] for number, name in enumerate(WEEKDAYS, 1)},
    }


if __name__ == "__main__":
    facts = summarize(pl.read_parquet(sys.argv[1]))
    Path(sys.argv[2]).write_text(json.dumps(facts, indent=1).replace(",\n  ", ", ") + "\n", encoding="utf-8")
