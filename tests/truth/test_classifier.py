"""The shipped classifier on its own labeled data: figures that reproduce, floors that hold, a card that says so."""

import hashlib
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl

from reconciliation.breaks.features import EXCEPTION_ALONE, FEATURES
from reconciliation.classifier.card import render_card
from reconciliation.classifier.drift import SCORE, find_drift
from reconciliation.classifier.examples import HELD_OUT, LABELED
from reconciliation.classifier.reasons import WORDS
from reconciliation.classifier.scoring import score_frame
from reconciliation.classifier.training import describe_certified, evaluate_version, score_examples
from reconciliation.classifier.verdicts import judge_breaks
from reconciliation.classifier.versions import MODELS, NAME, ModelVersion

RECALL_WORST_MIN = 0.95  # held-out families miss more than the bound of 99 % that holds for families like the learned ones; the card shows it
CALIBRATION_ERROR_MAX = 0.05
CALIBRATION_ERROR_HELD_OUT_MAX = 0.11  # families it never saw have other base rates; measured 0.056 together, 0.108 for the worst, and printed in the card


def test_the_model_reads_exactly_the_features_that_breaks_have(model: ModelVersion) -> None:
    assert sorted(feature.name for feature in model.tables.features) == sorted(FEATURES)
    assert set(WORDS) >= set(FEATURES)


def test_the_labeled_data_are_the_ones_the_model_was_made_from(model: ModelVersion) -> None:
    content = (LABELED / model.manifest["training_data"]["file"]).read_bytes()
    assert hashlib.sha256(content).hexdigest() == model.manifest["training_data"]["sha256"]
    assert len(content) < 6_000_000


def test_the_card_is_generated_from_the_manifest(model: ModelVersion) -> None:
    assert (MODELS / NAME / str(model.version) / "card.md").read_text(encoding="utf-8") == render_card(model.manifest)


def test_the_figures_of_the_card_come_out_again(model: ModelVersion, examples: pl.DataFrame) -> None:
    assert evaluate_version(model, examples) == model.manifest["metrics"]


def test_the_certified_threshold_keeps_its_recall_on_every_held_out_family(model: ModelVersion) -> None:
    sets = model.manifest["metrics"]["sets"]
    recalls = {name: figures["recall"] for name, figures in sets.items() if figures["exceptions"] >= 100}
    assert recalls
    assert min(recalls.values()) >= RECALL_WORST_MIN, recalls


def test_the_version_is_judged_on_every_break_that_a_user_sees(model: ModelVersion) -> None:
    assert model.manifest["training_data"]["breaks_not_named_by_truth"] > 0


def test_stated_probabilities_agree_with_what_happened(model: ModelVersion) -> None:
    errors = {name: figures["calibration_error"] for name, figures in model.manifest["metrics"]["sets"].items()}
    assert errors["in-family"] <= CALIBRATION_ERROR_MAX
    assert max(errors.values()) <= CALIBRATION_ERROR_HELD_OUT_MAX, errors


def test_no_single_feature_nearly_decides_the_label(model: ModelVersion) -> None:
    assert max(model.manifest["probes"]["strongest_features_roc_auc"].values()) <= 0.95


def test_shuffled_labels_teach_nothing(model: ModelVersion) -> None:
    for role in ("test", HELD_OUT):
        probe = model.manifest["probes"][role]
        assert probe["shuffled_labels_pr_auc"] <= 2 * probe["base_rate"] + 0.02


def test_order_and_neighbors_change_no_probability(model: ModelVersion, examples: pl.DataFrame) -> None:
    frame = examples.select("break_id", *FEATURES).head(2000)
    scores = score_frame(model.tables, model.calibration, frame)
    shuffled = frame.with_row_index("place").sample(fraction=1.0, shuffle=True, seed=1)
    again = score_frame(model.tables, model.calibration, shuffled.drop("place"))
    assert np.array_equal(again.score.to_numpy(), scores.score.to_numpy()[shuffled["place"].to_numpy()])


def test_every_flagged_break_has_a_reason(model: ModelVersion, examples: pl.DataFrame) -> None:
    verdicts = judge_breaks(model, examples.select("break_id", *FEATURES).head(2000))
    flagged = verdicts.filter(pl.col("probability_true_exception") >= 0.5)
    assert flagged.height
    is_alone = examples.head(2000).filter(pl.col("possible_causes").is_in(EXCEPTION_ALONE))["break_id"]
    counts = flagged.with_columns(n=pl.col("reasons").list.len(), is_alone=pl.col("break_id").is_in(is_alone.implode()))
    assert counts.group_by("is_alone").agg(pl.col("n").unique()).sort("is_alone").rows() == [(False, [3]), (True, [1])]


def test_a_posting_that_stays_away_longer_is_never_less_suspicious(model: ModelVersion, examples: pl.DataFrame) -> None:
    missing = examples.filter(
        (pl.col("kind") == "missing_in_ledger") & (pl.col("possible_causes") == "both") & (pl.col("exception_cause") == "missing_posting")
    ).head(200)
    means = []
    for age in (1, 5, 10, 20, 29):
        aged = missing.with_columns(
            days_overdue=pl.col("days_overdue") + age - pl.col("age_days"),
            days_to_cut_off_of_month=pl.lit(float(age)),
            age_days=pl.lit(float(age)),
        )
        means.append(float(score_examples(aged, tables=model.tables, calibration=model.calibration)["probability"].to_numpy().mean()))
    assert means[-1] > means[0]
    assert all(later >= earlier - 0.05 for earlier, later in pairwise(means)), means


def test_a_model_folder_holds_no_code(model: ModelVersion) -> None:
    folder: Path = MODELS / NAME / str(model.version)
    assert sorted(path.name for path in folder.iterdir()) == ["card.md", "manifest.json", "model.json", "reference.json"]


def test_the_reference_for_drift_comes_out_again_and_leaves_the_certified_companies_in_peace(model: ModelVersion, examples: pl.DataFrame) -> None:
    scored = score_examples(examples, tables=model.tables, calibration=model.calibration)
    assert model.reference is not None
    assert describe_certified(scored, model.tables.features).to_json() == model.reference.to_json()
    assert model.reference.false_alarms <= 0.10  # measured 0.063 over 159 company-months
    months = scored.rename({"probability": SCORE}).filter(pl.col("role") == "test").partition_by("world", "period")
    alarmed = [month["world"][0] for month in months if find_drift(model.reference, month, None)]
    assert len(alarmed) <= 1, alarmed
