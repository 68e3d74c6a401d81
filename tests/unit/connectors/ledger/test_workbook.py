"""Ledger exports as workbooks: every cell is read as text, and a row is named as a spreadsheet shows it."""

import io
import zipfile

import pytest

from reconciliation.connectors.inbox import InboxFile
from reconciliation.connectors.ledger.reader import read_ledger
from reconciliation.errors import FileRefusedError

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
KIND = "application/vnd.openxmlformats-officedocument.spreadsheetml"
HEADER = ["Date", "Period", "Type", "Document Number", "Account", "Memo", "Debit", "Credit"]


def cell(place, value):
    if isinstance(value, tuple):
        return f'<c r="{place}" s="1"><v>{value[0]}</v></c>'
    if isinstance(value, (int, float)):
        return f'<c r="{place}"><v>{value!r}</v></c>'
    return f'<c r="{place}" t="inlineStr"><is><t>{value}</t></is></c>'


def sheet_xml(rows, first_row):
    lines = (
        f'<row r="{number}">{"".join(cell(f"{chr(65 + index)}{number}", value) for index, value in enumerate(row) if value != "")}</row>'
        for number, row in enumerate(rows, start=first_row)
    )
    return f'<worksheet xmlns="{MAIN}"><sheetData>{"".join(lines)}</sheetData></worksheet>'


def workbook(sheets, *, first_row=1):
    buffer = io.BytesIO()
    numbers = range(1, len(sheets) + 1)
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        parts = "".join(f'<Override PartName="/xl/worksheets/sheet{n}.xml" ContentType="{KIND}.worksheet+xml"/>' for n in numbers)
        archive.writestr(
            "[Content_Types].xml",
            f'<Types xmlns="{PACKAGE}/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            f'<Override PartName="/xl/workbook.xml" ContentType="{KIND}.sheet.main+xml"/>'
            f'<Override PartName="/xl/styles.xml" ContentType="{KIND}.styles+xml"/>{parts}</Types>',
        )
        archive.writestr(
            "_rels/.rels",
            f'<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="r1" Type="{RELATIONS}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        )  # fmt: skip
        names = "".join(f'<sheet name="{name}" sheetId="{n}" r:id="r{n}"/>' for n, name in zip(numbers, sheets, strict=True))
        archive.writestr("xl/workbook.xml", f'<workbook xmlns="{MAIN}" xmlns:r="{RELATIONS}"><sheets>{names}</sheets></workbook>')
        links = "".join(f'<Relationship Id="r{n}" Type="{RELATIONS}/worksheet" Target="worksheets/sheet{n}.xml"/>' for n in numbers)
        links += f'<Relationship Id="rs" Type="{RELATIONS}/styles" Target="styles.xml"/>'
        archive.writestr("xl/_rels/workbook.xml.rels", f'<Relationships xmlns="{PACKAGE}/relationships">{links}</Relationships>')
        archive.writestr(
            "xl/styles.xml", f'<styleSheet xmlns="{MAIN}"><cellXfs><xf numFmtId="0"/><xf numFmtId="14" applyNumberFormat="1"/></cellXfs></styleSheet>'
        )
        for number, rows in zip(numbers, sheets.values(), strict=True):
            archive.writestr(f"xl/worksheets/sheet{number}.xml", sheet_xml(rows, first_row))
    return buffer.getvalue()


def file(content):
    return InboxFile(name="inbox/ledger/a.xlsx", content=content, sha256="0" * 64, delivery=1)


def test_dates_and_numbers_of_a_workbook_are_read_as_people_see_them(settings):
    rows = [HEADER, [(46309,), "Oct 2026", "Payment", "P-1", "1050 Stripe Clearing", "INV-1", 300.29999999999995, ""]]

    lines = read_ledger([file(workbook({"Ledger": rows}, first_row=3))], settings=settings).lines

    assert lines.select("source_file", "source_row", "amount_minor").rows() == [("inbox/ledger/a.xlsx!Ledger", "4", 30_030)]
    assert str(lines["posting_on"].item()) == "2026-10-14"


def test_sheets_that_hold_no_ledger_are_passed_over_and_the_others_all_read(settings):
    october = [HEADER, ["2026-10-14", "Oct 2026", "Payment", "P-1", "1050 Stripe Clearing", "a", "1.00", ""]]
    november = [HEADER, ["2026-11-14", "Nov 2026", "Payment", "P-2", "1050 Stripe Clearing", "b", "2.00", ""]]

    lines = read_ledger([file(workbook({"Notes": [["Exported by Ada", "for the close"]], "Oct": october, "Nov": november}))], settings=settings).lines

    assert lines["source_file"].to_list() == ["inbox/ledger/a.xlsx!Oct", "inbox/ledger/a.xlsx!Nov"]


def test_a_wrong_cell_is_named_with_its_sheet_and_row(settings):
    rows = [HEADER, ["2026-10-14", "Oct 2026", "Payment", "P-1", "1050 Stripe Clearing", "a", "ten", ""]]

    with pytest.raises(FileRefusedError) as caught:
        read_ledger([file(workbook({"Oct": rows}))], settings=settings)

    assert (caught.value.file, caught.value.row, caught.value.column) == ("inbox/ledger/a.xlsx!Oct", 2, "Debit")


def test_a_workbook_that_unpacks_to_many_times_its_size_is_not_opened(settings):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", b"0" * 20_000_000)

    with pytest.raises(FileRefusedError, match="unpacks to"):
        read_ledger([file(buffer.getvalue())], settings=settings)


def test_a_workbook_whose_directory_names_an_unknown_zip_version_is_refused(settings):
    damaged = bytearray(workbook({"Oct": [HEADER]}))
    place = damaged.rindex(b"PK\x01\x02")
    damaged[place + 6] = 231

    with pytest.raises(FileRefusedError, match="damaged workbook"):
        read_ledger([file(bytes(damaged))], settings=settings)
