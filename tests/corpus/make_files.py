"""Malformed and hostile ledger and bank files, each with what must come of it. `python tests/corpus/make_files.py FOLDER` writes them all.

A case is `exact` (these totals and no others), `refused` (with row and column where the fault has one place), or `either`: a file of which
nobody can say beforehand whether the change shows, and which may be refused or read to the true totals, never to others.
"""

import gzip
import io
import lzma
import random
import re
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

HEADER = ["Internal ID", "Date", "Period", "Type", "Document Number", "Name", "Account", "Memo", "Debit", "Credit", "Currency"]
ACCOUNT = "1050 Stripe Clearing"
DIALECTS = {"comma": (",", ".", "utf-8"), "semicolon": (";", ",", "cp1252"), "tab": ("\t", ",", "utf-16")}
ROWS = 12
PLACES = (0, 5, ROWS - 1)
SAMPLES = Path(__file__).parents[1] / "samples"


@dataclass(frozen=True)
class Case:
    """A file and what must come of it."""

    kind: str
    name: str
    content: bytes
    outcome: str
    net: dict[str, str] | None = None
    row: int | None = None
    column: str | None = None


def records() -> list[list[str]]:
    """Return the rows of a sound export, money as minor units in `Debit` and `Credit`."""
    found = []
    for number in range(ROWS):
        money = str(123_456 + 1_017 * number)
        debit, credit = ("", money) if number % 4 == 3 else (money, "")
        found.append(
            ["9" + str(number), f"{13 + number}/10/2026", "Oct 2026", "Payment", f"PYMT-{number}", "Ada", ACCOUNT, f"INV-{number}", debit, credit, "GBP"]
        )
    return found


def net_of(rows: list[list[str]]) -> str:
    """Return the true net of rows as `records` gives them."""
    return show(sum(int(row[8] or 0) - int(row[9] or 0) for row in rows))


def show(minor: int, mark: str = ".") -> str:
    """Write minor units with two decimals."""
    return ("-" if minor < 0 else "") + f"{abs(minor) // 100}{mark}{abs(minor) % 100:02d}"


def table(rows: list[list[str]], dialect: str, header: list[str] | None = None) -> list[str]:
    """Write rows as lines of text in a dialect; money cells of digits only become decimals."""
    delimiter, mark, _ = DIALECTS[dialect]

    def write(cell: str, place: int) -> str:
        text = show(int(cell), mark) if place in (8, 9) and cell.isdigit() and cell.isascii() else cell
        return '"' + text.replace('"', '""') + '"' if delimiter in text or "\n" in text or '"' in text else text

    return [delimiter.join(write(cell, place) for place, cell in enumerate(row)) for row in [header or HEADER, *rows]]


def encode(lines: list[str], dialect: str) -> bytes:
    """Encode lines as the dialect's system does."""
    return ("\r\n".join(lines) + "\r\n").encode(DIALECTS[dialect][2])


Change = Callable[[list[str], str], list[str]]


def set_cell(place: int, text: str) -> Change:
    """Return a change that puts a text into one cell; `{mark}` becomes the decimal mark."""
    return lambda row, dialect: [text.replace("{mark}", DIALECTS[dialect][1]) if index == place else cell for index, cell in enumerate(row)]


def set_money(text: str) -> Change:
    """Return a change that puts a text into Debit and empties Credit."""
    return lambda row, dialect: [*row[:8], text.replace("{mark}", DIALECTS[dialect][1]), "", *row[10:]]


CELL_FAULTS: dict[str, tuple[Change, str]] = {
    "excess decimals": (set_money("1{mark}2345"), "Debit"),
    "an exponent": (set_money("1{mark}5e3"), "Debit"),
    "two signs": (set_money("(-5{mark}00)"), "Debit"),
    "a word for a number": (set_money("ten"), "Debit"),
    "not a number": (set_money("NaN"), "Debit"),
    "infinity": (set_money("-inf"), "Debit"),
    "a formula for a number": (set_money("=1+1"), "Debit"),
    "a hexadecimal number": (set_money("0x10"), "Debit"),
    "two decimal marks in a number": (set_money("1{mark}2{mark}3"), "Debit"),
    "an amount beyond any bound": (set_money("9" * 30), "Debit"),
    "a credit in the debit column": (set_money("5{mark}00 CR"), "Debit"),
    "another currency's sign": (set_money("€5{mark}00"), "Debit"),
    "neither debit nor credit": (set_money(""), "Debit / Credit"),
    "a day that does not exist": (set_cell(1, "31/02/2026"), "Date"),
    "another way to write a day": (set_cell(1, "2026-10-14"), "Date"),
    "a spreadsheet's day number": (set_cell(1, "46309"), "Date"),
    "no day": (set_cell(1, ""), "Date"),
    "a day and a joke": (set_cell(1, "yesterday"), "Date"),
    "no account": (set_cell(6, ""), "Account"),
    "no posting period": (set_cell(2, "Q4 2026"), "Period"),
    "no currency code": (set_cell(10, "Pounds"), "Currency"),
    "an id that a spreadsheet shortened": (set_cell(4, "1.8E+09"), "Document Number"),
}

