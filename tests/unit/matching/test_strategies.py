"""Each strategy on the smallest case that shows its rule, and on the nearest case it must leave alone."""

import importlib.util
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import combinations
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciliation.matching.blocking import block_equal_amounts, list_tokens
from reconciliation.matching.cascade import match_items
from reconciliation.matching.omissions import count_doubles, has_few_between
from reconciliation.matching.pool import accept_disjoint
from reconciliation.matching.strategies.exact_reference import match_equal_references, match_exact_references
from reconciliation.matching.strategies.fuzzy import match_fuzzily
from reconciliation.matching.strategies.interchangeable import match_interchangeable
from reconciliation.matching.strategies.merged_payouts import match_merged_payouts
from reconciliation.matching.strategies.near_summaries import declare_near_sales, match_near_fees, match_near_sales
from reconciliation.matching.strategies.payout_lines import match_payout_lines, match_payout_references
from reconciliation.matching.strategies.reference_difference import match_reference_differences
from reconciliation.matching.strategies.reference_groups import match_reference_groups
from reconciliation.matching.strategies.reversals import match_cancelling_lines, match_named_reversals, match_stripe_reversals
from reconciliation.matching.strategies.summaries import match_summaries
from reconciliation.normalize.references import extract_references, number_runs

spec = importlib.util.spec_from_file_location("factories", Path(__file__).parents[2] / "factories.py")
make = importlib.util.module_from_spec(spec)
spec.loader.exec_module(make)
stripe, ledger, bank, pool, sets = make.stripe, make.ledger, make.bank, make.pool, make.sets
DAY = make.DAY


def exact(*rows):
    return sets(match_exact_references(pool(*rows), kinds=("invoice",), score=0.99))


def test_a_shared_invoice_and_the_gross_amount_are_a_pair():
    assert exact(stripe("txn_1", 10000, reference="INV-1001"), ledger("P1", 10000, "INV-1001")) == {frozenset({"txn_1/gross", "gl_P1/1"})}


def test_a_net_posting_takes_gross_and_fee_together():
    rows = [stripe("txn_1", 20000, reference="INV-2"), stripe("txn_1", -580, component="fee", reference="INV-2")]
    assert exact(*[{**row, "text": "INV-1002"} for row in rows], ledger("P1", 19420, "INV-1002")) == {frozenset({"txn_1/gross", "txn_1/fee", "gl_P1/1"})}


def test_of_two_equal_lines_the_first_posted_is_matched():
    late = ledger("P2", 10000, "INV-1001", day=DAY + timedelta(days=1))
    assert exact(stripe("txn_1", 10000, reference="INV-1001"), late, ledger("P3", 10000, "INV-1001")) == {frozenset({"txn_1/gross", "gl_P3/1"})}


def test_a_line_from_weeks_before_a_payment_waits_behind_the_later_one():
    early, late = (ledger(name, -10000, "INV-1001", day=DAY + timedelta(days=days)) for name, days in (("P2", -20), ("P3", 6)))
    refund = stripe("txn_1", -10000, category="refund", reference="INV-1001")
    assert exact(refund, early, late) == {frozenset({"txn_1/gross", "gl_P3/1"})}
    assert exact(refund, early) == {frozenset({"txn_1/gross", "gl_P2/1"})}


@pytest.mark.parametrize(
    "line",
    [ledger("P1", -10000, "INV-1001"), ledger("P1", 10000, "INV-1001", currency="EUR"), ledger("P1", 10001, "INV-1001"), ledger("P1", 10000, "INV-1002")],
    ids=["sign", "currency", "amount", "reference"],
)
def test_nothing_crosses_sign_currency_amount_or_reference(line):
    assert exact(stripe("txn_1", 10000, reference="INV-1001"), line) == set()


def test_an_accrual_is_never_matched_with_what_it_accrues():
    assert exact(stripe("txn_1", 15000, reference="INV-1011"), ledger("RC-1", 15000, "accrue receipt INV-1011, reverses 01/11/2026")) == set()


def test_a_line_that_names_the_document_it_reverses_takes_that_one():
    rows = pool(
        ledger("PYMT-2010", 8000, "INV-1015"), ledger("PYMT-2011", 8000, "INV-1015"), {**ledger("JE-4003", -8000, "Void of PYMT-2011"), "reverses": "PYMT-2011"}
    )
    assert sets(match_named_reversals(rows)) == {frozenset({"gl_PYMT-2011/1", "gl_JE-4003/1"})}


