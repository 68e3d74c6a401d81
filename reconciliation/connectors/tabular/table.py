"""A grid of cells + profiles -> typed lines of one table, with the file's own totals proved.

Dates and amounts are read here for the table as a whole. What a line means (accounts, currencies, signs of a statement)
is the caller's. Title rows, repeated headers, totals, balances without movement and footers are told apart from lines by
what they hold; a total row that its lines do not add up to refuses the file.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from reconciliation.connectors.tabular.amounts import AmountReading, read_amounts
from reconciliation.connectors.tabular.cells import Body, Grid
from reconciliation.connectors.tabular.dates import DateReading, read_dates, without_time
from reconciliation.connectors.tabular.detection import Layout, detect_layout
from reconciliation.connectors.tabular.faults import Faults
from reconciliation.connectors.tabular.profiles import AMOUNT_FIELDS, FIELDS, Profile, cell_key
from reconciliation.money import currency_exponent

DATE_FIELDS = ("date", "value_date")
_TOTALED = ("debit", "credit", "amount")


@dataclass(frozen=True)
class Table:
    """A table as read.

    Attributes:
        file: name, with the sheet for workbooks.
        encoding: of the whole file.
        layout: profile, header, confidence.
        lines: `row`, every field of `FIELDS` as text ("" where absent), `day` and `value_day`, and for each amount
            field `<field>_thousandths` (null where blank) and `<field>_marker` (`CR`, `DR` or "").
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
    mark: str
    mark_evidence: str
    date_order: str
    date_evidence: str
    proofs: tuple[tuple[str, bool], ...]

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
    body = grid.body(delimiter=layout.delimiter, after_row=layout.header_row, width=len(layout.headers))
    faults = Faults(grid.file)
    rows = _classify(_name_fields(body, layout), layout)
    _refuse_ragged(rows, body, layout, faults)
    lines = rows.filter(pl.col("kind") == "line")
    totals = rows.filter(pl.col("kind") == "total")
    dates = _read_days(lines, layout, day_first=day_first, faults=faults)
    amounts = _read_amounts(pl.concat([lines, totals]), layout, default_currency)
    faults.extend([*dates.faults, *amounts.faults])
    faults.raise_any()
    lines = _attach_amounts(_attach_days(lines, dates), layout, amounts, faults)
    totals = _attach_amounts(totals, layout, amounts, faults)
    faults.raise_any()
    proofs = _prove_totals(lines, totals, layout, faults)
    faults.raise_any()
    return Table(
        file=grid.file, encoding=grid.encoding, layout=layout, lines=lines.drop("kind", "label"), hints=_hints(lines, layout, amounts), mark=amounts.mark,
        mark_evidence=amounts.evidence, date_order=dates.order, date_evidence=dates.evidence, proofs=proofs,
    )  # fmt: skip


def _name_fields(body: Body, layout: Layout) -> pl.DataFrame:
    """Give columns their field names; keep what classification needs of the others."""
    others = [f"c{index}" for index in range(len(layout.headers)) if index not in layout.fields.values()]
    amounts = [f"c{index}" for field, index in layout.fields.items() if field in AMOUNT_FIELDS]
    texts = [f"c{index}" for index in range(len(layout.headers)) if f"c{index}" not in amounts]
    labels: list[pl.Expr] = [pl.when(pl.col(name) != "").then(pl.col(name)) for name in texts]
    frame = body.frame.with_columns(label=pl.coalesce([*labels, pl.lit("")]), filled=_count_filled(body.frame.columns[1:]), filled_texts=_count_filled(texts))
    named = frame.rename({f"c{index}": field for field, index in layout.fields.items()}).drop(others)
    absent = [pl.lit(layout.profile.constants.get(field, ""), dtype=pl.String).alias(field) for field in FIELDS if field not in layout.fields]  # type: ignore[call-overload]
    return named.with_columns(absent)


def _count_filled(columns: Sequence[str]) -> pl.Expr:
    return pl.sum_horizontal([pl.lit(0), *((pl.col(name) != "").cast(pl.Int32) for name in columns)])


def _classify(rows: pl.DataFrame, layout: Layout) -> pl.DataFrame:
    """Tell lines from blank rows, repeated headers, totals, balances and notes."""
    amounts = [field for field in AMOUNT_FIELDS if field in layout.fields]
    has_money = pl.any_horizontal([pl.col(field) != "" for field in amounts])
    has_day = pl.col("date").str.contains(r"\p{Nd}")
    label = pl.col("label").str.to_lowercase().str.strip_chars(" :-*.")
    says_total = label.str.contains(_starts_with(layout.profile.total_labels)) & ~has_day
    says_balance = label.str.contains(_starts_with(layout.profile.balance_labels)) & ~has_day
    is_header = pl.all_horizontal([pl.col(field).str.to_lowercase() == layout.headers[place].lower() for field, place in layout.fields.items()])
    names_entry = pl.any_horizontal([pl.col(field) != "" for field in ("account", "document", "internal_id") if field in layout.fields] or [pl.lit(False)])
    is_sentence = pl.col("label").str.contains(r"\p{L}{2}.*\s|^[^\p{L}\p{N}]+$")
    is_note = ~has_money & pl.when(pl.col("filled") == 1).then(is_sentence).otherwise(~has_day & ~names_entry)
    kind = (
        pl.when(pl.col("filled") == 0).then(pl.lit("blank"))
        .when(is_header).then(pl.lit("header"))
        .when(says_total & has_money).then(pl.lit("total"))
        .when(says_balance).then(pl.lit("balance"))
        .when((pl.col("filled_texts") == 0) & has_money).then(pl.lit("total"))
        .when(is_note | (says_total & ~has_money)).then(pl.lit("note"))
        .otherwise(pl.lit("line"))
    )  # fmt: skip
    return rows.with_columns(kind=kind).drop("filled", "filled_texts")


