"""CSV files as spreadsheets take them: text is never a formula, and a number stays a number."""

import csv
import io
import re
import shutil
import subprocess
import zipfile
from pathlib import Path
from xml.etree import ElementTree as ET

import polars as pl
import pytest

from reconciliation.close.csv_file import csv_bytes
from reconciliation.money import parse_minor

STARTS = ["=", "+", "-", "@", "\t=", "\r=", "\n=", "\0=", "＝", "＋", "－", "＠"]
BODIES = [
    "1+1", "cmd|'/C calc'!A0", 'HYPERLINK("http://example.invalid";"pay here")', "SUM(A1:A9)", "2+5+cmd|' /C calc'!A0", 'IMPORTXML("http://example.invalid")',
    "DDE(\"cmd\";\"/C calc\")", "A1&B1",
]  # fmt: skip
PAYLOADS = [start + body for start in STARTS for body in BODIES] + ["Miller;=1+1", "Miller;\t@SUM(1)", "refund\t=1+1", "a;-2+3;+4"]
FORMULA = re.compile(r"^[=+\-@\t\r\n\0＝＋－＠]")
AMOUNTS = [-1230, 5, 0, -5, 123456789, -100] * 17
NAMES = ["Ünal & Söhne", "株式会社", "O'Brien", 'the "Shop"', "a,b", "001234", "1E5", "2026-10-31x"]


def write(texts: list[str]) -> bytes:
    frame = pl.DataFrame({"item": texts, "amount": (AMOUNTS * len(texts))[: len(texts)], "currency": "GBP", "reasons": [[text, "plain"] for text in texts]})
    return csv_bytes(frame, ["item", "amount", "currency", "reasons"], money={"amount": "currency"})


def rows_of(content: bytes, delimiter: str = ",") -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), delimiter=delimiter))[1:]


def test_100_formulas_are_neutralized_and_their_numbers_stay_numbers():
    assert len(PAYLOADS) == 100
    rows = rows_of(write(PAYLOADS))
    assert [cell for row in rows for cell in (row[0], row[3]) if FORMULA.search(cell)] == []
    assert [parse_minor(row[1], "GBP") for row in rows] == AMOUNTS[:100]
    assert rows[0][:2] == ["'=1+1", "-12.30"]


def test_no_formula_begins_behind_a_separator_of_another_country():
    """An Excel whose separator is a semicolon splits there, and takes quotes in the middle of a line for text."""
    text = write(PAYLOADS).decode("utf-8-sig")
    for line in text.split("\r\n")[1:-1]:
        assert [cell for cell in re.split("[;\t]", line)[1:] if FORMULA.search(cell)] == []


def test_text_that_is_no_formula_is_left_alone():
    assert [row[0] for row in rows_of(write(NAMES))] == NAMES


def cells_of_workbook(path: Path) -> list[list[tuple[str, str]]]:
    """Return (kind, text) of every cell: `n` a number, `s` text, `f` a formula."""
    space = {"x": "http://schemas.openxmlformats.org/spreadsheetml/2006/main"}
    with zipfile.ZipFile(path) as book:
        shared = ["".join(part.text or "" for part in entry.iter(f"{{{space['x']}}}t")) for entry in ET.fromstring(book.read("xl/sharedStrings.xml"))]
        sheet = ET.fromstring(book.read("xl/worksheets/sheet1.xml"))
    found = []
    for row in sheet.iterfind(".//x:row", space):
        cells = []
        for cell in row.iterfind("x:c", space):
            value = cell.findtext("x:v", default="", namespaces=space)
            kind = "f" if cell.find("x:f", space) is not None else "s" if cell.get("t") == "s" else "n"
            cells.append((kind, shared[int(value)] if kind == "s" else value))
        found.append(cells)
    return found


@pytest.mark.skipif(shutil.which("soffice") is None, reason="LibreOffice is not installed")
def test_libreoffice_opens_the_file_with_text_as_text_and_amounts_as_numbers(tmp_path):
    texts = PAYLOADS + [name for name in NAMES if not name[0].isdigit()]
    content = write(texts)
    (tmp_path / "open_items.csv").write_bytes(content)
    # Comma, double quote, UTF-8, from the first row: what the import dialog proposes for a file with a byte-order mark.
    command = [
        "soffice",
        "--infilter=CSV:44,34,76,1",
        f"-env:UserInstallation=file://{tmp_path}/profile",
        "--headless",
        "--convert-to",
        "xlsx",
        "--outdir",
        str(tmp_path),
        "open_items.csv",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert (tmp_path / "open_items.xlsx").exists(), done.stdout + done.stderr
    header, *rows = cells_of_workbook(tmp_path / "open_items.xlsx")
    assert header == [("s", "item"), ("s", "amount"), ("s", "currency"), ("s", "reasons")]
    assert [row[0][1] for row in rows] == [row[0] for row in rows_of(content)]
    assert {kind for row in rows for kind, _ in (row[0], row[2], row[3])} == {"s"}
    assert [(kind, round(float(text) * 100)) for kind, text in (row[1] for row in rows)] == [("n", amount) for amount in (AMOUNTS * 2)[: len(rows)]]
