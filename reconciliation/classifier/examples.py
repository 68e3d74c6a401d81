"""Simulated companies -> labeled breaks, and who learns, calibrates and tests with them.

Nothing is learned from a company and judged on it: whole families are held out, and within the others companies learn,
stop the boosting, calibrate on later months, or test. Who does what depends on a company's place in its family alone.
"""

import hashlib
import io
import logging
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import polars as pl

from reconciliation.classifier.labels import label_breaks, read_truth
from reconciliation.errors import FileRefusedError
from reconciliation.pipeline import Reconciliation

logger = logging.getLogger(__name__)

LABELED = Path(__file__).resolve().parents[2] / "data" / "labeled"
LABEL_COLUMNS = (
    "world",
    "family",
    "period",
    "role",
    "days_beyond_usual_lag",
    "amount_minor",
    "expected_cause",
    "exception_cause",
    "true_cause",
    "true_nature",
    "story",
    "is_named",
    "is_true_exception",
    "label_source",
)
BREAKS_A_MONTH_MAX = 300
COMPANIES_IN_A_ROW = 8
OWN = "decision"
"""`label_source` of a label that a reviewer's decision gave."""
LEARN, STOP, CALIBRATE, CERTIFY, TEST, HELD_OUT = "learn", "stop", "calibrate", "certify", "test", "held_out"


@dataclass(frozen=True)
class World:
    """A company to simulate.

    Attributes:
        name: of the company, unique; family: what it is like.
        seed: draws everything around the family's habits.
        payments: in all its months; dirt_factor: how much more often than usual its records go wrong.
    """

    name: str
    family: str
    seed: int
    payments: int = 1000
    dirt_factor: float = 1.0


@dataclass(frozen=True)
class MonthRun:
    """What a run of one month of one book leaves for labeling.

    Attributes:
        period: the month.
        features: feature frame, one row per break.
        breaks: schema `Break`, and `expected_cause`, `exception_cause`, `days_beyond_usual_lag` where the run names them.
        items: schema `Item`, those of the month's population.
        members: schema `MatchMember`.
    """

    period: str
    features: pl.DataFrame
    breaks: pl.DataFrame
    items: pl.DataFrame
    members: pl.DataFrame


def as_month_run(result: Reconciliation) -> MonthRun:
    """Take from a reconciled month what labeling needs; causes and lateness, by which rules judge a break, are those of its largest item, as the features are."""
    largest = result.explained.sort(pl.col("amount_minor").abs(), "item_id", descending=[True, False]).unique("break_id", keep="first", maintain_order=True)
    possible = ("expected_cause", "exception_cause")
    # As in the features: missing where being late is no possible cause.
    may_be_late = (pl.col("expected_cause") != "") | (pl.col("exception_cause") == "")
    lateness = pl.when(may_be_late).then((pl.col("age_days") - pl.col("usual_lag_days")).cast(pl.Float64))
    judged = largest.select("break_id", *possible, days_beyond_usual_lag=lateness)
    breaks = result.breaks.join(judged, on="break_id", how="left").with_columns(pl.col(possible).fill_null(""))
    return MonthRun(period=result.month.period, features=result.features, breaks=breaks, items=result.items, members=result.members)


def undecided(features: pl.DataFrame) -> pl.DataFrame:
    """Score nothing: what a run for labeling uses in the place of a model, so that no model shapes its successor's labels."""
    return features.select("break_id", probability_true_exception=pl.lit(0.0), reasons=pl.lit([], dtype=pl.List(pl.String)))


