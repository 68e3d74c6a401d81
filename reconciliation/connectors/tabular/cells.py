"""Bytes of a CSV file or a workbook -> text cells with the row a person sees.

Nothing is guessed by an engine: the encoding is decided for the whole file, every cell stays text, and a record that
does not close its quotes is an error with a place. Limits are checked before anything is parsed.
"""

import csv
import io
import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal

import fastexcel
import polars as pl

from reconciliation.connectors.tabular.faults import Faults
from reconciliation.errors import FileRefusedError

COLUMNS_MAX = 1_000
FIELD_BYTES_MAX = 64 * 1024
UNPACKED_RATIO_MAX = 100
UNPACKED_BYTES_MAX = 512 * 1024**2
DELIMITERS = (",", ";", "\t", "|")
ROWS_A_CHUNK = 50_000
HEAD_CHARACTERS = 4_000_000
"""A header is looked for in this much of a file."""

_COMPRESSED = {b"\x1f\x8b": "gzip", b"PK\x03\x04": "zip", b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz", b"\x28\xb5\x2f\xfd": "zstandard", b"7z\xbc\xaf": "7z"}
_OLD_WORKBOOK = b"\xd0\xcf\x11\xe0"
# Letters of western languages and typographic marks as UTF-8 writes them: beside bytes that are no UTF-8 they show two encodings in one file.
_UTF8_TRACES = re.compile(rb"[\xc3-\xc5][\x80-\xbf]|\xe2\x82\xac|\xe2\x80[\x90-\xa6]")
_MARKUP = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:\?xml|!doctype|html|table|workbook|head|body|meta|style)", re.IGNORECASE)
_SEPARATOR_LINE = re.compile(r"sep=(.)\r?\n?", re.IGNORECASE)


class _TooWideError(FileRefusedError):
    """A row has more columns than are read, whatever its header is."""


@dataclass(frozen=True)
class Body:
    """Records of a table.

    Attributes:
        frame: `row` (1-based, as seen in a spreadsheet) and text columns `c0`, `c1`, …, stripped, blank as "".
        irregular: row -> number of its cells, where it is not the header's.
    """

    frame: pl.DataFrame
    irregular: dict[int, int]


@dataclass(frozen=True)
class CsvGrid:
    """Text of a CSV file, not yet cut into cells."""

    file: str
    text: str
    encoding: str
    delimiters: tuple[str, ...]

    def head(self, *, delimiter: str, count: int) -> list[list[str]]:
        """Return the first records as cut by a delimiter; those before the fault where the text cannot be cut so."""
        found: list[list[str]] = []
        is_cut = len(self.text) > HEAD_CHARACTERS
        try:
            for record in islice(_records(self, delimiter, self.text[:HEAD_CHARACTERS]), count + is_cut):
                found.append([cell.strip() for cell in record])  # noqa: PERF401  # what came before a fault is kept
        except _TooWideError:
            raise
        except FileRefusedError:
            return found
        return found[:-1] if is_cut else found

    def body(self, *, delimiter: str, after_row: int, width: int, quoted: bool = True) -> Body:
        """Read all records behind a row.

        Args:
            delimiter: what separates cells.
            after_row: the header's row.
            width: number of the header's cells.
            quoted: False where the system writes no quoting: then a quote in a cell is a quote, unless cells of the header are quoted.

        Raises:
            FileRefusedError: an unclosed quote, a field over the limit.
        """
        if not quoted and '"' in self.text and '"' not in self._line(after_row):
            return self.body_by_record(delimiter=delimiter, after_row=after_row, width=width, quoted=False)
        if (quick := read_regular(self.text, delimiter=delimiter, after_row=after_row, width=width)) is not None:
            return Body(_strip(self.file, quick), {})
        return self.body_by_record(delimiter=delimiter, after_row=after_row, width=width)

    def _line(self, row: int) -> str:
        return next(islice(io.StringIO(self.text), row - 1, None), "")

    def body_by_record(self, *, delimiter: str, after_row: int, width: int, quoted: bool = True) -> Body:
        """Read all records behind a row one by one, which any quoting allows.

        Raises:
            FileRefusedError: an unclosed quote, a field over the limit.
        """
        columns = [f"c{index}" for index in range(width)]
        irregular: dict[int, int] = {}
        chunks = [pl.DataFrame(schema={"row": pl.Int64, **dict.fromkeys(columns, pl.String)})]
        records = islice(_records(self, delimiter, self.text, quoted=quoted), after_row, None)
        row = after_row + 1
        while chunk := list(islice(records, ROWS_A_CHUNK)):
            if set(map(len, chunk)) != {width}:
                chunk = [_fit(record, row=row + place, width=width, irregular=irregular) for place, record in enumerate(chunk)]
            data = {name: list(cells) for name, cells in zip(columns, zip(*chunk, strict=True), strict=True)}
            numbers = pl.int_range(row, row + len(chunk), eager=True).alias("row")
            chunks.append(pl.DataFrame(data, schema=dict.fromkeys(columns, pl.String)).insert_column(0, numbers))
            row += len(chunk)
        return Body(_strip(self.file, pl.concat(chunks)), irregular)


