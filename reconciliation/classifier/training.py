"""Simulated companies -> labeled breaks -> a model version with its certificate and card.

Nothing is learned from a company and judged on it: whole families are held out, and within the others companies learn,
stop the boosting, calibrate on later months, or test. Who does what depends on a company's place in its family alone.
"""

import hashlib
import importlib.metadata
import io
import logging
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import polars as pl

from reconciliation.breaks.features import WATCHED
from reconciliation.breaks.kinds import choose_cause
from reconciliation.classifier.calibration import Calibration
from reconciliation.classifier.card import render_card
from reconciliation.classifier.drift import SCORE, Reference, make_reference
from reconciliation.classifier.evaluation import MatchQuality, average_precision, match_quality, measure_frame, measure_segments
from reconciliation.classifier.labels import label_breaks, name_amounts, name_members, read_truth
from reconciliation.classifier.policy import Certificate, certify_threshold, is_clearable
from reconciliation.classifier.scoring import KEY_COLUMNS, score_frame
from reconciliation.classifier.versions import CHALLENGER, MODELS, ModelVersion, load_version, version_numbers, write_version
from reconciliation.errors import FileRefusedError
from reconciliation.learning.additive import FitOptions, feature_types, fit_additive
from reconciliation.learning.calibrator import fit_calibration
from reconciliation.learning.linear import average_tables, fit_linear
from reconciliation.learning.probes import feature_areas, fit_challenger, fit_shallow_tree
from reconciliation.learning.tables import AdditiveTables, Feature
from reconciliation.pipeline import Reconciliation

logger = logging.getLogger(__name__)

LABELED = Path(__file__).resolve().parents[2] / "data" / "labeled"
TARGET_RECALLS = (0.95, 0.98, 0.99, 0.995)
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
LATER_IS_WORSE = ("age_days", "days_overdue", "days_to_cut_off_of_month", "months_carried", "share_matched_same_day", "share_matched_since")
MONOTONE: dict[str, int] = dict.fromkeys(LATER_IS_WORSE, 1)
"""What a controller would insist on in boosted tables: whatever stays away longer, while others like it arrive, is never less suspicious for it."""
BOOSTED_SHARE = 0.1
"""Weight of the boosted tables beside the logistic regression."""
BREAKS_A_MONTH_MAX = 300
COMPANIES_IN_A_ROW = 8
SEGMENTS = ("family", "leg", "kind", "currency", "amount_decade", "period")
OWN = "decision"
"""`label_source` of a label that a reviewer's decision gave."""
LEARN, STOP, CALIBRATE, TEST, HELD_OUT = "learn", "stop", "calibrate", "test", "held_out"


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


@dataclass(frozen=True)
class Plan:
    """How examples are divided and a version is fitted.

    Attributes:
        held_out: families that nothing is learned from or calibrated on.
        zero_day: true causes of exceptions removed from all but the test sets, so that they are met for the first time there.
        leave_out: fit again without each cause of exceptions in turn and measure its recall; takes a fit per cause.
        excluded: columns of the feature frame that are no features.
        options: of the fit.
        is_challenger: whether the version waits for two people to promote it; one that ships with the program does not.
    """

    held_out: tuple[str, ...]
    zero_day: tuple[str, ...] = ()
    leave_out: bool = True
    excluded: tuple[str, ...] = ("break_id", "currency", "book", *WATCHED)
    options: FitOptions = field(default_factory=lambda: FitOptions(pairs_max=0, bins_max=16, leaf_rows_min=100, monotone=MONOTONE))
    is_challenger: bool = True


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


def measure_matching(runs: Sequence[MonthRun], edges: pl.DataFrame) -> MatchQuality:
    """Measure the matches of a company's months against its true edges (`truth/matches.csv`) up to the last of them."""
    last = run_with_history(runs)
    true = edges.filter(pl.col("period") <= last.period) if "period" in edges.columns else edges
    counted = last.items.filter(pl.col("side").is_in(["stripe", "ledger", "bank"])).height
    return match_quality(name_members(last.members, last.items, true), true, items=counted, amounts=name_amounts(last.items, true))


