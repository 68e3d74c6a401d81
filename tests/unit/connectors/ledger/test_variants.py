"""Exports that differ from what a profile was made from: an account spelled in another way, a side in a column, a period without a year."""

import hashlib

import pytest

from reconciliation.connectors.inbox import InboxFile
from reconciliation.connectors.ledger.balances import read_balances
from reconciliation.connectors.ledger.reader import read_ledger
from reconciliation.errors import FileRefusedError


def file_of(text):
    content = text.encode()
    return InboxFile("inbox/ledger/a.csv", content, hashlib.sha256(content).hexdigest(), 1)


def amounts_of(text, settings):
    return read_ledger([file_of(text)], settings=settings).lines.sort("source_row")["amount_minor"].to_list()


def refusal(text, settings):
    with pytest.raises(FileRefusedError) as caught:
        read_ledger([file_of(text)], settings=settings)
    return caught.value


@pytest.mark.parametrize(
    "written", ["1050 - Stripe Clearing", "1050 · Stripe Clearing", "1050: stripe clearing", "Stripe Clearing (1050)", "1050", "0000001050"]
)
@pytest.mark.parametrize("setting", ["1050 Stripe Clearing", "1050", "1050-Stripe Clearing"])
def test_an_account_is_one_account_however_it_is_spelled(written, setting, make_settings):
    settings = make_settings(accounts=((setting, "GBP"),))

    reading = read_ledger([file_of(f"Date,Account,Debit,Credit\n2026-10-14,{written},10.00,\n2026-10-15,1051 Stripe EUR,5.00,\n")], settings=settings)

    assert reading.lines.select("account", "amount_minor").rows() == [(setting, 1_000)]
    assert reading.set_aside["rule"].to_list() == ["other_account"]


@pytest.mark.parametrize("written", ["1050 Stripe", "1050 Stripe Clearing:EUR", "1051 Stripe Clearing", "10500", "Clearing"])
def test_another_account_is_not_taken_for_a_mapped_one(written, make_settings):
    reading = read_ledger([file_of(f"Date,Account,Debit,Credit\n2026-10-14,{written},10.00,\n")], settings=make_settings())

    assert reading.lines.is_empty()


def test_a_sub_account_is_not_its_parent_even_where_the_settings_give_a_number_only(make_settings):
    text = "Date,Account,Debit,Credit\n2026-10-14,1050 Stripe:EUR,10.00,\n2026-10-14,1050 Stripe,7.00,\n"

    assert amounts_of(text, make_settings(accounts=(("1050", "GBP"),))) == [700]


def test_a_number_and_a_name_in_two_columns_are_one_account(make_settings):
    text = "Date,Account Code,Account Name,Debit,Credit\n2026-10-14,1050,Stripe Clearing,10.00,\n2026-10-15,1051,Stripe Clearing EUR,,2.00\n"

    assert [amounts_of(text, make_settings(accounts=((name, "GBP"),))) for name in ("1050 Stripe Clearing", "1050", "Stripe Clearing")] == [[1_000]] * 3


def test_a_name_that_two_numbers_have_stands_for_neither(make_settings):
    text = "Date,Account Code,Account Name,Debit,Credit\n2026-10-14,1050,Stripe,10.00,\n2026-10-15,1051,Stripe,,2.00\n"

    assert amounts_of(text, make_settings(accounts=(("Stripe", "GBP"),))) == []


def test_a_trial_balance_may_spell_the_account_in_another_way(make_settings):
    text = "account,currency,period,closing_balance\n1050 - Stripe Clearing,GBP,2026-10,12.00\n"

    balances, _ = read_balances([file_of(text)], settings=make_settings())

    assert balances.select("account", "closing_balance_minor").rows() == [("1050 Stripe Clearing", 1_200)]


SAP = "Company Code,G/L Account,Document Number,Document type,Posting Date,{side},Amount in local currency,Local Currency,Text\n"
SIDES = "GB01,1050 Stripe Clearing,1,DZ,2026-10-14,S,{first},GBP,Ada\nGB01,1050 Stripe Clearing,2,SA,2026-10-15,H,{second},GBP,payout\n"


@pytest.mark.parametrize(("first", "second"), [("100.00", "74.01"), ("100.00", "-74.01")], ids=["unsigned", "signed as well"])
@pytest.mark.parametrize("side", ["Debit/Credit Indicator", "S/H", "D/C"])
def test_a_column_that_says_debit_or_credit_gives_the_sign(side, first, second, settings):
    assert amounts_of(SAP.format(side=side) + SIDES.format(first=first, second=second), settings) == [10_000, -7_401]


def test_amounts_without_a_sign_beside_an_unknown_column_of_sides_are_refused(settings):
    error = refusal(SAP.format(side="Kz") + SIDES.format(first="100.00", second="74.01"), settings)

    assert (error.row, error.column) == (1, "Kz")
    assert "indicator" in error.message


