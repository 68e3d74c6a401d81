"""One export of every shipped profile, as its system writes it: recognized by itself, read to its lines, its own totals proved."""

import csv
import io
from pathlib import Path

import polars as pl
import pytest

from reconciliation.connectors.inbox import InboxFile
from reconciliation.connectors.ledger.reader import ledger_profiles, read_export, read_ledger
from reconciliation.errors import FileRefusedError
from reconciliation.money import format_minor

SAMPLES = Path(__file__).parents[3] / "samples"
LAYOUTS = Path(__file__).parents[3] / "corpus" / "layouts"
PROFILES = Path(__file__).parents[4] / "reconciliation" / "connectors" / "ledger" / "profiles"

NETSUITE = """\
Internal ID,Date,Period,Type,Document Number,Name,Account,Memo,Debit,Credit,Currency,Created From,Created By
9001,14/10/2026,Oct 2026,Payment,PYMT-1,Ada,1050 Stripe Clearing,INV-1,"1,100.00",,GBP,,Bo
9002,15/10/2026,Oct 2026,Journal,JE-2,,1050 Stripe Clearing,reversal,,100.00,GBP,Journal #JE-1,Bo
9003,16/10/2026,Oct 2026,Sales Order,SO-1,Ada,1050 Stripe Clearing,order,5.00,,GBP,,Bo
,,,,,,,Total,"1,105.00",100.00,,,
"""
NETSUITE_GENERAL_LEDGER = """\
Example Ltd,,,,,,,
General Ledger,,,,,,,
Oct 2026,,,,,,,
,,,,,,,
Account,Type,Date,Document Number,Name,Debit,Credit,Balance
1050 - Stripe Clearing,,,,,,,£500.00
,Payment,14/10/2026,PYMT1,Ada,"£1,250.00",,"£1,750.00"
,Journal,15/10/2026,JE1,,,£2.90,"£1,747.10"
Total - 1050 - Stripe Clearing,,,,,"£1,250.00",£2.90,"£1,747.10"
Total,,,,,"£1,250.00",£2.90,"£1,747.10"
"""
XERO_JOURNAL = """\
Example Ltd
Journal Report
For the month ended 31 October 2026

Date,Source,Description,Reference,Journal Number,Account Code,Account,Debit,Credit
14 Oct 2026,Receive Money,Ada,INV-1,101,1050,1050 Stripe Clearing,100.00,
14 Oct 2026,Receive Money,Ada,INV-1,101,200,200 Sales,,100.00
15 Oct 2026,Manual Journal,fees,,102,404,404 Fees,2.90,
15 Oct 2026,Manual Journal,fees,,102,1050,1050 Stripe Clearing,,2.90
Total,,,,,,,102.90,102.90
"""
XERO_TRANSACTIONS = """\
Account Transactions
Example Ltd
For the period 1 October 2026 to 31 October 2026

Date,Source,Description,Reference,Currency,Debit,Credit,Running Balance
1050 Stripe Clearing,,,,,,,
Opening Balance,,,,,500.00,,500.00
14 Oct 2026,Receive Money,Ada,INV-1,GBP,100.00,,600.00
15 Oct 2026,Spend Money,fees,,GBP,,2.90,597.10
Total 1050 Stripe Clearing,,,,,100.00,2.90,
Closing Balance,,,,,597.10,,597.10
404 Fees,,,,,,,
Opening Balance,,,,,0.00,,0.00
15 Oct 2026,Spend Money,fees,,GBP,2.90,,2.90
Total 404 Fees,,,,,2.90,0.00,
Closing Balance,,,,,2.90,,2.90
Total,,,,,102.90,2.90,
"""
XERO_MANUAL = """\
*Narration,*Date,Description,*AccountCode,*TaxRate,*Amount,TrackingName1,TrackingOption1,TrackingName2,TrackingOption2
October fees,14/10/2026,Stripe fees,404,Tax Exempt,2.90,,,,
October fees,14/10/2026,Stripe fees,1050 Stripe Clearing,Tax Exempt,-2.90,,,,
"""
QBO_JOURNAL = (SAMPLES / "quickbooks_journal.csv").read_text(encoding="utf-8")
QBO_GENERAL_LEDGER = (SAMPLES / "quickbooks_general_ledger.csv").read_text(encoding="utf-8")
QBO_DETAIL = """\
Date,Transaction Type,Num,Name,Memo/Description,Account,Split,Amount
10/14/2026,Payment,1001,Ada,INV-1,1050 Stripe Clearing,-Split-,"1,250.00"
10/15/2026,Journal Entry,JE-1,,fees,1050 Stripe Clearing,Fees,-2.90
"""
SAP_LIST = """\
Line items
------------------------------------------------------------------------------------------------
|  |G/L Acct|Assignment|DocumentNo|Type|Pstng Date|Amount in LC|LCurr|Amount in doc. curr.|Curr.|Text|Clrng doc.|User name|
------------------------------------------------------------------------------------------------
|  |1050|INV-1|1800000001|DZ|14.10.2026|1.250,00|EUR|1.250,00|EUR|Ada||BO|
|  |1050|FEES|1800000002|SA|15.10.2026|2,90-|EUR|2,90-|EUR|fees||BO|
|* ||||||1.247,10|EUR||||||
|**||||||1.247,10|EUR||||||
"""
SAP_S4 = """\
Company Code;G/L Account;Journal Entry;Journal Entry Type;Posting Date;Fiscal Period;Fiscal Year;Amount in Company Code Currency;Company Code Currency;Amount in Transaction Currency;Transaction Currency;Item Text;Created By;Reversal of
1000;1050;1800000001;DZ;2026-10-14;010;2026;1250.00;EUR;1400.00;USD;Ada;BO;
1000;1050;1800000002;SA;2026-10-15;010;2026;-2.90;EUR;-2.90;EUR;fees;BO;1800000000
"""
SAP_BSEG = """\
MANDT,BUKRS,BELNR,GJAHR,BUZEI,BLART,BUDAT,MONAT,USNAM,BSCHL,HKONT,WRBTR,SHKZG,DMBTR,WAERS,SGTXT,ZUONR
100,1000,18001,2026,001,DZ,20261014,10,BO,40,1050,1250.00,S,1250.00,EUR,Ada,INV-1
100,1000,18001,2026,002,DZ,20261014,10,BO,15,1200,1250.00,H,1250.00,EUR,Ada,INV-1
100,1000,18002,2026,001,SA,20261015,10,BO,50,1050,2.90,H,2.90,EUR,fees,
100,1000,18002,2026,002,SA,20261015,10,BO,40,6210,2.90,S,2.90,EUR,fees,
"""
SAP_ACDOCA = """\
RLDNR,RBUKRS,GJAHR,BELNR,DOCLN,BLART,BUDAT,POPER,USNAM,RACCT,WSL,RWCUR,HSL,RHCUR,SGTXT,ZUONR
0L,1000,2026,18001,000001,DZ,20261014,010,BO,1050,1250.00,EUR,1250.00,EUR,Ada,INV-1
0L,1000,2026,18001,000002,DZ,20261014,010,BO,1200,-1250.00,EUR,-1250.00,EUR,Ada,INV-1
"""
INTACCT = """\
Example Ltd
General Ledger report
Posted dt.,Doc dt.,Doc,Memo/Description,Department,Location,Jrnl,Curr,Debit,Credit,Balance
1050 - Stripe Clearing (Balance forward as of 10/01/2026),,,,,,,,,,500.00
10/14/2026,10/14/2026,INV-1,Ada,,100,CRJ,GBP,"1,250.00",,"1,750.00"
10/15/2026,10/15/2026,JE-1,fees,,100,GJ,GBP,,2.90,"1,747.10"
Totals for 1050 - Stripe Clearing,,,,,,,,"1,250.00",2.90,"1,747.10"
6210 - Fees (Balance forward as of 10/01/2026),,,,,,,,,,0.00
10/15/2026,10/15/2026,JE-1,fees,,100,GJ,GBP,2.90,,2.90
Totals for 6210 - Fees,,,,,,,,2.90,0.00,2.90
"""
SAGE50 = """\
Type,Account Reference,Nominal A/C Ref,Department Code,Date,Reference,Details,Net Amount,Tax Code,Tax Amount,Exchange Rate,Extra Reference,User Name
BR,1050,4000,0,04/10/2026,INV-1,Ada,100.00,T1,20.00,1,,MANAGER
JC,,1050,0,05/10/2026,JNL1,fees,2.90,T9,0.00,1,,MANAGER
JD,,6210,0,05/10/2026,JNL1,fees,2.90,T9,0.00,1,,MANAGER
BP,1200,1050,0,06/10/2026,PO1,transfer,5.00,T9,0.00,1,,MANAGER
"""
BUSINESS_CENTRAL = """\
Entry No.,Posting Date,Document Type,Document No.,G/L Account No.,Description,Amount,Debit Amount,Credit Amount,User ID,Source Code,Reversed,Reversed by Entry No.,Reversed Entry No.,External Document No.
11,10/14/2026,Payment,PAY-1,1050,Ada,"1,250.00","1,250.00",0.00,BO,CASHRECJNL,No,0,0,INV-1
12,10/15/2026,,JE-1,1050,fees,-2.90,0.00,2.90,BO,GENJNL,Yes,13,0,
13,10/16/2026,,JE-1R,1050,fees back,2.90,2.90,0.00,BO,REVERSAL,Yes,0,12,
"""
BUSINESS_CENTRAL_BANK = """\
Entry No.,Posting Date,Document Type,Document No.,Bank Account No.,Description,Currency Code,Amount,Remaining Amount,Open,Bal. Account Type,User ID
21,10/14/2026,Payment,PAY-1,STRIPE,Ada,,"1,250.00","1,250.00",Yes,Customer,BO
22,10/15/2026,,JE-1,STRIPE,fees,,-2.90,-2.90,Yes,G/L Account,BO
"""
BUSINESS_CENTRAL_JOURNAL = """\
Posting Date,Document Type,Document No.,Account Type,Account No.,Description,Amount,Department Code
10/14/2026,,ECOM-1,G/L Account,1050,Stripe,1250.00,180
10/14/2026,,ECOM-1,G/L Account,4000,Sales,-1250.00,180
"""
DATEV = """\
"EXTF";700;21;"Buchungsstapel";13;20261105000000000;;;;;1001;1;20260101;4;20261001;20261031;"Oktober";"";1;0;0;"EUR";;;;;;;;;
Umsatz (ohne Soll/Haben-Kz);Soll/Haben-Kennzeichen;WKZ Umsatz;Konto;Gegenkonto (ohne BU-Schlüssel);BU-Schlüssel;Belegdatum;Belegfeld 1;Buchungstext
1.250,00;S;EUR;1360;8400;;1410;INV-1;Müller
2,90;S;EUR;4970;1360;;1510;GEB-1;Gebühren
10,00;H;EUR;1360;1361;;1610;UMB-1;Umbuchung
"""
FEC = "\r\n".join(
    line.replace("|", "\t")
    for line in """\
JournalCode|JournalLib|EcritureNum|EcritureDate|CompteNum|CompteLib|CompAuxNum|CompAuxLib|PieceRef|PieceDate|EcritureLib|Debit|Credit|EcritureLet|DateLet|ValidDate|Montantdevise|Idevise
BQ|Banque|1|20261014|5118|Stripe|||INV-1|20261014|Ada|1250,00|0,00|||20261031||
BQ|Banque|1|20261014|411|Clients|C1|Ada|INV-1|20261014|Ada|0,00|1250,00|||20261031||
OD|Divers|2|20261015|627|Frais|||F-1|20261015|Frais|2,90|0,00|||20261031||
OD|Divers|2|20261015|5118|Stripe|||F-1|20261015|Frais|0,00|2,90|||20261031||""".splitlines()
)
PLAIN = "Date,Account,Description,Debit,Credit\n2026-10-14,1050,Ada,100.00,\n"