@dataclass(frozen=True)
class SheetGrid:
    """A sheet of a workbook as text."""

    file: str
    cells: pl.DataFrame
    encoding: str = "xlsx"
    delimiters: tuple[str, ...] = field(default=("",))

    def head(self, *, delimiter: str, count: int) -> list[list[str]]:
        """Return the first rows; a sheet has no delimiter."""
        del delimiter
        return [[(cell or "").strip() for cell in record] for record in self.cells.head(count).rows()]

    def body(self, *, delimiter: str, after_row: int, width: int, quoted: bool = True) -> Body:
        """Return all rows behind a row."""
        del delimiter, quoted
        columns = [f"c{index}" for index in range(width)]
        frame = self.cells.select(self.cells.columns[:width]).rename(dict(zip(self.cells.columns, columns, strict=False)))
        frame = frame.with_columns(pl.all().fill_null("")).with_row_index("row", offset=1).with_columns(pl.col("row").cast(pl.Int64)).slice(after_row)
        return Body(_strip(self.file, frame), {})


Grid = CsvGrid | SheetGrid


def open_grids(file: str, content: bytes) -> list[Grid]:
    """Open a CSV file as one grid, or a workbook as one grid for each visible sheet, named `file!Sheet`.

    Raises:
        FileRefusedError: compressed or unknown content, an encoding that cannot be told, NUL bytes, a bomb.
    """
    if not content.strip():
        raise FileRefusedError(file=file, message="is empty; export it again")
    if content.startswith(b"PK\x03\x04") and file.lower().endswith((".xlsx", ".xlsm")):
        return list(_sheets(file, content))
    if content.startswith(_OLD_WORKBOOK):
        raise FileRefusedError(file=file, message="is a workbook of the old .xls format or has a password; save it as .xlsx or CSV without one")
    if content.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<" and _MARKUP.match(content):
        what = (
            "a workbook of the XML form that some systems call .xls"
            if b"urn:schemas-microsoft-com:office:spreadsheet" in content[:4096]
            else "a web page or XML"
        )
        raise FileRefusedError(file=file, message=f"is {what}, no table; open it in a spreadsheet and save it as .xlsx, or export CSV")
    for magic, name in _COMPRESSED.items():
        if content.startswith(magic):
            raise FileRefusedError(file=file, message=f"is compressed ({name}); unpack it first")
    text, encoding = decode_text(file, content)
    stated = _SEPARATOR_LINE.match(text)
    return [CsvGrid(file, text, encoding, (stated[1],) if stated else DELIMITERS)]


def decode_text(file: str, content: bytes) -> tuple[str, str]:
    """Decode a whole file in one encoding.

    A byte-order mark decides; else every other byte zero means UTF-16; else UTF-8 if all of it is valid; else cp1252.

    Returns:
        The text without its mark, and the encoding's name.

    Raises:
        FileRefusedError: no encoding fits the whole file, two are mixed, or it holds NUL.
    """
    encoding = _encoding_of(content)
    if encoding == "cp1252" and _UTF8_TRACES.search(content):
        raise FileRefusedError(
            file=file, row=_first_foreign_line(content), message="mixes UTF-8 and another encoding; export it again in one encoding, UTF-8 preferred"
        )
    try:
        text = content.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise FileRefusedError(
            file=file, row=line, message=f"byte 0x{content[error.start]:02x} is neither UTF-8 nor {encoding}; export it again, UTF-8 preferred"
        ) from error
    if "\0" in text:
        raise FileRefusedError(file=file, row=text[: text.index("\0")].count("\n") + 1, message="holds a NUL character, as damaged files do; export it again")
    return text, encoding


def _encoding_of(content: bytes) -> str:
    if content.startswith(b"\xef\xbb\xbf"):
        return "utf-8-sig"
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    sample = content[:4096]
    for offset, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        zeros = sample[offset::2].count(0)
        if len(content) % 2 == 0 and zeros * 10 > len(sample) // 2 * 8 and not sample[1 - offset :: 2].count(0):
            return encoding
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"


def _first_foreign_line(content: bytes) -> int:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        return content[: error.start].count(b"\n") + 1
    return 1