READABLE_MONEY = {
    "a minus of typographers": ("\u22125{mark}00", -500), "parentheses": ("(5{mark}00)", -500), "a trailing minus": ("5{mark}00-", -500),
    "no-break spaces": ("1\u00a0234{mark}50", 123_450), "full-width digits": ("１２{mark}５０", 1_250), "a currency's sign": ("£5{mark}00", 500),
    "debit said": ("5{mark}00 DR", 500), "zeros behind": ("5{mark}0000", 500),
}  # fmt: skip

HOSTILE_TEXTS = (
    "=cmd|'/c calc'!A1", "+1+1", "@SUM(A1)", "'; DROP TABLE ledger_lines; --", "$(touch /tmp/owned)", "{{7*7}}", "%s%s%n", "<script>alert(1)</script>",
    "../../etc/passwd", "\u202egnp.exe", "${jndi:ldap://x}", "a\u0007bell", "line\nbreak",
)  # fmt: skip


def cell_faults() -> Iterator[Case]:
    """Yield a fault in one cell, at three places in three dialects."""
    for kind, (change, column) in CELL_FAULTS.items():
        for dialect in DIALECTS:
            for place in PLACES:
                rows = records()
                if kind == "another currency's sign" and dialect == "tab":
                    continue
                rows[place] = change(rows[place], dialect)
                yield Case(kind, f"{dialect}-{place}.csv", encode(table(rows, dialect), dialect), "refused", row=place + 2, column=column)


def readable_cells() -> Iterator[Case]:
    """Yield cells that look odd and can be read in one way only."""
    for kind, (text, minor) in READABLE_MONEY.items():
        for dialect in ("comma", "tab"):
            rows = records()
            rows[5] = set_money(text)(rows[5], dialect)
            true = show(sum(int(row[8] or 0) - int(row[9] or 0) for row in records()) - int(records()[5][8]) + minor)
            yield Case(
                "odd and readable",
                f"{kind.replace(' ', '-').replace(chr(39), '')}-{dialect}.csv",
                encode(table(rows, dialect), dialect),
                "exact",
                {"GBP": true},
            )


def hostile_texts() -> Iterator[Case]:
    """Yield texts that other programs would execute; here they are texts, in memos, names and ids."""
    for number, text in enumerate(HOSTILE_TEXTS):
        for place in (4, 5, 7):
            rows = records()
            rows[5] = [text if index == place else cell for index, cell in enumerate(rows[5])]
            yield Case("a text to be executed", f"{number}-{place}.csv", encode(table(rows, "comma"), "comma"), "exact", {"GBP": net_of(records())})