def test_lines_that_cancel_need_a_link():
    assert sets(match_cancelling_lines(pool(ledger("A1", 8000, "INV-1015"), ledger("A2", -8000, "INV-1015")))) == {frozenset({"gl_A1/1", "gl_A2/1"})}
    assert sets(match_cancelling_lines(pool(ledger("A1", 8000, "INV-1015"), ledger("A2", -8000, "INV-1016")))) == set()


def test_a_payout_and_its_failure_cancel():
    rows = [
        stripe("txn_a", -73600, category="payout", type="payout", source_id="po_3", payout_id="po_3"),
        stripe("txn_b", 73600, category="payout_reversal", type="payout_failure", source_id="po_3", payout_id="po_3"),
    ]
    assert sets(match_stripe_reversals(pool(*rows))) == {frozenset({"txn_a/gross", "txn_b/gross"})}


def test_a_young_charge_and_its_refund_wait_for_the_books():
    old = [stripe("txn_a", 5000, charge_id="ch_1", day=date(2026, 10, 1)), stripe("txn_b", -5000, category="refund", charge_id="ch_1", day=date(2026, 10, 3))]
    young = [{**row, "date": date(2026, 10, 30)} for row in old]
    assert sets(match_stripe_reversals(pool(*old))) == {frozenset({"txn_a/gross", "txn_b/gross"})}
    assert sets(match_stripe_reversals(pool(*young))) == set()


def test_a_daily_summary_takes_every_sale_of_its_day_and_no_other():
    sales = [stripe(f"txn_{n}", amount) for n, amount in enumerate((1200, 3400, 560))]
    other = stripe("txn_9", 700, day=DAY + timedelta(days=1))
    found = sets(match_summaries(pool(*sales, other, ledger("S1", 5160, "Stripe sales 2026-10-15", day=DAY + timedelta(days=1)))))
    assert found == {frozenset({"txn_0/gross", "txn_1/gross", "txn_2/gross", "gl_S1/1"})}


def test_a_refund_of_the_lines_own_amount_explains_it_better_than_a_sum_of_two_others():
    of_week = [stripe(f"txn_{n}", amount, category="refund") for n, amount in enumerate((-2500, -3500))]
    line = ledger("R1", -6000, "Stripe refund")
    assert sets(match_summaries(pool(*of_week, line))) == {frozenset({"txn_0/gross", "txn_1/gross", "gl_R1/1"})}
    assert sets(match_summaries(pool(*of_week, stripe("txn_2", -6000, category="refund", day=DAY - timedelta(days=8)), line))) == set()


def test_a_line_that_says_fees_is_no_sum_of_sales():
    assert sets(match_summaries(pool(stripe("txn_1", 1200), stripe("txn_2", 300), ledger("S1", 1500, "Stripe fees October 2026")))) == set()


def fees(*amounts):
    return [stripe(f"txn_{n}", -amount, component="fee") for n, amount in enumerate(amounts)]


def test_a_fee_journal_off_by_a_rounding_is_matched_with_a_difference():
    found = sets(match_near_fees(pool(*fees(1450, 348, 800), ledger("JE-1", -2600, "Stripe fees October 2026"))))
    assert found == {frozenset({"txn_0/fee", "txn_1/fee", "txn_2/fee", "gl_JE-1/1"})}


def test_a_fee_journal_leaves_out_the_one_payment_that_nobody_posted():
    unposted = stripe("txn_1", 9900, component="gross")
    found = sets(match_near_fees(pool(*fees(1450, 348, 800), unposted, ledger("JE-1", -2250, "Stripe fees October 2026"))))
    assert found == {frozenset({"txn_0/fee", "txn_2/fee", "gl_JE-1/1"})}


def test_a_fee_journal_far_off_is_left_open():
    assert sets(match_near_fees(pool(*fees(1450, 348, 800), ledger("JE-1", -5000, "Stripe fees October 2026")))) == set()


def test_names_in_another_order_and_digits_in_the_memo_are_a_pair():
    rows = pool(stripe("txn_1", 4990, name="Ada Brown", reference="INV-1042"), ledger("P1", 4990, "inv 1042", name="BROWN, ADA", day=DAY + timedelta(days=1)))
    assert sets(match_fuzzily(rows)) == {frozenset({"txn_1/gross", "gl_P1/1"})}


