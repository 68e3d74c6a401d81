"""Lines as careless hands post them: names cut, abbreviated or without a space, numbers cut, typed twice or in the wrong month."""

from dataclasses import replace
from datetime import date

import polars as pl
import pytest

from reconciliation.matching.blocking import block_equal_amounts, list_tokens
from reconciliation.matching.strategies.fuzzy import match_fuzzily
from reconciliation.matching.strategies.near_summaries import match_near_sales
from reconciliation.matching.strategies.reference_difference import match_cut_references
from tests.factories import ledger, pool, sets, stripe


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("ZebNorden", "Zeb Norden"),
        ("O Oakwick", "Otis Oakwick"),
        ("OAKWICK O", "Otis Oakwick"),
        ("Finn Dra", "Finn Drayden"),
        ("Marlter", "Marlter Ceramics Ltd"),
        ("Drayden, Finn", "Finn Drayden"),
        ("Otis Oakwick", "O Oakwick"),
    ],
)
def test_a_name_is_known_however_it_was_shortened(written, name):
    others = [stripe(f"txn_{n}", 2500, name=other) for n, other in enumerate(("Ada Brown", "Nell Eldton", "Ines Fenby", "Owen Fell"))]
    rows = pool(*others, stripe("txn_9", 2500, name=name), ledger("P1", 2500, "Card sale", name=written))
    assert sets(match_fuzzily(rows)) == {frozenset({"txn_9/gross", "gl_P1/1"})}


@pytest.mark.parametrize(("written", "name"), [("R Oakwick", "Otis Oakwick"), ("Otis Oakwick", "R OAKWICK")])
def test_an_initial_of_another_given_name_is_another_person(written, name):
    rows = pool(stripe("txn_1", 2500, name=name), stripe("txn_2", 2500, name="Ada Brown"), ledger("P1", 2500, "Card sale", name=written))
    assert sets(match_fuzzily(rows)) == set()


def test_where_a_beginning_is_crowded_the_whole_word_finds_the_pair():
    """Twenty names on either side begin alike; all pairs of that beginning would be too many, those of one word are not."""
    endings = [f"{a}{b}" for a in ("ley", "wick", "ton", "gate", "mere") for b in ("a", "e", "o", "u")]
    lines = pl.DataFrame({"line": range(20), "counterparty": [f"M Vant{ending}" for ending in endings]})
    offers = pl.DataFrame({"offer": range(20), "counterparty": [f"Milo Vant{ending}" for ending in endings]})
    known = [
        frame.with_columns(pl.col(row).cast(pl.UInt32), numbers=pl.lit([], dtype=pl.List(pl.String)), stated=pl.lit([], dtype=pl.List(pl.String)))
        for frame, row in ((lines, "line"), (offers, "offer"))
    ]
    tokens = [
        list_tokens(frame, row=row).with_columns(currency=pl.lit("GBP"), amount_minor=pl.lit(2500)) for frame, row in zip(known, ("line", "offer"), strict=True)
    ]
    pairs = block_equal_amounts(*tokens, pairs_max=64)
    assert pairs.rows() == [(n, n) for n in range(20)]


def test_a_number_that_was_cut_and_the_name_are_a_match_with_a_difference():
    payments = [stripe("txn_1", 9603, name="Una Pellfell", reference="INV-44925"), stripe("txn_2", 9603, name="Ada Brown", reference="INV-34925")]
    rows = pool(*payments, ledger("P1", 9630, "INV 4925", name="Una Pellfell"))
    assert sets(match_cut_references(rows)) == {frozenset({"txn_1/gross", "gl_P1/1"})}


@pytest.mark.parametrize(
    "line",
    [
        ledger("P1", 9630, "INV 4925", name="Zacharias Quill"),
        ledger("P1", 9630, "INV 4926", name="Una Pellfell"),
        ledger("P1", 9630, "INV 14925", name="Una Pellfell"),
        ledger("P1", -9630, "INV 4925", name="Una Pellfell"),
        ledger("P1", 9630, "INV 4925", name="Una Pellfell", day=date(2026, 9, 1)),
    ],
    ids=["another name", "another number", "another number of the same length", "another sign", "long before"],
)
def test_a_cut_number_alone_is_no_match(line):
    assert sets(match_cut_references(pool(stripe("txn_1", 9603, name="Una Pellfell", reference="INV-44925"), line))) == set()


def test_a_cut_number_of_two_payments_is_not_guessed():
    payments = [stripe("txn_1", 9603, name="Una Pellfell", reference="INV-44925"), stripe("txn_2", 9600, name="Una Pellfell", reference="INV-34925")]
    assert sets(match_cut_references(pool(*payments, ledger("P1", 9630, "INV 4925", name="Una Pellfell")))) == set()


def test_a_line_in_the_wrong_month_is_found_by_a_long_number_and_by_nothing_less():
    payment = stripe("txn_1", 2500, name="Ada Brown", reference="INV-355503", day=date(2026, 10, 30))
    early = date(2026, 9, 30)
    assert sets(match_fuzzily(pool(payment, ledger("P1", 2500, "Invoice 355503", name="Ada Brown", day=early)))) == {frozenset({"txn_1/gross", "gl_P1/1"})}
    assert sets(match_fuzzily(pool(payment, ledger("P1", 2500, "Card sale", name="Ada Brown", day=early)))) == set()


def test_of_lines_with_the_number_of_one_payment_the_first_is_its_own():
    payment = stripe("txn_1", 2500, name="Ada Brown", reference="INV-360581", day=date(2026, 10, 12))
    lines = [ledger(f"P{n}", 2500, "Invoice 360581", name="Ada Brown", day=date(2026, 10, 13 + n)) for n in (1, 2)]
    assert sets(match_fuzzily(pool(payment, *lines))) == {frozenset({"txn_1/gross", "gl_P1/1"})}


def test_of_a_customers_equal_payments_one_that_another_line_names_is_left_to_that_line():
    payments = [
        stripe("txn_1", 2500, name="Ada Brown", reference="INV-355166", day=date(2026, 10, 12)),
        stripe("txn_2", 2500, name="Ada Brown", reference="INV-355214", day=date(2026, 10, 13)),
    ]
    lines = [ledger("P1", 2500, "Stripe", name="Ada Brown", day=date(2026, 10, 14)), ledger("P2", 25000, "INV-355214", day=date(2026, 10, 14))]
    assert sets(match_fuzzily(pool(*payments, *lines))) == {frozenset({"txn_1/gross", "gl_P1/1"})}


def test_a_summary_leaves_out_a_channel_that_is_posted_payment_by_payment():
    """Two orders of the marketplace are open that day, one of the amount of a sale of the shop: left out one by one, nothing would tell which."""
    shop = [stripe(f"txn_{n}", amount, description=f"Invoice INV-{n}") for n, amount in enumerate((999, 4900, 7288), start=1)]
    market = [stripe(f"txn_{n}", amount, description=f"Marketplace order INV-{n}") for n, amount in enumerate((999, 3857), start=8)]
    rows = pool(*shop, *market, ledger("S1", 13187, "Stripe sales 2026-10-15"))
    assert sets(match_near_sales(rows)) == set()
    net = rows.items.filter(pl.col("description").str.starts_with("Marketplace"))["channel"].cast(pl.String).unique()
    assert sets(match_near_sales(replace(rows, net_channels=frozenset(net)))) == {frozenset({"txn_1/gross", "txn_2/gross", "txn_3/gross", "gl_S1/1"})}