# profile -> (text, encoding, account, currency, amounts of the account's lines, proofs)
EXPORTS = {
    "netsuite": (NETSUITE, "utf-8", "1050 Stripe Clearing", "GBP", ["1100.00", "-100.00"], ["total_rows_equal_their_lines"]),
    "netsuite_general_ledger": (NETSUITE_GENERAL_LEDGER, "utf-8", "1050 - Stripe Clearing", "GBP", ["1250.00", "-2.90"], ["total_rows_equal_their_lines", "running_balance"]),
    "xero_journal": (XERO_JOURNAL, "utf-8-sig", "1050 Stripe Clearing", "GBP", ["100.00", "-2.90"], ["total_rows_equal_their_lines", "debits_equal_credits"]),
    "xero_account_transactions": (XERO_TRANSACTIONS, "utf-8", "1050 Stripe Clearing", "GBP", ["100.00", "-2.90"], ["total_rows_equal_their_lines", "running_balance"]),
    "xero_manual_journal": (XERO_MANUAL, "utf-8", "1050 Stripe Clearing", "GBP", ["-2.90"], ["debits_equal_credits"]),
    "quickbooks_journal": (QBO_JOURNAL, "utf-8", "1050 Stripe Clearing", "USD", ["1250.00", "-2.90"], ["total_rows_equal_their_lines", "debits_equal_credits"]),
    "quickbooks_general_ledger": (QBO_GENERAL_LEDGER, "utf-8", "1050 Stripe Clearing", "USD", ["1250.00", "-2.90"], ["total_rows_equal_their_lines", "running_balance"]),
    "quickbooks_transaction_detail": (QBO_DETAIL, "utf-8", "1050 Stripe Clearing", "USD", ["1250.00", "-2.90"], []),
    "sap_line_items": (SAP_LIST, "utf-16", "1050", "EUR", ["1250.00", "-2.90"], ["total_rows_equal_their_lines"]),
    "sap_s4_items": (SAP_S4, "utf-8", "1050", "EUR", ["1250.00", "-2.90"], []),
    "sap_bseg": (SAP_BSEG, "utf-8", "1050", "EUR", ["1250.00", "-2.90"], ["entries_balance"]),
    "sap_acdoca": (SAP_ACDOCA, "utf-8", "1050", "EUR", ["1250.00"], ["entries_balance"]),
    "sage_intacct": (INTACCT, "utf-8", "1050 - Stripe Clearing", "GBP", ["1250.00", "-2.90"], ["total_rows_equal_their_lines", "running_balance"]),
    "sage50": (SAGE50, "cp1252", "1050", "GBP", ["120.00", "-2.90", "5.00"], []),
    "business_central": (BUSINESS_CENTRAL, "utf-8", "1050", "USD", ["1250.00", "-2.90", "2.90"], []),
    "business_central_bank": (BUSINESS_CENTRAL_BANK, "utf-8", "STRIPE", "USD", ["1250.00", "-2.90"], []),
    "business_central_journal": (BUSINESS_CENTRAL_JOURNAL, "utf-8", "1050", "USD", ["1250.00"], []),
    "datev": (DATEV, "cp1252", "1360", "EUR", ["1250.00", "-2.90", "-10.00"], []),
    "fec": (FEC, "cp1252", "5118", "EUR", ["1250.00", "-2.90"], ["debits_equal_credits"]),
    "datev_account_sheet": ((LAYOUTS / "datev-kontoblatt.csv").read_text(encoding="cp1252"), "cp1252", "1360", "EUR", ["100.00", "-1074.01"], []),
    "quickbooks_desktop": (
        (LAYOUTS / "qbd-gl.csv").read_text(encoding="utf-8"), "utf-8", "1050 · Stripe Clearing", "USD", ["100.00", "-74.01"],
        ["total_rows_equal_their_lines", "running_balance"],
    ),
    "sage_intacct_details": ((LAYOUTS / "intacct-gldetail-flat.csv").read_text(encoding="utf-8"), "utf-8", "1050", "USD", ["100.00", "-74.01"], []),
    "plain": (PLAIN, "utf-8", "1050", "GBP", ["100.00"], []),
}  # fmt: skip
SELF_PROVING = [name for name, case in EXPORTS.items() if case[5]]


