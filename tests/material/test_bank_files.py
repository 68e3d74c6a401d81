"""Bank files that other people's systems wrote: each is read to its true totals, or refused for what is wrong in it."""

import hashlib
from pathlib import Path

import pytest

from reconciliation.config import Settings
from reconciliation.connectors.bank.reader import read_bank, read_statement
from reconciliation.connectors.inbox import InboxFile
from reconciliation.errors import FileRefusedError
from reconciliation.money import format_minor

MATERIAL = Path(__file__).parents[3] / "shared" / "material"
FOLDERS = ("bank_bai2", "bank_camt", "bank_csv", "bank_mt940", "bank_ofx")

pytestmark = pytest.mark.skipif(not MATERIAL.is_dir(), reason=f"{MATERIAL} is absent: real bank files are not part of the project")

# file -> format, entries, net by currency of those that are booked. Nets agree with what the files' own balances or control totals state, and with
# what mt-940 and other parsers give; nothing of CAMT.052, CAMT.054 and MT942 is booked.
READ = {
    "bank_bai2/moov_sample1.txt": ("bai2", 17, {'CAD': '0.00'}),
    "bank_bai2/moov_sample2.txt": ("bai2", 4, {'USD': '309500.00'}),
    "bank_bai2/moov_sample3.txt": ("bai2", 26, {'USD': '-197.05'}),
    "bank_camt/bsp_camt.053.001.02.xml": ("camt053", 3, {'SEK': '-64321.50'}),
    "bank_camt/bsp_camt053_duplicate_same_day.xml": ("camt053", 2, {'EUR': '-9.00'}),
    "bank_camt/bsp_camt053_multicurrency.xml": ("camt053", 3, {'EUR': '750.25', 'USD': '-99.99'}),
    "bank_camt/bsp_camt053_no_namespace.xml": ("camt053", 1, {'GBP': '250.00'}),
    "bank_camt/genkgo_camt052.v2.other-account.xml": ("camt052", 1, {}),
    "bank_camt/genkgo_camt052.v2.xml": ("camt052", 1, {}),
    "bank_camt/genkgo_camt052.v4.xml": ("camt052", 1, {}),
    "bank_camt/genkgo_camt053.v2.multi.statement.xml": ("camt053", 2, {'EUR': '1.85'}),
    "bank_camt/genkgo_camt053.v2.with-account-name.xml": ("camt053", 1, {'EUR': '8.85'}),
    "bank_camt/genkgo_camt054.v2.xml": ("camt054", 1, {}),
    "bank_camt/genkgo_camt054.v4.xml": ("camt054", 1, {}),
    "bank_camt/oca_test-camt053-no-ntry": ("camt053", 0, {}),
    "bank_csv/bsp_csv_european_decimals.csv": ("bank_csv", 3, {'EUR': '2260.94'}),
    "bank_csv/bsp_csv_french_headers.csv": ("bank_csv", 3, {'EUR': '2260.94'}),
    "bank_csv/bsp_sample_split_amounts.csv": ("bank_csv", 2, {'EUR': '1050.25'}),
    "bank_csv/bsp_sample_statement.csv": ("bank_csv", 2, {'EUR': '1300.00'}),
    "bank_csv/oca_balance.csv": ("bank_csv", 2, {'EUR': '1500.00'}),
    "bank_csv/oca_debit_credit.csv": ("bank_csv", 2, {'EUR': '1500.00'}),
    "bank_csv/oca_empty_statement_en.csv": ("bank_csv", 0, {}),
    "bank_csv/oca_original_currency.csv": ("bank_csv", 1, {'EUR': '1525.00'}),
    "bank_csv/oca_original_currency_empty.csv": ("bank_csv", 1, {'EUR': '1525.00'}),
    "bank_csv/oca_sample_statement_credit_card_inverse_sign_en.csv": ("bank_csv", 2, {'EUR': '-1525.00', 'USD': '33.50'}),
    "bank_csv/oca_sample_statement_en.csv": ("bank_csv", 2, {'EUR': '1525.00', 'USD': '-33.50'}),
    "bank_mt940/ASNB__mt940.txt": ("mt940", 8, {'EUR': '56.94'}),
    "bank_mt940/ASNB__mt940_with_spaces_for_entry_date.txt": ("mt940", 8, {'EUR': '56.94'}),
    "bank_mt940/betterplace__sepa_mt9401.sta": ("mt940", 97, {'EUR': '-9269135.90'}),
    "bank_mt940/betterplace__with_binary_character.sta": ("mt940", 4, {'EUR': '-179066.75'}),
    "bank_mt940/bsp_sample.mt940": ("mt940", 2, {'EUR': '1170.25'}),
    "bank_mt940/citi__mt940.txt": ("mt940", 5, {'USD': '-1142.75'}),
    "bank_mt940/cmxl__mt940.sta": ("mt940", 16, {'DEM': '87.30', 'EUR': '2200.00', 'PLN': '10040.00'}),
    "bank_mt940/self-provided__february_30.sta": ("mt940", 1, {'EUR': '-6.00'}),
    "bank_mt940/self-provided__long_statement_number.sta": ("mt940", 0, {}),
    "bank_mt940/self-provided__mt942.sta": ("mt942", 1, {}),
    "bank_mt940/self-provided__transaction_details_wrapped.sta": ("mt940", 1, {'EUR': '-6.00'}),
    "bank_mt940/self-provided__wrapped_timestamp.sta": ("mt940", 1, {'EUR': '-6.00'}),
    "bank_ofx/bsp_sample.ofx": ("ofx", 2, {'EUR': '1170.25'}),
    "bank_ofx/bsp_sample.qfx": ("ofx", 1, {'USD': '-15.00'}),
    "bank_ofx/oca_test_ofx.ofx": ("ofx", 4, {'USD': '-360.00'}),
    "bank_ofx/oca_test_ofx_iban.ofx": ("ofx", 4, {'USD': '-360.00'}),
}  # fmt: skip