def test_amounts_with_a_sign_need_no_column_of_sides(settings):
    assert amounts_of(SAP.format(side="Kz") + SIDES.format(first="100.00", second="-74.01"), settings) == [10_000, -7_401]


@pytest.mark.parametrize("title", ["Amounts in thousands", "Beträge in TEUR", "Ledger (000s)"])
def test_rounded_amounts_are_refused(title, settings):
    error = refusal(f"{title}\n\nDate,Account,Debit,Credit\n2026-10-14,1050 Stripe Clearing,10.00,\n", settings)

    assert error.row == 1
    assert "in full" in error.message


def test_a_subtotal_that_says_its_currency_and_nothing_else_is_a_total(make_settings):
    header = "G/L Account,Document Number,Document Type,Posting Date,Amount in local currency,Local Currency,Amount in doc. curr.,Document currency,Text\n"
    rows = "1051,1,DZ,2026-10-14,85.00,GBP,100.00,EUR,Ada\n1051,2,DZ,2026-10-15,10.00,GBP,10.00,GBP,Bo\n"
    settings = make_settings(accounts=(("1051", "EUR"),))

    assert amounts_of(header + rows.replace("10.00,GBP,Bo", "12.00,EUR,Bo") + ",,,,95.00,GBP,112.00,EUR,\n,,,,95.00,GBP,,,\n", settings) == [10_000, 1_200]
    assert refusal(header + rows + ",,,,95.01,GBP,,,\n", settings).row == 4


@pytest.mark.parametrize(("period", "day", "month"), [("10", "2026-10-14", "2026-10"), ("12", "2027-01-05", "2026-12"), ("1", "2026-12-30", "2027-01")])
def test_a_numbered_period_without_a_year_is_the_one_nearest_to_its_date(period, day, month, settings):
    rows = f"2026-09-30,9,1050 Stripe Clearing,1.00,\n2026-08-30,8,1050 Stripe Clearing,1.00,\n{day},{period},1050 Stripe Clearing,10.00,\n"
    lines = read_ledger([file_of("Date,Period,Account,Debit,Credit\n" + rows)], settings=settings).lines

    assert lines.filter(lines["amount_minor"] == 1_000)["month"].to_list() == [month]


def test_numbered_periods_of_another_fiscal_year_are_refused(settings):
    rows = "2026-10-14,4,1050 Stripe Clearing,1.00,\n2026-11-14,5,1050 Stripe Clearing,1.00,\n"

    assert "fiscal year" in refusal("Date,Period,Account,Debit,Credit\n" + rows, settings).message


def test_an_account_may_be_named_above_the_header(settings):
    assert amounts_of("Ledger: 1050 Stripe Clearing\nDate,Description,Debit,Credit\n2026-10-14,Ada,10.00,\n", settings) == [1_000]
    assert "account" in refusal("Account: All\nDate,Description,Debit,Credit\n2026-10-14,Ada,10.00,\n", settings).message


def test_an_account_in_foreign_currency_is_not_read_in_base_currency(make_settings):
    text = "Internal ID,Date,Period,Type,Document Number,Account,Memo,Debit,Credit,Currency\n1,2026-10-14,Oct 2026,Deposit,D-1,1051,x,85.00,,EUR\n"
    error = refusal(text, make_settings(accounts=(("1051", "EUR"),)))

    assert (error.row, error.column) == (2, "Debit / Credit")
    assert "foreign currency" in error.message


def test_a_second_amount_that_is_not_read_is_refused_where_lines_are_in_foreign_currency(make_settings):
    text = "Date,Account,Memo,Currency,Amount,Document Amount\n2026-10-14,1051,Ada,{currency},85.00,100.00\n"
    error = refusal(text.format(currency="EUR"), make_settings(accounts=(("1051", "EUR"),)))

    assert (error.row, error.column) == (1, "Document Amount")
    assert amounts_of(text.format(currency="GBP"), make_settings(accounts=(("1051", "GBP"),))) == [8_500]


@pytest.mark.parametrize(("stated", "is_read"), [("90.00", True), ("90.01", False)])
def test_a_subtotal_that_repeats_what_it_is_grouped_by_is_a_total(stated, is_read, settings):
    header = "Company Code,G/L Account,Document Number,Document Type,Posting Date,Amount in local currency,Local Currency,Text\n"
    text = (
        header
        + f"1000,1050 Stripe Clearing,1,DZ,2026-10-14,100.00,GBP,Ada\n1000,1050 Stripe Clearing,2,SA,2026-10-15,-10.00,GBP,x\n1000,1050 Stripe Clearing,,,,{stated},GBP,\n"
    )

    if is_read:
        assert amounts_of(text, settings) == [10_000, -1_000]
    else:
        assert refusal(text, settings).row == 4
