"""Damaged exports are read exactly or refused with their place, never read wrongly."""

import pytest

from reconciliation.connectors.ledger.reader import read_ledger
from reconciliation.errors import FileRefusedError

HEADER = "Internal ID,Date,Period,Type,Document Number,Name,Account,Memo,Debit,Credit,Currency"
ROW = "9001,{date},Oct 2026,Payment,{document},Ada,1050 Stripe Clearing,INV-1,{debit},{credit},{currency}"


def row(document="PYMT-1", date="14/10/2026", debit="100.00", credit="", currency="GBP"):
    cell = '"{}"'.format
    return ROW.format(
        date=date, document=document, debit=cell(debit) if "," in debit else debit, credit=cell(credit) if "," in credit else credit, currency=currency
    )


def text(*rows, header=HEADER):
    return "\n".join((header, *rows)) + "\n"


READ = {
    "utf-8 with a byte-order mark": (text(row()).encode("utf-8-sig"), 10_000),
    "utf-16 little endian with a mark": (text(row()).encode("utf-16"), 10_000),
    "utf-16 big endian with a mark": (b"\xfe\xff" + text(row()).encode("utf-16-be"), 10_000),
    "utf-16 without a mark": (text(row()).encode("utf-16-le"), 10_000),
    "cp1252": (text(row().replace("Ada", "Zoë €")).encode("cp1252"), 10_000),
    "carriage returns only": (text(row()).replace("\n", "\r").encode(), 10_000),
    "mixed line ends": ((HEADER + "\r\n" + row() + "\n" + row("PYMT-2") + "\r").encode(), 20_000),
    "a line break inside a quoted cell": (text(row().replace("INV-1", '"INV-1\nsecond line"')).encode(), 10_000),
    "semicolons": (text(row()).replace(",", ";").encode(), 10_000),
    "tabs": (text(row()).replace(",", "\t").encode(), 10_000),
    "a separator line": (("sep=;\n" + text(row()).replace(",", ";")).encode(), 10_000),
    "a preamble": (("Example Ltd\nGeneral ledger\nOct 2026\n\n" + text(row())).encode(), 10_000),
    "a repeated header": (text(row(), HEADER, row("PYMT-2")).encode(), 20_000),
    "a total row": (text(row(), row("PYMT-2", debit="", credit="30.00"), "Total,,,,,,,,100.00,30.00,").encode(), 7_000),
    "a short total row": (text(row(), "Overall Total,,,,,,,,100.00").encode(), 10_000),
    "a footer": (text(row(), "End of report").encode(), 10_000),
    "blank rows": (text(row(), ",,,,,,,,,,", "", row("PYMT-2")).encode(), 20_000),
    "reordered columns": (b"Date,Type,Document Number,Account,Credit,Debit\n14/10/2026,Payment,P-1,1050 Stripe Clearing,,100.00\n", 10_000),
    "an added column": (text(row() + ",x", header=HEADER + ",Custom Field").encode(), 10_000),
    "points for thousands": (text(row(debit="1.234,56")).encode(), 123_456),
    "apostrophes for thousands": (text(row(debit="1'234.56")).encode(), 123_456),
    "no-break spaces for thousands": (text(row(debit="1\u00a0234,56")).encode(), 123_456),
    "thin spaces for thousands": (text(row(debit="1\u202f234,56")).encode(), 123_456),
    "indian grouping": (text(row(debit="12,34,567.00")).encode(), 123_456_700),
    "parentheses": (text(row(debit="(5.00)")).encode(), -500),
    "a trailing minus": (text(row(debit="5.00-")).encode(), -500),
    "a unicode minus": (text(row(debit="\u22125.00")).encode(), -500),
    "a currency symbol": (text(row(debit="£5.00")).encode(), 500),
    "full-width digits": (text(row(debit="１２.５０")).encode(), 1_250),
    "arabic digits": (text(row(debit="٥٫٠٠")).encode(), 500),
    "credit in the credit column": (text(row(debit="", credit="5.00 CR")).encode(), -500),
    "a dash for nothing": (text(row(debit="5.00", credit="-")).encode(), 500),
    "zero on the other side": (text(row(debit="5.00", credit="0.00")).encode(), 500),
    "named months": (text(row(date="1-Oct-2026")).encode(), 10_000),
    "the Amount column beside debit and credit": (text(row(debit="", credit="5.00") + ",-5.00", header=HEADER + ",Amount").encode(), -500),
}  # fmt: skip

