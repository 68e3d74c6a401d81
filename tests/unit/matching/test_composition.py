"""Proposed compositions against every set there is."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciliation.matching.composition import count_subsets, propose_composition

amounts = st.lists(st.integers(-300, 900).filter(bool), min_size=1, max_size=9)


def every_set(values, target):
    return [places for size in range(1, len(values) + 1) for places in combinations(range(len(values)), size) if sum(values[p] for p in places) == target]


@given(amounts, st.data())
def test_sets_are_counted_as_brute_force_counts_them(values, data):
    target = data.draw(st.one_of(st.integers(-400, 2000), st.sampled_from([sum(values[:n]) for n in range(1, len(values) + 1)])))
    assert count_subsets(values, target) == len(every_set(values, target))


@given(amounts, st.data())
def test_a_proposed_set_adds_up_and_the_only_set_is_always_found(values, data):
    chosen = data.draw(st.sets(st.integers(0, len(values) - 1), min_size=1))
    target = sum(values[place] for place in chosen)
    there_are = every_set(values, target)
    found = propose_composition(values, target)
    assert found.solutions == len(there_are)
    assert not found.places or found.places in there_are
    if len(there_are) == 1:
        assert found.places == there_are[0]


@pytest.mark.parametrize(
    ("values", "target", "places", "solutions"),
    [
        ([9710, 19420, 8271], 37401, (0, 1, 2), 1),
        ([9710, 19420, 8271], 29130, (0, 1), 1),
        ([500, 500, 500], 1000, (0, 1), 3),
        ([9710, 19420, 8271, -10000], 19130, (0, 1, 3), 1),
        ([100, 9, 700, 9, 300, 9, 100, 9, 700], 1100, (), 4),
        ([100, 200], 50, (), 0),
        ([], 50, (), 0),
    ],
    ids=["everything", "the oldest", "equal ones, the oldest", "all but one", "several and none of a shape of its own", "none", "nothing there"],
)
def test_a_set_is_proposed_where_its_shape_or_its_uniqueness_is_evidence(values, target, places, solutions):
    found = propose_composition(values, target)
    assert (found.places, found.solutions) == (places, solutions)


def test_counting_stops_where_it_would_take_too_long():
    values = [10_000_000 + place for place in range(200)]
    found = propose_composition(values, sum(values[:50]))
    assert found.places == tuple(range(50))
    assert found.solutions is None
