import random
from dataclasses import replace
from datetime import date

import polars as pl
import pytest

from reconciliation.connectors.ledger.reader import read_ledger
from reconciliation.errors import FileRefusedError, SettingsError
from reconciliation.schemas.files import LedgerLine, SetAsideRow, SourceFile

RECEIPT = "9001,14/10/2026,Oct 2026,Payment,PYMT-1,Ada Brown,1050 Stripe Clearing,INV-1,100.00,,GBP"
PAYOUT = '9002,15/10/2026,Oct 2026,Deposit,DEP-1,,1050 Stripe Clearing,Stripe payout po_1,,"1,200.50",GBP'
RENT = "9003,16/10/2026,Oct 2026,Journal,JE-1,,6100 Rent,October,500.00,,GBP"
FOREIGN = "Internal ID,Date,Period,Type,Document Number,Name,Account,Memo,Debit,Credit,Currency,Amount (Foreign Currency),Exchange Rate"


def refusal(files, settings):
    with pytest.raises(FileRefusedError) as caught:
        read_ledger(files, settings=settings)
    return caught.value


def test_a_netsuite_export_becomes_signed_lines_with_their_source_row(export, settings):
    reading = read_ledger([export(RECEIPT, PAYOUT)], settings=settings)

    LedgerLine.validate(reading.lines)
    assert reading.lines.select("item_id", "source_row", "posting_on", "month", "amount_minor", "base_amount_minor", "counterparty").rows() == [
        ("gl_DEP-1/1", "3", date(2026, 10, 15), "2026-10", -120_050, -120_050, ""),
        ("gl_PYMT-1/1", "2", date(2026, 10, 14), "2026-10", 10_000, 10_000, "Ada Brown"),
    ]


def test_a_row_on_another_account_is_set_aside_with_its_amount(export, settings):
    reading = read_ledger([export(RECEIPT, RENT)], settings=settings)

    SetAsideRow.validate(reading.set_aside)
    assert reading.set_aside.select("source_row", "rule", "amount_minor", "account").rows() == [("3", "other_account", 50_000, "6100 Rent")]


def test_every_row_of_a_file_is_used_set_aside_or_retired(export, settings):
    old = export(RECEIPT, PAYOUT, RENT)
    new = export(RECEIPT, RENT, "9004,31/10/2026,Oct 2026,Journal,JE-2,,1050 Stripe Clearing,fees,,5.00,GBP", delivery=2, name="inbox/ledger/b.csv")

    files = read_ledger([old, new], settings=settings).files

    SourceFile.validate(files)
    assert files.select((pl.col("rows_in") == pl.col("rows_used") + pl.col("rows_set_aside") + pl.col("rows_retired")).all()).item()


def test_the_amount_of_a_foreign_account_is_the_foreign_amount_and_a_revaluation_is_set_aside(export, make_settings):
    settings = make_settings(accounts=(("1051 Stripe Clearing EUR", "EUR"),))
    file = export(
        "1,10/12/2026,Dec 2026,Payment,PYMT-2,Jonas Blum,1051 Stripe Clearing EUR,INV-1,837.25,,EUR,985.00,0.85",
        "2,31/12/2026,Dec 2026,Currency Revaluation,FXREV-1,,1051 Stripe Clearing EUR,Unrealised,19.70,,EUR,0.00,0.87",
        header=FOREIGN,
    )

    reading = read_ledger([file], settings=settings)

    assert reading.lines.select("amount_minor", "base_amount_minor", "currency").rows() == [(98_500, 83_725, "EUR")]
    assert reading.set_aside.select("rule", "amount_minor", "currency").rows() == [("revaluation", 0, "EUR")]


@pytest.mark.parametrize("foreign", ["985.00", "-985.00"], ids=["unsigned", "signed"])
def test_a_credit_in_foreign_currency_is_negative_whether_the_export_signs_it_or_not(export, make_settings, foreign):
    settings = make_settings(accounts=(("1051", "EUR"),))
    file = export(f"1,14/12/2026,Dec 2026,Deposit,DEP-1,,1051,po_1,,837.25,EUR,{foreign},0.85", header=FOREIGN)

    assert read_ledger([file], settings=settings).lines["amount_minor"].to_list() == [-98_500]


