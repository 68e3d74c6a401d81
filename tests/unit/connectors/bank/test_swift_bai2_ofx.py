"""MT940, MT942, BAI2 and OFX: read to the entries they hold; a file that lost, gained or changed an entry is refused."""

import re
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciliation.connectors.bank.bai2 import read_bai2
from reconciliation.connectors.bank.mt940 import read_mt940
from reconciliation.connectors.bank.ofx import read_ofx
from reconciliation.errors import FileRefusedError

SAMPLES = Path(__file__).parents[3] / "samples"
MT940 = (SAMPLES / "statement.sta").read_text(encoding="utf-8")
BAI2 = (SAMPLES / "statement.bai").read_text(encoding="utf-8")
OFX1 = """\
OFXHEADER:100
DATA:OFXSGML
VERSION:102

<OFX><BANKMSGSRSV1><STMTTRNRS><STMTRS><CURDEF>GBP<BANKACCTFROM><ACCTID>123</BANKACCTFROM>
<BANKTRANLIST><STMTTRN><TRNTYPE>CREDIT<DTPOSTED>20261031000000[+1:CET]<TRNAMT>1200.50<FITID>A1<NAME>STRIPE & CO<MEMO>payout</STMTTRN>
<STMTTRN><TRNTYPE>DEBIT<DTPOSTED>20261031<TRNAMT>-80.25<FITID>A2<NAME>Rent</STMTTRN></BANKTRANLIST>
<LEDGERBAL><BALAMT>1120.25<DTASOF>20261031</LEDGERBAL></STMTRS></STMTTRNRS></BANKMSGSRSV1></OFX>
"""
OFX2 = """\
<?xml version="1.0" encoding="UTF-8"?>
<?OFX OFXHEADER="200" VERSION="211"?>
<OFX><BANKMSGSRSV1><STMTTRNRS><STMTRS><CURDEF>GBP</CURDEF><BANKACCTFROM><ACCTID>123</ACCTID></BANKACCTFROM><BANKTRANLIST>
<STMTTRN><TRNTYPE>CREDIT</TRNTYPE><DTPOSTED>20261031</DTPOSTED><TRNAMT>1200.50</TRNAMT><FITID>A1</FITID><NAME>STRIPE</NAME></STMTTRN>
</BANKTRANLIST></STMTRS></STMTTRNRS></BANKMSGSRSV1></OFX>
"""


def amounts(file):
    return file.lines["amount_minor"].to_list()


def test_a_swift_statement_is_read_with_its_signs_days_and_references():
    file = read_mt940("a.sta", MT940.encode())

    assert amounts(file) == [120_050, -8_025, -2_025]
    assert file.lines.select(pl.col("booked_on").cast(pl.String), "bank_account").row(0) == ("2026-10-14", "GB29NWBK60161331926819")
    assert file.lines["reference"].to_list() == ["B1", "RENT B2", "B3"]
    assert "STRIPE PAYOUT PO-1" in file.lines["description"][0]


def test_an_entry_dated_in_the_year_before_or_after_keeps_its_year():
    text = MT940.replace(":61:2610141014C", ":61:2701021231C").replace("C261031GBP", "C270102GBP")

    assert str(read_mt940("a.sta", text.encode()).lines["booked_on"][0]) == "2026-12-31"


def test_an_interim_report_is_read_and_nothing_of_it_is_booked():
    text = ":20:X\n:25:123\n:28C:1/1\n:34F:GBPD0,00\n:13D:2610141730+0000\n:61:2610141014C5,00NTRFNONREF\n:86:x\n:90C:1GBP5,00\n"
    file = read_mt940("a.sta", text.encode())

    assert (file.profile, amounts(file), file.lines["is_booked"].to_list()) == ("mt942", [500], [False])


SWIFT_FAULTS = {
    "an entry lost": (MT940.replace(":61:2610150115D80,25NMSCRENT//B2\n:86:Rent\n", ""), "but the closing balance is 2100.00"),
    "an amount changed": (MT940.replace("1200,50", "1200,51"), "but the closing balance"),
    "no closing balance": (MT940.replace(":62F:C261031GBP2100,00\n", ""), "closing balance of message 1 is missing"),
    "another currency": (MT940.replace("C261031GBP", "C261031EUR"), "the closing balance in EUR"),
    "an entry that cannot be read": (MT940.replace(":61:2610150115D80,25", ":61:26101501X80,25"), "cannot be read"),
    "excess decimals": (MT940.replace("1200,50", "1200,505"), "more than the 2 decimals"),
    "two amounts in one": (MT940.replace("1200,50", "1,200,50"), "cannot be read"),
    "no statement": (":20:X\n:25:123\n:28C:1/1\n", "holds no statement"),
}


@pytest.mark.parametrize(("text", "said"), SWIFT_FAULTS.values(), ids=SWIFT_FAULTS.keys())
def test_a_swift_statement_that_cannot_be_trusted_is_refused(text, said):
    with pytest.raises(FileRefusedError, match=said):
        read_mt940("a.sta", text.encode())