def file_of(text, encoding="utf-8", name="inbox/ledger/a.csv"):
    content = text.encode(encoding)
    return InboxFile(name, content, f"{hash(content):x}", 1)


def lines_of(file, settings):
    return read_ledger([file], settings=settings).lines.sort(pl.col("source_row").str.extract("([0-9]+)").cast(pl.Int64))


def settings_of(name, make_settings, **ledger):
    _, _, account, currency, _, _ = EXPORTS[name]
    settings = make_settings(accounts=((account, currency),), **ledger)
    return settings.model_copy(update={"entity": settings.entity.model_copy(update={"currency": currency})})


def test_every_shipped_profile_has_its_export_here():
    assert {path.stem for path in PROFILES.glob("*.toml")} == set(EXPORTS)


@pytest.mark.parametrize("name", EXPORTS)
def test_an_export_is_recognized_read_and_proved_by_itself(name, make_settings):
    text, encoding, _, currency, amounts, proofs = EXPORTS[name]
    settings = settings_of(name, make_settings)

    (export,) = read_export(file_of(text, encoding), ledger_profiles(settings), settings=settings)
    lines = lines_of(file_of(text, encoding), settings)

    assert export.table.layout.profile.name == name
    assert export.table.layout.confidence >= 0.8 or name == "plain"
    assert [format_minor(amount, currency) for amount in lines["amount_minor"]] == amounts
    assert [proof for proof, holds in export.proofs if holds] == proofs
    assert set(lines["month"]) == {"2026-10"}


