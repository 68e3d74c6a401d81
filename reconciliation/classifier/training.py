"""Labeled breaks -> a model version with its certificate, its figures and its card.

Who learns, stops the boosting, calibrates, tests or is held out is decided in `classifier.examples`.
"""

import importlib.metadata
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from reconciliation.breaks.features import CAUSES, EXCEPTION_ALONE, WATCHED
from reconciliation.breaks.kinds import choose_cause
from reconciliation.classifier.calibration import Calibration
from reconciliation.classifier.card import render_card
from reconciliation.classifier.drift import SCORE, Reference, make_reference
from reconciliation.classifier.evaluation import average_precision, measure_frame, measure_segments
from reconciliation.classifier.examples import CALIBRATE, CERTIFY, HELD_OUT, LABEL_COLUMNS, LABELED, LEARN, OWN, STOP, TEST, assign_roles, write_labeled
from reconciliation.classifier.policy import Certificate, certify_threshold, is_clearable
from reconciliation.classifier.scoring import KEY_COLUMNS, score_frame
from reconciliation.classifier.versions import CHALLENGER, MODELS, ModelVersion, load_version, version_numbers, write_version
from reconciliation.learning.additive import FitOptions, feature_types, fit_additive
from reconciliation.learning.calibrator import fit_calibration
from reconciliation.learning.linear import average_tables, fit_linear, set_category
from reconciliation.learning.probes import feature_areas, fit_challenger, fit_shallow_tree
from reconciliation.learning.tables import AdditiveTables, Feature, Floats

TARGET_RECALLS = (0.95, 0.98, 0.99, 0.995)
LATER_IS_WORSE = ("age_days", "days_overdue", "days_to_cut_off_of_month", "months_carried", "share_matched_same_day", "share_matched_since")
MONOTONE: dict[str, int] = dict.fromkeys(LATER_IS_WORSE, 1)
"""What a controller would insist on in boosted tables: whatever stays away longer, while others like it arrive, is never less suspicious for it."""
BOOSTED_SHARE = 0.1
"""Weight of the boosted tables beside the logistic regression."""
SEGMENTS = ("family", "leg", "kind", "currency", "amount_decade", "period")


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
    known = scored.filter(pl.col("role").is_in([LEARN, STOP, CALIBRATE, CERTIFY])).rename({"probability": SCORE})
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
        found[role] = {
            "base_rate": round(float(truth.mean()), 6),
            "champion_pr_auc": round(average_precision(_raw_scores(test, tables), truth), 6),
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
    taught, tested = [LEARN, STOP, CALIBRATE, CERTIFY], [TEST, HELD_OUT]
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


def _fit(divided: pl.DataFrame, features: Sequence[Feature], options: FitOptions) -> AdditiveTables:
    learned = divided.filter(pl.col("role").is_in([LEARN, STOP]))
    is_alone = pl.col(CAUSES).is_in(EXCEPTION_ALONE) if CAUSES in learned.columns else pl.lit(value=False)
    rows, alone = learned.filter(~is_alone), learned.filter(is_alone)
    labels = rows["is_true_exception"]
    # Chosen on families and kinds of exceptions that either had not seen (`DECISIONS.md`): boosting follows closely, lines carry further.
    boosted = fit_additive(rows, labels, features=features, is_stopping=rows["role"] == STOP, options=options)
    tables = average_tables(boosted, fit_linear(rows, labels, features=features), share=BOOSTED_SHARE)
    # Of these nothing else is told (`breaks.features`): among the others they would teach that what is missing is suspicious.
    for (category,), part in sorted(alone.partition_by(CAUSES, as_dict=True).items()) if alone.height else ():
        found = int(part["is_true_exception"].sum())
        tables = set_category(tables, feature=CAUSES, category=str(category), score=math.log((found + 0.5) / (part.height - found + 0.5)))
    return tables


def _calibrate(divided: pl.DataFrame, tables: AdditiveTables) -> tuple[Calibration, tuple[Certificate, ...]]:
    block = divided.filter(pl.col("role") == CALIBRATE)
    method, knots, probabilities = fit_calibration(_raw_scores(block, tables), block["is_true_exception"].to_numpy())
    calibration = Calibration(method, tuple(knots), tuple(probabilities))
    return calibration, _certify(divided.filter(pl.col("role").is_in([CALIBRATE, CERTIFY])), tables, calibration)


def _certify(block: pl.DataFrame, tables: AdditiveTables, calibration: Calibration) -> tuple[Certificate, ...]:
    months = sorted(block["period"].unique().to_list())
    companies, families = block["world"].n_unique(), block["family"].n_unique()
    window = f"simulated companies that the model did not learn from: {companies} companies of {families} families, months {months[0]} to {months[-1]}"
    fitted = calibration.apply(_raw_scores(block, tables))
    chosen = (
        certify_threshold(
            fitted,
            block["is_true_exception"].to_numpy(),
            source="simulated",
            target_recall=target,
            window=window,
            clearable=clearable(block, pl.Series(fitted)).to_numpy(),
            companies=block["world"].to_numpy().astype(np.str_),
        )
        for target in TARGET_RECALLS
    )
    return tuple(chosen)


def _raw_scores(block: pl.DataFrame, tables: AdditiveTables) -> Floats:
    raw = Calibration("none", (-50.0, 50.0), (0.0, 1.0))
    return score_frame(tables, raw, block.select("break_id", *(f.name for f in tables.features if f.name != "break_id"))).score.to_numpy()


def _acting(certificates: Sequence[Certificate]) -> Certificate | None:
    return next((certificate for certificate in certificates if certificate.target_recall == 0.99 and certificate.threshold is not None), None)


def _recall(exceptions: pl.DataFrame, threshold: float | None) -> float | None:
    return None if threshold is None or exceptions.is_empty() else round(exceptions.select((~_is_below(threshold)).mean()).item(), 6)


def _is_below(threshold: float) -> pl.Expr:
    return (pl.col("probability") < threshold) & pl.col("is_clearable")


def _shuffled(learn: pl.DataFrame, test: pl.DataFrame, *, features: Sequence[Feature], options: FitOptions) -> float:
    shuffled = learn["is_true_exception"].to_numpy()[np.random.default_rng(options.seed).permutation(learn.height)]
    return average_precision(fit_challenger(learn, pl.Series(shuffled), test, features=features, seed=options.seed), test["is_true_exception"].to_numpy())