# file -> row, column, the beginning of the message. Many of the SWIFT samples are fragments, or anonymized so that they no longer tie out.
REFUSED = {
    "bank_bai2/moov_sample-parseError.txt": (1, None, 'no header was recognized in the first 60 rows;'),
    "bank_camt/bsp_camt053_garbled_amount.xml": (1, 'Amt', "'12..34' is not a plain decimal number; ask th"),
    "bank_camt/genkgo_camt052.v2.with-account-name.xml": (1, 'BookgDt', 'the entry has neither a booking nor a value da'),
    "bank_camt/genkgo_camt053.v2.all-balance-types.xml": (1, 'Bal', 'statement 1: opening 1.01 + entries 8.85 = 9.8'),
    "bank_camt/genkgo_camt053.v2.five.decimals.xml": (1, 'Bal', 'statement 1: opening 18.15 + entries 8.85 = 27'),
    "bank_camt/genkgo_camt053.v2.minimal.ultimate.xml": (1, 'Bal', 'statement 1: opening, closing and entries are '),
    "bank_camt/genkgo_camt053.v2.minimal.xml": (1, 'Bal', 'statement 1: opening, closing and entries are '),
    "bank_camt/genkgo_camt053.v2.with-party-ids.xml": (1, 'Bal', 'statement 1: opening, closing and entries are '),
    "bank_camt/genkgo_camt053.v2.wrong.xml": (None, None, 'holds no statement (Stmt); ask the bank for th'),
    "bank_camt/genkgo_camt053.v4.xml": (1, 'Bal', 'statement 1: opening, closing and entries are '),
    "bank_camt/genkgo_camt054.v2.with-account-name.xml": (1, 'BookgDt', 'the entry has neither a booking nor a value da'),
    "bank_camt/oca_test-camt053": (1, 'Bal', 'statement 1: opening 15568.27 + entries -12.99'),
    "bank_camt/oca_test-camt053.zip": (None, None, 'is compressed (zip); unpack it first'),
    "bank_csv/bsp_camt_file.csv": (1, None, 'no header was recognized in the first 60 rows;'),
    "bank_csv/bsp_csv_garbled_amount.csv": (3, 'Amount', "'12..34' is not an amount under either decimal"),
    "bank_csv/bsp_european_format.json": (1, None, 'no header was recognized in the first 60 rows;'),
    "bank_csv/bsp_pain_file.csv": (1, None, 'no header was recognized in the first 60 rows;'),
    "bank_csv/bsp_same_day_duplicates.json": (1, None, 'no header was recognized in the first 60 rows;'),
    "bank_csv/bsp_single_currency_checking.json": (1, None, 'no header was recognized in the first 60 rows;'),
    "bank_csv/oca_debit_credit_amount.csv": (5, 'Balance', 'the running balance is 1510.00, but the line b'),
    "bank_csv/oca_meta_data_separated_credit_debit.csv": (6, 'Date', "'01/04/20' has a two-digit year, which may be "),
    "bank_csv/oca_original_currency_no_header.csv": (1, None, 'no header was recognized in the first 60 rows;'),
    "bank_mt940/betterplace__amount_formats.sta": (1, ':60F:', 'message 1 has several opening balances; downlo'),
    "bank_mt940/betterplace__currency_in_25.sta": (None, None, "holds no statement"),
    "bank_mt940/betterplace__empty_86.sta": (1, None, 'no header was recognized in the first 60 rows;'),
    "bank_mt940/betterplace__empty_entry_date.sta": (1, ':60F:', 'no balance or limit of the message names a cur'),
    "bank_mt940/betterplace__empty_line.sta": (None, None, "holds no statement"),
    "bank_mt940/betterplace__missing_crlf_at_end.sta": (1, ':60F:', 'the opening balance of message 1 is missing, a'),
    "bank_mt940/betterplace__sepa_snippet.sta": (5, ':62F:', 'message 2: opening -1970431.87 + entries -2501'),
    "bank_mt940/betterplace__sepa_snippet_broken.sta": (1, ':62F:', 'message 1: opening 766656.49 + entries 50990.0'),
    "bank_mt940/cmxl__account_balance_credit.sta": (1, ':62F:', 'the closing balance of message 1 is missing, a'),
    "bank_mt940/cmxl__account_balance_debit.sta": (1, ':62F:', 'the closing balance of message 1 is missing, a'),
    "bank_mt940/cmxl__account_identification_iban.sta": (None, None, "holds no statement"),
    "bank_mt940/cmxl__account_identification_legacy.sta": (None, None, "holds no statement"),
    "bank_mt940/cmxl__available_balance.sta": (1, None, 'no header was recognized in the first 60 rows;'),
    "bank_mt940/cmxl__closing_balance.sta": (1, ':60F:', 'the opening balance of message 1 is missing, a'),
    "bank_mt940/cmxl__reference.sta": (None, None, "holds no statement"),
    "bank_mt940/cmxl__statement_details.sta": (1, ':60F:', 'no balance or limit of the message names a cur'),
    "bank_mt940/cmxl__statement_line.sta": (1, ':60F:', 'no balance or limit of the message names a cur'),
    "bank_mt940/cmxl__statement_number.sta": (None, None, "holds no statement"),
    "bank_mt940/self-provided__account_identification.sta": (None, None, "holds no statement"),
    "bank_mt940/self-provided__details_60-63.sta": (1, ':62F:', 'message 1: opening 12345.12 + entries -233.15 '),
    "bank_mt940/self-provided__empty_non_swift.sta": (1, None, 'no header was recognized in the first 60 rows;'),
    "bank_mt940/self-provided__gv_codes.sta": (1, ':62F:', 'the closing balance of message 1 is missing, a'),
    "bank_mt940/self-provided__invalid_statement.sta": (1, None, 'no header was recognized in the first 60 rows;'),
    "bank_mt940/self-provided__malformed_details.sta": (1, ':62F:', 'message 1: opening 12345.12 + entries -233.15 '),
    "bank_mt940/self-provided__multiline.sta": (1, ':62F:', 'message 1: opening 16.40 + entries 114.00 = 13'),
    "bank_mt940/self-provided__overly_long_details.sta": (1, ':62F:', 'message 1: opening 12345.12 + entries -233.15 '),
    "bank_mt940/self-provided__raiffeisen-cmi.sta": (1, ':62F:', 'message 1: opening 25170637.10 + entries -1012'),
    "bank_mt940/self-provided__raphaelm.sta": (1, ':62F:', 'message 1: the opening balance is in DEM, the '),
    "bank_mt940/self-provided__sparkassen.sta": (1, ':60F:', 'no balance or limit of the message names a cur'),
    "bank_mt940/self-provided__whitespace.sta": (1, ':62F:', 'message 1: opening 12345.12 + entries -233.15 '),
    "bank_ofx/oca_test_ofx_wrong.ofx": (1, 'CURDEF', "statement 1 names no currency (''); download i"),
}  # fmt: skip


