"""The assignment is compared with every possible assignment, and disjoint acceptance with the plain greedy walk."""

from itertools import permutations

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciliation.matching.assignment import assign_best
from reconciliation.matching.pool import accept_disjoint, pair_proposals

pairs = st.dictionaries(st.tuples(st.integers(0, 4), st.integers(0, 4)), st.integers(1, 100), min_size=1, max_size=14)


def frame_of(scores: dict[tuple[int, int], int]) -> pl.DataFrame:
    return pl.DataFrame([(f"l{left}", f"r{right}", float(score)) for (left, right), score in scores.items()], schema=["left", "right", "score"], orient="row")


def best_total(scores: dict[tuple[int, int], int]) -> int:
    lefts = sorted({left for left, _ in scores})
    rights = [*sorted({right for _, right in scores}), *([None] * len(lefts))]
    return max(sum(scores.get((left, right), 0) for left, right in zip(lefts, chosen, strict=True)) for chosen in set(permutations(rights, len(lefts))))


@settings(max_examples=150, deadline=None)
@given(pairs)
def test_the_chosen_pairs_have_the_largest_total_of_all_one_use_assignments(scores):
    chosen = assign_best(frame_of(scores))
    assert chosen["left"].is_unique().all()
    assert chosen["right"].is_unique().all()
    assert chosen["score"].sum() == best_total(scores)


@settings(max_examples=50, deadline=None)
@given(pairs, st.randoms())
def test_the_order_of_the_pairs_does_not_matter(scores, random):
    rows = list(scores.items())
    random.shuffle(rows)
    assert assign_best(frame_of(dict(rows))).equals(assign_best(frame_of(scores)))


def test_no_pairs_give_no_assignment():
    assert assign_best(pl.DataFrame(schema={"left": pl.String, "right": pl.String, "score": pl.Float64})).is_empty()


proposal_lists = st.lists(st.tuples(st.sets(st.integers(0, 7), min_size=1, max_size=3), st.integers(1, 5)), min_size=1, max_size=12)


@settings(max_examples=150, deadline=None)
@given(proposal_lists)
def test_disjoint_acceptance_equals_the_greedy_walk_in_order_of_score(drawn):
    rows = pl.DataFrame(
        [([f"i{n}" for n in sorted(members)], score / 10, "") for members, score in drawn],
        schema={"members": pl.List(pl.String), "score": pl.Float64, "evidence": pl.String},
        orient="row",
    )
    accepted = accept_disjoint(pair_proposals(rows))
    best = {}
    for members, score in drawn:
        key = tuple(f"i{n}" for n in sorted(members))
        best[key] = max(best.get(key, 0), score)
    used, expected = set(), set()
    for key, _ in sorted(best.items(), key=lambda entry: (-entry[1], entry[0])):
        if not used & set(key):
            used |= set(key)
            expected.add(frozenset(key))
    assert {frozenset(part["item_id"]) for part in accepted.partition_by("proposal")} == expected
    assert accepted["item_id"].is_unique().all()
