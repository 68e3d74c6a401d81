"""Feature frame + labels -> logistic regression as additive tables, and the weighted mean of two additive models as one.

Boosted tables follow the companies they saw closely; a straight line per feature carries further into companies of other kinds. Their mean
is again one table per feature and pair, so it is scored, explained and stored like either.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from reconciliation.learning.additive import as_text
from reconciliation.learning.tables import BOOLEAN_CATEGORIES, QUANTUM, AdditiveTables, Axis, Feature, Floats, Term, quantize

BINS_MAX = 64


@dataclass(frozen=True)
class _Column:
    """A feature as the regression sees it: its axis, each row's bin, and what each bin stands for in the columns of the matrix."""

    axis: Axis
    bins: npt.NDArray[np.int64]
    coding: Floats


def fit_linear(frame: pl.DataFrame, labels: pl.Series, *, features: Sequence[Feature]) -> AdditiveTables:
    """Fit logistic regression on one number per bin of a numeric feature, a flag for missing values and a flag per category.

    Args:
        frame: one row per example.
        labels: True where the example is a true exception.
        features: what to learn from.

    Raises:
        ValueError: the rows hold one class only.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    if labels.n_unique() < 2:
        raise ValueError("the rows to learn from must hold both true exceptions and ordinary differences")
    columns = [_code(frame[feature.name], feature) for feature in features]
    matrix = np.concatenate([column.coding[column.bins] for column in columns], axis=1)
    scaler = StandardScaler().fit(matrix)
    fitted = LogisticRegression(C=1.0, max_iter=500).fit(scaler.transform(matrix), labels.to_numpy().astype(np.int64))
    weights = fitted.coef_[0] / scaler.scale_
    intercept = float(fitted.intercept_[0] - (weights * scaler.mean_).sum())
    terms, start = [], 0
    for column in columns:
        width = column.coding.shape[1]
        terms.append(Term((column.axis,), quantize(column.coding @ weights[start : start + width])))
        start += width
    return AdditiveTables(tuple(features), float(quantize(np.array([intercept]))[0]), tuple(terms))


def average_tables(one: AdditiveTables, other: AdditiveTables, *, share: float = 0.5) -> AdditiveTables:
    """Return the model whose score is the weighted mean of two models' scores.

    Args:
        one: an additive model.
        other: another one of the same features.
        share: weight of the first.
    """
    joined: dict[tuple[str, ...], Term] = {}
    weighted = [Term(term.axes, term.scores * 2 * weight) for model, weight in ((one, share), (other, 1 - share)) for term in model.terms]
    for term in weighted:
        key = tuple(axis.feature for axis in term.axes)
        joined[key] = _add(joined[key], term) if key in joined else term
    terms = tuple(Term(term.axes, quantize(term.scores / 2, quantum=QUANTUM * len(term.axes))) for term in joined.values())
    intercept = float(quantize(np.array([one.intercept * share + other.intercept * (1 - share)]))[0])
    return AdditiveTables(one.features, intercept, terms)


def set_category(tables: AdditiveTables, *, feature: str, category: str, score: float) -> AdditiveTables:
    """Return the model in which a row that has this category, and of all else nothing (numbers missing, no yes), has the given score.

    Args:
        tables: a model with a table of its own for the feature and none of a pair with it; whether it knows the category does not matter.
        feature: categorical.
        category: what rows have that were not learned from, since nothing but their category is known of them.
        score: theirs.
    """
    others = [term for term in tables.terms if term.axes[0].feature != feature]
    nothing = tables.intercept + sum(float(term.scores[tuple(0 if axis.edges is not None else _no(axis) for axis in term.axes)]) for term in others)
    (own,) = (term for term in tables.terms if term.axes[0].feature == feature)
    known = own.axes[0].categories or ()
    axis = Axis(feature, None, known if category in known else (*known, category))
    scores = _on(own, (axis,))
    scores[(axis.categories or ()).index(category) + 1] = quantize(np.array([score - nothing]))[0]
    return AdditiveTables(tables.features, tables.intercept, tuple(Term((axis,), scores) if term is own else term for term in tables.terms))


def _no(axis: Axis) -> int:
    # A category that is missing has bin 0, as a number that is.
    return (axis.categories or ()).index(BOOLEAN_CATEGORIES[0]) + 1 if axis.categories == BOOLEAN_CATEGORIES else 0


def _add(one: Term, other: Term) -> Term:
    """Add two tables over the same features, on the bins of both."""
    axes = tuple(_merge(first, second) for first, second in zip(one.axes, other.axes, strict=True))
    return Term(axes, _on(one, axes) + _on(other, axes))


def _merge(one: Axis, other: Axis) -> Axis:
    if one.edges is not None and other.edges is not None:
        return Axis(one.feature, tuple(sorted({*one.edges, *other.edges})), None)
    return Axis(one.feature, None, tuple(dict.fromkeys([*(one.categories or ()), *(other.categories or ())])))


def _on(term: Term, axes: Sequence[Axis]) -> Floats:
    """Return a table on finer axes."""
    places = [_places(axis, finer) for axis, finer in zip(term.axes, axes, strict=True)]
    scores: Floats = term.scores[np.ix_(*places)]
    return scores


def _places(axis: Axis, finer: Axis) -> npt.NDArray[np.int64]:
    """Return for every bin of the finer axis the bin of the axis that holds it."""
    if axis.edges is not None and finer.edges is not None:
        inside = np.searchsorted(np.array(axis.edges), np.array([-np.inf, *finer.edges]), side="right") + 1
        return np.concatenate([[0], inside]).astype(np.int64)
    known = axis.categories or ()
    unknown = len(known) + 1
    return np.array([0, *(known.index(name) + 1 if name in known else unknown for name in finer.categories or ()), unknown], dtype=np.int64)


def _code(column: pl.Series, feature: Feature) -> _Column:
    if feature.type != "numeric":
        text = as_text(column, feature.type)
        names = BOOLEAN_CATEGORIES if feature.type == "boolean" else tuple(text.drop_nulls().unique().sort().to_list())
        bins = text.replace_strict(list(names), list(range(1, len(names) + 1)), default=0, return_dtype=pl.Int64).fill_null(0).to_numpy()
        coding = np.concatenate([np.zeros((1, len(names))), np.eye(len(names)), np.zeros((1, len(names)))])
        return _Column(Axis(feature.name, None, names), bins, coding)
    values = column.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    known = np.sort(values[~np.isnan(values)])
    places = np.linspace(0, max(len(known) - 1, 0), BINS_MAX + 1).astype(np.int64)[1:-1]
    edges = tuple(float(edge) for edge in np.unique(known[places])) if len(known) else (0.0,)
    bins = np.searchsorted(np.array(edges), values, side="right") + 1
    bins[np.isnan(values)] = 0
    return _Column(Axis(feature.name, edges, None), bins.astype(np.int64), _means(values, bins, len(edges) + 2))


def _means(values: Floats, bins: npt.NDArray[np.int64], size: int) -> Floats:
    """Return for each bin the mean of its values on a logarithmic scale, and the flag of the missing one."""
    scaled = np.where(np.isnan(values), 0.0, np.sign(values) * np.log1p(np.abs(np.nan_to_num(values))))
    counts = np.bincount(bins, minlength=size)
    means = np.bincount(bins, weights=scaled, minlength=size) / np.maximum(counts, 1)
    for place in range(2, size):
        if counts[place] == 0:  # An empty bin continues the one below it.
            means[place] = means[place - 1]
    means[0] = 0.0
    return np.column_stack([means, (np.arange(size) == 0).astype(np.float64)])