@pytest.mark.parametrize("name", EXPORTS)
def test_the_same_export_as_a_workbook_gives_the_same_lines(name, make_settings, make_workbook):
    text, _, _, currency, amounts, _ = EXPORTS[name]
    delimiter = next(mark for mark in ("\t", "|", ";", ",") if mark in text.splitlines()[-1])
    rows = list(csv.reader(io.StringIO(text), delimiter=delimiter))
    file = InboxFile("inbox/ledger/a.xlsx", make_workbook({"Export": rows}), "x", 1)

    lines = lines_of(file, settings_of(name, make_settings))

    assert [format_minor(amount, currency) for amount in lines["amount_minor"]] == amounts


@pytest.mark.parametrize("name", SELF_PROVING)
def test_an_export_with_one_altered_amount_contradicts_itself(name, make_settings):
    text, encoding, _, _, _, _ = EXPORTS[name]
    amount = next(amount for amount in ("1,250.00", "1.250,00", "1250.00", "1250,00", "1,100.00", ",100.00,", '"100.00"', "-2.90") if amount in text)
    altered = text.replace(amount, amount.replace("0", "7", 1), 1)

    with pytest.raises(FileRefusedError, match=r"differs|running balance|debits less credits"):
        read_ledger([file_of(altered, encoding)], settings=settings_of(name, make_settings))