def test_a_foreign_account_exported_in_base_currency_only_is_refused(export, make_settings):
    settings = make_settings(accounts=(("1051", "EUR"),))
    header = FOREIGN.replace(",Amount (Foreign Currency)", "")
    error = refusal([export("1,14/12/2026,Dec 2026,Deposit,DEP-1,,1051,po_1,,837.25,EUR,0.85", header=header)], settings)

    assert (error.row, error.column) == (2, "Exchange Rate")


def test_accounts_are_compared_with_white_space_normalized(export, settings):
    reading = read_ledger([export(RECEIPT.replace("1050 Stripe Clearing", "1050\u00a0 Stripe  Clearing"))], settings=settings)

    assert reading.lines["account"].to_list() == ["1050 Stripe Clearing"]


def test_without_mapped_accounts_the_only_account_found_is_taken(export, make_settings):
    reading = read_ledger([export(RECEIPT, PAYOUT)], settings=make_settings(accounts=()))

    assert reading.lines.height == 2


def test_without_mapped_accounts_several_accounts_are_refused_by_name(export, make_settings):
    with pytest.raises(SettingsError, match="'1050 Stripe Clearing', '6100 Rent'"):
        read_ledger([export(RECEIPT, RENT)], settings=make_settings(accounts=()))


def test_non_posting_rows_are_set_aside(export, settings):
    order = "9,20/10/2026,Oct 2026,Sales Order,SO-1,Ada,1050 Stripe Clearing,order,,,GBP"

    assert read_ledger([export(RECEIPT, order)], settings=settings).set_aside["rule"].to_list() == ["non_posting"]


def test_lines_of_one_document_are_numbered_by_content(export, settings):
    rows = [
        f"{n},14/10/2026,Oct 2026,Journal,JE-9,,1050 Stripe Clearing,{memo},{amount},,GBP"
        for n, (memo, amount) in enumerate([("b", "2.00"), ("a", "2.00"), ("z", "1.00")])
    ]

    lines = read_ledger([export(*rows)], settings=settings).lines

    assert lines.select("item_id", "memo").rows() == [("gl_JE-9/1", "z"), ("gl_JE-9/2", "a"), ("gl_JE-9/3", "b")]


def test_equal_lines_without_a_document_are_told_apart_by_an_ordinal(export, settings):
    row = "1,14/10/2026,Oct 2026,Journal,,,1050 Stripe Clearing,fee,2.00,,GBP"

    ids = read_ledger([export(row, row)], settings=settings).lines["item_id"].to_list()

    assert ids[0].startswith("glh_")
    assert [item.rsplit("/", 1)[1] for item in ids] == ["1", "2"]
    assert len({item.split("/")[0] for item in ids}) == 1


def test_neither_names_nor_the_order_of_rows_and_files_change_a_line(export, settings):
    rows = [
        f"{n},{14 + n % 9}/10/2026,Oct 2026,Journal,{'' if n % 3 else f'JE-{n % 4}'},,1050 Stripe Clearing,memo {n % 5},{n % 4}.50,,GBP" for n in range(1, 40)
    ]
    shuffled = random.Random(7).sample(rows, len(rows))
    content = [column for column in LedgerLine.column_names() if column not in {"source_file", "source_row"}]

    one = read_ledger([export(*rows)], settings=settings).lines.select(content)
    other = read_ledger([export(*shuffled, name="z/other.csv")], settings=settings).lines.select(content)

    assert one.equals(other)