def test_equal_amounts_with_other_names_are_left_open():
    assert sets(match_fuzzily(pool(stripe("txn_1", 4990, name="Ada Brown"), ledger("P1", 4990, name="Zacharias Quill")))) == set()


def test_the_best_overall_pairing_beats_the_first_found():
    rows = pool(
        stripe("txn_1", 4990, name="Ada Brown"), stripe("txn_2", 4990, name="Ada Browne"),
        ledger("P1", 4990, name="Ada Browne"), ledger("P2", 4990, name="Ada Brown"),
    )  # fmt: skip
    assert sets(match_fuzzily(rows)) == {frozenset({"txn_1/gross", "gl_P2/1"}), frozenset({"txn_2/gross", "gl_P1/1"})}


def test_a_unique_reference_with_another_amount_is_a_match_with_a_difference():
    assert sets(match_reference_differences(pool(stripe("txn_1", 8571, reference="INV-1003"), ledger("P1", 8600, "INV-1003")))) == {
        frozenset({"txn_1/gross", "gl_P1/1"})
    }


def test_a_refund_posted_with_the_wrong_sign_is_no_posting_of_its_charge_at_another_amount():
    rows = pool(stripe("txn_1", 8571, reference="INV-1003"), ledger("R1", 8600, "INV-1003 refund"))
    assert sets(match_reference_differences(rows)) == set()


def test_a_reference_on_two_lines_is_not_guessed():
    rows = pool(stripe("txn_1", 8571, reference="INV-1003"), ledger("P1", 8600, "INV-1003"), ledger("P2", 8700, "INV-1003"))
    assert sets(match_reference_differences(rows)) == set()


def test_a_payout_finds_the_line_of_its_amount_near_its_arrival():
    payout = stripe("txn_p", -87401, category="payout", payout_id="po_1", expected_on=DAY + timedelta(days=2))
    near, far = ledger("D1", -87401, day=DAY + timedelta(days=2)), ledger("D2", -87401, day=DAY + timedelta(days=40))
    assert sets(match_payout_lines(pool(payout, near), other_side="ledger")) == {frozenset({"txn_p/gross", "gl_D1/1"})}
    assert sets(match_payout_lines(pool(payout, far), other_side="ledger")) == set()


def test_of_a_payout_that_was_posted_twice_the_first_line_is_its_own_whatever_the_day_it_was_due():
    payout = stripe("txn_p", -87401, category="payout", payout_id="po_1", expected_on=DAY + timedelta(days=2))
    lines = [ledger(f"D{n}", -87401, day=DAY + timedelta(days=n)) for n in range(2)]
    assert sets(match_payout_lines(pool(payout, *lines), other_side="ledger")) >= {frozenset({"txn_p/gross", "gl_D0/1"})}
    assert match_payout_lines(pool(payout, *lines), other_side="ledger").filter(pl.col("proposal") == 0)["evidence"][0].endswith("the first of 2 such lines")
    other = stripe("txn_q", -87401, category="payout", payout_id="po_2", day=DAY + timedelta(days=1), expected_on=DAY + timedelta(days=1))
    matched = accept_disjoint(match_payout_lines(pool(payout, other, *lines), other_side="ledger"))
    assert sets(matched) == {frozenset({"txn_q/gross", "gl_D1/1"}), frozenset({"txn_p/gross", "gl_D0/1"})}


def test_a_trace_id_on_the_statement_decides_between_equal_payouts():
    payouts = [stripe(f"po_{n}", 5000, leg="cash", category="payout", payout_id=f"po_{n}", text=f"FP2026000{n}") for n in (1, 2)]
    found = sets(match_payout_references(pool(*payouts, bank("bk_1", 5000, "STRIPE PAYMENTS UK FP20260002"), leg="cash")))
    assert found == {frozenset({"po_2", "bk_1"})}


def test_a_ledger_against_its_own_copy_matches_fully_without_a_difference():
    rows = make.items(
        *[stripe(f"txn_{n}", 1000 + n, reference=f"INV-{5000 + n}") for n in range(20)], *[ledger(f"P{n}", 1000 + n, f"INV-{5000 + n}") for n in range(20)]
    )
    matching = match_items(rows.drop("reference_text"), extract_references(rows), cut_off_on=date(2026, 10, 31), journals=make.NO_JOURNALS)
    assert matching.members.height == 40
    assert matching.residuals.is_empty()


