"""Amounts that were available, and what was paid out of them -> the set that is meant, and how many sets there are.

A sum that fits is no evidence by itself: from thirty candidates on, some set nearly always fits. So a set is proposed only when it is
everything, or a run side by side, or all but one or two, and the only one of its shape; or when it is the only set at all. How many sets
there are in all is counted wherever that can be done.

Worked: 97.10, 194.20, 82.71, -100.00 available, 191.30 paid: no run adds up; 97.10 + 194.20 - 100.00 does, all but 82.71, the only such set.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import polars as pl
from numpy.typing import NDArray

RUNS_MAX = 200_000
PAIRS_OMITTED_MAX = 1_000
COUNT_CELLS_MAX = 60_000_000
COUNTED_MAX = 1_000_000
UNIQUE_MAX = 40
OWN_TRANSACTIONS = ["balance_transaction_id", "failure_balance_transaction_id"]


@dataclass(frozen=True)
class Composition:
    """A proposed set.

    Attributes:
        places: which candidates, in order; empty where none is proposed.
        solutions: how many sets add up to the amount, at most `COUNTED_MAX`; None where counting would take too long.
    """

    places: tuple[int, ...]
    solutions: int | None


def propose_composition(amounts: Sequence[int], target: int) -> Composition:
    """Propose which of the amounts make up a target.

    Args:
        amounts: candidates in minor units, the earliest first.
        target: what they have to add up to, in minor units.
    """
    if not amounts:
        return Composition((), 0)
    solutions = count_subsets(amounts, target)
    if solutions == 0:
        return Composition((), 0)
    for shape in (_everything, _from_the_first, _run, _without_one, _without_two):
        found = shape(amounts, target)
        if found:
            return Composition(found[0] if len(found) == 1 else (), solutions)
    if solutions == 1 and len(amounts) <= UNIQUE_MAX:
        return Composition(_only_subset(amounts, target), solutions)
    return Composition((), solutions)


def count_subsets(amounts: Sequence[int], target: int) -> int | None:
    """Count the non-empty sets that add up to a target; None where there are too many cells to fill.

    >>> count_subsets([1, 2, 3], 3)
    2
    """
    low, high = sum(min(amount, 0) for amount in amounts), sum(max(amount, 0) for amount in amounts)
    if not low <= target <= high:
        return 0
    unit = int(np.gcd.reduce([*amounts, 0])) or 1
    if target % unit:
        return 0
    width = (high - low) // unit + 1
    if width * len(amounts) > COUNT_CELLS_MAX:
        return None
    ways = np.zeros(width, dtype=np.int64)
    ways[-low // unit] = 1
    for amount in amounts:
        ways = np.minimum(ways + _shifted(ways, amount // unit), COUNTED_MAX)
    # The empty set adds up to nothing; it is no set.
    return int(ways[(target - low) // unit]) - (1 if target == 0 and ways[(target - low) // unit] < COUNTED_MAX else 0)


def _shifted(ways: NDArray[np.int64], by: int) -> NDArray[np.int64]:
    moved = np.zeros_like(ways)
    if by >= 0:
        moved[by:] = ways[: len(ways) - by]
    else:
        moved[:by] = ways[-by:]
    return moved


def _everything(amounts: Sequence[int], target: int) -> list[tuple[int, ...]]:
    return [tuple(range(len(amounts)))] if sum(amounts) == target else []


def _from_the_first(amounts: Sequence[int], target: int) -> list[tuple[int, ...]]:
    return [tuple(range(place + 1)) for place, total in enumerate(accumulate(amounts)) if total == target]


def _run(amounts: Sequence[int], target: int) -> list[tuple[int, ...]]:
    """Find the runs side by side; two are enough to know that there is no only one."""
    if len(amounts) > RUNS_MAX:
        return []
    begins: dict[int, list[int]] = {0: [0]}
    found: list[tuple[int, ...]] = []
    for end, total in enumerate(accumulate(amounts), start=1):
        found += [tuple(range(begin, end)) for begin in begins.get(total - target, [])[:2]]
        if len(found) > 1:
            return found
        begins.setdefault(total, []).append(end)
    return found


def _without_one(amounts: Sequence[int], target: int) -> list[tuple[int, ...]]:
    excess = sum(amounts) - target
    return [_all_but(amounts, place) for place, amount in enumerate(amounts) if amount == excess]


def _without_two(amounts: Sequence[int], target: int) -> list[tuple[int, ...]]:
    if len(amounts) > PAIRS_OMITTED_MAX:
        return []
    excess, seen = sum(amounts) - target, dict[int, list[int]]()
    found: list[tuple[int, ...]] = []
    for place, amount in enumerate(amounts):
        found += [_all_but(amounts, first, place) for first in seen.get(excess - amount, [])[:2]]
        if len(found) > 1:
            return found
        seen.setdefault(amount, []).append(place)
    return [places for places in found if places]


def _all_but(amounts: Sequence[int], *omitted: int) -> tuple[int, ...]:
    return tuple(place for place in range(len(amounts)) if place not in omitted)


def _only_subset(amounts: Sequence[int], target: int) -> tuple[int, ...]:
    """Return the one set there is: a candidate is in it where nothing adds up without."""
    return tuple(place for place in range(len(amounts)) if count_subsets([*amounts[:place], *amounts[place + 1 :]], target) == 0)


def propose_payout_lines(transactions: pl.DataFrame, *, payouts: pl.DataFrame, members: pl.DataFrame, wanted: pl.DataFrame) -> pl.DataFrame:
    """Propose the transactions behind payouts that Stripe does not itemise: manual and instant ones.

    A candidate was available when the payout was made (for an instant one: was made before it), is in no automatic payout, and was not proposed
    for an earlier payout.

    Args:
        transactions: `BalanceTransaction`.
        payouts: `Payout`, every one up to the cut-off.
        members: `PayoutMember`.
        wanted: `stripe_account, payout_id` of the payouts to answer for; the others are gone through only where they come before these.

    Returns:
        `stripe_account, payout_id, solutions, places_found, balance_transaction_id` (list), a row for each wanted payout without lines.
    """
    keys = ["stripe_account", "payout_id"]
    own = pl.concat([payouts.select("stripe_account", pl.col(name).alias("balance_transaction_id")) for name in OWN_TRANSACTIONS]).drop_nulls()
    plain = members.join(own, on=["stripe_account", "balance_transaction_id"], how="anti")
    open_payouts = payouts.filter(~pl.col("is_automatic") & (pl.col("amount_minor") > 0)).join(plain, on=keys, how="anti").sort("created_at", "payout_id")
    asked = set(wanted.select(keys).iter_rows())
    free = transactions.filter((pl.col("balance_type") == "payments") & (pl.col("net_minor") != 0))
    free = free.join(members, on=["stripe_account", "balance_transaction_id"], how="anti").join(
        own, on=["stripe_account", "balance_transaction_id"], how="anti"
    )
    found = []
    for (account, currency), made in open_payouts.partition_by("stripe_account", "currency", as_dict=True, maintain_order=True).items():
        if not any((account, payout) in asked for payout in made["payout_id"]):
            continue
        left = free.filter((pl.col("stripe_account") == account) & (pl.col("currency") == currency)).sort(
            "available_at", "created_at", "balance_transaction_id"
        )
        for payout in made.iter_rows(named=True):
            time = pl.col("created_at") if payout["method"] == "instant" else pl.max_horizontal("created_at", "available_at")
            ready = left.filter(time <= payout["created_at"])
            composition = propose_composition(ready["net_minor"].to_list(), payout["amount_minor"])
            chosen = ready["balance_transaction_id"].gather(list(composition.places))
            left = left.filter(~pl.col("balance_transaction_id").is_in(chosen.implode()))
            if (account, payout["payout_id"]) in asked:
                found.append((account, payout["payout_id"], composition.solutions, bool(composition.places), chosen.to_list()))
    columns = {"stripe_account": pl.String(), "payout_id": pl.String(), "solutions": pl.Int64(), "places_found": pl.Boolean()}
    return pl.DataFrame(found, schema=pl.Schema({**columns, "balance_transaction_id": pl.List(pl.String)}), orient="row")
