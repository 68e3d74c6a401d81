"""Model tables + feature frame -> a score, a probability and each feature's part in it, exactly.

Scores are looked up and added, nothing else: NumPy and Polars suffice, and the result is the same to the bit whatever the
order of rows or terms, since every table holds multiples of 2**-40 (see `reconciliation.learning.tables`). The score of
a pair of features is given to both by halves, so the contributions of the features and the intercept add to the score.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from reconciliation.breaks.features import WATCHED
from reconciliation.classifier.calibration import Calibration
from reconciliation.errors import ReconciliationError
from reconciliation.learning.tables import BOOLEAN_CATEGORIES, AdditiveTables, Axis, Feature, Floats, Term

Bins = npt.NDArray[np.int64]
KEY_COLUMNS = ("break_id", "leg", "currency", "book", *WATCHED)
"""Columns of a feature frame that name a row or are watched for drift alone; each may also be a feature, if the model lists it."""


class FeatureMismatchError(ReconciliationError):
    """The model version was fitted on other features than this program makes: train a new version, or name one that fits."""


@dataclass(frozen=True)
class Scores:
    """What the model says of every row of a feature frame, in its order.

    Attributes:
        score: intercept plus contributions; log-odds before calibration.
        probability: of a true exception, calibrated, six decimals.
        contributions: one Float64 column per feature; with `intercept` they add to the score exactly.
        intercept: the score of a row about which nothing is known.
    """

    score: pl.Series
    probability: pl.Series
    contributions: pl.DataFrame
    intercept: float


def require_features(frame: pl.DataFrame, features: Sequence[Feature], *, model: str) -> None:
    """Refuse a frame whose features are not the model's, naming every difference.

    Args:
        frame: key columns and features.
        features: what the model was fitted on.
        model: the version's name for the message.

    Raises:
        FeatureMismatchError: a feature is missing, unknown to the model, or of another type.
    """
    expected = {feature.name: feature for feature in features}
    missing = [name for name in expected if name not in frame.columns]
    unknown = [name for name in frame.columns if name not in expected and name not in KEY_COLUMNS]
    other = [
        f"{name} is {frame.schema[name]} and not {feature.type}"
        for name, feature in expected.items()
        if name in frame.columns and not _fits(frame.schema[name], feature)
    ]
    faults = ([f"missing: {', '.join(missing)}"] if missing else []) + ([f"not known to the model: {', '.join(unknown)}"] if unknown else []) + other
    if faults:
        raise FeatureMismatchError(
            f"model {model} was fitted on other features ({'; '.join(faults)}); "
            "train a new version (reconcile train) or name one that fits in [classifier] model"
        )


def score_frame(tables: AdditiveTables, calibration: Calibration, frame: pl.DataFrame, *, model: str = "in memory") -> Scores:
    """Score every row of a feature frame.

    Args:
        tables: the additive model.
        calibration: from score to probability.
        frame: key columns and exactly the model's features.
        model: the version's name for messages.

    Raises:
        FeatureMismatchError: see `require_features`.
    """
    require_features(frame, tables.features, model=model)
    contributions = {feature.name: np.zeros(frame.height) for feature in tables.features}
    known: dict[Axis, Bins] = {}
    for term in tables.terms:
        share = term_scores(term, frame, known=known) / len(term.axes)
        for axis in term.axes:
            contributions[axis.feature] += share
    score = np.full(frame.height, tables.intercept)
    for part in contributions.values():
        score += part
    return Scores(
        score=pl.Series("score", score),
        probability=pl.Series("probability_true_exception", calibration.apply(score)),
        contributions=pl.DataFrame(contributions),
        intercept=tables.intercept,
    )


def term_scores(term: Term, frame: pl.DataFrame, *, known: dict[Axis, Bins] | None = None) -> Floats:
    """Return the cell of one table for every row.

    Args:
        term: a table over one or two axes.
        frame: with the term's features.
        known: bin numbers found so far, extended in place; pairs often share an axis.
    """
    known = {} if known is None else known
    for axis in term.axes:
        if axis not in known:
            known[axis] = bin_numbers(frame[axis.feature], axis)
    cell = known[term.axes[0]] if len(term.axes) == 1 else known[term.axes[0]] * term.axes[1].size + known[term.axes[1]]
    scores: Floats = term.scores.ravel()[cell]
    return scores


def bin_numbers(column: pl.Series, axis: Axis) -> Bins:
    """Return each value's bin on an axis: 0 where missing, the last bin for a category that the model never saw."""
    if axis.edges is not None:
        values = column.cast(pl.Float64).fill_null(float("nan")).to_numpy()
        bins = np.searchsorted(np.array(axis.edges), values, side="right") + 1
        bins[np.isnan(values)] = 0
        return bins.astype(np.int64)
    categories = axis.categories or ()
    if column.dtype == pl.Boolean:
        places = {text == BOOLEAN_CATEGORIES[1]: place for place, text in enumerate(categories, start=1)}
        expression = (
            pl.when(pl.col("").is_null()).then(0).when(pl.col("")).then(places.get(True, len(categories) + 1)).otherwise(places.get(False, len(categories) + 1))
        )
        return column.alias("").to_frame().select(expression.cast(pl.Int64)).to_series().to_numpy()
    text = column.cast(pl.String)
    found = text.replace_strict(list(categories), list(range(1, len(categories) + 1)), default=len(categories) + 1, return_dtype=pl.Int64)
    return pl.select(pl.when(text.is_null()).then(0).otherwise(found)).to_series().to_numpy()


def _fits(dtype: pl.DataType, feature: Feature) -> bool:
    if feature.type == "boolean":
        return dtype == pl.Boolean
    if feature.type == "numeric":
        return dtype.is_numeric()
    return dtype in (pl.String, pl.Categorical) or isinstance(dtype, pl.Enum)