def test_what_an_unnamed_line_adds_up_to_must_be_everything_its_day_ever_held():
    sales = [stripe(f"txn_{n}", amount) for n, amount in enumerate((1200, 3400, 560))]
    line = ledger("S1", 5160, "Card machine", day=DAY)
    assert sets(match_summaries(pool(*sales, line))) == {frozenset({"txn_0/gross", "txn_1/gross", "txn_2/gross", "gl_S1/1"})}
    left_over = pool(*sales, stripe("txn_9", 700), line)
    known = replace(left_over, items=left_over.items.filter(pl.col("item_id") != "txn_9/gross"))
    assert sets(match_summaries(known)) == set()


def test_a_line_with_a_payouts_own_amount_is_no_summary_of_it():
    rows = [stripe(f"txn_{n}", 1000 + n, payout_id="po_1") for n in range(3)]
    payout = stripe("txn_p", -3003, category="payout", payout_id="po_1")
    assert sets(match_summaries(pool(*rows, payout, ledger("D1", 3003, "Stripe payout po_1")))) == set()


def euro(identity, amount, presentment):
    return stripe(identity, amount, presentment_amount_minor=presentment, presentment_currency="EUR", day=date(2026, 6, 15))


def test_a_summary_of_converted_sales_is_matched_within_the_rates_of_its_day():
    rows = [stripe("txn_1", 5000, day=date(2026, 6, 15)), euro("txn_2", 8500, 10000)]
    within = ledger("S1", 13620, "Stripe sales 2026-06-15", day=date(2026, 6, 16))
    beyond = ledger("S1", 20000, "Stripe sales 2026-06-15", day=date(2026, 6, 16))
    assert sets(match_near_sales(pool(*rows, within))) == {frozenset({"txn_1/gross", "txn_2/gross", "gl_S1/1"})}
    assert sets(match_near_sales(pool(*rows, beyond))) == set()


def test_a_summary_leaves_out_the_repeated_charge_among_equal_ones():
    sales = [
        stripe("txn_1", 999, name="Ada Brown"),
        stripe("txn_2", 999, name="Bea Green"),
        stripe("txn_3", 999, name="Bea Green"),
        stripe("txn_4", 4000, name="Cy Hill"),
    ]
    found = sets(match_near_sales(pool(*sales, ledger("S1", 5998, "Stripe sales 2026-10-15"))))
    assert found == {frozenset({"txn_1/gross", "txn_2/gross", "txn_4/gross", "gl_S1/1"})}


@pytest.mark.parametrize(
    "amounts, line, outcome",
    [
        ((5000, 2500, 2700, 2000), 9700, "without txn_1"),
        ((5000, 2500, 2500, 2000), 9500, "ambiguous"),
        ((5000, 2500, 2700, 2000, 1500, 40000), 46000, "without txn_0, txn_2"),
        ((5000, 2500, 2000, 5500, 40000), 47500, "ambiguous"),
        ((5000, 2500, 2000, 40000, 300, 700), 47000, "ambiguous"),
        ((5000, 2500, 2000, 40000), 47493, "off"),
        ((5000, 2500, 2000, 40000), 52000, "off"),
    ],
    ids=["one fits", "two equal ones", "two fit", "two choices of two", "three fit", "none fits", "more than was paid"],
)
def test_what_a_summary_leaves_out_is_chosen_only_where_one_choice_fits(amounts, line, outcome):
    sales = [stripe(f"txn_{n}", amount, name=f"Customer {n}") for n, amount in enumerate(amounts)]
    whole = pool(*sales, ledger("S1", line, "Stripe sales 2026-10-15"))
    everything = {"gl_S1/1", *(f"txn_{n}/gross" for n in range(len(amounts)))}
    left_out = {f"{name}/gross" for name in outcome.removeprefix("without ").split(", ")}
    assert sets(match_near_sales(whole)) == (set() if outcome == "ambiguous" else {frozenset(everything - left_out)})
    assert sets(declare_near_sales(whole)) == ({frozenset(everything)} if outcome == "ambiguous" else set())