def read_regular(text: str, *, delimiter: str, after_row: int, width: int) -> pl.DataFrame | None:
    """Read a text whose every line is a record of the header's width, five times as fast as record by record.

    Polars is asked only where it has no choice to make: one line end, no blank line, quotes at cell borders alone. It is believed only
    if as many rows come out as lines went in, and as many separators as cells need.

    Returns:
        `row` and `c0`, `c1`, …; None where the text is not that plain.
    """
    if "\r" in text:
        text = text.replace("\r\n", "\n")
    if "\r" in text or "\n\n" in text or text.startswith("\n") or not _quotes_are_plain(text, delimiter):
        return None
    start = 0
    for _ in range(after_row):
        start = text.find("\n", start) + 1
        if not start:
            return None
    body = text[start:].removesuffix("\n")
    if not body:
        return None
    columns = [f"c{index}" for index in range(width)]
    try:
        frame = pl.read_csv(
            body.encode(), has_header=False, new_columns=columns, separator=delimiter, quote_char='"', infer_schema=False, empty_string_is_null=False,
            extra_columns="raise", schema=dict.fromkeys(columns, pl.String), raise_if_empty=False,
        )  # fmt: skip
    except (pl.exceptions.ComputeError, pl.exceptions.SchemaError, pl.exceptions.ShapeError):
        return None
    if frame.height != body.count("\n") + 1 or frame.width != width:
        return None
    inside = frame.select(pl.sum_horizontal(pl.all().str.count_matches(delimiter, literal=True)).sum()).item() if '"' in body else 0
    if body.count(delimiter) != inside + (width - 1) * frame.height:
        return None
    return frame.insert_column(0, pl.int_range(after_row + 1, after_row + 1 + frame.height, eager=True, dtype=pl.Int64).alias("row"))


def _quotes_are_plain(text: str, delimiter: str) -> bool:
    """Tell whether every quote stands at exactly one border of a cell, so that there is one way to read it."""
    quotes = text.count('"')
    if not quotes:
        return True
    borders = (delimiter, "\n")
    if any(f'{before}"{behind}' in text for before in borders for behind in borders):
        return False
    at_borders = sum(text.count(f'{border}"') + text.count(f'"{border}') for border in borders) + text.startswith('"') + text.endswith('"')
    return quotes == at_borders


def _records(grid: CsvGrid, delimiter: str, text: str, *, quoted: bool = True) -> Iterator[list[str]]:
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True, quoting=quoting)
    row = 0
    while True:
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            reason = f"holds a field of more than {FIELD_BYTES_MAX:,} bytes" if "limit" in str(error) else "opens or closes a quoted cell wrongly"
            raise FileRefusedError(file=grid.file, row=row + 1, message=f"{reason} ({error}); export it again") from error
        row += 1
        if len(record) > COLUMNS_MAX:
            raise _TooWideError(file=grid.file, row=row, message=f"has {len(record):,} columns; at most {COLUMNS_MAX:,} are read")
        yield record


def _fit(record: list[str], *, row: int, width: int, irregular: dict[int, int]) -> list[str]:
    if len(record) == width:
        return record
    if (len(record) > width and any(cell.strip() for cell in record[width:])) or (len(record) < width and any(cell.strip() for cell in record)):
        irregular[row] = len(record)
    return (record + [""] * width)[:width]


def _strip(file: str, frame: pl.DataFrame) -> pl.DataFrame:
    texts = frame.columns[1:]
    longest = frame.select(pl.col(texts).str.len_bytes().max()).row(0) if frame.height else ()
    faults = Faults(file)
    for name, length in zip(texts, longest, strict=False):
        if length is not None and length > FIELD_BYTES_MAX:
            rows = frame.filter(pl.col(name).str.len_bytes() > FIELD_BYTES_MAX)
            faults.add_rows(
                rows, column=f"column {int(name[1:]) + 1}", message=f"holds more than {FIELD_BYTES_MAX:,} bytes, the most a cell may have; export it again"
            )
    faults.raise_any()
    return frame.with_columns(pl.col(texts).str.strip_chars())


def _sheets(file: str, content: bytes) -> Iterator[SheetGrid]:
    _check_archive(file, content)
    try:
        workbook = fastexcel.read_excel(content)
        for name in workbook.sheet_names:
            sheet = workbook.load_sheet(name, header_row=None, skip_rows=0, dtypes="string")
            if sheet.visible != "visible":
                continue
            cells = sheet.to_polars()
            if cells.width > COLUMNS_MAX:
                raise FileRefusedError(file=f"{file}!{name}", message=f"has {cells.width:,} columns; at most {COLUMNS_MAX:,} are read")
            if cells.height:
                yield SheetGrid(f"{file}!{name}", cells)
    except fastexcel.FastExcelError as error:
        raise FileRefusedError(
            file=file, message=f"cannot be opened as a workbook ({str(error).splitlines()[0]}); save it again as .xlsx, or export CSV"
        ) from error


def _check_archive(file: str, content: bytes) -> None:
    """Refuse what unpacks to too much by its own directory, then what does not unpack to what its checksums say."""
    damaged: object = None
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
            if unpacked <= min(UNPACKED_BYTES_MAX, UNPACKED_RATIO_MAX * len(content)):
                damaged = archive.testzip()
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, ValueError, OSError) as error:
        damaged = error
    if damaged is not None:
        raise FileRefusedError(file=file, message=f"is a damaged workbook ({damaged}); save it again as .xlsx, or export CSV")
    if unpacked > UNPACKED_BYTES_MAX or unpacked > UNPACKED_RATIO_MAX * len(content):
        limit = f"more than {UNPACKED_RATIO_MAX} times its size or {UNPACKED_BYTES_MAX:,}"
        raise FileRefusedError(file=file, message=f"unpacks to {unpacked:,} bytes, {limit}; it is not opened")