def test_a_journal_created_from_another_reverses_it(export, settings):
    header = "Date,Period,Type,Document Number,Account,Memo,Debit,Credit,Currency,Created From,Created By"
    row = "14/11/2026,Nov 2026,Journal,JE-2,1050 Stripe Clearing,reversal,,5.00,GBP,Journal #JE-1,Ada"

    lines = read_ledger([export(row, header=header)], settings=settings).lines

    assert lines.select("reverses_document", "poster").rows() == [("JE-1", "Ada")]


def test_the_period_of_the_erp_decides_the_month_and_without_one_the_date_does(export, settings):
    late = "9,02/11/2026,Oct 2026,Payment,PYMT-8,,1050 Stripe Clearing,late,1.00,,GBP"
    blank = "10,14/11/2026,,Payment,PYMT-9,,1050 Stripe Clearing,now,1.00,,GBP"

    assert read_ledger([export(late, blank)], settings=settings).lines["month"].to_list() == ["2026-10", "2026-11"]


def test_no_files_give_empty_frames(settings):
    reading = read_ledger([], settings=settings)

    assert (reading.lines.height, reading.set_aside.height, reading.files.height) == (0, 0, 0)


def test_an_export_with_a_header_only_has_no_rows(export, settings):
    reading = read_ledger([export()], settings=settings)

    assert reading.files.select("rows_in", "rows_used").rows() == [(0, 0)]


def test_a_mapping_file_names_columns_sign_decimal_mark_dates_and_the_account(export, make_settings, tmp_path):
    (tmp_path / "ours.toml").write_text(
        'sign = "credit_positive"\ndecimal_mark = ","\ndate_order = "day_first"\n'
        '[columns]\ndate = "Buchungstag"\ndocument = "Beleg"\nmemo = "Text"\namount = "Betrag"\n'
        '[constants]\naccount = "1050 Stripe Clearing"\ncurrency = "GBP"\n'
    )
    file = export('01.02.2026;B-1;Miete;"1.234,50"', header="Buchungstag;Beleg;Text;Betrag")

    lines = read_ledger([file], settings=make_settings(profile="ours.toml")).lines

    assert lines.select("item_id", "posting_on", "amount_minor").rows() == [("gl_B-1/1", date(2026, 2, 1), -123_450)]


def test_a_mapped_column_that_was_renamed_is_refused_with_the_nearest_header(export, make_settings, tmp_path):
    (tmp_path / "ours.toml").write_text('[columns]\ndate = "Day"\naccount = "Konto"\namount = "Betrag"\n')

    error = refusal([export("2026-10-01,1050,1.00", header="Day,Konto,Betrag EUR")], make_settings(profile="ours.toml"))

    assert "'Betrag EUR'" in error.message


def test_an_unknown_profile_is_refused_with_the_nearest(make_settings, export):
    with pytest.raises(SettingsError, match="did you mean 'netsuite'"):
        read_ledger([export(RECEIPT)], settings=make_settings(profile="netsuit"))


def test_all_refused_files_are_named_at_once(export, settings):
    error = refusal([export(RECEIPT.replace("100.00", "1e2"), name="a.csv"), export(RECEIPT.replace("14/10", "31/02"), name="b.csv")], settings)

    assert error.file == "a.csv"
    assert "b.csv:2 [Date]" in error.message


def test_what_was_read_of_a_file_is_told_with_reasons_totals_and_evidence(export, settings):
    old = export(RECEIPT, PAYOUT, RENT)
    new = export(RECEIPT, RENT, "9004,31/10/2026,Oct 2026,Journal,JE-2,,1050 Stripe Clearing,fees,,5.00,GBP", delivery=2, name="inbox/ledger/b.csv")

    files = read_ledger([old, replace(new, other_names=("inbox/ledger/copy.csv",))], settings=settings).files

    assert files.select("rows_by_rule", "totals", "other_names").rows() == [
        ("retired=1;superseded=2", "", ""),
        ("other_account=1", "GBP=95.00", "inbox/ledger/copy.csv"),
    ]
    assert "decimal mark .: row" in files["evidence"][1]
    assert "dates day_first: row 2: '14/10/2026'" in files["evidence"][1]
