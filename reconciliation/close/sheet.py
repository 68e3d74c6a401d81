"""Cells, totals and checks of the workbook. One of two doors to XlsxWriter; it makes the same bytes from the same content.

Amounts are real numbers with the decimals of their currency, negative ones in parentheses; ids are text; a text is written as a text whatever it begins
with, so that no cell becomes a formula. Every formula carries the value it must come to, for programs that show a file without computing it.
"""

import io
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

import polars as pl
import xlsxwriter
from xlsxwriter.format import Format
from xlsxwriter.utility import xl_rowcol_to_cell
from xlsxwriter.worksheet import Worksheet

from reconciliation.money import currency_exponent

PRINTED_WIDTH = 175.0
"""Characters across a page; what stands to the right of it is for the screen."""
ROWS_MAX = 10_000
"""Of a list in the workbook; the CSV beside it has all."""
FONT = {"font_name": "Arial", "font_size": 9}
INK, PALE, LINE = "#1f2933", "#eef2f6", "#b8c2cc"
GOOD, BAD = {"font_color": "#1b6e3c", "bg_color": "#e3f4e8"}, {"font_color": "#a61b1b", "bg_color": "#fbe3e3", "bold": True}
Kind = Literal["text", "money", "date", "count", "ratio", "list"]


@dataclass(frozen=True)
class Column:
    """A column of a list: its heading, the column of the frame, how wide, what it holds, and whether totals add it."""

    heading: str
    source: str
    width: float = 12
    kind: Kind = "text"
    is_added: bool = False


@dataclass(frozen=True)
class Footing:
    """Who and what every printed page names."""

    entity: str
    period: str
    digest: str
    notice: str = ""


class Workbook:
    """A workbook under construction: tabs and the formats they share."""

    def __init__(self, footing: Footing) -> None:
        self.buffer = io.BytesIO()
        options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False, "default_date_format": "yyyy-mm-dd"}
        self.book = xlsxwriter.Workbook(self.buffer, options)
        self.footing = footing
        # A file's own dates would make every run another file.
        self.book.set_properties({"title": f"{footing.entity} {footing.period}", "created": datetime(2000, 1, 1)})  # noqa: DTZ001 - the format knows no zone
        self.book.set_calc_mode("auto")
        self._formats: dict[tuple[tuple[str, Any], ...], Format] = {}

    def style(self, **wanted: Any) -> Format:
        """Return a format, made once."""
        key = tuple(sorted(wanted.items()))
        if key not in self._formats:
            self._formats[key] = self.book.add_format({**FONT, "font_color": INK, "valign": "top", **wanted})
        return self._formats[key]

    def money(self, currency: str, **wanted: Any) -> Format:
        """Return the format of an amount: the currency's decimals, parentheses for negative ones."""
        decimals = currency_exponent(currency)
        shape = "#,##0" + ("." + "0" * decimals if decimals else "")
        return self.style(num_format=f"{shape}_);({shape});{shape}_)", **wanted)

    def sheet(self, name: str, title: str, *, landscape: bool = True) -> "Sheet":
        """Add a tab with its title and its printed header and footer."""
        return Sheet(self, name, title, landscape=landscape)

    def content(self) -> bytes:
        """Close the workbook and return its bytes."""
        self.book.close()
        return self.buffer.getvalue()


