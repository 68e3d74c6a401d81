"""Facts name kinds and possible causes; the probability only chooses where both are possible."""

import importlib.util
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from reconciliation.breaks.facts import Surroundings, gather_facts
from reconciliation.breaks.grouping import group_breaks
from reconciliation.breaks.kinds import choose_cause, name_kinds
from reconciliation.matching.cascade import match_items
from reconciliation.normalize.references import extract_references
from reconciliation.rates import Rates
from reconciliation.schemas.items import MatchMember

spec = importlib.util.spec_from_file_location("factories", Path(__file__).parents[1] / "factories.py")
make = importlib.util.module_from_spec(spec)
spec.loader.exec_module(make)
stripe, ledger, bank = make.stripe, make.ledger, make.bank
CUT_OFF = date(2026, 10, 31)


def explained(*rows, probability=0.1, evidence=()):
    """Match, gather facts and name causes; returns item id -> row."""
    frame, around = make.items(*rows), make.items(*rows, *evidence)
    items, references = frame.drop("reference_text"), extract_references(frame)
    matching = match_items(items, references, cut_off_on=CUT_OFF, journals=make.NO_JOURNALS)
    everything = pl.concat([items, matching.residuals])
    lines = around.filter(pl.col("side") == "ledger")
    facts = gather_facts(
        Surroundings(
            everything,
            pl.concat([references, matching.residual_references]),
            matching.members,
            lines.drop("reference_text"),
            extract_references(lines),
            pl.DataFrame(),
            CUT_OFF,
            Rates(),
            matching.ambiguous,
        )
    )
    named = group_breaks(name_kinds(facts)).with_columns(probability_true_exception=pl.lit(probability))
    return {row["item_id"]: row for row in choose_cause(named).to_dicts()}


def test_a_charge_without_a_posting_is_timing_or_missing_by_its_probability():
    late = explained(stripe("txn_1", 15000, reference="INV-1"), probability=0.1)["txn_1/gross"]
    lost = explained(stripe("txn_1", 15000, reference="INV-1"), probability=0.9)["txn_1/gross"]
    assert (late["kind"], late["cause"], late["nature"]) == ("missing_in_ledger", "timing", "timing")
    assert (lost["cause"], lost["nature"]) == ("missing_posting", "entry")


def test_a_summary_that_leaves_out_one_of_two_equal_payments_is_one_ambiguous_break_with_all_its_items():
    sales = [stripe(f"txn_{n}", amount, name=f"Customer {n}") for n, amount in enumerate((5000, 2500, 2500, 2000))]
    other_day = stripe("txn_9", 1000, day=date(2026, 10, 12))
    found = explained(*sales, other_day, ledger("S1", 9500, "Stripe sales 2026-10-15"))
    unclear = [row for row in found.values() if row["kind"] == "ambiguous_match"]
    assert {row["item_id"] for row in unclear} == {"gl_S1/1", *(f"txn_{n}/gross" for n in range(4))}
    assert len({row["break_id"] for row in unclear}) == 1
    assert {(row["cause"], row["nature"]) for row in unclear} == {("undetermined", "")}
    assert "one of 2 equal ones" in unclear[0]["ambiguity"]
    assert sum(row["amount_minor"] if row["side"] == "stripe" else -row["amount_minor"] for row in unclear) == 2500
    assert found["txn_9/gross"]["kind"] == "missing_in_ledger"


def test_the_second_of_two_equal_postings_is_a_duplicate_whatever_the_probability():
    rows = [
        stripe("txn_1", 100000, reference="INV-1008"),
        ledger("P1", 100000, "INV-1008", name="D"),
        ledger("P2", 100000, "INV-1008", name="D", day=date(2026, 10, 16)),
    ]
    found = explained(*rows, probability=0.0)
    assert set(found) == {"gl_P2/1"}
    assert (found["gl_P2/1"]["kind"], found["gl_P2/1"]["cause"], found["gl_P2/1"]["nature"]) == ("duplicate_in_ledger", "duplicate_posting", "correction")


def test_a_second_charge_of_one_invoice_is_a_double_charge():
    rows = [stripe("txn_1", 5000, reference="INV-7", name="A"), stripe("txn_2", 5000, reference="INV-7", name="A"), ledger("P1", 5000, "INV-7")]
    found = explained(*rows)
    assert [(row["kind"], row["cause"]) for row in found.values()] == [("duplicate_in_stripe", "double_charge")]


def test_the_same_reference_with_the_opposite_amount_is_a_reversed_sign():
    found = explained(stripe("txn_1", 5000, reference="INV-7"), ledger("P1", -5000, "INV-7"))
    assert {row["cause"] for row in found.values()} == {"reversed_sign"}
    assert sum(row["amount_minor"] if row["side"] == "stripe" else -row["amount_minor"] for row in found.values()) == 10000


@pytest.mark.parametrize(
    ("ledger_amount", "presentment", "cause"),
    [(8600, "EUR", "fx"), (7000, "EUR", "wrong_amount"), (8600, "GBP", "wrong_amount"), (8572, "GBP", "rounding")],
    ids=["fx", "outside the rates", "no conversion", "a cent"],
)
def test_a_difference_is_fx_only_within_what_the_rates_of_those_days_allow(ledger_amount, presentment, cause):
    charge = stripe("txn_1", 8571, reference="INV-1003", presentment_amount_minor=10000, presentment_currency=presentment, day=date(2026, 10, 9))
    found = explained(charge, ledger("P1", ledger_amount, "INV-1003", day=date(2026, 10, 9)))
    assert [(row["kind"], row["cause"]) for row in found.values()] == [("amount_difference", cause)]


@pytest.mark.parametrize(
    ("expected_on", "cause"), [(date(2026, 10, 29), "payout_in_transit"), (date(2026, 10, 20), "missing_settlement")], ids=["in time", "overdue"]
)
def test_a_payout_that_is_not_in_the_bank_is_in_transit_until_its_grace_is_over(expected_on, cause):
    payout = stripe("po_1", 5000, leg="cash", category="payout", payout_id="po_1", expected_on=expected_on)
    assert [row["cause"] for row in explained(payout).values()] == [cause]


def test_an_unknown_category_is_kept_and_undetermined():
    found = explained(stripe("txn_1", 5000, category="brand_new_category"))
    assert [(row["cause"], row["nature"]) for row in found.values()] == [("undetermined", "")]


def test_components_of_one_transaction_share_a_break_and_keep_their_own_causes():
    rows = [stripe("txn_1", -20000, category="dispute"), stripe("txn_1", -2000, component="fee", category="dispute")]
    found = explained(*rows, probability=0.0)
    assert len({row["break_id"] for row in found.values()}) == 1
    assert {row["cause"] for row in found.values()} == {"dispute_held", "dispute_fee"}


def test_no_match_leaves_everything_open():
    assert MatchMember.create_empty().is_empty()
    assert set(explained(stripe("txn_1", 100), ledger("P1", 999))) == {"txn_1/gross", "gl_P1/1"}