def test_two_of_very_many_payments_are_not_said_to_be_left_out_though_no_other_two_fit():
    random = np.random.default_rng(5)
    amounts = [int(amount) for amount in 1000 + random.choice(9000, size=120, replace=False)]
    ways = {total: count_doubles(np.array(amounts), total)[0] for total in (amounts[0] + other for other in amounts[1:])}
    total = next(total for total, count in ways.items() if count == 1 and 10_500 < total < 12_000)
    sales = [stripe(f"txn_{n}", amount, name=f"Customer {n}") for n, amount in enumerate(amounts)]
    whole = pool(*sales, ledger("S1", sum(amounts) - total, "Stripe sales 2026-10-15"))
    assert sets(match_near_sales(whole)) == set()
    (declared,) = sets(declare_near_sales(whole))
    assert len(declared) == 121
    assert "fit by chance too often" in declare_near_sales(whole)["evidence"][0]


def test_a_name_merely_near_claims_no_amount_that_others_have_too():
    payments = [stripe("txn_1", 2500, name="Ivo Yardworth"), stripe("txn_2", 2500, name="Bea Green")]
    line = ledger("P1", 2500, "Stripe", name="Cora Yardworth")
    assert sets(match_fuzzily(pool(*payments, line))) == set()
    assert sets(match_fuzzily(pool(payments[0], line))) == {frozenset({"txn_1/gross", "gl_P1/1"})}


def test_a_customer_of_exactly_the_lines_name_goes_before_one_whose_name_is_like_it():
    namesake, alike = stripe("txn_1", 3500, name="Finn Elddale"), stripe("txn_2", 3500, name="Finn Eldley", day=DAY + timedelta(days=2))
    line = ledger("P1", 3500, "Stripe", name="Finn Elddale", day=DAY + timedelta(days=2))
    assert sets(match_fuzzily(pool(namesake, alike, line))) == {frozenset({"txn_1/gross", "gl_P1/1"})}


def test_a_cut_name_that_two_customers_have_claims_neither():
    payments = [stripe(f"txn_{n}", 3500, name=name, day=DAY + timedelta(days=n)) for n, name in enumerate(("Dara Thornlow", "Dara Thorngate"))]
    found = match_fuzzily(pool(*payments, ledger("P1", 3500, "Stripe", name="Dara Tho", day=DAY + timedelta(days=1))))
    assert (found["proposal"].n_unique(), found["strategy"].unique().to_list()) == (1, ["interchangeable"])


def test_an_amount_alone_is_no_evidence_for_a_line_that_names_another_number():
    charge = stripe("txn_1", 80400, reference="INV-29647", name="Barworth & Co")
    assert sets(match_fuzzily(pool(charge, ledger("P1", 80400, "INV-31733")))) == set()
    assert sets(match_fuzzily(pool(charge, ledger("P1", 80400, "Stripe")))) == {frozenset({"txn_1/gross", "gl_P1/1"})}


def test_of_a_line_and_its_copy_the_first_is_matched_whatever_the_weights_of_the_days_say():
    charge = stripe("txn_1", 12033, name="Mabel Bromford")
    lines = [ledger(f"P{days}", 12033, "Stripe", name="Mabel Bromford", day=DAY + timedelta(days=days)) for days in (2, 3)]
    assert sets(match_fuzzily(pool(charge, *lines))) == {frozenset({"txn_1/gross", "gl_P2/1"})}


def test_a_day_in_utc_is_no_day_of_books_that_count_their_own():
    late = datetime(2026, 10, 15, 23, 30, tzinfo=UTC)
    days = [date(2026, 10, day) for day in range(5, 9)]
    sales = [stripe(f"txn_{n}", 1000 + n, day=day, occurred_at=datetime(day.year, day.month, day.day, 12, tzinfo=UTC)) for n, day in enumerate(days)]
    shifted = [stripe(f"txn_l{n}", 50 + n, day=day, occurred_at=late.replace(day=day.day - 1)) for n, day in enumerate(days)]
    lines = [ledger(f"S{n}", 1050 + 2 * n, f"Stripe sales {day.isoformat()}", day=day) for n, day in enumerate(days)]
    # Without the payment that was left out, the 9th of the books equals the 9th in UTC by chance.
    chance = [
        stripe("txn_a", 700, day=date(2026, 10, 9), occurred_at=late.replace(day=8)),
        stripe("txn_b", 700, day=date(2026, 10, 9), occurred_at=late.replace(day=9, hour=12)),
        stripe("txn_c", 400, day=date(2026, 10, 9), occurred_at=late.replace(day=9, hour=13)),
    ]
    whole = pool(*sales, *shifted, *lines, *chance, ledger("S9", 1100, "Stripe sales 2026-10-09", day=date(2026, 10, 9)))
    found = sets(match_summaries(whole))
    assert found == {frozenset({f"gl_S{n}/1", f"txn_{n}/gross", f"txn_l{n}/gross"}) for n in range(4)}
    alone = pool(*chance, ledger("S9", 1100, "Stripe sales 2026-10-09", day=date(2026, 10, 9)))
    assert sets(match_summaries(alone)) == {frozenset({"gl_S9/1", "txn_b/gross", "txn_c/gross"})}


