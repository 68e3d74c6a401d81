"""The benchmark of matching: match rate and false-match rate for every posting style and family of simulated companies.

    python benchmarks/posting_styles.py --payments 1500 --months 2 --seeds 1

Prints one line per company and one per posting style. An edge joins a Stripe component with the line that stands for it;
decidable edges are those whose records say enough to find them. False are all edges that are not true; false claims are those
without two kinds that a match says of itself: equals exchanged among counted matches, which claim no pairs, and payments that a
sum with a stated difference may lack.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl

from reconciliation.classifier.against_truth import measure_matching
from reconciliation.classifier.examples import as_month_run, run_with_history
from reconciliation.classifier.labels import read_truth
from reconciliation.close.show import show_nothing
from reconciliation.simulation.company import simulate_company
from reconciliation.simulation.dry_run import dry_company
from reconciliation.simulation.families import FAMILIES, family_options
from reconciliation.simulation.options import SimulationOptions
from reconciliation.simulation.writer import write_company

POSTING_STYLES = ("gross_per_payment", "net_per_payment", "daily_summary", "weekly_summary", "monthly_summary", "payout_summary", "mixed")
FEE_STYLES = ("monthly_journal", "daily_journal", "payout_journal", "per_payment")
SEED = 50_000
"""Far from the seeds of training."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--payments", type=int, default=1_500, help="per company, in all months")
    parser.add_argument("--months", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=1, help="companies of each family and posting style")
    parser.add_argument("--families", nargs="*", default=sorted(FAMILIES))
    parser.add_argument("--styles", nargs="*", default=POSTING_STYLES)
    parser.add_argument("--seed", type=int, default=SEED, help="of the first company")
    parser.add_argument("--dirt", type=float, default=1.0, help="factor on every intensity of dirt")
    options = parser.parse_args()
    measured = pl.DataFrame(list(measure(options)))
    figures = ["payments", "items", "decidable", "decided", "found", "false", "false_claims", "cpu_s"]
    print(table(measured.group_by("posting_style", maintain_order=True).agg(pl.len().alias("companies"), *(pl.col(name).sum() for name in figures))))
    print(table(measured.group_by("family", maintain_order=True).agg(pl.len().alias("companies"), *(pl.col(name).sum() for name in figures))))


def measure(options: argparse.Namespace) -> Iterator[dict[str, object]]:
    for style in options.styles:
        for place, family in enumerate(options.families):
            for number in range(options.seeds):
                seed = options.seed + 1_000 * number + sorted(FAMILIES).index(family)
                drawn = family_options(family, seed=seed, payments=options.payments, months=options.months, dirt_factor=options.dirt)
                company = replace(drawn, posting_style=style, fee_style=FEE_STYLES[(place + number + POSTING_STYLES.index(style)) % len(FEE_STYLES)])
                row = {"posting_style": style, "fee_style": company.fee_style, "family": family, "seed": seed, **judge(company)}
                print(" ".join(f"{name}={value}" for name, value in row.items()), file=sys.stderr, flush=True)
                yield row


def judge(company: SimulationOptions) -> dict[str, object]:
    """Reconcile a company and compare its matches with the truth."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_company(simulate_company(company), folder)
        began = time.process_time()
        with dry_company(folder, score=by_age, show=show_nothing) as months:
            runs = [as_month_run(month.result) for month in months]
        spent = time.process_time() - began
        _, edges = read_truth(folder)
    quality = measure_matching(runs, edges)
    false = quality.edges_found - quality.edges_right
    return {
        "payments": company.payments,
        "items": run_with_history(runs).items.filter(pl.col("side").is_in(["stripe", "ledger", "bank"])).height,
        "decidable": quality.edges_decidable,
        "decided": round(quality.recall * quality.edges_decidable),
        "found": quality.edges_found,
        "false": false,
        "false_claims": false - quality.edges_exchanged - quality.edges_lacked,
        "cpu_s": round(spent, 1),
    }


def by_age(features: pl.DataFrame) -> pl.DataFrame:
    """Stand in for the classifier: matching does not depend on it."""
    likely = pl.when(pl.col("age_days") > 10).then(0.9).otherwise(0.1)
    return features.select("break_id", probability_true_exception=likely, reasons=pl.lit(["-"]))


def table(frame: pl.DataFrame) -> str:
    rated = frame.with_columns(
        recall=(pl.col("decided") / pl.col("decidable")).round(4),
        precision=(1 - pl.col("false") / pl.col("found")).round(5),
        false_per_10k=(pl.col("false") / pl.col("items") * 10_000).round(2),
        false_claims_per_10k=(pl.col("false_claims") / pl.col("items") * 10_000).round(2),
    )
    with pl.Config(tbl_rows=100, tbl_cols=20, tbl_width_chars=220, tbl_hide_dataframe_shape=True, tbl_hide_column_data_types=True, tbl_formatting="MARKDOWN"):
        return str(rated)


if __name__ == "__main__":
    main()