REFUSED = {
    "empty": (b"", None, None),
    "gzip": (b"\x1f\x8b\x08\x00abc", None, None),
    "zip under a csv name": (b"PK\x03\x04abc", None, None),
    "a NUL character": (text(row()).encode().replace(b"Ada", b"A\x00a"), 2, None),
    "two encodings": (text(row(), row("PYMT-2")).replace("Ada", "Zoë", 1).encode() + row("PYMT-3").replace("Ada", "Zoë").encode("cp1252"), 4, None),
    "an unclosed quote": (text(row(), row("PYMT-2").replace("INV-1", '"INV-1')).encode(), 3, None),
    "a cell too many": (text(row(), row("PYMT-2") + ",surplus").encode(), 3, None),
    "a file cut short": (text(row()).encode() + b"9002,15/10/2026,Oct", 3, None),
    "a file cut in its first cell": (text(row()).encode() + b"9002", 3, None),
    "no header": (row().encode() + b"\n", 1, None),
    "a missing document column": (text(row()).replace("Document Number", "Docket").encode(), 1, None),
    "a missing credit column": (text(row()).replace("Credit", "Kredit").encode(), 1, None),
    "a duplicate header": (text(row() + ",1.00", header=HEADER + ",Debit").encode(), 1, "Debit"),
    "a misspelt money header": (text(row() + ",1.00", header=HEADER + ",Amount (Foreign Curency)").encode(), 1, "Amount (Foreign Curency)"),
    "thousands or decimals": (text(row(debit="1,234")).encode(), 2, "Debit"),
    "two decimal marks": (text(row(debit="1,234.50"), row("PYMT-2", debit="2,50")).encode(), 3, "Debit"),
    "excess decimals": (text(row(debit="1.005"), row("PYMT-2")).encode(), 2, "Debit"),
    "more decimals than any currency": (text(row(debit="1.23456")).encode(), 2, "Debit"),
    "an exponent": (text(row(debit="1.5e3")).encode(), 2, "Debit"),
    "not a number": (text(row(debit="NaN")).encode(), 2, "Debit"),
    "infinity": (text(row(debit="inf")).encode(), 2, "Debit"),
    "two signs": (text(row(debit="(-5.00)")).encode(), 2, "Debit"),
    "credit in the debit column": (text(row(debit="5.00 CR")).encode(), 2, "Debit"),
    "another currency's symbol": (text(row(debit="€5.00")).encode(), 2, "Debit"),
    "an amount beyond the bound": (text(row(debit="99999999999999.00")).encode(), 2, "Debit"),
    "an amount of 10^38": (text(row(debit="1" + "0" * 38)).encode(), 2, "Debit"),
    "debit and credit both filled": (text(row(debit="5.00", credit="4.00")).encode(), 2, "Credit"),
    "neither debit nor credit": (text(row(debit="")).encode(), 2, "Debit / Credit"),
    "an amount that is not debit less credit": (text(row() + ",99.00", header=HEADER + ",Amount").encode(), 2, "Amount"),
    "a total row that differs": (text(row(), "Total,,,,,,,,100.01,,").encode(), 3, "Debit"),
    "a day that does not exist": (text(row(), row("PYMT-2", date="31/02/2026")).encode(), 3, "Date"),
    "ambiguous dates": (text(row(date="03/04/2026")).encode(), 2, "Date"),
    "two date orders": (text(row(), row("PYMT-2", date="10/14/2026")).encode(), 3, "Date"),
    "a two-digit year": (text(row(date="14/10/26")).encode(), 2, "Date"),
    "a spreadsheet's day number": (text(row(date="46296")).encode(), 2, "Date"),
    "an empty date": (text(row(date="")).encode(), 2, "Date"),
    "an empty account": (text(row().replace("1050 Stripe Clearing", "")).encode(), 2, "Account"),
    "no posting period": (text(row().replace("Oct 2026", "Q4 2026")).encode(), 2, "Period"),
    "no currency code": (text(row(currency="Pounds")).encode(), 2, "Currency"),
    "a currency the account is not listed in": (text(row(currency="E1R")).encode(), 2, "Currency"),
    "a huge cell": (text(row().replace("INV-1", "x" * 70_000)).encode(), 2, "column 8"),
    "a cell beyond the reader's limit": (text(row().replace("INV-1", "x" * 200_000)).encode(), None, None),
    "too many columns": (("x," * 1_100 + "x\n").encode(), 1, None),
}  # fmt: skip


@pytest.mark.parametrize(("content", "total"), READ.values(), ids=READ.keys())
def test_what_can_be_read_is_read_exactly(export, settings, content, total):
    reading = read_ledger([export(content=content)], settings=settings)

    assert reading.lines["amount_minor"].sum() == total


@pytest.mark.parametrize(("content", "place", "column"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_read_exactly_is_refused_with_its_place(export, settings, content, place, column):
    with pytest.raises(FileRefusedError) as caught:
        read_ledger([export(content=content)], settings=settings)

    if place is not None:
        assert (caught.value.row, caught.value.column) == (place, column)
    assert len(caught.value.message) > 10


def test_several_faults_are_reported_at_once_and_the_first_gives_the_place(export, settings):
    rows = [row(f"P-{n}", debit="1e3") for n in range(40)]

    with pytest.raises(FileRefusedError) as caught:
        read_ledger([export(*rows, row("P-x", debit="ten"), row("P-y", date="31/02/2026"))], settings=settings)

    assert (caught.value.row, caught.value.column) == (2, "Debit")
    assert "a.csv:42 [Debit]: 'ten'" in caught.value.message
    assert "a.csv:43 [Date]" in caught.value.message


def test_the_operator_decides_ambiguous_dates(export, make_settings):
    file = export(row(date="03/04/2026"))

    days = [read_ledger([file], settings=make_settings(day_first=day_first)).lines["posting_on"].item().month for day_first in (True, False)]

    assert days == [4, 3]


def test_the_operators_answer_does_not_overrule_the_file(export, make_settings):
    lines = read_ledger([export(row(date="10/14/2026"))], settings=make_settings(day_first=True)).lines

    assert lines["posting_on"].item().month == 10


def test_whole_yen_with_thousands_are_not_ambiguous(export, make_settings):
    settings = make_settings(accounts=(("1050 Stripe Clearing", "JPY"),))
    settings = settings.model_copy(update={"entity": settings.entity.model_copy(update={"currency": "JPY"})})

    assert read_ledger([export(row(debit="1,234", currency="JPY"))], settings=settings).lines["amount_minor"].to_list() == [1_234]