class Sheet:
    """One tab."""

    def __init__(self, workbook: Workbook, name: str, title: str, *, landscape: bool) -> None:
        self.workbook, self.name = workbook, name
        self.page: Worksheet = workbook.book.add_worksheet(name)
        self.page.hide_gridlines(2)
        if landscape:
            self.page.set_landscape()
        self.page.set_paper(9)
        self.page.fit_to_pages(1, 0)
        self.page.set_margins(left=0.4, right=0.4, top=0.7, bottom=0.6)
        footing = workbook.footing
        entity, period = (text.replace("&", "&&") for text in (footing.entity, footing.period))
        named = " · ".join(text for text in (name.replace("&", "&&"), footing.notice) if text)
        self.page.set_header(f"&L&9{entity}&C&9{named}&R&9 {period}")
        self.page.set_footer(f"&L&8package {footing.digest}&R&8page &P of &N")
        self.page.write_string(0, 0, " · ".join(text for text in (title, footing.notice) if text), workbook.style(bold=True, font_size=13))

    def text(self, row: int, column: int, value: str, **style: Any) -> None:
        """Write a text."""
        self.page.write_string(row, column, value, self.workbook.style(**style))

    def amount(self, row: int, column: int, minor: int | None, currency: str, **style: Any) -> None:
        """Write an amount as a number; nothing where there is none."""
        shape = self.workbook.money(currency, **style)
        if minor is None:
            self.page.write_blank(row, column, None, shape)
        else:
            self.page.write_number(row, column, to_number(minor, currency), shape)

    def formula(self, row: int, column: int, formula: str, minor: int, currency: str, **style: Any) -> None:
        """Write a formula that comes to an amount, with that amount as its value."""
        self.page.write_formula(row, column, formula, self.workbook.money(currency, **style), to_number(minor, currency))

    def check(self, row: int, column: int, formula: str, minor: int, currency: str) -> None:
        """Write a check: what must be zero, green where it is and red where it is not."""
        decimals = currency_exponent(currency)
        self.formula(row, column, f"=ROUND({formula.removeprefix('=')},{decimals})", minor, currency, bold=True, border=1, border_color=LINE)
        good, bad = self.workbook.style(**GOOD), self.workbook.style(**BAD)
        self.page.conditional_format(row, column, row, column, {"type": "cell", "criteria": "==", "value": 0, "format": good})
        self.page.conditional_format(row, column, row, column, {"type": "cell", "criteria": "!=", "value": 0, "format": bad})

    def headings(self, row: int, names: Sequence[str], *, first: int = 0, right: Collection[str] = (), stepped: Collection[str] = ()) -> None:
        """Write a row of headings; those of numbers stand on the right, above them, those of stepped texts a step in from the left."""
        for column, name in enumerate(names, start=first):
            side = "right" if name in right else "left"
            self.text(
                row,
                column,
                name,
                bold=True,
                bg_color=PALE,
                bottom=1,
                border_color=LINE,
                text_wrap=True,
                align=side,
                indent=int(side == "left" and name in stepped),
            )

    def widths(self, widths: Sequence[float]) -> None:
        """Set the columns' widths."""
        for column, width in enumerate(widths):
            self.page.set_column(column, column, width)

    def list_rows(self, frame: pl.DataFrame, columns: Sequence[Column], *, file: str, by: str | None = None) -> dict[str, tuple[int, int]]:
        """Write a list with totals that follow its filter, one a currency, above the headings.

        Args:
            frame: rows in their order, with `currency` where a column holds money.
            columns: what is shown.
            file: the CSV that has all rows.
            by: money column whose largest rows are kept where there are too many.

        Returns:
            Currency -> first and last row of its block, counted from 0; rows of one currency stand together.
        """
        shown = _largest(frame, by)
        currencies = shown["currency"].unique(maintain_order=True).to_list() if "currency" in shown.columns else []
        ordered = pl.concat([shown.filter(pl.col("currency") == code) for code in currencies]) if len(currencies) > 1 else shown
        note = f"{frame.height:,} rows" if shown.height == frame.height else f"the {shown.height:,} largest of {frame.height:,} rows"
        self.text(1, 0, f"{note}; all of them in {file}", font_color="#5b6770", italic=True)
        added = [(place, column) for place, column in enumerate(columns) if column.is_added]
        head = 2 + (max(len(currencies), 1) if added else 0)
        numbers = [column.heading for column in columns if column.kind in ("money", "count", "ratio")]
        self.headings(head, [column.heading for column in columns], right=numbers, stepped=[column.heading for column in columns])
        self.widths([column.width for column in columns])
        blocks = self._write_cells(ordered, columns, head + 1)
        for number, (currency, (first, last)) in enumerate(blocks.items()):
            self.text(2 + number, 0, f"Total of the rows shown, {currency}" if currency else "Total of the rows shown", bold=True)
            for place, column in added:
                total = int(ordered.filter(pl.col("currency") == currency)[column.source].sum())
                area = f"{xl_rowcol_to_cell(first, place)}:{xl_rowcol_to_cell(last, place)}"
                self.formula(2 + number, place, f"=SUBTOTAL(109,{area})", total, currency, bold=True, top=1)
        last_row = head + max(ordered.height, 1)
        self.page.autofilter(head, 0, last_row, len(columns) - 1)
        self.page.print_area(0, 0, last_row, _printed([column.width for column in columns]))
        self.page.set_row(head, 26)
        self.page.freeze_panes(head + 1, 1)
        self.page.repeat_rows(head)
        return blocks

    def _write_cells(self, frame: pl.DataFrame, columns: Sequence[Column], start: int) -> dict[str, tuple[int, int]]:
        blocks: dict[str, tuple[int, int]] = {}
        has_money = any(column.kind == "money" for column in columns)
        # A step in from the left: else a text touches the number in the column before it.
        plain, dates = self.workbook.style(align="left", indent=1), self.workbook.style(num_format="yyyy-mm-dd", align="left", indent=1)
        counts, ratios = self.workbook.style(num_format="#,##0"), self.workbook.style(num_format="0.00%")
        currencies = frame["currency"].to_list() if "currency" in frame.columns else [""] * frame.height
        money = {code: (self.workbook.money(code), 10 ** currency_exponent(code)) for code in set(currencies)} if has_money else {}
        # The largest rows only, and the library takes a cell at a time: a loop over what is shown, never over a month.
        for place, column in enumerate(columns):
            values = frame[column.source].list.join("; ").to_list() if column.kind == "list" else frame[column.source].to_list()
            for row, value in enumerate(values, start=start):
                if value is None or value == "":
                    continue
                if column.kind == "money":
                    shape, unit = money[currencies[row - start]]
                    self.page.write_number(row, place, value / unit, shape)
                elif column.kind == "date" and isinstance(value, date):
                    self.page.write_datetime(row, place, datetime(value.year, value.month, value.day), dates)  # noqa: DTZ001 - a day has no zone
                elif column.kind in ("count", "ratio"):
                    self.page.write_number(row, place, value, counts if column.kind == "count" else ratios)
                else:
                    self.page.write_string(row, place, str(value)[:32_000], plain)
        for row, code in enumerate(currencies if has_money else [], start=start):
            first, _ = blocks.get(code, (row, row))
            blocks[code] = (first, row)
        return blocks

    @contextmanager
    def outlined(self) -> Iterator[None]:
        """Group rows below their sum."""
        self.page.outline_settings(visible=True, symbols_below=False, symbols_right=False, auto_style=False)
        yield


