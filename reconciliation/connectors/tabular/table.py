"""A grid of cells + profiles -> typed lines of one table, with the file's own totals proved.

Dates and amounts are read here for the table as a whole. What a line means (accounts, currencies, signs of a statement)
is the caller's. A total row that its lines do not add up to refuses the file.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from reconciliation.connectors.tabular.amounts import AmountReading, read_amounts
from reconciliation.connectors.tabular.cells import Body, Grid
from reconciliation.connectors.tabular.dates import DateReading, Span, read_dates, without_time
from reconciliation.connectors.tabular.detection import Layout, detect_layout, refuse_duplicates
from reconciliation.connectors.tabular.faults import Faults, show_cell
from reconciliation.connectors.tabular.profiles import AMOUNT_FIELDS, FIELDS, Profile
from reconciliation.connectors.tabular.rows import carry_down, classify_rows, refuse_unended
from reconciliation.connectors.tabular.totals import prove_totals
from reconciliation.money import currency_exponent

DATE_FIELDS = ("date", "value_date")
_IDS = ("document", "internal_id", "reference", "account", "clearing_document")
_SIDES = (
    {"d", "c"}, {"dr", "cr"}, {"debit", "credit"}, {"s", "h"}, {"soll", "haben"}, {"d", "h"}, {"debe", "haber"}, {"dare", "avere"}, {"d", "a"}, {"debet", "credit"},
    {"debet", "kredit"}, {"d", "k"}, {"débit", "crédit"}, {"débito", "crédito"}, {"+", "-"}, {"40", "50"},
)  # fmt: skip
_SCALED = re.compile(
    r"\b(?:in thousands|in millions|in teur|in t€|in tausend|in mio|en milliers|en millions|en miles|in migliaia|in duizenden|000s|'000)\b", re.IGNORECASE
)
# What a spreadsheet makes of a long number: its last digits are lost.
_MANGLED = r"^[0-9](?:[.,][0-9]+)?[eE]\+?[0-9]{1,3}$"


@dataclass(frozen=True)
class Table:
    """A table as read.

    Attributes:
        file: name, with the sheet for workbooks.
        encoding: of the whole file.
        layout: profile, header, confidence.
        lines: `row`, every field of `FIELDS` as text ("" where absent), `day` and `value_day`, and for each amount
            field `<field>_thousandths` (null where blank) and `<field>_marker` (`CR`, `DR` or "").
        openings: `row`, `section`, `thousandths`: balances without movement, such as the one an account begins with.
        notes: row and cells of what stands above the header and of balances below it.
        hints: `row`, `field`, `currencies`: amounts with a currency beside their digits.
        mark, mark_evidence: the decimal mark and what decided it.
        date_order, date_evidence: the order of day and month and what decided it.
        proofs: what the file says about itself and holds.
    """

    file: str
    encoding: str
    layout: Layout
    lines: pl.DataFrame
    hints: pl.DataFrame
    openings: pl.DataFrame
    notes: tuple[tuple[int, tuple[str, ...]], ...]
    mark: str
    mark_evidence: str
    date_order: str
    date_evidence: str
    proofs: tuple[tuple[str, bool], ...]

    @property
    def evidence(self) -> str:
        """How profile, decimal mark and date order were told."""
        dates = f"dates {self.date_order}: {self.date_evidence}" if self.date_order else self.date_evidence
        stated = f"; it states to cover {self.covers[0]} to {self.covers[1]}" if self.covers else ""
        return f"header in row {self.layout.header_row}: {self.layout.evidence}; decimal mark {self.mark}: {self.mark_evidence}; {dates}{stated}"

    @property
    def covers(self) -> Span | None:
        """The days that the report states of itself, believed where all of its lines lie between them."""
        stated = self.layout.covers
        return stated if stated and self.lines["day"].is_between(*stated).all() else None

    @property
    def amount_fields(self) -> tuple[str, ...]:
        """The amount fields that the file has."""
        return tuple(field for field in AMOUNT_FIELDS if field in self.layout.fields)


def read_table(grid: Grid, profiles: Sequence[Profile], *, day_first: bool | None, default_currency: str) -> Table:
    """Read a table and prove its totals.

    Args:
        grid: the cells.
        profiles: layouts to try.
        day_first: the operator's answer for ambiguous dates.
        default_currency: of files that name none; says whether amounts may have decimals.

    Raises:
        FileRefusedError: no layout fits, a row is ragged, an amount or date cannot be read or the file contradicts itself; up to 20 faults at once.
    """
    layout = detect_layout(grid, profiles)
    body = grid.body(delimiter=layout.delimiter, after_row=layout.header_row, width=len(layout.headers), quoted=layout.profile.quotes == "csv")
    refuse_duplicates(grid.file, layout, body.frame)
    faults = Faults(grid.file)
    _refuse_scaled(layout, faults)
    classified = classify_rows(body.frame, layout)
    rows = _add_absent(classified.frame, layout)
    _refuse_ragged(rows, body, layout, faults)
    refuse_unended(classified, layout, faults)
    faults.raise_any()
    totals, balances = rows.filter(pl.col("kind") == "total"), rows.filter(pl.col("kind") == "balance")
    if layout.profile.quotes == "none":
        # Lists write the label of a grand total over several columns, which moves its amounts: it ends its lines and proves nothing.
        totals = totals.filter(~pl.col("row").is_in([row for row, cells in body.irregular.items() if cells < len(layout.headers)]))
    lines = carry_down(rows.filter(pl.col("kind") == "line"), layout, totals)
    _refuse_mangled(lines, layout, faults)
    dates = _read_days(lines, layout, day_first=day_first, faults=faults)
    amounts = _read_amounts(pl.concat([lines, totals, balances]), layout, default_currency)
    faults.extend([*dates.faults, *amounts.faults])
    faults.raise_any()
    lines = _attach_amounts(_attach_days(lines, dates), layout, amounts, faults)
    totals = _attach_amounts(totals, layout, amounts, faults)
    _refuse_unread_side(lines, body, layout, faults)
    faults.raise_any()
    proofs = prove_totals(lines, totals, layout, classified.starts, faults)
    faults.raise_any()
    return Table(
        file=grid.file, encoding=grid.encoding, layout=layout, lines=lines.drop("kind", "label", "section", "is_sparse"), hints=_hints(lines, layout, amounts),
        openings=_read_openings(balances, layout, amounts), notes=_notes(body, balances, layout), mark=amounts.mark, mark_evidence=amounts.evidence, date_order=dates.order,
        date_evidence=dates.evidence, proofs=proofs,
    )  # fmt: skip


def _add_absent(rows: pl.DataFrame, layout: Layout) -> pl.DataFrame:
    """Give every field a column; what the file does not say comes from the profile's constants."""
    constants: dict[str, str] = {**layout.constants}
    absent = [pl.lit(constants.get(field, ""), dtype=pl.String).alias(field) for field in FIELDS if field not in layout.fields]
    rows = rows.with_columns(absent)
    return rows.with_columns(account="section") if layout.profile.sections and "account" not in layout.fields else rows