def _starts_with(labels: Sequence[str]) -> str:
    alternatives = "|".join(label.replace(".", r"\.").replace("-", r"\-") for label in sorted(labels, key=len, reverse=True))
    return rf"^(?:{alternatives})(?:[^\p{{L}}]|$)"


def _refuse_ragged(rows: pl.DataFrame, body: Body, layout: Layout, faults: Faults) -> None:
    if not body.irregular:
        return
    lines = set(rows.filter(pl.col("kind").is_in(["line", "header"]))["row"])
    width = len(layout.headers)
    for row, cells in body.irregular.items():
        if row in lines or cells > width:
            message = f"has {cells} cells, the header in row {layout.header_row} has {width}"
            faults.add(row=row, column="", message=f"{message}; a cell with a separator must be quoted, or the file was cut short: export it again")
    faults.raise_any()


def _read_days(lines: pl.DataFrame, layout: Layout, *, day_first: bool | None, faults: Faults) -> DateReading:
    faults.add_rows(lines.filter(pl.col("date") == ""), column=layout.header("date"), message="is empty; every line needs a date")
    texts = [
        lines.select("row", text=without_time(field), column=pl.lit(layout.header(field))).filter(pl.col("text") != "")
        for field in DATE_FIELDS
        if field in layout.fields
    ]
    return read_dates(_distinct(texts), stated=layout.profile.date_order, day_first=day_first)


def _read_amounts(rows: pl.DataFrame, layout: Layout, default_currency: str) -> AmountReading:
    texts = [
        rows.select("row", text=field, column=pl.lit(layout.header(field))).filter(pl.col("text") != "") for field in AMOUNT_FIELDS if field in layout.fields
    ]
    codes = set(rows["currency"].unique()) - {""} or {default_currency}
    has_decimals = any(currency_exponent(code.upper()) for code in codes)
    return read_amounts(_distinct(texts), stated_mark=layout.profile.decimal_mark, has_decimals=has_decimals)


def _distinct(texts: list[pl.DataFrame]) -> pl.DataFrame:
    return pl.concat(texts).group_by("text").agg(pl.col("row").min(), pl.col("column").sort_by("row", "column").first()).sort("row", "column")


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


def _prove_totals(lines: pl.DataFrame, totals: pl.DataFrame, layout: Layout, faults: Faults) -> tuple[tuple[str, bool], ...]:
    """Compare each total row with its lines: those since the total before it, all so far, or those of the account it names."""
    fields = [field for field in _TOTALED if field in layout.fields]
    if totals.is_empty() or not fields:
        return ()
    sums = [pl.col(f"{field}_thousandths").fill_null(0).cast(pl.Int128).cum_sum().alias(field) for field in fields]
    running = lines.sort("row").select("row", *sums)
    found = totals.sort("row").select("row", "label", *(pl.col(f"{field}_thousandths").alias(f"{field}_stated") for field in fields))
    found = found.join_asof(running, on="row", strategy="backward").with_columns(pl.col(fields).fill_null(0))
    found = found.with_columns((pl.col(field) - pl.col(field).shift(1, fill_value=0)).alias(f"{field}_since") for field in fields)
    for record in found.iter_rows(named=True):
        for field in fields:
            stated = record[f"{field}_stated"]
            if stated is None or stated in (record[field], record[f"{field}_since"]) or stated == _sum_of_account(lines, record["label"], field):
                continue
            since, in_all = _decimal(record[f"{field}_since"]), _decimal(record[field])
            message = (
                f"total {_decimal(stated)} differs from the lines above it, which add to {since} since the last total and {in_all} in all; export it again"
            )
            faults.add(row=record["row"], column=layout.header(field), message=message)
    return (("total_rows_equal_their_lines", True),)


def _sum_of_account(lines: pl.DataFrame, label: str, field: str) -> int | None:
    key = cell_key(label)
    accounts = [account for account in lines["account"].unique() if account and key.endswith(cell_key(account))]
    if len(accounts) != 1:
        return None
    return int(lines.filter(pl.col("account") == accounts[0])[f"{field}_thousandths"].fill_null(0).cast(pl.Int128).sum())


def _decimal(thousandths: int) -> str:
    sign = "-" if thousandths < 0 else ""
    whole, fraction = divmod(abs(thousandths), 1000)
    digits = f"{fraction:03d}"
    return f"{sign}{whole}.{digits[:2] if digits.endswith('0') else digits}"


def show_thousandths(thousandths: int | None) -> str:
    """Write thousandths as a decimal number for a message.

    >>> show_thousandths(-1234500)
    '-1234.50'
    """
    return "nothing" if thousandths is None else _decimal(thousandths)
