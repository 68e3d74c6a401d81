"""Feature frame + labels -> tables of an explainable boosting machine: one table per feature and at most ten pairs.

After Lou, Caruana et al., "Accurate intelligible models with pairwise interactions" (KDD 2013), as implemented by
`interpret-core`. Deterministic: one bag, one process, a fixed seed, the rows in the caller's order, and the rows that
stop the boosting named by the caller (other companies than those it learns from), never drawn.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from reconciliation.learning.tables import BOOLEAN_CATEGORIES, QUANTUM, AdditiveTables, Axis, Feature, FeatureType, Floats, Term, quantize


@dataclass(frozen=True)
class FitOptions:
    """How an additive model is fitted.

    Attributes:
        pairs_max: number of pairs of features that may have a table of their own; which ones is found by boosting and named in the tables.
        rounds_max: boosting rounds, at most; the stopping rows usually end it earlier.
        learning_rate: 0.05 with 1,000 rounds was as good as four bags at 0.015 for a twelfth of the time (reference measurements).
        bins_max: bins of a numeric feature. 64 keep the tables readable; more gained nothing.
        pair_bins_max: bins of a numeric feature within a pair.
        leaf_rows_min: rows a step must stand on, so that no single company writes a rule.
        seed: of the boosting.
        monotone: feature -> +1 (the score never falls as it grows) or -1; such features enter no pair.
    """

    pairs_max: int = 10
    rounds_max: int = 1000
    learning_rate: float = 0.05
    bins_max: int = 64
    pair_bins_max: int = 16
    leaf_rows_min: int = 20
    seed: int = 20261001
    monotone: Mapping[str, int] = field(default_factory=dict)


def feature_types(frame: pl.DataFrame, *, keys: Sequence[str]) -> tuple[Feature, ...]:
    """Name the features of a frame by its column types, in the order of their names.

    Args:
        frame: a feature frame.
        keys: columns that identify a row and are no features.

    Raises:
        ValueError: a column has a type that can be no feature.
    """
    return tuple(Feature(name=name, type=_type_of(frame.schema[name], name)) for name in sorted(frame.columns) if name not in keys)


def fit_additive(
    frame: pl.DataFrame, labels: pl.Series, *, features: Sequence[Feature], is_stopping: pl.Series, options: FitOptions | None = None
) -> AdditiveTables:
    """Fit an explainable boosting machine and return it as tables.

    Args:
        frame: one row per example, with a column per feature.
        labels: True where the example is a true exception.
        features: what to learn from.
        is_stopping: True for rows that are not learned from and end the boosting once they no longer gain.
        options: see `FitOptions`.

    Raises:
        ValueError: the rows learned from hold one class only.
    """
    options = options or FitOptions()
    truth = labels.to_numpy().astype(np.int64)
    learned = ~is_stopping.to_numpy()
    if len(np.unique(truth[learned])) < 2:
        raise ValueError("the rows to learn from must hold both true exceptions and ordinary differences")
    machine = _machine(features, options, has_stopping=bool(is_stopping.any()))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Missing values detected", category=UserWarning)  # a remark on plots, which we do not draw
        machine.fit(as_matrix(frame, features), truth, bags=np.where(learned, 1, -1).astype(np.int8).reshape(-1, 1))
    return export_tables(machine, features)


def as_matrix(frame: pl.DataFrame, features: Sequence[Feature]) -> np.ndarray[Any, Any]:
    """Return the features as the object matrix that interpret reads: floats, text, None where missing."""
    columns = [(frame[f.name].cast(pl.Float64).fill_nan(None) if f.type == "numeric" else as_text(frame[f.name], f.type)).to_list() for f in features]
    matrix = np.empty((frame.height, len(features)), dtype=object)
    for index, column in enumerate(columns):
        matrix[:, index] = column
    return matrix


def as_text(column: pl.Series, kind: FeatureType) -> pl.Series:
    """Return a boolean or categorical column as text, null where missing."""
    if kind == "boolean":
        no, yes = BOOLEAN_CATEGORIES
        return pl.select(pl.when(column.is_null()).then(None).when(column).then(pl.lit(yes)).otherwise(pl.lit(no)).alias(column.name)).to_series()
    return column.cast(pl.String)


def export_tables(machine: Any, features: Sequence[Feature]) -> AdditiveTables:
    """Copy a fitted explainable boosting machine into plain tables."""
    terms = []
    for indices, scores in zip(machine.term_features_, machine.term_scores_, strict=True):
        levels = [machine.bins_[index][min(len(machine.bins_[index]), len(indices)) - 1] for index in indices]
        axes = tuple(_axis(features[index], level) for index, level in zip(indices, levels, strict=True))
        terms.append(Term(axes=axes, scores=quantize(_without_unused_bins(np.asarray(scores, dtype=np.float64), axes), quantum=QUANTUM * len(axes))))
    return AdditiveTables(features=tuple(features), intercept=float(quantize(machine.intercept_)[0]), terms=tuple(terms))


def _machine(features: Sequence[Feature], options: FitOptions, *, has_stopping: bool) -> Any:
    from interpret.glassbox import ExplainableBoostingClassifier

    return ExplainableBoostingClassifier(
        feature_names=[feature.name for feature in features],
        feature_types=["continuous" if feature.type == "numeric" else "nominal" for feature in features],
        max_bins=options.bins_max,
        max_interaction_bins=options.pair_bins_max,
        interactions=min(options.pairs_max, len(features) * (len(features) - 1) // 2),
        outer_bags=1,
        inner_bags=0,
        validation_size=0.15 if has_stopping else 0,
        learning_rate=options.learning_rate,
        max_rounds=options.rounds_max,
        min_samples_leaf=options.leaf_rows_min,
        monotone_constraints=[options.monotone.get(feature.name, 0) for feature in features] if options.monotone else None,
        n_jobs=1,
        random_state=options.seed,
    )


def _type_of(dtype: pl.DataType, name: str) -> FeatureType:
    if dtype == pl.Boolean:
        return "boolean"
    if dtype.is_numeric():
        return "numeric"
    if dtype in (pl.String, pl.Categorical) or isinstance(dtype, pl.Enum):
        return "categorical"
    raise ValueError(f"column {name!r} is {dtype}; a feature is a number, a boolean or a category")


def _axis(feature: Feature, level: Any) -> Axis:
    if feature.type == "numeric":
        return Axis(feature=feature.name, edges=tuple(float(edge) for edge in level), categories=None)
    return Axis(feature=feature.name, edges=None, categories=tuple(sorted(level, key=level.__getitem__)))


def _without_unused_bins(scores: Floats, axes: Sequence[Axis]) -> Floats:
    # interpret keeps a last, "unseen" bin on numeric axes too, for text that is no number; a Float64 column has none.
    for dimension, axis in enumerate(axes):
        if axis.edges is not None:
            scores = np.delete(scores, -1, axis=dimension)
    return scores
