"""Scored pairs -> the best overall one-use assignment.

Total score is maximal per connected component, each left and right node used at most once. Components that are single
pairs are taken as they are, small ones solved exactly, those above `EXACT_SIZE_MAX` nodes on a side by the greedy walk;
which one decided is returned. Checked against brute force in the tests.
"""

import numpy as np
import polars as pl
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

EXACT_SIZE_MAX = 400


def assign_best(pairs: pl.DataFrame) -> pl.DataFrame:
    """Choose pairs so that the sum of their scores is as large as possible.

    Args:
        pairs: `left, right` (text), `score` (> 0); one row a pair.

    Returns:
        The chosen rows with `solver` (`single`, `exact` or `greedy`).
    """
    if pairs.is_empty():
        return pairs.with_columns(solver=pl.lit(""))
    ordered = pairs.sort("left", "right")
    coded = ordered.with_columns(l=pl.col("left").rank("dense") - 1, r=pl.col("right").rank("dense") - 1)
    left, right = coded["l"].to_numpy().astype(np.int64), coded["r"].to_numpy().astype(np.int64)
    n_left, n_right = int(left.max()) + 1, int(right.max()) + 1
    graph = coo_array((np.ones(len(left)), (left, right + n_left)), shape=(n_left + n_right, n_left + n_right))
    labels = connected_components(graph, directed=False)[1]
    component = pl.Series(labels[left])
    sized = ordered.with_columns(component=component).with_columns(
        edges=pl.len().over("component"), lefts=pl.col("left").n_unique().over("component"), rights=pl.col("right").n_unique().over("component")
    )
    single = sized.filter(pl.col("edges") == 1).with_columns(solver=pl.lit("single"))
    large = (pl.max_horizontal("lefts", "rights") > EXACT_SIZE_MAX) & (pl.col("edges") > 1)
    greedy = _greedy(sized.filter(large)).with_columns(solver=pl.lit("greedy"))
    exact = [_solve(part) for part in sized.filter((pl.col("edges") > 1) & ~large).partition_by("component", maintain_order=True)]
    chosen = pl.concat([single, greedy, *(part.with_columns(solver=pl.lit("exact")) for part in exact)])
    return chosen.drop("component", "edges", "lefts", "rights").sort("left", "right")


def _solve(part: pl.DataFrame) -> pl.DataFrame:
    """Solve one component exactly; leaving a node out costs nothing."""
    lefts, rights = part["left"].unique().sort(), part["right"].unique().sort()
    rows = part["left"].replace_strict(lefts, range(len(lefts)), return_dtype=pl.Int64).to_numpy()
    columns = part["right"].replace_strict(rights, range(len(rights)), return_dtype=pl.Int64).to_numpy()
    scores = np.zeros((len(lefts), len(rights)))
    scores[rows, columns] = part["score"].to_numpy()
    chosen_rows, chosen_columns = linear_sum_assignment(scores, maximize=True)
    taken = set(zip(chosen_rows.tolist(), chosen_columns.tolist(), strict=True))
    return part.filter(pl.Series([(r, c) in taken for r, c in zip(rows.tolist(), columns.tolist(), strict=True)], dtype=pl.Boolean))


def _greedy(pairs: pl.DataFrame) -> pl.DataFrame:
    """Take the best pair of both its ends, round by round."""
    rest, chosen = pairs, [pairs.clear()]
    while not rest.is_empty():
        ranked = rest.sort("score", "left", "right", descending=[True, False, False]).with_row_index("place")
        best = ranked.filter((pl.col("place") == pl.col("place").min().over("left")) & (pl.col("place") == pl.col("place").min().over("right"))).drop("place")
        chosen.append(best)
        rest = rest.join(best, on="left", how="anti").join(best, on="right", how="anti")
    return pl.concat(chosen)
