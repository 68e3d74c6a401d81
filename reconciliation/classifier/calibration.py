"""Score -> probability, as a table; and how well stated probabilities agree with what happened.

The table is monotone and evaluated by linear interpolation between its knots, so a higher score never gets a lower
probability, and the same score gets the same bits everywhere (no exponential is evaluated at run time).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from reconciliation.learning.tables import Floats

PROBABILITY_DECIMALS = 6
BINS = 20


@dataclass(frozen=True)
class Calibration:
    """A monotone table from score to probability.

    Attributes:
        method: how it was fitted (`sigmoid`, `isotonic`).
        scores: knots, strictly ascending.
        probabilities: at the knots, never falling; between two knots on the line through them, beyond the ends constant.
    """

    method: str
    scores: tuple[float, ...]
    probabilities: tuple[float, ...]

    def __post_init__(self) -> None:
        """Refuse a table that is not monotone.

        Raises:
            ValueError: knots do not ascend, or probabilities fall or leave [0, 1].
        """
        if len(self.scores) < 2 or len(self.scores) != len(self.probabilities):
            raise ValueError("a calibration needs at least two knots, each with a score and a probability")
        if not (np.diff(self.scores) > 0).all():
            raise ValueError("the scores of a calibration must ascend")
        if not (np.diff(self.probabilities) >= 0).all() or not 0 <= self.probabilities[0] <= self.probabilities[-1] <= 1:
            raise ValueError("the probabilities of a calibration must not fall and must stay within 0 and 1")

    def apply(self, scores: Floats) -> Floats:
        """Return the probabilities of scores, rounded to six decimals."""
        return np.round(np.interp(scores, self.scores, self.probabilities), PROBABILITY_DECIMALS)

    def to_json(self) -> dict[str, Any]:
        """Return the table as plain JSON values."""
        return {"method": self.method, "scores": list(self.scores), "probabilities": list(self.probabilities)}

    @staticmethod
    def from_json(content: dict[str, Any]) -> "Calibration":
        """Read what `to_json` wrote.

        Raises:
            ValueError: the table is not monotone.
        """
        return Calibration(
            method=str(content["method"]),
            scores=tuple(float(value) for value in content["scores"]),
            probabilities=tuple(float(value) for value in content["probabilities"]),
        )


def brier_score(probabilities: Floats, labels: npt.NDArray[np.bool_]) -> float:
    """Return the mean squared distance of probability and outcome; 0 is perfect."""
    return float(np.mean((probabilities - labels) ** 2))


def expected_calibration_error(probabilities: Floats, labels: npt.NDArray[np.bool_], *, bins: int = BINS) -> float:
    """Return the mean absolute gap of stated and observed rate over bins of equal mass."""
    table = reliability_table(probabilities, labels, bins=bins)
    rows = np.array([row["rows"] for row in table], dtype=np.float64)
    gaps = np.array([abs(row["stated"] - row["observed"]) for row in table])
    return float((rows * gaps).sum() / rows.sum())


def reliability_table(probabilities: Floats, labels: npt.NDArray[np.bool_], *, bins: int = BINS) -> list[dict[str, float]]:
    """Return rows, stated and observed rate per bin of equal mass, lowest probability first."""
    _, place, counts = np.unique(probabilities, return_inverse=True, return_counts=True)
    observed = (np.bincount(place, weights=labels) / counts)[place]  # equal probabilities share their mean, so that their order means nothing
    groups = [group for group in np.array_split(np.argsort(probabilities, kind="stable"), bins) if len(group)]
    return [{"rows": float(len(group)), "stated": float(probabilities[group].mean()), "observed": float(observed[group].mean())} for group in groups]
