"""Facts of a real shop (`order_values.json`) -> how much orders are worth and when in the week they come.

The file holds quantiles and counts, made by `benchmarks/make_order_values.py`. The shop was closed on Saturdays and at
night; a twelfth of the orders of a web shop come at any time instead.
"""

import json
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import numpy as np

from reconciliation.simulation.options import Trade
from reconciliation.simulation.streams import Floats, Integers, half_up

ANY_TIME_SHARE = 1 / 12
QUIET_HOURS = (1, 2)
"""Left empty: the hours that a change to or from summer time skips or repeats."""
AMOUNT_MINOR_MIN = 100


@dataclass(frozen=True)
class OrderFacts:
    """Quantiles of order totals in minor units, and a 7 x 24 table of shares by weekday (Monday first) and hour."""

    quantiles_minor: Floats
    shares: Floats


@lru_cache(maxsize=1)
def order_facts() -> OrderFacts:
    """Read the committed facts."""
    facts = json.loads(files("reconciliation.simulation").joinpath("order_values.json").read_text(encoding="utf-8"))
    counts = np.array(list(facts["invoices_by_weekday_and_hour"].values()), dtype=np.float64)
    any_time = np.ones_like(counts)
    any_time[:, list(QUIET_HOURS)] = 0
    shares = (1 - ANY_TIME_SHARE) * counts / counts.sum() + ANY_TIME_SHARE * any_time / any_time.sum()
    return OrderFacts(np.array(facts["total_quantiles_minor"], dtype=np.float64), shares)


def draw_amounts(generator: np.random.Generator, trade: Trade, count: int) -> Integers:
    """Draw order totals: real ones scaled to the trade, or one of its price points."""
    facts = order_facts()
    steps = np.linspace(0, 1, facts.quantiles_minor.size)
    amounts = half_up(np.interp(generator.random(count), steps, facts.quantiles_minor) * trade.value_scale)
    fixed, choice = generator.random(count) < trade.price_point_share, generator.random(count)
    if trade.price_points_minor:
        points = np.array(trade.price_points_minor, dtype=np.int64)
        amounts = np.where(fixed, points[(choice**2 * points.size).astype(np.int64)], amounts)
    return np.maximum(amounts, AMOUNT_MINOR_MIN)


def draw_times(generator: np.random.Generator, weekdays: Integers, count: int) -> tuple[Integers, Integers]:
    """Draw for each order the place of its day in `weekdays` (Monday 0) and the second of that day."""
    facts = order_facts()
    weights = facts.shares.sum(axis=1)[weekdays] * generator.lognormal(0.0, 0.25, weekdays.size)
    places = np.sort(generator.choice(weekdays.size, size=count, p=weights / weights.sum()))
    cumulative = facts.shares.cumsum(axis=1) / facts.shares.sum(axis=1, keepdims=True)
    hours = (generator.random(count)[:, None] > cumulative[weekdays[places]]).sum(axis=1)
    return places, hours * 3600 + generator.integers(0, 3600, count)
