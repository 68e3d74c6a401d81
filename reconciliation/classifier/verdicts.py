"""A model version + a feature frame -> what the pipeline takes from the classifier: probability and reasons per break."""

from collections.abc import Callable

import polars as pl

from reconciliation.classifier.reasons import explain_scores
from reconciliation.classifier.scoring import score_frame
from reconciliation.classifier.versions import ModelVersion


def judge_breaks(model: ModelVersion, features: pl.DataFrame) -> pl.DataFrame:
    """Score breaks and say why.

    Args:
        model: a loaded version.
        features: `break_id` and exactly the model's features, one row per break.

    Returns:
        `break_id, probability_true_exception, reasons`, in the order of the frame.

    Raises:
        FeatureMismatchError: the model was fitted on other features.
    """
    scores = score_frame(model.tables, model.calibration, features, model=model.label)
    return pl.DataFrame([features["break_id"], scores.probability, explain_scores(scores, features, model.tables.features).alias("reasons")])


def make_judge(model: ModelVersion) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """Return `judge_breaks` with the model fixed: the pipeline's `Scorer`."""

    def judge(features: pl.DataFrame) -> pl.DataFrame:
        return judge_breaks(model, features)

    return judge
