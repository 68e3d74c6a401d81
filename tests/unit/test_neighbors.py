"""What an open item is seen beside: shares of its sort, amounts near it, money on the other side."""

import importlib.util
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciliation.breaks.features import BOOLEAN, NUMERIC, compute_features
from reconciliation.breaks.neighbors import Neighborhood, relate_to_neighbors

spec = importlib.util.spec_from_file_location("test_breaks", Path(__file__).parent / "test_breaks.py")
breaks = importlib.util.module_from_spec(spec)
spec.loader.exec_module(breaks)
make, explained, stripe, ledger, CUT_OFF = breaks.make, breaks.explained, breaks.stripe, breaks.ledger, breaks.CUT_OFF


def neighbors(*rows):
    """Relate rows that are all open."""
    items = make.items(*rows).drop("reference_text")
    members = pl.DataFrame(schema={"leg": pl.String, "item_id": pl.String, "match_id": pl.String})
    return {row["item_id"]: row for row in relate_to_neighbors(Neighborhood(items, members, items)).to_dicts()}


def day(age: int) -> date:
    """Return the day that is so many days before the cut-off."""
    return CUT_OFF - timedelta(days=age)


def at(hour: int) -> datetime:
    """Return an instant of the day that factories use."""
    return datetime(2026, 10, 15, hour, tzinfo=UTC)


def test_a_lone_item_has_nothing_to_be_compared_with():
    (found,) = neighbors(stripe("txn_1", 100)).values()
    assert {name: value for name, value in found.items() if value is not None} == {"leg": "books", "item_id": "txn_1/gross", "open_other_side_to_own": 0.0}


def test_a_day_that_was_posted_with_the_wrong_sign_leaves_its_opposite_on_the_other_side():
    sales = [stripe(f"txn_{n}", amount, day=day(3)) for n, amount in enumerate((1000, 2500, 500))]
    found = neighbors(*sales, ledger("S1", -4000, day=day(2)))
    assert {row["nearest_to_reversed_day"] for name, row in found.items() if name.startswith("txn")} == {0.0}
    assert {row["nearest_to_day"] for name, row in found.items() if name.startswith("txn")} == {2.0}
    assert found["gl_S1/1"]["nearest_other_side"] == pytest.approx(4500 / 4000)
    assert found["gl_S1/1"]["open_other_side_to_own"] == 0.0  # Money of the other sign does not count.


def test_what_was_posted_net_of_its_fee_is_near_its_transaction():
    found = neighbors(stripe("txn_1", 1000), stripe("txn_1", -30, component="fee"), ledger("P1", 970))
    assert found["gl_P1/1"]["nearest_other_side"] == 0.0
    assert found["txn_1/gross"]["nearest_other_side"] == pytest.approx(0.03)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(-500, 500).filter(bool), st.integers(0, 12)), min_size=1, max_size=12), st.randoms())
def test_order_changes_nothing_and_every_open_item_is_related_once(lines, random):
    rows = [stripe(f"t{n}", amount, day=day(age)) if ours else ledger(f"L{n}", amount, day=day(age)) for n, (ours, amount, age) in enumerate(lines)]
    found = neighbors(*rows)
    assert len(found) == len(rows)
    assert neighbors(*random.sample(rows, len(rows))) == found


def test_of_two_charges_of_a_day_the_later_one_is_the_repetition_whatever_their_ids():
    first = stripe("txn_9", 5000, reference="INV-7", name="A", occurred_at=at(9))
    second = stripe("txn_1", 5000, reference="INV-7", name="A", occurred_at=at(10))
    found = explained(first, second)
    assert {name: row["kind"] for name, row in found.items()} == {"txn_9/gross": "missing_in_ledger", "txn_1/gross": "duplicate_in_stripe"}


def test_nothing_else_is_told_of_what_can_only_be_an_error():
    rows = [stripe("txn_1", 5000, reference="INV-7", name="A"), stripe("txn_2", 5000, reference="INV-7", name="A")]
    open_items = pl.DataFrame(list(explained(*rows).values()), infer_schema_length=None)
    features = compute_features(open_items, period_first_day=pl.lit(date(2026, 10, 1)))
    by_causes = {row["possible_causes"]: row for row in features.to_dicts()}
    assert {name for name in NUMERIC if by_causes["double_charge"][name] is not None} == set()
    assert not any(by_causes["double_charge"][name] for name in BOOLEAN)
    assert by_causes["both"]["age_days"] == 16


def test_causes_that_no_rule_knows_are_unknown_and_not_expected():
    sales = [stripe(f"txn_{n}", amount, name=f"Customer {n}") for n, amount in enumerate((5000, 2500, 2500, 2000))]
    found = explained(*sales, ledger("S1", 9500, "Stripe sales 2026-10-15"))
    features = compute_features(pl.DataFrame(list(found.values()), infer_schema_length=None), period_first_day=pl.lit(date(2026, 10, 1)))
    assert features["possible_causes"].unique().to_list() == ["unknown"]