def _refuse_ragged(rows: pl.DataFrame, body: Body, layout: Layout, faults: Faults) -> None:
    if not body.irregular:
        return
    whole = pl.col("kind").is_in(["line", "header"]) | (pl.col("kind").is_in(["note", "section"]) & ~pl.col("is_sparse"))
    lines = set(rows.filter(whole)["row"])
    width = len(layout.headers)
    for row, cells in body.irregular.items():
        if row in lines or cells > width:
            message = f"has {cells} cells, the header in row {layout.header_row} has {width}"
            faults.add(row=row, column="", message=f"{message}; a cell with a separator must be quoted, or the file was cut short: export it again")
    faults.raise_any()


def _refuse_mangled(lines: pl.DataFrame, layout: Layout, faults: Faults) -> None:
    for field in _IDS:
        if field in layout.fields:
            message = "{cell} is a number that a spreadsheet shortened, and its last digits are lost; format the column as text and export it again"
            faults.add_rows(lines.filter(pl.col(field).str.contains(_MANGLED)), column=layout.header(field), cell=field, message=message)


def _read_days(lines: pl.DataFrame, layout: Layout, *, day_first: bool | None, faults: Faults) -> DateReading:
    faults.add_rows(lines.filter(pl.col("date") == ""), column=layout.header("date"), message="is empty; every line needs a date")
    texts = [
        lines.select("row", text=without_time(field), column=pl.lit(layout.header(field))).filter(pl.col("text") != "")
        for field in DATE_FIELDS
        if field in layout.fields
    ]
    return read_dates(_distinct(texts), stated=layout.profile.date_order, day_first=day_first, span=layout.span)


def _read_amounts(rows: pl.DataFrame, layout: Layout, default_currency: str) -> AmountReading:
    texts = [
        rows.select("row", text=field, column=pl.lit(layout.header(field))).filter(pl.col("text") != "") for field in AMOUNT_FIELDS if field in layout.fields
    ]
    codes = set(rows["currency"].unique()) - {""} or {default_currency}
    has_decimals = any(currency_exponent(code.upper()) for code in codes)
    return read_amounts(_distinct(texts), stated_mark=layout.profile.decimal_mark, has_decimals=has_decimals)


def _distinct(texts: list[pl.DataFrame]) -> pl.DataFrame:
    return pl.concat(texts).group_by("text").agg(pl.col("row").min(), pl.col("column").get(pl.col("row").arg_min())).sort("row", "column")


def _refuse_scaled(layout: Layout, faults: Faults) -> None:
    """Refuse a report that says above its lines, or in a header, that its amounts are thousands or millions."""
    above = [(row, cell) for row, line in enumerate(layout.preamble, start=1) for cell in line]
    for row, cell in (*above, *((layout.header_row, header) for header in layout.headers)):
        if _SCALED.search(cell):
            message = f"{show_cell(cell)} says that amounts are rounded to thousands or millions; export them in full"
            faults.add(row=row, column=cell if row == layout.header_row else "", message=message)