def to_number(minor: int, currency: str) -> float:
    """Return an amount as a spreadsheet holds it: the nearest number, shown with the currency's decimals."""
    number: float = minor / 10 ** currency_exponent(currency)
    return number


def cell(row: int, column: int) -> str:
    """Name a cell."""
    return str(xl_rowcol_to_cell(row, column))


def area(first: int, last: int, column: int) -> str:
    """Name a run of cells of a column."""
    return f"{cell(first, column)}:{cell(last, column)}"


def words(text: str) -> str:
    """Write a word of our vocabulary for people."""
    return text.replace("_", " ").replace(".", ": ", 1) if text else ""


def shown_columns(frame: pl.DataFrame, widths: Mapping[str, float], money: Mapping[str, str]) -> list[Column]:
    """Describe all columns of a frame as they are."""
    described = []
    for name, dtype in frame.schema.items():
        kind: Kind = (
            "money" if name in money else "date" if dtype == pl.Date else "list" if isinstance(dtype, pl.List) else "count" if dtype.is_integer() else "text"
        )
        described.append(Column(name.replace("_", " "), name, widths.get(name, 14), kind))
    return described


def _printed(widths: Sequence[float]) -> int:
    """Return the last column that still fits a page in a size that can be read."""
    place, used = 0, 0.0
    for place, width in enumerate(widths):
        used += width
        if used > PRINTED_WIDTH:
            return max(place - 1, 0)
    return place


def _largest(frame: pl.DataFrame, by: str | None) -> pl.DataFrame:
    if frame.height <= ROWS_MAX:
        return frame
    if by is None:
        return frame.head(ROWS_MAX)
    ranked = frame.with_row_index("_place")
    kept = ranked.sort(pl.col(by).abs(), "_place", descending=[True, False], nulls_last=True).head(ROWS_MAX)
    return kept.sort("_place").drop("_place")
