"""Parts of a sum and a line that is off -> which parts the line leaves out, if only one choice fits.

In this order: all of some fees; repeated charges; one part of that amount; one that rounding and rates allow; two, unless some two fit by chance. Of
equal parts nobody knows which was left out. Three or more are never chosen, since among thirty parts some three fit almost always; that they
would fit is reason enough not to call the line mistyped.

Worked: 50.00, 25.00, 25.00, 20.00 and a line of 95.00: 25.00 is missing, two parts have it, so two choices fit. A line of 100.00: only 20.00 is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

REPEATS_MAX = 8
NEARBY = 500
CHANCE_MAX = 0.02
"""Of so many amounts that no two leave out, one would seem to be such a two."""
THREES_MAX = 300
"""Among more different amounts than this some three add up to almost any amount."""


@dataclass(frozen=True)
class Choice:
    """What a line leaves out.

    Attributes:
        omitted: ids of the parts, where only one choice fits.
        words: how it was chosen, or how many choices there are.
        is_unclear: several choices fit.
        is_of_one: of single parts, that is; two or three fit too easily where a line is far off.
    """

    omitted: tuple[Any, ...] = ()
    words: str = ""
    is_unclear: bool = False
    is_of_one: bool = False


def choose_omitted(parts: pl.DataFrame, offer: Mapping[str, Any], *, is_fees: bool) -> Choice:
    """Choose what a line leaves out.

    Args:
        parts: `item_id, amount_minor, low_minor, high_minor, date, occurred_at, is_repeat` of the sum, the earliest first.
        offer: `amount_minor` of the line, `total, low, high, converted` of the sum, rounding included in `low` and `high`.
        is_fees: whether the sum holds fees: they may all be missing, and of equal ones the latest is.
    """
    ids, amounts = parts["item_id"].to_list(), parts["amount_minor"].to_numpy()
    excess = offer["total"] - offer["amount_minor"]
    if is_fees and len(ids) > 2 and amounts.sum() == excess:
        return Choice(tuple(ids), f"without all {len(ids)} that are not posted yet")
    repeated = _repeated(parts, offer, excess)
    if repeated:
        return Choice(repeated, f"without {len(repeated)} repeated, the only choice of repeated ones that fits")
    single = np.flatnonzero(amounts == excess)
    if len(single) == 1:
        return Choice((ids[single[0]],), "without one not posted yet, the only single one that fits")
    if len(single) and is_fees:
        return Choice((ids[single[-1]],), f"without one of {len(single)} equal ones, of which the latest is left open")
    if len(single):
        return Choice(words=f"without one of {len(single)} equal ones: nothing tells which", is_unclear=True, is_of_one=True)
    within = [row[0] for row in parts.select("item_id", "amount_minor", "low_minor", "high_minor").iter_rows() if _allows(offer, [row])]
    if len(within) == 1:
        return Choice((within[0],), "without one not posted yet, the only single one that rounding and the rates of converted payments allow")
    if len(within) and not is_fees:
        return Choice(words=f"without one of {len(within)} that rounding and rates allow: nothing tells which", is_unclear=True, is_of_one=True)
    n_double, double = count_doubles(amounts, excess)
    if n_double == 1 and not is_fees and expected_doubles(amounts, excess) > CHANCE_MAX:
        return Choice(words=f"without two, which among {len(ids)} fit by chance too often: nothing tells which", is_unclear=True)
    if n_double == 1:
        return Choice((ids[double[0]], ids[double[1]]), "without two not posted yet, the only two that fit")
    if n_double and not is_fees:
        return Choice(words=f"without two, of which {n_double} choices fit: nothing tells which", is_unclear=True)
    # Converted payments leave a band, in which two or three others hide; without any, three must fit to the minor unit.
    band = (offer["low"] - offer["amount_minor"], offer["high"] - offer["amount_minor"]) if offer["converted"] else (excess, excess)
    if not is_fees and has_few_between(amounts, *band):
        return Choice(words="without two or more, of which some choice always fits: nothing tells which", is_unclear=True)
    return Choice()


def count_doubles(amounts: NDArray[np.int64], excess: int) -> tuple[int, tuple[int, int]]:
    """Count the pairs of parts that add up to an amount, and return the places of one.

    >>> count_doubles(np.array([10, 20, 30, 20]), 50)
    (2, (2, 3))
    """
    order = np.argsort(amounts, kind="stable")
    ordered = amounts[order]
    first = np.searchsorted(ordered, excess - ordered, side="left")
    after = np.searchsorted(ordered, excess - ordered, side="right")
    is_own = (2 * ordered == excess).astype(np.int64)
    ways = int((after - first - is_own).sum()) // 2
    if not ways:
        return 0, (0, 0)
    # The last of equal parts always has another partner than itself, if it has one at all.
    place = int(np.flatnonzero(after - first - is_own > 0)[-1])
    partner = int(first[place])
    one, other = sorted((int(order[place]), int(order[partner])))
    return ways, (one, other)


def expected_doubles(amounts: NDArray[np.int64], excess: int) -> float:
    """Return how many pairs would add up to an amount by chance: as many as do to an amount nearby, on average.

    >>> expected_doubles(np.array([100, 300, 700, 1_500]), 1_000)
    0.002
    """
    order = np.sort(amounts)
    first = np.searchsorted(order, excess - NEARBY - order, side="left")
    after = np.searchsorted(order, excess + NEARBY - order, side="right")
    is_own = (2 * order >= excess - NEARBY) & (2 * order <= excess + NEARBY)
    return round(int((after - first - is_own).sum()) / 2 / (2 * NEARBY + 1), 3)


def has_few_between(amounts: NDArray[np.int64], low: int, high: int) -> bool:
    """Tell whether some two or three parts add up to between two amounts; among very many parts of their sign some always do.

    >>> has_few_between(np.array([10, 20, 30, 45]), 60, 60)
    True
    """
    toward = amounts[(np.sign(amounts) == np.sign(high)) & (np.sign(low) == np.sign(high))]
    values, counts = np.unique(toward[np.abs(toward) < max(abs(low), abs(high))], return_counts=True)
    if len(values) > THREES_MAX:
        return True
    several = np.repeat(values, np.minimum(counts, 3))
    if _has_two_between(several, low, high):
        return True
    return any(_has_two_between(np.delete(several, int(np.searchsorted(several, value))), low - int(value), high - int(value)) for value in values)


def _has_two_between(ordered: NDArray[np.int64], low: int, high: int) -> bool:
    first = np.searchsorted(ordered, low - ordered, side="left")
    after = np.searchsorted(ordered, high - ordered, side="right")
    is_own = (2 * ordered >= low) & (2 * ordered <= high)
    return bool((after - first - is_own > 0).any())


def _repeated(parts: pl.DataFrame, offer: Mapping[str, Any], excess: int) -> tuple[Any, ...]:
    """Return the only choice among repeated charges that fits."""
    latest = parts.filter("is_repeat").sort("date", "occurred_at", "item_id").tail(REPEATS_MAX)
    repeats = latest.select("item_id", "amount_minor", "low_minor", "high_minor").rows()
    subsets = [subset for size in range(1, len(repeats) + 1) for subset in combinations(repeats, size)]
    fitting = [subset for subset in subsets if sum(row[1] for row in subset) == excess] or [subset for subset in subsets if _allows(offer, subset)]
    return tuple(row[0] for row in fitting[0]) if len(fitting) == 1 else ()


def _allows(offer: Mapping[str, Any], omitted: Sequence[tuple[Any, int, int, int]]) -> bool:
    """Tell whether rounding and the rates of converted payments allow the line, once some `item_id, amount, low, high` are left out."""
    low, high = offer["low"] - sum(row[2] for row in omitted), offer["high"] - sum(row[3] for row in omitted)
    return bool(low <= offer["amount_minor"] <= high)
