"""Ledger exports as workbooks: every cell is read as text, and a row is named as a spreadsheet shows it."""

import importlib.util
import io
import zipfile
from pathlib import Path

import pytest

from reconciliation.connectors.inbox import InboxFile
from reconciliation.connectors.ledger.reader import read_ledger
from reconciliation.errors import FileRefusedError

spec = importlib.util.spec_from_file_location("workbooks", Path(__file__).parents[3] / "workbooks.py")
workbooks = importlib.util.module_from_spec(spec)
spec.loader.exec_module(workbooks)
workbook = workbooks.workbook

HEADER = ["Date", "Period", "Type", "Document Number", "Account", "Memo", "Debit", "Credit"]


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