@settings(deadline=None)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=9), st.integers(1, 90), st.integers(0, 5))
def test_pairs_and_threes_are_counted_as_by_trying_all(amounts, excess, wide):
    array = np.array(amounts, dtype=np.int64)
    ways, place = count_doubles(array, excess)
    assert ways == sum(a + b == excess for a, b in combinations(amounts, 2))
    assert not ways or (place[0] < place[1] and amounts[place[0]] + amounts[place[1]] == excess)
    few = [sum(some) for size in (2, 3) for some in combinations(amounts, size)]
    assert has_few_between(array, excess, excess + wide) == any(excess <= total <= excess + wide for total in few)


def test_lines_and_charges_of_one_order_that_add_up_are_one_match():
    rows = [stripe("txn_1", 6000, reference="SO-7701"), stripe("txn_2", 4000, reference="SO-7701")]
    assert sets(match_reference_groups(pool(*rows, ledger("P1", 10000, "SO-7701")))) == {frozenset({"txn_1/gross", "txn_2/gross", "gl_P1/1"})}
    assert sets(match_reference_groups(pool(*rows, ledger("P1", 10001, "SO-7701")))) == set()


def test_equal_lines_and_payments_are_counted_and_what_is_left_over_stays_open():
    payments = [stripe(f"txn_{n}", 999, day=DAY + timedelta(days=n)) for n in (0, 1, 1, 2)]
    payments = [{**row, "item_id": f"txn_{n}/gross", "balance_transaction_id": f"txn_{n}"} for n, row in enumerate(payments)]
    lines = [ledger(f"P{n}", 999, "Card sale", day=DAY + timedelta(days=n)) for n in (1, 2, 3)]
    (found,) = sets(match_interchangeable(pool(*payments, *lines)))
    assert found == {"txn_0/gross", "txn_1/gross", "txn_2/gross", "gl_P1/1", "gl_P2/1", "gl_P3/1"}


def test_of_equal_payments_mondays_line_counts_fridays_before_sundays():
    friday, sunday, monday = (date(2026, 6, day) for day in (26, 28, 29))
    payments = [stripe("txn_friday", 999, day=friday), stripe("txn_sunday", 999, day=sunday)]
    assert sets(match_interchangeable(pool(*payments, ledger("P1", 999, "Card sale", day=monday)))) == {frozenset({"txn_friday/gross", "gl_P1/1"})}


def test_equal_purchases_of_one_customer_are_counted_and_not_paired():
    rows = pool(
        *[stripe(f"txn_{n}", 4990, name="Ada Brown") for n in range(2)],
        *[ledger(f"P{n}", 4990, "Card sale", name="Ada Brown", day=DAY + timedelta(days=n)) for n in range(2)],
    )
    whole = frozenset({"txn_0/gross", "txn_1/gross", "gl_P0/1", "gl_P1/1"})
    found = match_fuzzily(rows)
    assert (sets(found), found["strategy"].unique().to_list()) == ({whole}, ["interchangeable"])
    assert sets(match_interchangeable(rows)) == {whole}