def _refuse_unread_side(lines: pl.DataFrame, body: Body, layout: Layout, faults: Faults) -> None:
    """Refuse amounts without a sign beside a column that says debit or credit and was not recognized: all of them would be debits."""
    fields, profile = layout.fields, layout.profile
    if "amount" not in fields or "indicator" in fields or {"debit", "credit"} <= fields.keys() or profile.type_sides:
        return
    amounts = lines.filter(pl.col("amount_thousandths").fill_null(0) != 0)
    if amounts.is_empty() or (amounts["amount_thousandths"] < 0).any() or (amounts["amount_marker"] != "").any():
        return
    unread = [index for index, header in enumerate(layout.headers) if header and index not in fields.values()]
    cells = body.frame.select("row", *(f"c{index}" for index in unread)).join(amounts.select("row"), on="row", how="semi")
    for index in unread:
        words = cells[f"c{index}"].str.to_lowercase().unique()
        if words.len() == 2 and set(words) in _SIDES:
            message = "seems to say debit or credit, and the amounts have no sign of their own; name it as indicator in a mapping file ([ledger] profile)"
            faults.add(row=layout.header_row, column=layout.headers[index], message=message)


def _attach_days(lines: pl.DataFrame, dates: DateReading) -> pl.DataFrame:
    for field, name in zip(DATE_FIELDS, ("day", "value_day"), strict=True):
        values = dates.values.rename({"day": name})
        lines = lines.with_columns(text=without_time(field)).join(values, on="text", how="left", maintain_order="left").drop("text")
    return lines


def _attach_amounts(rows: pl.DataFrame, layout: Layout, amounts: AmountReading, faults: Faults) -> pl.DataFrame:
    for field in AMOUNT_FIELDS:
        if field not in layout.fields:
            rows = rows.with_columns(pl.lit(None, dtype=pl.Int64).alias(f"{field}_thousandths"), pl.lit("").alias(f"{field}_marker"))
            continue
        values = amounts.values.select(
            pl.col("text").alias(field), pl.col("thousandths").alias(f"{field}_thousandths"), pl.col("marker").alias(f"{field}_marker")
        )
        rows = rows.join(values, on=field, how="left", maintain_order="left").with_columns(pl.col(f"{field}_marker").fill_null(""))
        unread = rows.filter(pl.col(f"{field}_thousandths").is_null() & (pl.col(field) != ""))
        message = "{cell} has more decimals than any currency, or is larger than any amount that is accepted; correct it"
        faults.add_rows(unread, column=layout.header(field), cell=field, message=message)
        nil = pl.col(field).str.contains(r"^[-\u2012-\u2015\u2212]$")
        rows = rows.with_columns(pl.when(nil).then(None).otherwise(pl.col(f"{field}_thousandths")).alias(f"{field}_thousandths"))
    for field, wrong in (("debit", "CR"), ("credit", "DR")):
        marked = rows.filter(pl.col(f"{field}_marker") == wrong)
        faults.add_rows(marked, column=layout.header(field), cell=field, message=f"{{cell}} says {wrong} in the {field} column; correct one of them")
    return rows


def _hints(lines: pl.DataFrame, layout: Layout, amounts: AmountReading) -> pl.DataFrame:
    named = amounts.values.filter(pl.col("currencies").list.len() > 0).select("text", "currencies")
    empty = pl.DataFrame(schema={"row": pl.Int64, "field": pl.String, "currencies": pl.List(pl.String)})
    if named.is_empty():
        return empty
    found = [
        lines.select("row", text=field).join(named, on="text", how="inner").select("row", pl.lit(field).alias("field"), "currencies")
        for field in AMOUNT_FIELDS
        if field in layout.fields
    ]
    return pl.concat([empty, *found])


def _read_openings(rows: pl.DataFrame, layout: Layout, amounts: AmountReading) -> pl.DataFrame:
    """Return `row`, `section` and `thousandths` of balances without movement; debit is positive where the columns say so."""
    stated = _attach_amounts(rows, layout, amounts, Faults(""))
    nothing = pl.col("debit_thousandths").is_null() & pl.col("credit_thousandths").is_null()
    split = pl.when(~nothing).then(pl.col("debit_thousandths").fill_null(0) - pl.col("credit_thousandths").fill_null(0))
    return stated.select("row", "section", thousandths=pl.coalesce(signed_balance(), split, "amount_thousandths"))


def _notes(body: Body, balances: pl.DataFrame, layout: Layout) -> tuple[tuple[int, tuple[str, ...]], ...]:
    below = body.frame.filter(pl.col("row").is_in(balances["row"].to_list())).rows()
    return (*enumerate(layout.preamble, start=1), *((record[0], record[1:]) for record in below))


def signed_balance() -> pl.Expr:
    """Return an expression for a balance in thousandths, a credit balance negative."""
    return pl.when(pl.col("balance_marker") == "CR").then(-pl.col("balance_thousandths")).otherwise("balance_thousandths")
