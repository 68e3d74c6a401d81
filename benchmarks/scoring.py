"""Scoring and reasons for a million breaks: `python benchmarks/scoring.py --breaks 1000000 --runs 3`.

The labeled breaks of `data/labeled` are repeated with numbers moved a little, so that no two rows need be equal. CPU seconds are
the measure on a busy machine; `score` is the sum of tables, `reasons` the three strongest in words, `all` what the pipeline calls.
"""

import argparse
import platform
import resource
import statistics
import time
from collections.abc import Callable

import numpy as np
import polars as pl

from reconciliation.breaks.features import FEATURES, NUMERIC
from reconciliation.classifier.examples import LABELED
from reconciliation.classifier.reasons import explain_scores
from reconciliation.classifier.scoring import score_frame
from reconciliation.classifier.verdicts import judge_breaks
from reconciliation.classifier.versions import load_version


def make_features(breaks: int) -> pl.DataFrame:
    base = pl.read_parquet(LABELED / "simulated.parquet").select("break_id", *FEATURES)
    random = np.random.default_rng(1)
    frame = pl.concat([base] * (breaks // base.height + 1)).head(breaks)
    moved = [pl.col(name) + pl.Series(random.normal(0, 0.01, breaks)) for name in NUMERIC]
    return frame.with_columns(*moved, break_id=pl.format("br_{}", pl.int_range(pl.len())))


def timed(work: Callable[[], object], runs: int) -> tuple[float, float]:
    walls, processors = [], []
    for _ in range(runs):
        wall, processor = time.perf_counter(), time.process_time()
        work()
        walls.append(time.perf_counter() - wall)
        processors.append(time.process_time() - processor)
    return statistics.median(walls), statistics.median(processors)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--breaks", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    model, features = load_version(), make_features(arguments.breaks)
    scores = score_frame(model.tables, model.calibration, features)
    print(f"{model.label}, {arguments.breaks:,} breaks, median of {arguments.runs}, {platform.machine()}, Polars threads {pl.thread_pool_size()}")
    for name, work in (
        ("score", lambda: score_frame(model.tables, model.calibration, features)),
        ("reasons", lambda: explain_scores(scores, features, model.tables.features)),
        ("all", lambda: judge_breaks(model, features)),
    ):
        wall, processor = timed(work, arguments.runs)
        print(f"  {name:<8} {wall:6.2f} s wall  {processor:6.2f} s CPU")
    print(f"  peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MB")


if __name__ == "__main__":
    main()
