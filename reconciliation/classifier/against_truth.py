"""Reconciled months of a simulated company + its truth -> how good matches and alerts were, in a few figures.

An alert is a break whose named cause is a true exception, at each month end. A break that is open at two month ends counts
twice: each time somebody would have looked at it.
"""

from collections.abc import Sequence

import polars as pl

from reconciliation.classifier.evaluation import MatchQuality, match_quality
from reconciliation.classifier.examples import MonthRun, as_month_run, run_with_history
from reconciliation.classifier.labels import label_breaks, name_amounts, name_members
from reconciliation.pipeline import Reconciliation
from reconciliation.schemas.breaks import EXCEPTION_CAUSES, UNDETERMINED

ALERTS = [*EXCEPTION_CAUSES, UNDETERMINED]
"""The true exceptions of the vocabulary, and what no rule knows: somebody has to look at both."""


def judge_company(results: Sequence[Reconciliation], *, truth: pl.DataFrame, edges: pl.DataFrame) -> dict[str, float | int]:
    """Judge a company's months.

    Args:
        results: its months, oldest first.
        truth: items of the truth, by month end.
        edges: true edges between Stripe items and those of other sides.
    """
    runs = [as_month_run(result) for result in results]
    matching = measure_matching(runs, edges)
    judged = []
    for place, result in enumerate(results):
        run = run_with_history(runs[: place + 1])
        of_month = truth.filter(pl.col("period") == result.month.period)
        labels = label_breaks(result.breaks, items=run.items, members=run.members, truth=of_month).frame
        judged.append(result.breaks.select("break_id", "cause").join(labels.select("break_id", "is_true_exception"), on="break_id"))
    breaks = pl.concat(judged)
    alerts = breaks["cause"].is_in(ALERTS)
    found = int((alerts & breaks["is_true_exception"]).sum())
    exceptions, alerted = int(breaks["is_true_exception"].sum()), int(alerts.sum())
    return {
        "match_edges_true_and_decidable": matching.edges_decidable,
        "match_edges_found": matching.edges_found,
        "match_precision": matching.precision,
        "match_recall": matching.recall,
        "false_matches_per_10000_items": matching.false_matches_per_10000,
        "breaks_at_month_ends": breaks.height,
        "true_exceptions": exceptions,
        "exception_recall": found / exceptions if exceptions else 1.0,
        "alerts": alerted,
        "alert_precision": found / alerted if alerted else 1.0,
    }


def measure_matching(runs: Sequence[MonthRun], edges: pl.DataFrame) -> MatchQuality:
    """Measure the matches of a company's months against its true edges (`truth/matches.csv`) up to the last of them."""
    last = run_with_history(runs)
    true = edges.filter(pl.col("period") <= last.period) if "period" in edges.columns else edges
    counted = last.items.filter(pl.col("side").is_in(["stripe", "ledger", "bank"])).height
    return match_quality(name_members(last.members, last.items, true), true, items=counted, amounts=name_amounts(last.items, true))