def broken_tables() -> Iterator[Case]:
    """Yield tables whose form is broken."""
    for dialect, (delimiter, _, _) in DIALECTS.items():
        lines = table(records(), dialect)
        for place in PLACES:
            row = place + 2
            at = place + 1
            longer = [*lines[:at], lines[at] + delimiter + "x", *lines[at + 1 :]]
            yield Case("a cell too many", f"{dialect}-{place}.csv", encode(longer, dialect), "refused", row=row)
            shorter = [*lines[:at], delimiter.join(lines[at].split(delimiter)[:6]), *lines[at + 1 :]]
            yield Case("cells too few", f"{dialect}-{place}.csv", encode(shorter, dialect), "refused", row=row)
            opened = [*lines[:at], lines[at].replace("Ada", '"Ada'), *lines[at + 1 :]]
            yield Case("a quote that is not closed", f"{dialect}-{place}.csv", encode(opened, dialect), "refused")
            odd = [*lines[:at], lines[at].replace("Ada", '"A"da'), *lines[at + 1 :]]
            yield Case("a quote inside a cell", f"{dialect}-{place}.csv", encode(odd, dialect), "refused", row=row)
        encoded = encode(lines, dialect)
        for cut in (0.3, 0.6, 0.9):
            yield Case("a file cut short", f"{dialect}-{cut}.csv", encoded[: int(len(encoded) * cut) // 2 * 2], "refused")
        for header, kind in (
            (["Debbit" if name == "Debit" else name for name in HEADER], "a money header misspelt"),
            ([*HEADER[:9], "Debit", *HEADER[10:]], "a header twice"),
        ):
            yield Case(kind, f"{dialect}.csv", encode(table(records(), dialect, header), dialect), "refused", row=1)
        for name in ("Date", "Account", "Document Number"):
            renamed = ["Column" if cell == name else cell for cell in HEADER]
            yield Case(
                "a column without its name", f"{dialect}-{name.replace(' ', '')}.csv", encode(table(records(), dialect, renamed), dialect), "refused", row=1
            )


def broken_bytes() -> Iterator[Case]:
    """Yield files whose bytes are damaged, mixed or packed."""
    text = encode(table(records(), "comma"), "comma")
    for place in PLACES:
        name = f"PYMT-{place},".encode()
        yield Case("a NUL character", f"{place}.csv", text.replace(name + b"Ada", name + b"A\x00a"), "refused", row=place + 2)
        mixed = text.replace(b"PYMT-7,Ada", "PYMT-7,Zoë".encode()).replace(name + b"Ada", name + "Zoë".encode("cp1252"))
        yield Case("two encodings", f"{place}.csv", mixed, "refused")
        yield Case("bytes of no encoding", f"{place}.csv", text.replace(name + b"Ada", name + b"A\x81a"), "refused", row=place + 2)
    for name, packed in {
        "gzip": gzip.compress(text, mtime=0),
        "xz": lzma.compress(text),
        "zip": b"PK\x03\x04" + text,
        "bzip2": b"BZh9" + text,
        "old workbook": b"\xd0\xcf\x11\xe0" + text,
    }.items():
        yield Case("a packed file", f"{name.replace(' ', '-')}.csv", packed, "refused")
    for name, content in {
        "nothing": b"",
        "a mark only": b"\xef\xbb\xbf",
        "blanks": b" \n\n ",
        "a web page": b"<html><body>Session expired</body></html>",
        "a picture": b"\x89PNG\r\n\x1a\n" + bytes(range(1, 200)),
    }.items():
        yield Case("no table at all", f"{name.replace(' ', '-')}.csv", content, "refused")
    yield Case("no rows", "header.csv", encode(table([], "comma"), "comma"), "exact", {})
    yield Case("a huge cell", "cell.csv", text.replace(b"INV-5", b"x" * 70_000), "refused")
    yield Case("a huge cell", "beyond.csv", text.replace(b"INV-5", b"x" * 200_000), "refused")
    yield Case("too many columns", "one-more.csv", b",".join([b"x"] * 1_001) * 2, "refused")
    yield Case("too many columns", "columns.csv", (b"x," * 5_000 + b"x\n") * 3, "refused")
    yield Case("a huge cell", "line.csv", b"x" * 5_000_000, "refused")


def workbooks() -> Iterator[Case]:
    """Yield archives that unpack to too much, or to nothing."""

    def archive(parts: dict[str, bytes]) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
            for name, content in parts.items():
                packed.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
        return buffer.getvalue()

    bomb = archive({"xl/worksheets/sheet1.xml": b"0" * 120_000_000})
    yield Case("a bomb", "small.xlsx", archive({"xl/worksheets/sheet1.xml": b"0" * 2_000_000}), "refused")
    yield Case("a bomb", "ratio.xlsx", bomb, "refused")
    yield Case("a bomb", "many.xlsx", archive({f"xl/worksheets/sheet{n}.xml": b"0" * 3_000_000 for n in range(40)}), "refused")
    yield Case("a damaged workbook", "cut.xlsx", bomb[: len(bomb) // 2], "refused")
    yield Case("a damaged workbook", "empty.xlsx", archive({}), "refused")
    yield Case("a damaged workbook", "foreign.xlsx", archive({"hello.txt": b"hello"}), "refused")
    yield Case("a damaged workbook", "climbing.xlsx", archive({"../../etc/passwd": b"root"}), "refused")
    flipped = bytearray(archive({"xl/workbook.xml": b"<workbook/>" * 100}))
    flipped[45] ^= 0xFF
    yield Case("a damaged workbook", "flipped.xlsx", bytes(flipped), "refused")


GENERAL_LEDGER = (SAMPLES / "quickbooks_general_ledger.csv").read_text(encoding="utf-8")
JOURNAL = (SAMPLES / "quickbooks_journal.csv").read_text(encoding="utf-8")
MT940 = (SAMPLES / "statement.sta").read_text(encoding="utf-8")
BAI2 = (SAMPLES / "statement.bai").read_text(encoding="utf-8")
CAMT = (SAMPLES / "statement.xml").read_text(encoding="utf-8")
PROVED = {
    "general-ledger.csv": (GENERAL_LEDGER, {"GBP": "1247.10"}), "journal.csv": (JOURNAL, {"GBP": "1247.10"}), "statement.sta": (MT940, {"GBP": "1100.00"}),
    "statement.bai": (BAI2, {"USD": "1150.00"}), "statement.xml": (CAMT, {"GBP": "1120.25"}),
}  # fmt: skip


def altered_proofs() -> Iterator[Case]:
    """Yield files that prove themselves, with a line lost, repeated, or a digit of their money changed."""
    for name, (text, net) in PROVED.items():
        yield Case("sound and proved", name, text.encode(), "exact", net)
        generator = random.Random(name)
        lines = text.splitlines(keepends=True)
        for number in range(12):
            place = generator.randrange(len(lines))
            lost = "".join(lines[:place] + lines[place + 1 :])
            yield Case("a line lost", f"{number}-{name}", lost.encode(), "either", net)
            twice = "".join(lines[: place + 1] + lines[place:])
            yield Case("a line twice", f"{number}-{name}", twice.encode(), "either", net)
            spots = [found.start() for found in re.finditer(r"\d(?=\d*[.,]\d\d\b)|(?<=[.,]\d)\d\b|(?<=,)\d(?=\d{3,},)", text)]
            spot = generator.choice(spots)
            digit = str((int(text[spot]) + generator.randrange(1, 10)) % 10)
            yield Case("a digit changed", f"{number}-{name}", (text[:spot] + digit + text[spot + 1 :]).encode(), "either", net)
            cut = generator.randrange(1, len(text) - 1)
            yield Case("a proved file cut short", f"{number}-{name}", text[:cut].encode(), "either", net)


def hostile_xml() -> Iterator[Case]:
    """Yield XML that reaches out or swells."""
    laughs = '<!DOCTYPE d [<!ENTITY a "aaaaaaaaaa">' + "".join(f'<!ENTITY a{n} "{f"&a{n - 1 or str()};" * 10}">' for n in range(1, 12)) + "]>"
    for name, prolog, cell in (
        ("laughs", laughs, "&a11;"),
        ("file", '<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]>', "&x;"),
        ("network", '<!DOCTYPE d [<!ENTITY x SYSTEM "http://127.0.0.1:9/x">]>', "&x;"),
        ("parameter", '<!DOCTYPE d [<!ENTITY % x SYSTEM "http://127.0.0.1:9/x"> %x;]>', "STRIPE"),
    ):
        content = CAMT.replace("?>\n", "?>\n" + prolog, 1).replace("STRIPE", cell, 1)
        yield Case("XML that reaches out", f"{name}.xml", content.encode(), "refused")
    yield Case("XML that reaches out", "deep.xml", ("<a>" * 100_000).encode(), "refused")


def hostile_names() -> Iterator[Case]:
    """Yield a sound file under names that are commands, paths and control characters."""
    content = encode(table(records(), "comma"), "comma")
    for name in (
        "$(touch owned).csv",
        "; rm -rf x.csv",
        "'quote\"d.csv",
        "-rf.csv",
        "a\nb.csv",
        "\u202evsc.csv",
        "x" * 200 + ".csv",
        "{}.csv",
        "%2e%2e%2f.csv",
        "NUL.csv",
        "' OR 1=1 --.csv",
    ):
        yield Case("a hostile name", name, content, "exact", {"GBP": net_of(records())})


def cases() -> list[Case]:
    """Return every case, the same at each call."""
    makers = (cell_faults, readable_cells, hostile_texts, broken_tables, broken_bytes, workbooks, altered_proofs, hostile_xml, hostile_names)
    return [case for maker in makers for case in maker()]


def write_all(folder: Path) -> int:
    """Write every case into a sub-folder named after its kind; return their number."""
    found = cases()
    for case in found:
        place = folder / re.sub(r"\W+", "-", case.kind)
        place.mkdir(parents=True, exist_ok=True)
        (place / case.name).write_bytes(case.content)
    return len(found)


if __name__ == "__main__":
    sys.stdout.write(f"{write_all(Path(sys.argv[1]))} files\n")