def plan_worlds(families: Sequence[str], *, companies: int, seed: int) -> list[World]:
    """Draw companies: as many of each family, of 1,000 to 5,000 payments, from half to twelve times as careless as usual.

    Args:
        families: their names.
        companies: of each; eight or a multiple keep the parts of `assign_roles` in proportion.
        seed: of the draw.
    """
    worlds = []
    for place, family in enumerate(families):
        random = np.random.default_rng([seed, place])
        for number in range(companies):
            payments, dirt_factor = int(random.integers(1000, 5001)), round(float(np.exp(random.uniform(np.log(0.5), np.log(12.0)))), 3)
            worlds.append(World(f"{family}_{number:02d}", family, seed * 100_000 + place * 1_000 + number, payments, dirt_factor))
    return worlds


def collect_examples(
    worlds: Sequence[World], *, simulate: Callable[[World, Path], Path], reconcile_company: Callable[[Path], Sequence[MonthRun]], processes: int = 1
) -> pl.DataFrame:
    """Simulate companies, reconcile their months and label every break.

    Args:
        worlds: the companies.
        simulate: writes a company below a folder and returns its own.
        reconcile_company: runs all months of a company's folder, oldest first.
        processes: how many companies at a time; more than one needs functions that can be named by a module. The result is the same.

    Returns:
        One row per break and month: keys, features, label columns; the same break of two months is two examples, as it is two decisions.
    """
    collect = partial(collect_company, simulate=simulate, reconcile_company=reconcile_company)
    if processes == 1:
        frames = [collect(world) for world in worlds]
    else:
        with get_context("spawn").Pool(processes) as pool:
            frames = list(pool.imap(collect, worlds))
    logger.info("%d companies, %d examples", len(frames), sum(frame.height for frame in frames))
    return pl.concat([frame for frame in frames if frame.height], how="vertical")


def thin_examples(examples: pl.DataFrame) -> pl.DataFrame:
    """Keep at most `BREAKS_A_MONTH_MAX` breaks of a company's month, so that no company teaches more than others.

    Which ones follows from the digests that name them, which know nothing of their labels.
    """
    return examples.sort("world", "period", "break_id").filter(pl.int_range(pl.len()).over("world", "period") < BREAKS_A_MONTH_MAX)


def collect_company(world: World, *, simulate: Callable[[World, Path], Path], reconcile_company: Callable[[Path], Sequence[MonthRun]]) -> pl.DataFrame:
    """Simulate and reconcile one company and label the breaks of its months."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = simulate(world, Path(scratch))
        truth, _ = read_truth(folder)
        runs = reconcile_company(folder)
    # A residual is carried under its match's id, and that match stands in the month that made it.
    return pl.concat([label_month(run_with_history(runs[: place + 1]), truth=truth, world=world) for place in range(len(runs))])


def run_with_history(runs: Sequence[MonthRun]) -> MonthRun:
    """Return the last of a company's months with the items and matches of all of them; an item stands as its latest month has it."""
    items = pl.concat([run.items for run in runs]).unique(["leg", "item_id"], keep="last", maintain_order=True)
    members = pl.concat([run.members for run in runs]).unique(["leg", "item_id", "match_id"], maintain_order=True)
    return replace(runs[-1], items=items, members=members)


def label_month(run: MonthRun, *, truth: pl.DataFrame, world: World) -> pl.DataFrame:
    """Join features, breaks and labels of a month; where the truth has a `period`, only what it says of the end of that month."""
    of_month = truth.filter(pl.col("period") == run.period) if "period" in truth.columns else truth
    labels = label_breaks(run.breaks, items=run.items, members=run.members, truth=of_month).frame
    causes = [pl.col(name) if name in run.breaks.columns else pl.lit("").alias(name) for name in ("expected_cause", "exception_cause")]
    facts = run.breaks.select("break_id", "amount_minor", pl.col("^days_beyond_usual_lag$"), *causes)
    placed = run.features.join(facts, on="break_id", how="inner").join(labels, on="break_id", how="inner")
    return placed.with_columns(world=pl.lit(world.name), family=pl.lit(world.family), period=pl.lit(run.period)).sort("break_id")


