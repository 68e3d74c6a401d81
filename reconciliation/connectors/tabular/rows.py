"""Rows below a header + profile -> what each row is: a line, a total, a balance, the heading of an account, a note, nothing.

Nearly every row shows a day and a movement and is a line at sight; only the others are looked at closely. Headings give the
lines below them their account, and the total of a heading closes it.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

import polars as pl

from reconciliation.connectors.tabular.dates import BEGINS_LIKE_A_DAY
from reconciliation.connectors.tabular.detection import HEADING_CELLS_MAX, Layout
from reconciliation.connectors.tabular.faults import Faults
from reconciliation.connectors.tabular.profiles import AMOUNT_FIELDS, MOVEMENT_FIELDS, Profile, cell_key, header_key

_WITH_CHILDREN = re.compile(r"\s*(?:with|including) sub-?\s?accounts?$")


class Section(NamedTuple):
    """Where in a file an account begins or ends: the row, and the account of the lines below it."""

    row: int
    account: str


class Rows(NamedTuple):
    """Rows with their kind.

    Attributes:
        frame: `row`, every present field as text, `kind` (`line`, `total`, `balance`, `section`, `header`, `note`, `blank`), `label` (the first text of rows
            that are no plain lines), `is_sparse` (one cell at most) and `section` (the account's heading above a line, "" where there is none).
        starts: heading, as cells are compared -> its row; a total that names one is the total of what stands below it.
    """

    frame: pl.DataFrame
    starts: dict[str, int]


def classify_rows(rows: pl.DataFrame, layout: Layout) -> Rows:
    """Tell lines from everything else.

    Args:
        rows: `row` and the text cells `c0`, `c1`, … of all rows below the header.
        layout: which column carries which field.
    """
    cell = {field: pl.col(f"c{place}") for field, place in layout.fields.items()}
    has_movement = _any_filled([cell[field] for field in MOVEMENT_FIELDS if field in cell])
    has_day = cell["date"].str.contains(BEGINS_LIKE_A_DAY)
    marked = rows.with_columns(is_plain=has_movement & has_day)
    others = marked.filter(~pl.col("is_plain"))
    kinds = _classify_others(others, layout, cell)
    starts, events = _sections(kinds, layout)
    frame = marked.drop("is_plain").join(kinds.select("row", "kind", "label", "filled"), on="row", how="left", maintain_order="left")
    frame = frame.with_columns(pl.col("kind").fill_null("line"), pl.col("label").fill_null(""), is_sparse=(pl.col("filled") <= 1).fill_null(value=False))
    frame = frame.rename({f"c{place}": field for field, place in layout.fields.items()})
    frame = frame.select("row", *layout.fields, "kind", "label", "is_sparse")
    if not layout.profile.sections:
        return Rows(frame.with_columns(section=pl.lit("")), starts)
    found = pl.DataFrame(events, schema={"row": pl.Int64, "section": pl.String}, orient="row")
    return Rows(frame.sort("row").join_asof(found, on="row", strategy="backward").with_columns(pl.col("section").fill_null("")), starts)


def refuse_unended(rows: Rows, layout: Layout, faults: Faults) -> None:
    """Refuse a report that ends before the total of its last account or document: it was cut short."""
    lines, totals = rows.frame.filter(pl.col("kind") == "line"), rows.frame.filter(pl.col("kind") == "total")
    if layout.profile.carry_down and not _is_register(lines, totals, layout) and (lines["row"].max() or 0) > (totals["row"].max() or 0):  # type: ignore[operator]
        last = lines.sort("row").row(-1, named=True)["row"]
        faults.add(row=last, column="", message="the file ends before the totals of its last entry; it was cut short: export it again")
    if not layout.profile.sections or "account" in layout.fields:
        return
    if lines.is_empty() and totals.is_empty():
        faults.add(
            row=layout.header_row,
            column="",
            message="the report ends before the lines of its first account; it was cut short, or there are none: export the whole report again",
        )
    ended: dict[str, int] = {}
    for row, label, section in totals.select("row", "label", "section").iter_rows():
        key = totaled_section(label, layout.profile) or cell_key(section)
        ended[key] = max(row, ended.get(key, 0))
    last_lines = lines.filter(pl.col("section") != "").group_by("section").agg(pl.col("row").max())
    for section, row in last_lines.sort("row").iter_rows():
        if ended.get(cell_key(section), 0) < row:
            message = f"the lines of {section[:60]!r} end without its total; the file was cut short: export the whole report again"
            faults.add(row=row, column="", message=message)


def _is_register(lines: pl.DataFrame, totals: pl.DataFrame, layout: Layout) -> bool:
    """Tell lines of one account, each with its own date: a register has no documents to total, whatever its columns are called."""
    if lines.is_empty():
        return True
    return totals.is_empty() and lines.height > 1 and (lines["date"] != "").all() and "account" in layout.fields and lines["account"].n_unique() == 1


def carry_down(lines: pl.DataFrame, layout: Layout, breaks: pl.DataFrame) -> pl.DataFrame:
    """Give lines without a date what the first line of their document says.

    Args:
        lines: lines with their `row`.
        layout: names the fields that are written once a document.
        breaks: `row` of the totals, each of which ends a document.
    """
    fields = [field for field in layout.profile.carry_down if field in layout.fields]
    if not fields or lines.is_empty():
        return lines
    ends = breaks.select("row", end="row").sort("row")
    grouped = lines.sort("row").join_asof(ends, on="row", strategy="backward").with_columns(pl.col("end").fill_null(0))
    grouped = grouped.with_columns(document_of=(pl.col("date") != "").cum_sum().over("end"))
    over = ["end", "document_of"]
    is_below = pl.col("date") == ""
    filled = [pl.when(is_below & (pl.col(field) == "")).then(pl.col(field).first().over(over)).otherwise(field).alias(field) for field in fields]
    return grouped.with_columns(filled).drop("end", "document_of")


def _any_filled(cells: Sequence[pl.Expr]) -> pl.Expr:
    return pl.any_horizontal([pl.lit(False), *(cell != "" for cell in cells)])


def _classify_others(rows: pl.DataFrame, layout: Layout, cell: dict[str, pl.Expr]) -> pl.DataFrame:
    """Add `kind` and `label` to rows that are no plain lines."""
    profile = layout.profile
    amounts = {layout.fields[field] for field in AMOUNT_FIELDS if field in layout.fields}
    texts = [pl.col(f"c{index}") for index in range(len(layout.headers)) if index not in amounts]
    words = [pl.col(f"c{index}") for index in range(len(layout.headers)) if index not in amounts and index != layout.fields["date"]]
    first_text = pl.coalesce([*(pl.when(text != "").then(text) for text in texts), pl.lit("")])
    rows = rows.drop("is_plain")
    rows = rows.with_columns(label=first_text, filled=_count_filled([pl.col(name) for name in rows.columns[1:]]), filled_texts=_count_filled(texts))
    has_money = _any_filled([cell[field] for field in AMOUNT_FIELDS if field in cell])
    has_movement = _any_filled([cell[field] for field in MOVEMENT_FIELDS if field in cell])
    # A label may stand in the date's own column, where its digits are an account's and no day.
    has_day = cell["date"].str.contains(BEGINS_LIKE_A_DAY)
    is_labeled = ~has_day | (cell["date"] == pl.col("label"))
    label = _plain(pl.col("label"))
    says_total = (label.str.contains(_starts_with(profile.total_labels)) & is_labeled) | pl.col("label").str.contains(r"^\*+(?:\s|$)")
    balance = _starts_with(profile.balance_labels)
    says_balance = (label.str.contains(balance) & is_labeled) | (
        ~has_movement & pl.any_horizontal([pl.lit(False), *(_plain(word).str.contains(balance) for word in words)])
    )
    is_header = pl.all_horizontal([pl.col(f"c{place}").str.to_lowercase() == layout.headers[place].lower() for place in layout.fields.values()])
    names_entry = _any_filled([cell[field] for field in ("account", "document", "internal_id") if field in cell])
    is_sentence = pl.col("label").str.contains(r"\p{L}{2}.*\s|^[^\p{L}\p{N}]+$")
    is_last = pl.col("row") == pl.col("row").max()
    is_section = pl.lit(profile.sections) & (pl.col("filled") == 1) & ~has_money & (is_sentence | ~is_last)
    if profile.section_pattern:
        is_section = pl.col("label").str.contains(profile.section_pattern) & ~has_movement & is_labeled & (pl.col("filled") <= HEADING_CELLS_MAX)
    # A single cell below no header begins a document, as its number does; a line that was cut short would begin below one.
    unnamed = [pl.col(f"c{index}") for index, header in enumerate(layout.headers) if not header]
    is_beside = (_count_filled(unnamed) == 1) & ~is_last
    is_note = ~has_money & pl.when(pl.col("filled") == 1).then(is_sentence | is_beside).otherwise(~has_day & ~names_entry)
    speaking = [pl.col(f"c{index}") for index in range(len(layout.headers)) if index not in amounts | _grouping_columns(layout)]
    is_bare_total = pl.lit(profile.sections) & says_total & label.str.contains(_starts_with(profile.section_totals))
    kind = (
        pl.when(pl.col("filled") == 0).then(pl.lit("blank"))
        .when(is_header).then(pl.lit("header"))
        .when(says_total & has_money).then(pl.lit("total"))
        .when(pl.lit(bool(profile.section_pattern)) & is_section).then(pl.lit("section"))
        .when(says_balance).then(pl.lit("balance"))
        .when(is_bare_total).then(pl.lit("total"))
        .when(says_total & ~has_money).then(pl.lit("note"))
        .when((_count_filled(speaking) == 0) & has_money).then(pl.lit("total"))
        .when(is_section).then(pl.lit("section"))
        .when(is_note).then(pl.lit("note"))
        .otherwise(pl.lit("line"))
    )  # fmt: skip
    return rows.with_columns(kind=kind).drop("filled_texts")


def _grouping_columns(layout: Layout) -> set[int]:
    """Return the columns that a subtotal may fill: what it is grouped by. A line says more: a day, a document, a text."""
    companies = {header_key(name) for name in layout.profile.others.get("company", ())}
    named = {layout.fields[field] for field in ("currency", "base_currency", "account", "account_name") if field in layout.fields}
    return named | {index for index, header in enumerate(layout.headers) if header_key(header) in companies}


def _plain(text: pl.Expr) -> pl.Expr:
    return text.str.to_lowercase().str.strip_chars(" :-*.")


def _count_filled(cells: Sequence[pl.Expr]) -> pl.Expr:
    return pl.sum_horizontal([pl.lit(0), *((cell != "").cast(pl.Int32) for cell in cells)])


def _starts_with(labels: Sequence[str]) -> str:
    alternatives = "|".join(label.replace(".", r"\.").replace("-", r"\-") for label in sorted(labels, key=len, reverse=True))
    return rf"^(?:{alternatives})(?:[^\p{{L}}]|$)"


def _sections(kinds: pl.DataFrame, layout: Layout) -> tuple[dict[str, int], list[Section]]:
    """Follow headings and their totals down the file; a heading inside another is a sub-account, unless headings have a form of their own."""
    profile = layout.profile
    starts: dict[str, int] = {}
    events: list[Section] = []
    stack: list[tuple[str, str]] = []
    if not profile.sections:
        return starts, events
    for account in _accounts_above(layout):
        stack = [(cell_key(account), account)]
        starts[cell_key(account)] = layout.header_row
        events = [Section(layout.header_row, account)]
    for row, kind, label in kinds.filter(pl.col("kind").is_in(["section", "total"])).select("row", "kind", "label").sort("row").iter_rows():
        if kind == "section":
            account = section_account(label, profile)
            if profile.section_pattern:
                stack = []
            stack.append((cell_key(account), account))
            starts[cell_key(account)] = row
        else:
            key = totaled_section(label, profile)
            keys = [name for name, _ in stack]
            if key in keys:
                stack = stack[: keys.index(key)]
        events.append(Section(row, stack[-1][1] if stack else ""))
    return starts, events


def _accounts_above(layout: Layout) -> list[str]:
    """Return the accounts that lines above the header name, where headings have a form by which they are told."""
    pattern = layout.profile.section_pattern
    return [section_account(cell, layout.profile) for line in layout.preamble for cell in line if pattern and re.search(pattern, cell)]


def section_account(label: str, profile: Profile) -> str:
    """Return the account that a heading names."""
    found = re.search(profile.section_pattern, label) if profile.section_pattern else None
    return (found["account"] if found else label).strip()


def totaled_section(label: str, profile: Profile) -> str:
    """Return the heading that a total names, as cells are compared; "" where it names none.

    >>> totaled_section("Total for 1050 Stripe with sub-accounts", Profile(name="x", columns={}))
    '1050 stripe'
    """
    key = cell_key(label)
    for prefix in sorted(profile.section_totals, key=len, reverse=True):
        if key.startswith(prefix + " "):
            return _WITH_CHILDREN.sub("", key[len(prefix) + 1 :]).strip()
    return ""
