"""Scored pairs -> the best overall one-use assignment.

Total score is maximal per connected component, each left and right node used at most once. Components that are single
pairs are taken as they are, small ones solved exactly, those above `EXACT_SIZE_MAX` nodes on a side by the greedy walk;
which one decided is returned. Checked against brute force in the tests.
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

EXACT_SIZE_MAX = 400
Numbers = NDArray[np.int64]


def assign_best(pairs: pl.DataFrame) -> pl.DataFrame:
    """Choose pairs so that the sum of their scores is as large as possible.

    Args:
        pairs: `left, right` (text or numbers), `score` (> 0); one row a pair.

    Returns:
        The chosen rows with `solver` (`single`, `exact` or `greedy`).
    """
    if pairs.is_empty():
        return pairs.with_columns(solver=pl.lit(""))
    ordered = pairs.sort("left", "right")
    left, right = (ordered[name].rank("dense").cast(pl.Int64).to_numpy() - 1 for name in ("left", "right"))
    nodes = int(left.max()) + 1
    graph = coo_array((np.ones(len(left)), (left, right + nodes)), shape=(nodes + int(right.max()) + 1,) * 2)
    component = connected_components(graph, directed=False)[1][left]
    edges = np.bincount(component)[component]
    solver = np.where(edges == 1, "single", "exact").astype(object)
    is_chosen = edges == 1
    scores = ordered["score"].to_numpy()
    several = np.flatnonzero(edges > 1)
    several = several[np.argsort(component[several], kind="stable")]
    starts = np.flatnonzero(np.diff(component[several], prepend=-1))
    for rows in np.split(several, starts[1:]):
        lefts, row_of = np.unique(left[rows], return_inverse=True)
        rights, column_of = np.unique(right[rows], return_inverse=True)
        if max(len(lefts), len(rights)) > EXACT_SIZE_MAX:
            solver[rows] = "greedy"
            continue
        is_chosen[rows] = _solve(row_of, column_of, scores[rows], shape=(len(lefts), len(rights)))
    marked = ordered.with_columns(solver=pl.Series(solver.tolist(), dtype=pl.String), is_chosen=pl.Series(is_chosen))
    greedy = _greedy(marked.filter(pl.col("solver") == "greedy"))
    return pl.concat([marked.filter(pl.col("is_chosen")), greedy]).drop("is_chosen").sort("left", "right")


def _solve(rows: Numbers, columns: Numbers, scores: NDArray[np.float64], *, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Solve one component exactly; leaving a node out costs nothing. Returns which pairs are taken."""
    gains = np.zeros(shape)
    gains[rows, columns] = scores
    taken = np.full(shape[0], -1)
    chosen_rows, chosen_columns = linear_sum_assignment(gains, maximize=True)
    taken[chosen_rows] = chosen_columns
    is_taken: NDArray[np.bool_] = taken[rows] == columns
    return is_taken


def _greedy(pairs: pl.DataFrame) -> pl.DataFrame:
    """Take the best pair of both its ends, round by round."""
    rest, chosen = pairs, [pairs.clear()]
    while not rest.is_empty():
        ranked = rest.sort("score", "left", "right", descending=[True, False, False]).with_row_index("place")
        best = ranked.filter((pl.col("place") == pl.col("place").min().over("left")) & (pl.col("place") == pl.col("place").min().over("right"))).drop("place")
        chosen.append(best)
        rest = rest.join(best, on="left", how="anti").join(best, on="right", how="anti")
    return pl.concat(chosen)