def settings(**ledger):
    content = {"entity": {"name": "E", "timezone": "UTC", "currency": "EUR"}, "start": {"period": "2026-10"}, "ledger": ledger, "books": [{"bank_match": [""]}]}
    return Settings.model_validate(content)


def inbox_file(name):
    content = (MATERIAL / name).read_bytes()
    return InboxFile(name, content, hashlib.sha256(content).hexdigest(), 1)


@pytest.mark.parametrize("name", READ)
def test_a_statement_is_read_to_its_true_totals(name):
    profile, entries, net = READ[name]

    reading = read_bank([inbox_file(name)], settings=settings())

    assert reading.files.select("profile", "rows_in").rows() == [(profile, entries)]
    assert {code: format_minor(rows["amount_minor"].sum(), code) for (code,), rows in reading.lines.partition_by("currency", as_dict=True).items()} == net


@pytest.mark.parametrize("name", REFUSED)
def test_a_statement_that_contradicts_itself_is_refused_with_its_place(name):
    row, column, said = REFUSED[name]

    with pytest.raises(FileRefusedError) as caught:
        read_bank([inbox_file(name)], settings=settings())

    assert (caught.value.row, caught.value.column) == (row, column)
    assert caught.value.message.startswith(said)


def test_a_statement_whose_rows_are_told_day_first_does_not_tie_out_by_two_cents():
    with pytest.raises(FileRefusedError, match=r"opening 30000\.77 .* = 31070\.09, but the closing balance is 31070\.11"):
        read_statement(inbox_file("bank_csv/oca_meta_data_separated_credit_debit.csv"), settings=settings(day_first=True))


def test_an_entry_of_the_month_end_keeps_the_day_that_the_bank_wrote():
    (statement,) = read_statement(inbox_file("bank_ofx/bsp_sample.ofx"), settings=settings())

    assert [str(day) for day in statement.lines["booked_on"]] == ["2026-03-20", "2026-03-21"]


def test_every_bank_file_of_the_material_has_its_test():
    there = {f"{folder}/{path.name}" for folder in FOLDERS for path in (MATERIAL / folder).iterdir() if path.suffix != ".md" and "LICENSE" not in path.name}

    assert there == {*READ, *REFUSED}
