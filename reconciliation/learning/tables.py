"""What a fitted additive model is: features, bin edges, category maps and scores <-> JSON. No code, no pickle.

Every score is a multiple of 2**-40 and every score of a pair of 2**-39, so that any sum of them is exact in a 64-bit
float, in any order and on any machine, and half of a pair's score can be given to each of its features.
"""

import itertools
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
FeatureType = Literal["numeric", "boolean", "categorical"]
FEATURE_TYPES: tuple[str, ...] = get_args(FeatureType)
BOOLEAN_CATEGORIES = ("false", "true")
QUANTUM = 2.0**-40
"""Scores are multiples of this; 9e-13 is far below what a round of boosting moves."""


@dataclass(frozen=True)
class Feature:
    """A column the model reads."""

    name: str
    type: FeatureType


@dataclass(frozen=True)
class Axis:
    """How a feature's values become bin numbers: 0 is missing, then the bins in order, then (categories only) unknown.

    Attributes:
        feature: the column.
        edges: of a numeric feature, ascending; a value equal to an edge belongs to the bin above it. Else None.
        categories: of a boolean or categorical feature. Else None.
    """

    feature: str
    edges: tuple[float, ...] | None
    categories: tuple[str, ...] | None

    @property
    def size(self) -> int:
        """Number of bins, with missing and unknown."""
        return len(self.edges) + 2 if self.edges is not None else len(self.categories or ()) + 2  # n edges make n + 1 bins


@dataclass(frozen=True)
class Term:
    """One table of scores, over one axis or a pair of axes."""

    axes: tuple[Axis, ...]
    scores: Floats

    @property
    def name(self) -> str:
        """The features' names."""
        return " & ".join(axis.feature for axis in self.axes)


@dataclass(frozen=True)
class AdditiveTables:
    """A fitted additive model: the score of a row is the intercept plus one cell of every term."""

    features: tuple[Feature, ...]
    intercept: float
    terms: tuple[Term, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the model as plain JSON values; the floats survive the round trip bit for bit."""
        return {
            "features": [{"name": feature.name, "type": feature.type} for feature in self.features],
            "intercept": self.intercept,
            "terms": [
                {
                    "axes": [_axis_to_json(axis) for axis in term.axes],
                    "scores": term.scores.tolist(),
                }
                for term in self.terms
            ],
        }

    @staticmethod
    def from_json(content: dict[str, Any]) -> "AdditiveTables":
        """Read what `to_json` wrote.

        Raises:
            ValueError: a table has another shape than its axes, an unknown feature or type, or a score that is no finite multiple of the quantum.
        """
        features = tuple(Feature(name=str(entry["name"]), type=_feature_type(entry["type"])) for entry in content["features"])
        known = {feature.name for feature in features}
        terms = tuple(
            Term(axes=tuple(_axis_from_json(axis) for axis in entry["axes"]), scores=np.array(entry["scores"], dtype=np.float64)) for entry in content["terms"]
        )
        for term in terms:
            if len(term.axes) not in (1, 2) or term.scores.shape != tuple(axis.size for axis in term.axes):
                raise ValueError(f"term {term.name!r} has a table of shape {term.scores.shape}, which does not fit its axes")
            if not known.issuperset(axis.feature for axis in term.axes):
                raise ValueError(f"term {term.name!r} names a feature that the model does not list")
            if not np.array_equal(term.scores, quantize(term.scores, quantum=QUANTUM * len(term.axes))):
                raise ValueError(f"term {term.name!r} holds scores that are no finite multiples of 2**-40")
        return AdditiveTables(features=features, intercept=float(content["intercept"]), terms=terms)


def quantize(values: Floats, *, quantum: float = QUANTUM) -> Floats:
    """Round to multiples of the quantum, half to even, without negative zeros."""
    rounded: Floats = np.round(np.asarray(values, dtype=np.float64) / quantum) * quantum + 0.0
    return rounded


def _feature_type(text: str) -> FeatureType:
    if text not in FEATURE_TYPES:
        raise ValueError(f"{text!r} is not a type of feature; there are {', '.join(FEATURE_TYPES)}")
    return cast(FeatureType, text)


def _axis_to_json(axis: Axis) -> dict[str, Any]:
    return (
        {"feature": axis.feature, "edges": list(axis.edges)} if axis.edges is not None else {"feature": axis.feature, "categories": list(axis.categories or ())}
    )


def _axis_from_json(content: dict[str, Any]) -> Axis:
    edges = tuple(float(edge) for edge in content["edges"]) if "edges" in content else None
    categories = tuple(str(category) for category in content["categories"]) if "categories" in content else None
    if (edges is None) == (categories is None):
        raise ValueError(f"axis {content['feature']!r} needs either edges or categories")
    if edges is not None and any(low >= high for low, high in itertools.pairwise(edges)):
        raise ValueError(f"axis {content['feature']!r} has edges that do not ascend")
    return Axis(feature=str(content["feature"]), edges=edges, categories=categories)
