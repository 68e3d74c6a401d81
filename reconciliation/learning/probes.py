"""Feature frames + labels -> a challenger's ranking, and probes that ask whether the simulated world is too easy.

Figures for the card only: nothing here is stored or scores a break.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from reconciliation.learning.additive import as_text
from reconciliation.learning.tables import Feature, Floats

Flags = npt.NDArray[np.bool_]

MANY_ROWS = 100_000
"""From here on boosting gets three times the rounds and twice the leaves: what a reference could know is not to be bounded by its size."""


def fit_challenger(learn: pl.DataFrame, labels: pl.Series, test: pl.DataFrame, *, features: Sequence[Feature], seed: int) -> Floats:
    """Fit scikit-learn's histogram gradient boosting, larger on `MANY_ROWS`, and return its probabilities on another frame.

    Args:
        learn: feature frame to learn from.
        labels: True where a row is a true exception.
        test: feature frame to score.
        features: what to learn from.
        seed: of the boosting.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    columns, categories = _as_numbers(learn, features, codes=None)
    others, _ = _as_numbers(test, features, codes=categories)
    has_many = learn.height >= MANY_ROWS
    fitted = HistGradientBoostingClassifier(
        max_iter=600 if has_many else 200,
        max_leaf_nodes=63 if has_many else 31,
        learning_rate=0.05,
        early_stopping=False,
        min_samples_leaf=20,
        categorical_features=[feature.type == "categorical" for feature in features],
        random_state=seed,
    ).fit(columns, labels.to_numpy().astype(np.int64))
    probabilities: Floats = fitted.predict_proba(others)[:, 1]
    return probabilities


def fit_shallow_tree(learn: pl.DataFrame, labels: pl.Series, test: pl.DataFrame, *, features: Sequence[Feature], seed: int) -> Floats:
    """Fit a tree of depth three and return its probabilities on another frame: if it does nearly as well, rules would do."""
    from sklearn.tree import DecisionTreeClassifier

    columns, categories = _as_numbers(learn, features, codes=None)
    others, _ = _as_numbers(test, features, codes=categories)
    fitted = DecisionTreeClassifier(max_depth=3, min_samples_leaf=20, random_state=seed).fit(columns, labels.to_numpy().astype(np.int64))
    probabilities: Floats = fitted.predict_proba(others)[:, 1]
    return probabilities


def feature_areas(frame: pl.DataFrame, labels: pl.Series, *, features: Sequence[Feature]) -> dict[str, float]:
    """Return the area under the ROC curve that each feature reaches alone, in the better direction; categories by their exception rate."""
    from sklearn.metrics import roc_auc_score

    truth = labels.to_numpy().astype(np.int64)
    areas = {}
    for feature in features:
        column = frame[feature.name]
        if feature.type == "numeric":
            values = column.cast(pl.Float64)
            ranks = values.fill_null((values.min() or 0.0) - 1.0 if values.len() else 0.0).to_numpy()  # type: ignore[operator]
        else:
            text = as_text(column, feature.type).fill_null("")
            ranks = pl.DataFrame({"value": text, "label": truth}).select(pl.col("label").mean().over("value"))["label"].to_numpy()
        area = float(roc_auc_score(truth, ranks))
        areas[feature.name] = max(area, 1 - area)
    return areas


def _as_numbers(
    frame: pl.DataFrame, features: Sequence[Feature], *, codes: dict[str, list[str]] | None
) -> tuple[npt.NDArray[np.float64], dict[str, list[str]]]:
    """Return features as numbers, missing as NaN; categories by their place in `codes`, or in the frame's own where None, unknown as missing."""
    used: dict[str, list[str]] = dict(codes or {})
    columns: list[Any] = []
    for feature in features:
        if feature.type == "numeric":
            columns.append(frame[feature.name].cast(pl.Float64))
            continue
        text = as_text(frame[feature.name], feature.type)
        known = used.setdefault(feature.name, sorted(text.drop_nulls().unique().to_list()))
        columns.append(text.replace_strict(known, list(range(len(known))), default=None, return_dtype=pl.Float64))
    return np.column_stack([column.fill_null(float("nan")).to_numpy() for column in columns]), used


def fit_logistic(learn: pl.DataFrame, labels: pl.Series, test: pl.DataFrame, *, features: Sequence[Feature]) -> Floats:
    """Fit logistic regression on scaled numbers, flags for missing values and one column per category; returns its scores on another frame."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    columns, categories = _as_numbers(learn, features, codes=None)
    others, _ = _as_numbers(test, features, codes=categories)
    sizes = [len(categories[feature.name]) if feature.type == "categorical" else 0 for feature in features]
    scaler = StandardScaler().fit(_spread(columns, sizes))
    fitted = LogisticRegression(C=1.0, max_iter=500).fit(scaler.transform(_spread(columns, sizes)), labels.to_numpy().astype(np.int64))
    scores: Floats = fitted.decision_function(scaler.transform(_spread(others, sizes)))
    return scores


@dataclass(frozen=True)
class Across:
    """Probabilities of all rows, each from a fit that never saw its company, and how many rows the largest fit learned from."""

    probabilities: Floats
    rows: int


def fit_across(
    frame: pl.DataFrame, *, features: Sequence[Feature], seed: int, folds: int = 5, others: pl.DataFrame | None = None, share: float = 1.0
) -> Across:
    """Fit the challenger on all other companies and return what could be known of this very world.

    Args:
        frame: features, `world` and `is_true_exception`; rows of one company (`world`) are never on both sides of a fit.
        features: what to learn from.
        seed: of the boosting, and of the draw of companies.
        folds: how many fits.
        others: rows of companies that are not in the frame; every fit learns from them too.
        share: of the companies that a fit may learn from, how many it does.
    """
    needed = ["world", "is_true_exception", *(feature.name for feature in features)]
    place = frame["world"].rank("dense").to_numpy().astype(np.int64) % folds
    found, rows = np.zeros(frame.height), 0
    for fold in range(folds):
        inside = pl.Series(place == fold)
        parts = [frame.filter(~inside).select(needed), *([others.select(needed)] if others is not None else [])]
        learn = pl.concat([part.with_columns(source=pl.lit(number)) for number, part in enumerate(parts)])
        companies = learn.select("source", "world").unique().sort("source", "world").sample(fraction=share, shuffle=True, seed=seed)
        learn = learn.join(companies, on=["source", "world"], how="semi")
        found[place == fold] = fit_challenger(learn, learn["is_true_exception"], frame.filter(inside), features=features, seed=seed)
        rows = max(rows, learn.height)
    return Across(found, rows)


def _spread(columns: npt.NDArray[np.float64], sizes: Sequence[int]) -> npt.NDArray[np.float64]:
    """Return numbers with a flag for missing, large ones on a logarithmic scale, and a column per category."""
    parts: list[npt.NDArray[np.float64]] = []
    for index, size in enumerate(sizes):
        column = columns[:, index]
        missing = np.isnan(column)
        if size:
            parts.append((column[:, None] == np.arange(size)).astype(np.float64))
        else:
            known = np.where(missing, 0.0, column)
            parts += [(np.sign(known) * np.log1p(np.abs(known)))[:, None], missing.astype(np.float64)[:, None]]
    return np.concatenate(parts, axis=1)