def label_month(run: MonthRun, *, truth: pl.DataFrame, world: World) -> pl.DataFrame:
    """Join features, breaks and labels of a month; where the truth has a `period`, only what it says of the end of that month."""
    of_month = truth.filter(pl.col("period") == run.period) if "period" in truth.columns else truth
    labels = label_breaks(run.breaks, items=run.items, members=run.members, truth=of_month).frame
    causes = [pl.col(name) if name in run.breaks.columns else pl.lit("").alias(name) for name in ("expected_cause", "exception_cause")]
    facts = run.breaks.select("break_id", "amount_minor", pl.col("^days_beyond_usual_lag$"), *causes)
    placed = run.features.join(facts, on="break_id", how="inner").join(labels, on="break_id", how="inner")
    return placed.with_columns(world=pl.lit(world.name), family=pl.lit(world.family), period=pl.lit(run.period)).sort("break_id")


def assign_roles(examples: pl.DataFrame, *, held_out: Sequence[str], zero_day: Sequence[str] = ()) -> pl.DataFrame:
    """Add the column `role`: learn, stop, calibrate, test, held_out; rows that may serve none of them are left out.

    Of eight companies of a family in a row four learn, one stops, two calibrate and one tests. Learning ends before the
    last third of the months begins; calibrating and testing use that third alone, as a model is used on later months.
    """
    order = examples.select("family", "world").unique().sort("family", "world").with_columns(place=pl.int_range(pl.len()).over("family") % COMPANIES_IN_A_ROW)
    # Of each family's months, since a company's own need not be the simulated ones.
    place_of, months = pl.col("period").rank("dense").over("family"), pl.col("period").n_unique().over("family")
    is_late = (months == 1) | (place_of > months - pl.max_horizontal(months // 3, pl.lit(1)))
    is_early = (months == 1) | ~is_late
    role = (
        pl.when(pl.col("family").is_in(list(held_out)))
        .then(pl.lit(HELD_OUT))
        .when((pl.col("place") < 4) & is_early)
        .then(pl.lit(LEARN))
        .when((pl.col("place") == 4) & is_early)
        .then(pl.lit(STOP))
        .when(pl.col("place").is_in([5, 6]) & is_late)
        .then(pl.lit(CALIBRATE))
        .when((pl.col("place") == 7) & is_late)
        .then(pl.lit(TEST))
    )
    placed = examples.join(order, on=["family", "world"], maintain_order="left").with_columns(role=role).drop("place").filter(pl.col("role").is_not_null())
    is_new = pl.col("true_cause").is_in(list(zero_day)) & pl.col("is_true_exception")
    return placed.filter(~(is_new & pl.col("role").is_in([LEARN, STOP, CALIBRATE]))).sort("family", "world", "period", "break_id")


def train_version(examples: pl.DataFrame, *, plan: Plan, name: str, models: Path = MODELS, labeled: Path = LABELED, code_version: str = "") -> ModelVersion:
    """Fit, calibrate, certify and write a version, with the examples it was made from.

    Args:
        examples: as from `collect_examples`.
        plan: see `Plan`.
        name: of the labeled data, `data/labeled/<name>.parquet`.
        models: where versions lie.
        labeled: where labeled data lie.
        code_version: for the manifest.

    Raises:
        ValueError: a part of the examples holds one class only.
    """
    divided = assign_roles(examples, held_out=plan.held_out, zero_day=plan.zero_day)
    data = write_labeled(divided, name=name, folder=labeled)
    features = feature_types(divided.drop([column for column in LABEL_COLUMNS if column in divided.columns]), keys=plan.excluded)
    tables = _fit(divided, features, plan.options)
    calibration, certificates = _calibrate(divided, tables)
    number = max(version_numbers(models), default=0) + 1
    scored = score_examples(divided, tables=tables, calibration=calibration)
    facts = {
        # The first version of a folder has nobody to be compared with.
        **({"status": CHALLENGER} if plan.is_challenger and version_numbers(models) else {}),
        "code_version": code_version,
        "seed": plan.options.seed,
        "options": asdict(plan.options),
        "boosted_share": BOOSTED_SHARE,
        "plan": {"held_out": list(plan.held_out), "zero_day": list(plan.zero_day)},
        "training_data": data,
        "packages": {package: importlib.metadata.version(package) for package in ("interpret-core", "scikit-learn", "numpy", "polars")},
        "metrics": measure_version(scored, certificate=_acting(certificates)),
        "left_out": leave_out_causes(divided, features=features, options=plan.options) if plan.leave_out else [],
        "probes": run_probes(divided, features=features, tables=tables, options=plan.options),
        "terms": [term.name for term in tables.terms],
        **({"own_months": own_months(divided)} if "label_source" in divided.columns else {}),
    }
    certified = [certificate.to_json() for certificate in certificates]
    card = render_card(facts | {"version": number, "certificates": certified, "features": [asdict(feature) for feature in features]})
    place = write_version(
        tables=tables,
        calibration=calibration,
        certificates=certificates,
        facts=facts,
        card=card,
        reference=describe_certified(scored, features),
        folder=models,
        version=number,
    )
    return load_version(place.name, folder=models)


def describe_certified(scored: pl.DataFrame, features: Sequence[Feature]) -> Reference:
    """Describe the breaks of the companies that a version learned from or was certified on, to tell drift from."""
    known = scored.filter(pl.col("role").is_in([LEARN, STOP, CALIBRATE])).rename({"probability": SCORE})
    watched = known.select(name for name in WATCHED if name in known.columns and name not in {feature.name for feature in features})
    return make_reference(known, features=[*features, *feature_types(watched, keys=())])


def own_months(divided: pl.DataFrame) -> list[str]:
    """Return the company's own months that a version learned from; they must not certify it."""
    return divided.filter((pl.col("label_source") == OWN) & pl.col("role").is_in([LEARN, STOP]))["period"].unique().sort().to_list()


def score_examples(examples: pl.DataFrame, *, tables: AdditiveTables, calibration: Calibration) -> pl.DataFrame:
    """Add `probability`, `is_clearable` (whether the policy may clear such a break at all) and `amount_decade` (in minor units) to labeled examples."""
    wanted = [column for column in examples.columns if column in KEY_COLUMNS or column in {feature.name for feature in tables.features}]
    scores = score_frame(tables, calibration, examples.select(wanted))
    decade = pl.col("amount_minor").abs().clip(lower_bound=1).log10().floor().cast(pl.Int64)
    scored = examples.with_columns(scores.probability.alias("probability"), (pl.lit("10^") + decade.cast(pl.String)).alias("amount_decade"))
    return scored.with_columns(clearable(scored, scores.probability))


def clearable(examples: pl.DataFrame, probability: pl.Series) -> pl.Series:
    """Say which labeled examples the policy may clear at all, by their kind and the cause that their probability chooses."""
    natures = dict.fromkeys(["expected_nature", "exception_nature"], pl.lit(""))
    named = choose_cause(examples.select("kind", "expected_cause", "exception_cause", probability_true_exception=probability).with_columns(**natures))
    return named.select(is_clearable=is_clearable()).to_series()


def evaluate_version(model: ModelVersion, examples: pl.DataFrame) -> dict[str, Any]:
    """Score a version on labeled examples and return its figures, as the card shows them.

    Args:
        model: the version.
        examples: with `role`, as `write_labeled` wrote them; without it, everything counts as held out.
    """
    roles = examples if "role" in examples.columns else examples.with_columns(role=pl.lit(HELD_OUT))
    return measure_version(score_examples(roles, tables=model.tables, calibration=model.calibration), certificate=_acting(model.certificates))


def measure_version(scored: pl.DataFrame, *, certificate: Certificate | None) -> dict[str, Any]:
    """Return figures per test set, per held-out family and per segment; the headline is the worst set."""
    threshold = certificate.threshold if certificate else None
    sets = {"in-family": scored.filter(pl.col("role") == TEST), "held-out families": scored.filter(pl.col("role") == HELD_OUT)}
    for family in sorted(sets["held-out families"]["family"].unique().to_list()):
        sets[f"held-out family {family}"] = scored.filter((pl.col("role") == HELD_OUT) & (pl.col("family") == family))
    seen = scored.filter(pl.col("role").is_in([LEARN, STOP]) & pl.col("is_true_exception"))["true_cause"].unique().to_list()
    tested = pl.concat([sets["in-family"], sets["held-out families"]])
    new = tested.filter(~pl.col("true_cause").is_in(seen) & pl.col("is_true_exception"))
    figures = {name: measure_frame(frame, threshold=threshold).to_json() for name, frame in sets.items() if frame.height}
    comparable = {name: values for name, values in figures.items() if values["pr_auc"] is not None}
    by_cause = measure_causes(tested, threshold=threshold)
    return {
        "sets": figures,
        "worst": min(comparable, key=lambda name: (comparable[name]["recall"] if threshold is not None else 0.0, comparable[name]["pr_auc"]))
        if comparable
        else "",
        "mechanisms_never_learned": {"exceptions": new.height, "causes": sorted(new["true_cause"].unique().to_list()), "recall": _recall(new, threshold)},
        "segments": measure_segments(tested, by=[column for column in SEGMENTS if column in tested.columns], threshold=threshold).to_dicts(),
        "causes": by_cause,
        "decided": measure_decided(tested),
    }


def measure_decided(tested: pl.DataFrame) -> list[dict[str, Any]]:
    """Return how much the rules decided alone and how well the model ranks the rest; empty where the causes are not known."""
    if not {"expected_cause", "exception_cause"}.issubset(tested.columns) or tested.is_empty():
        return []
    rows = []
    for decided_by, condition in (
        ("rules: only a true exception is possible", (pl.col("expected_cause") == "") & (pl.col("exception_cause") != "")),
        ("rules: only an expected cause is possible", (pl.col("exception_cause") == "") & (pl.col("expected_cause") != "")),
        ("nobody: no cause is known", (pl.col("exception_cause") == "") & (pl.col("expected_cause") == "")),
        ("the model: both are possible", (pl.col("exception_cause") != "") & (pl.col("expected_cause") != "")),
    ):
        part = tested.filter(condition)
        quality = measure_frame(part)
        rows.append({"decided_by": decided_by, "breaks": quality.breaks, "exceptions": quality.exceptions, "pr_auc": quality.to_json()["pr_auc"]})
    return rows


def measure_causes(tested: pl.DataFrame, *, threshold: float | None) -> list[dict[str, Any]]:
    """Return recall per true exception cause, and the false-alarm rate per expected one."""
    flagged = pl.lit(value=True) if threshold is None else ~_is_below(threshold)
    grouped = (
        tested.filter(pl.col("true_cause") != "")
        .group_by("true_cause", "is_true_exception")
        .agg(pl.len().alias("breaks"), flagged.mean().round(4).alias("to_review"))
    )
    return grouped.sort("is_true_exception", "true_cause", descending=[True, False]).to_dicts()


def run_probes(divided: pl.DataFrame, *, features: Sequence[Feature], tables: AdditiveTables, options: FitOptions) -> dict[str, Any]:
    """Return what a challenger, a shallow tree, single features and shuffled labels reach; they tell whether the world is too easy."""
    learn = divided.filter(pl.col("role").is_in([LEARN, STOP]))
    found: dict[str, Any] = {}
    for role in (TEST, HELD_OUT):
        test = divided.filter(pl.col("role") == role)
        truth = test["is_true_exception"].to_numpy()
        if not truth.any():
            continue
        ours = score_frame(
            tables, Calibration("none", (-50.0, 50.0), (0.0, 1.0)), test.select("break_id", *(f.name for f in features if f.name != "break_id"))
        ).score
        found[role] = {
            "base_rate": round(float(truth.mean()), 6),
            "champion_pr_auc": round(average_precision(ours.to_numpy(), truth), 6),
            "challenger_pr_auc": round(
                average_precision(fit_challenger(learn, learn["is_true_exception"], test, features=features, seed=options.seed), truth), 6
            ),
            "depth_3_tree_pr_auc": round(
                average_precision(fit_shallow_tree(learn, learn["is_true_exception"], test, features=features, seed=options.seed), truth), 6
            ),
            "shuffled_labels_pr_auc": round(_shuffled(learn, test, features=features, options=options), 6),
        }
    areas = feature_areas(divided, divided["is_true_exception"], features=features)
    found["strongest_features_roc_auc"] = {name: round(area, 4) for name, area in sorted(areas.items(), key=lambda pair: (-pair[1], pair[0]))[:5]}
    return found


def leave_out_causes(divided: pl.DataFrame, *, features: Sequence[Feature], options: FitOptions, exceptions_min: int = 20) -> list[dict[str, Any]]:
    """Fit, calibrate and certify again without each cause of exceptions, and return its recall in the test sets: what a new mechanism would meet."""
    taught, tested = [LEARN, STOP, CALIBRATE], [TEST, HELD_OUT]
    exceptions = divided.filter(pl.col("is_true_exception"))
    taught_causes = exceptions.filter(pl.col("role").is_in(taught))["true_cause"].unique().to_list()
    counts = exceptions.filter(pl.col("role").is_in(tested) & pl.col("true_cause").is_in(taught_causes)).group_by("true_cause").len().sort("true_cause")
    rows = []
    for cause, count in counts.filter(pl.col("len") >= exceptions_min).iter_rows():
        is_cause = pl.col("is_true_exception") & (pl.col("true_cause") == cause)
        rest = divided.filter(~(is_cause & pl.col("role").is_in(taught)))
        tables = _fit(rest, features, options)
        calibration, certificates = _calibrate(rest, tables)
        certificate = _acting(certificates)
        met = score_examples(divided.filter(is_cause & pl.col("role").is_in(tested)), tables=tables, calibration=calibration)
        rows.append({"cause": cause, "exceptions": count, "recall": _recall(met, certificate.threshold if certificate else None)})
    return rows


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


def _fit(divided: pl.DataFrame, features: Sequence[Feature], options: FitOptions) -> AdditiveTables:
    rows = divided.filter(pl.col("role").is_in([LEARN, STOP]))
    labels = rows["is_true_exception"]
    # Chosen on families and kinds of exceptions that either had not seen (`DECISIONS.md`): boosting follows closely, lines carry further.
    boosted = fit_additive(rows, labels, features=features, is_stopping=rows["role"] == STOP, options=options)
    return average_tables(boosted, fit_linear(rows, labels, features=features), share=BOOSTED_SHARE)


def _calibrate(divided: pl.DataFrame, tables: AdditiveTables) -> tuple[Calibration, tuple[Certificate, ...]]:
    block = divided.filter(pl.col("role") == CALIBRATE)
    labels = block["is_true_exception"].to_numpy()
    raw = Calibration("none", (-50.0, 50.0), (0.0, 1.0))
    scores = score_frame(tables, raw, block.select("break_id", *(f.name for f in tables.features if f.name != "break_id"))).score.to_numpy()
    method, knots, probabilities = fit_calibration(scores, labels)
    calibration = Calibration(method, tuple(knots), tuple(probabilities))
    months = sorted(block["period"].unique().to_list())
    companies, families = block["world"].n_unique(), block["family"].n_unique()
    window = f"simulated companies that the model did not learn from: {companies} companies of {families} families, months {months[0]} to {months[-1]}"
    fitted = calibration.apply(scores)
    may_clear = clearable(block, pl.Series(fitted)).to_numpy()
    chosen = (certify_threshold(fitted, labels, source="simulated", target_recall=target, window=window, clearable=may_clear) for target in TARGET_RECALLS)
    return calibration, tuple(chosen)


def _acting(certificates: Sequence[Certificate]) -> Certificate | None:
    return next((certificate for certificate in certificates if certificate.target_recall == 0.99 and certificate.threshold is not None), None)


def _recall(exceptions: pl.DataFrame, threshold: float | None) -> float | None:
    return None if threshold is None or exceptions.is_empty() else round(exceptions.select((~_is_below(threshold)).mean()).item(), 6)


def _is_below(threshold: float) -> pl.Expr:
    return (pl.col("probability") < threshold) & pl.col("is_clearable")


def _shuffled(learn: pl.DataFrame, test: pl.DataFrame, *, features: Sequence[Feature], options: FitOptions) -> float:
    shuffled = learn["is_true_exception"].to_numpy()[np.random.default_rng(options.seed).permutation(learn.height)]
    return average_precision(fit_challenger(learn, pl.Series(shuffled), test, features=features, seed=options.seed), test["is_true_exception"].to_numpy())