def test_reversals_posters_and_rows_that_post_nothing_are_named(make_settings):
    netsuite = read_ledger([file_of(NETSUITE)], settings=settings_of("netsuite", make_settings))
    central = lines_of(file_of(BUSINESS_CENTRAL), settings_of("business_central", make_settings))
    sap = lines_of(file_of(SAP_S4), settings_of("sap_s4_items", make_settings))

    assert netsuite.set_aside["rule"].to_list() == ["non_posting"]
    assert central.select("document", "reverses_document").rows()[2] == ("JE-1R", "JE-1")
    assert sap.select("reverses_document", "poster").rows() == [(None, "BO"), ("1800000000", "BO")]


def test_a_system_may_be_named_instead_of_one_of_its_exports(make_settings):
    assert [profile.name for profile in ledger_profiles(make_settings(profile="xero"))] == ["xero_account_transactions", "xero_journal", "xero_manual_journal"]


def test_a_row_between_two_mapped_accounts_is_a_line_of_each(make_settings):
    settings = make_settings(accounts=(("1360", "EUR"), ("1361", "EUR")))

    lines = read_ledger(
        [file_of(DATEV, "cp1252")], settings=settings.model_copy(update={"entity": settings.entity.model_copy(update={"currency": "EUR"})})
    ).lines

    assert lines.filter(pl.col("document") == "UMB-1").sort("account").select("account", "amount_minor", "source_row").rows() == [
        ("1360", -1_000, "5"),
        ("1361", 1_000, "5/contra"),
    ]


def test_a_day_outside_the_days_that_datev_states_is_refused(make_settings):
    with pytest.raises(FileRefusedError, match="no day between 2026-10-01 and 2026-10-31") as caught:
        read_ledger([file_of(DATEV.replace(";1510;", ";1511;"), "cp1252")], settings=settings_of("datev", make_settings))

    assert (caught.value.row, caught.value.column) == (4, "Belegdatum")


def test_a_fiscal_year_that_does_not_begin_in_january_is_not_taken_for_the_calendars(make_settings):
    with pytest.raises(FileRefusedError, match=r"\[close\] calendar"):
        read_ledger([file_of(SAP_S4.replace(";010;2026;", ";007;2026;"))], settings=settings_of("sap_s4_items", make_settings))


def test_an_id_that_a_spreadsheet_shortened_is_refused(make_settings):
    with pytest.raises(FileRefusedError, match="a spreadsheet shortened") as caught:
        read_ledger([file_of(SAP_S4.replace("1800000001", "1.8E+09"))], settings=settings_of("sap_s4_items", make_settings))

    assert (caught.value.row, caught.value.column) == (2, "Journal Entry")


def test_an_amount_in_another_currency_than_its_account_is_not_taken_at_its_face(make_settings):
    with pytest.raises(FileRefusedError, match="not the currency of the account"):
        read_ledger([file_of(DATEV.replace("1.250,00;S;EUR", "1.250,00;S;USD"), "cp1252")], settings=settings_of("datev", make_settings))