def assign_roles(examples: pl.DataFrame, *, held_out: Sequence[str], zero_day: Sequence[str] = ()) -> pl.DataFrame:
    """Add the column `role`: learn, stop, calibrate, certify, test, held_out; rows that may serve none of them are left out.

    Of eight companies of a family in a row three learn, one stops, three calibrate and one tests. Learning ends before the
    last third of the months begins; calibrating and testing use that third alone, as a model is used on later months. The
    earlier months of the companies that calibrate only certify, with the later ones: a certificate is about whole companies.
    """
    order = examples.select("family", "world").unique().sort("family", "world").with_columns(place=pl.int_range(pl.len()).over("family") % COMPANIES_IN_A_ROW)
    # Of each family's months, since a company's own need not be the simulated ones.
    place_of, months = pl.col("period").rank("dense").over("family"), pl.col("period").n_unique().over("family")
    is_late = (months == 1) | (place_of > months - pl.max_horizontal(months // 3, pl.lit(1)))
    is_early = (months == 1) | ~is_late
    role = (
        pl.when(pl.col("family").is_in(list(held_out)))
        .then(pl.lit(HELD_OUT))
        .when((pl.col("place") < 3) & is_early)
        .then(pl.lit(LEARN))
        .when((pl.col("place") == 3) & is_early)
        .then(pl.lit(STOP))
        .when(pl.col("place").is_in([4, 5, 6]))
        .then(pl.when(is_late).then(pl.lit(CALIBRATE)).otherwise(pl.lit(CERTIFY)))
        .when((pl.col("place") == 7) & is_late)
        .then(pl.lit(TEST))
    )
    placed = examples.join(order, on=["family", "world"], maintain_order="left").with_columns(role=role).drop("place").filter(pl.col("role").is_not_null())
    is_new = pl.col("true_cause").is_in(list(zero_day)) & pl.col("is_true_exception")
    return placed.filter(~(is_new & pl.col("role").is_in([LEARN, STOP, CALIBRATE, CERTIFY]))).sort("family", "world", "period", "break_id")


def write_labeled(examples: pl.DataFrame, *, name: str, folder: Path = LABELED) -> dict[str, Any]:
    """Write labeled examples and their manifest; returns the manifest.

    Args:
        examples: with `role`.
        name: of the file.
        folder: where labeled data lie.
    """
    buffer = io.BytesIO()
    examples.write_parquet(buffer, compression="zstd", compression_level=15, statistics=False)
    content = buffer.getvalue()
    counts = examples.group_by("role", "family").agg(
        pl.len().alias("breaks"), pl.col("is_true_exception").sum().alias("exceptions"), pl.col("world").n_unique().alias("companies")
    )
    manifest = {
        "file": f"{name}.parquet",
        "sha256": hashlib.sha256(content).hexdigest(),
        "rows": examples.height,
        "companies": examples["world"].n_unique(),
        "periods": sorted(examples["period"].unique().to_list()),
        "columns": {column: str(dtype) for column, dtype in examples.schema.items()},
        "parts": counts.sort("role", "family").to_dicts(),
        "breaks_not_named_by_truth": examples.filter(~pl.col("is_named")).height,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.parquet").write_bytes(content)
    (folder / f"{name}.json").write_bytes(orjson.dumps(manifest, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS) + b"\n")
    return manifest


def read_labeled(path: Path) -> pl.DataFrame:
    """Read labeled examples that `write_labeled` wrote.

    Raises:
        FileRefusedError: no such file, not Parquet, or without the columns of labels.
    """
    try:
        examples = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise FileRefusedError(file=str(path), message=f"cannot be read as labeled data ({str(error).splitlines()[0]}); name a file of data/labeled") from error
    absent = [name for name in ("is_true_exception", "amount_minor", "true_cause", "expected_cause", "exception_cause") if name not in examples.columns]
    if absent:
        raise FileRefusedError(file=str(path), message=f"lacks {', '.join(absent)}, so it is no labeled data; name a file of data/labeled")
    return examples