def test_a_line_that_two_payments_of_its_customer_fit_claims_neither_unless_a_number_tells_them_apart():
    payments = [stripe(f"txn_{n}", 4990, name="Ada Brown", day=DAY + timedelta(days=n)) for n in range(2)]
    cut = match_fuzzily(pool(*payments, ledger("P1", 4990, "Card sale", name="A Brown", day=DAY + timedelta(days=2))))
    assert (sets(cut), cut["strategy"].unique().to_list()) == ({frozenset({"txn_1/gross", "gl_P1/1"})}, ["interchangeable"])
    assert cut["evidence"][0].endswith("one of 2 such payments that nothing tells apart")
    numbered = [stripe(f"txn_{n}", 4990, name="Ada Brown", reference=f"INV-4100{n}", day=DAY + timedelta(days=n)) for n in range(2)]
    told = match_fuzzily(pool(*numbered, ledger("P1", 4990, "order 41000", name="A Brown", day=DAY + timedelta(days=2))))
    assert (sets(told), told["strategy"].unique().to_list()) == ({frozenset({"txn_0/gross", "gl_P1/1"})}, ["fuzzy"])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 25), max_size=6), st.lists(st.integers(0, 25), max_size=6))
def test_counted_matches_hold_as_many_lines_as_payments_each_within_the_window(paid, posted):
    rows = [stripe(f"txn_{n}", 999, day=DAY + timedelta(days=day)) for n, day in enumerate(paid)]
    rows += [ledger(f"P{n}", 999, "Card sale", day=DAY + timedelta(days=day)) for n, day in enumerate(posted)]
    if not paid or not posted:
        return
    groups = sets(match_interchangeable(pool(*rows)))
    for group in groups:
        lines, payments = sorted(m for m in group if m.startswith("gl")), sorted(m for m in group if m.startswith("txn"))
        assert len(lines) == len(payments)
        days = [posted[int(line[4:-2])] for line in lines]
        assert all(any(-3 <= day - paid[int(item[4:-6])] <= 14 for item in payments) for day in days)
    used = [member for group in groups for member in group]
    assert len(used) == len(set(used))
    # Nobody is left out who could still be counted: a line and a payment that are both open lie outside each other's window.
    left_paid = [day for n, day in enumerate(paid) if f"txn_{n}/gross" not in used]
    left_posted = [day for n, day in enumerate(posted) if f"gl_P{n}/1" not in used]
    assert not any(-3 <= line - day <= 14 for line in left_posted for day in left_paid)


def test_ten_thousand_equal_payments_make_no_more_pairs_than_the_cap_allows():
    many = [f"w{n % 40} x{n % 39}" for n in range(2_000)]
    nothing = pl.Series([[]] * 2_000, dtype=pl.List(pl.String))
    frame = pl.DataFrame({"currency": ["GBP"] * 2_000, "amount_minor": [999] * 2_000, "counterparty": many, "numbers": nothing, "stated": nothing})
    lines, offers = (
        list_tokens(frame.with_row_index(row), row=row).join(frame.with_row_index(row).select(row, "currency", "amount_minor"), on=row)
        for row in ("line", "offer")
    )
    pairs = block_equal_amounts(lines, offers, pairs_max=64)
    assert pairs.height <= 64 * lines["token"].n_unique()
    assert pairs.filter(pl.col("line") == pl.col("offer")).height == 2_000


def test_two_payouts_in_one_deposit_are_one_match_when_only_they_fit():
    payouts = [stripe(f"po_{n}", amount, leg="cash", category="payout", payout_id=f"po_{n}", expected_on=DAY) for n, amount in enumerate((87401, 12050, 4400))]
    assert sets(match_merged_payouts(pool(*payouts, bank("bk_1", 99451), leg="cash"), other_side="bank")) == {frozenset({"po_0", "po_1", "bk_1"})}
    equal = [stripe(f"po_{n}", 5000, leg="cash", category="payout", payout_id=f"po_{n}", expected_on=DAY) for n in range(3)]
    assert sets(match_merged_payouts(pool(*equal, bank("bk_1", 10000), leg="cash"), other_side="bank")) == set()


def test_a_payout_that_arrived_in_two_lines_is_one_match():
    payout = stripe("po_1", 10000, leg="cash", category="payout", payout_id="po_1", expected_on=DAY)
    rows = pool(payout, bank("bk_1", 6000), bank("bk_2", 4000, day=DAY + timedelta(days=1)), leg="cash")
    assert sets(match_merged_payouts(rows, other_side="bank")) == {frozenset({"po_1", "bk_1", "bk_2"})}