def test_control_totals_and_balances_of_bai2_are_proved():
    file = read_bai2("a.bai", BAI2.encode())

    assert amounts(file) == [120_000, -5_000]
    assert file.lines.select("description", "reference").row(0) == ("STRIPE PAYOUT continued", "PO-1 CUST")
    assert [name for name, _ in file.proofs] == ["control_totals", "opening_plus_entries_is_closing"]


@pytest.mark.parametrize("line", range(len(BAI2.splitlines())))
def test_a_bai2_file_without_any_one_of_its_records_is_refused(line):
    lines = BAI2.splitlines(keepends=True)

    with pytest.raises(FileRefusedError):
        read_bai2("a.bai", "".join(lines[:line] + lines[line + 1 :]).encode())


@given(st.integers(0, len(re.findall(r"\d", BAI2)) - 1), st.sampled_from("0123456789"))
def test_no_digit_of_a_bai2_amount_can_change_unseen(place, digit):
    spots = [found.start() for found in re.finditer(r"\d", BAI2)]
    altered = BAI2[: spots[place]] + digit + BAI2[spots[place] + 1 :]
    try:
        read = read_bai2("a.bai", altered.encode())
    except FileRefusedError:
        return
    assert [abs(amount) for amount in amounts(read)] == [120_000, 5_000]


@pytest.mark.parametrize("text", [OFX1, OFX2], ids=["version 1", "version 2"])
def test_both_versions_of_ofx_are_read_with_the_day_as_written(text):
    file = read_ofx("a.ofx", text.encode())

    assert amounts(file)[0] == 120_050
    assert {str(day) for day in file.lines["booked_on"]} == {"2026-10-31"}
    assert file.lines["counterparty"][0] in {"STRIPE & CO", "STRIPE"}


OFX_FAULTS = {
    "no currency": (OFX1.replace("<CURDEF>GBP", ""), "names no currency"),
    "a comment around a day": (OFX2.replace("<DTPOSTED>20261031</DTPOSTED>", "<!-- <DTPOSTED>20261031</DTPOSTED> -->"), "no day of booking"),
    "no amount": (OFX1.replace("<TRNAMT>-80.25", ""), "no amount"),
    "an identifier twice": (OFX1.replace("<FITID>A2", "<FITID>A1"), "stands at entry 1 already"),
    "grouped digits": (OFX1.replace("1200.50", "1,200.50"), "not a plain decimal"),
    "a day that does not exist": (OFX1.replace("20261031<TRNAMT>-", "20260231<TRNAMT>-"), "not a date"),
    "cut short": (OFX1[:-60], "not well-formed"),
    "an entity": (OFX2.replace("<OFX>", '<!DOCTYPE OFX [<!ENTITY a "b">]><OFX>').replace("STRIPE", "&a;"), "not well-formed"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "said"), OFX_FAULTS.values(), ids=OFX_FAULTS.keys())
def test_an_ofx_file_that_cannot_be_trusted_is_refused(text, said):
    with pytest.raises(FileRefusedError, match=said):
        read_ofx("a.ofx", text.encode())


def two_statements(*, first_day="20261101", closing="2120.50"):
    """Return OFX1 with a second statement of the account behind it, whose entries add to 1,000.25."""
    dated = OFX1.replace("<BANKTRANLIST>", "<BANKTRANLIST><DTSTART>20261001<DTEND>20261031")
    body = OFX1[OFX1.index("<STMTTRNRS>") : OFX1.index("</BANKMSGSRSV1>")].replace("FITID>A", "FITID>B").replace("20261031", "20261130")
    body = body.replace("<BANKTRANLIST>", f"<BANKTRANLIST><DTSTART>{first_day}<DTEND>20261130").replace("1200.50", "1080.50").replace("1120.25", closing)
    return dated.replace("</BANKMSGSRSV1>", body + "</BANKMSGSRSV1>").encode()


def test_a_statement_of_a_file_opens_with_what_the_one_before_closed_with():
    assert ("opening_plus_entries_is_closing", True) in read_ofx("a.ofx", two_statements()).proofs

    with pytest.raises(FileRefusedError, match=r"opening 1120\.25 \+ entries 1000\.25 = 2120\.50, but the closing balance is 2120\.51 GBP"):
        read_ofx("a.ofx", two_statements(closing="2120.51"))


def test_a_statement_that_leaves_days_out_is_not_tied_to_the_one_before():
    assert ("opening_plus_entries_is_closing", True) not in read_ofx("a.ofx", two_statements(first_day="20261103", closing="9.00")).proofs


def test_an_opening_balance_that_ofx_lists_is_tied_out():
    listed = "</LEDGERBAL><BALLIST><BAL><NAME>Opening balance<DESC>o<BALTYPE>DOLLAR<VALUE>{}</BAL></BALLIST>"

    assert ("opening_plus_entries_is_closing", True) in read_ofx("a.ofx", OFX1.replace("</LEDGERBAL>", listed.format("0.00")).encode()).proofs
    with pytest.raises(FileRefusedError, match="opening 5\\.00"):
        read_ofx("a.ofx", OFX1.replace("</LEDGERBAL>", listed.format("5.00")).encode())