def test_two_lines_and_two_payments_of_one_invoice_and_day_are_counted_and_not_paired():
    rows = [
        stripe("txn_1", 5000, reference="INV-1001"),
        stripe("txn_2", 5000, reference="INV-1001"),
        ledger("P1", 5000, "INV-1001"),
        ledger("P2", 5000, "INV-1001"),
    ]
    assert exact(*rows) == set()
    assert sets(match_equal_references(pool(*rows), kinds=("invoice",), score=0.98)) == {frozenset({"txn_1/gross", "txn_2/gross", "gl_P1/1", "gl_P2/1"})}


def test_equal_payments_of_one_invoice_in_two_months_are_two_pairs():
    later = DAY + timedelta(days=30)
    rows = [stripe("txn_1", 5000, reference="INV-1001"), stripe("txn_2", 5000, reference="INV-1001", day=later)]
    lines = [ledger("P1", 5000, "INV-1001"), ledger("P2", 5000, "INV-1001", day=later)]
    assert exact(*rows, *lines) == {frozenset({"txn_1/gross", "gl_P1/1"}), frozenset({"txn_2/gross", "gl_P2/1"})}


@pytest.mark.parametrize("strategy", [lambda p: match_exact_references(p, kinds=("invoice",), score=0.99), match_fuzzily], ids=["exact", "fuzzy"])
def test_a_refund_posted_with_the_wrong_sign_is_no_posting_of_the_charge(strategy):
    charge = stripe("txn_1", 5000, reference="INV-1001", name="Ada Brown")
    assert sets(strategy(pool(charge, ledger("P1", 5000, "INV-1001", name="Ada Brown")))) == {frozenset({"txn_1/gross", "gl_P1/1"})}
    assert sets(strategy(pool(charge, ledger("R1", 5000, "INV-1001 refund", name="Ada Brown")))) == set()


def test_a_charge_and_its_refund_are_no_group_with_lines_of_another_amount():
    rows = [stripe("txn_1", 1551, reference="INV-7"), stripe("txn_2", -1551, category="refund", reference="INV-7")]
    named = [{**row, "text": "INV-1007"} for row in rows]
    assert sets(match_reference_groups(pool(*named, ledger("P1", 1582, "INV-1007"), ledger("R1", -1582, "INV-1007 refund")))) == set()


def test_a_summary_leaves_out_a_repeated_charge_and_is_off_by_rounding():
    sales = [stripe(f"txn_{n}", 1000 + n, reference=f"INV-{n}") for n in range(1, 12)]
    repeat = stripe("txn_99", 1001, reference="INV-1", occurred_at=datetime(2026, 10, 15, 20, tzinfo=UTC))
    total = sum(1000 + n for n in range(1, 12))
    line = ledger("S1", total + 3, f"Stripe sales {DAY.isoformat()}")
    assert sets(match_near_sales(pool(*sales, repeat, line))) == {frozenset({"gl_S1/1", *(f"txn_{n}/gross" for n in range(1, 12))})}


def test_sales_are_meant_without_the_refunds_where_most_refunds_have_lines_of_their_own():
    sales = [stripe(f"txn_{n}", 1000 + n, name=f"Customer {n}") for n in range(1, 12)]
    refunds = [stripe(f"txn_r{n}", -500 - n, category="refund") for n in range(1, 5)]
    total = sum(1000 + n for n in range(1, 12))
    whole = pool(*sales, *refunds, ledger("S1", total - 700, f"Stripe sales {DAY.isoformat()}"))
    matched_already = pl.col("label").is_in(["txn_r1/gross", "txn_r2/gross", "txn_r3/gross"])
    proposals = match_near_sales(replace(whole, items=whole.items.filter(~matched_already)))
    assert sets(proposals) == {frozenset({"gl_S1/1", *(f"txn_{n}/gross" for n in range(1, 12))})}


def test_references_of_an_item_that_is_given_twice_stand_once_and_are_put_on_no_other():
    rows = make.items(*(stripe(name, 5000, text=f"INV-{text} order INV-{text}") for name, text in (("txn_1", 1001), ("txn_1", 1001), ("txn_2", 1002))))
    references = extract_references(rows)
    assert not references.is_duplicated().any()
    assert set(references.filter(pl.col("value") == "INV1002")["item_id"]) == {"txn_2/gross"}
    numbers = pl.DataFrame({"item_id": ["txn_1/gross", "txn_1/gross", "txn_2/gross"], "number": [0, 1, 2]})
    with pytest.raises(pl.exceptions.ComputeError):
        number_runs(references, numbers, ["item_id"])
