"""Approved entries -> files in the import layout of an ERP, with their control totals.

A layout (`layouts/*.toml`) says which of our values stands under which heading, what a file may hold, and whether the ERP reverses an accrual
itself. Headings without a value of ours take a constant from `[journals.columns]`. Files are split between entries, never inside one, and each
is read again before it is handed out: what it holds must be what was to be posted.
"""

import csv
import difflib
import hashlib
import io
import tomllib
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import polars as pl
from pydantic import BaseModel, ConfigDict

from reconciliation.close.csv_file import csv_bytes
from reconciliation.config import Settings
from reconciliation.errors import DefectError, SettingsError
from reconciliation.money import format_minor, parse_minor

LAYOUTS = Path(__file__).parent / "layouts"
PREFIXES = {
    "netsuite": "netsuite",
    "xero": "xero",
    "quickbooks": "quickbooks_online",
    "sap": "sap",
    "sage_intacct": "sage_intacct",
    "business_central": "business_central",
}
"""Beginning of a ledger profile's name -> the layout of the same system."""
CONTROL = ["file", "entries", "rows", "currency", "debit", "credit", "sha256"]
DATES = {"day_first": "%d/%m/%Y", "month_first": "%m/%d/%Y"}
ISO = "%Y-%m-%d"
AMOUNTS = ("amount", "debit", "credit")


class Layout(BaseModel):
    """How an ERP wants entries (`layouts/*.toml`)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str
    systems: tuple[str, ...]
    rows_max: int
    reversal: Literal["native", "own"]
    currencies: Literal["any", "base"] = "any"
    clearing: Literal["ledger", "bank"] = "ledger"
    header: Literal["each line", "first line"] = "each line"
    header_columns: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    base_currency_is_blank: bool = False
    columns: dict[str, str]


@dataclass(frozen=True)
class ImportFiles:
    """Files to import, the control totals beside them, and why there are none.

    Attributes:
        layout: name of the layout, or empty where none is known.
        files: name -> content; the control file included.
        control: a row for each file and currency (`CONTROL`).
        reasons: what keeps entries from being written, in words.
    """

    layout: str
    files: dict[str, bytes] = field(default_factory=dict)
    control: tuple[dict[str, str], ...] = ()
    reasons: tuple[str, ...] = ()


@lru_cache(maxsize=1)
def read_layouts() -> dict[str, Layout]:
    """Read the shipped layouts by name."""
    return {path.stem: Layout.model_validate(tomllib.loads(path.read_text(encoding="utf-8"))) for path in sorted(LAYOUTS.glob("*.toml"))}


def choose_layout(settings: Settings, profiles: list[str]) -> str:
    """Return the layout the settings name, else that of the system whose exports were read; empty where that has none.

    Args:
        settings: `[journals]`.
        profiles: ledger profiles of the files that were read, the most used first.

    Raises:
        SettingsError: no layout has that name.
    """
    named = settings.journals.layout
    if named != "auto":
        if named not in read_layouts():
            near = difflib.get_close_matches(named, read_layouts(), n=1)
            raise SettingsError(f"[journals] layout = {named!r} is none of {', '.join(read_layouts())}" + (f"; did you mean {near[0]!r}?" if near else ""))
        return named
    found = next((layout for profile in profiles for prefix, layout in PREFIXES.items() if profile.startswith(prefix)), "")
    return "xero_bank" if found == "xero" and settings.journals.clearing_is_bank_account else found


def write_import_files(lines: pl.DataFrame, settings: Settings, *, layout: str, date_order: str = "") -> ImportFiles:
    """Write the approved entries in a layout.

    Args:
        lines: lines of entries (`LINE_SCHEMA`), in order.
        settings: accounts and constants.
        layout: its name; empty where no layout fits the exports.
        date_order: order of day and month in the exports: `day_first`, `month_first` or other; an ERP imports dates as it exports them.

    Raises:
        DefectError: a file does not hold what was to be posted; a fault of this program.
        SettingsError: `[journals.columns]` names a heading that the layout does not have.
    """
    approved = lines.filter(pl.col("status") == "approved")
    if not layout:
        return ImportFiles("", reasons=("no import layout is known for these exports; name one as [journals] layout",) if approved.height else ())
    shape = read_layouts()[layout]
    _check_constants(settings, layout, shape)
    entries, reasons = _writable(approved, settings, shape)
    reasons += [] if approved.height else ["no entry is approved"]
    if entries.is_empty() or _is_blocked(approved, settings, shape):
        return ImportFiles(layout, reasons=tuple(reasons))
    parts = _split(entries, shape.rows_max)
    files, control = {}, []
    for number, part in enumerate(parts, start=1):
        name = f"journal_entries_{layout}.csv" if len(parts) == 1 else f"journal_entries_{layout}_{number}.csv"
        files[name] = _render(part, settings, shape, date_format=settings.journals.date_format or DATES.get(date_order, ISO))
        control += _prove(name, files[name], part, shape)
    files[f"journal_entries_{layout}_control.csv"] = csv_bytes(pl.DataFrame(control, schema=dict.fromkeys(CONTROL, pl.String)), CONTROL)
    return ImportFiles(layout, files, tuple(control), tuple(reasons))


def _check_constants(settings: Settings, layout: str, shape: Layout) -> None:
    unknown = [heading for heading in settings.journals.columns if heading not in shape.columns]
    if unknown:
        raise SettingsError(f"[journals.columns] names {', '.join(map(repr, unknown))}; the layout {layout} has {', '.join(shape.columns)}")


def missing_roles(lines: pl.DataFrame, settings: Settings) -> list[str]:
    """Return the roles of entries that have no account in the settings."""
    roles = lines.filter(pl.col("account_role") != "clearing")["account_role"].unique().sort()
    return [role for role in roles if role not in settings.journals.accounts]


def _is_blocked(approved: pl.DataFrame, settings: Settings, shape: Layout) -> bool:
    lacks_constant = any(not settings.journals.columns.get(heading) for heading in shape.required)
    return bool(missing_roles(approved, settings)) or lacks_constant


def _writable(approved: pl.DataFrame, settings: Settings, shape: Layout) -> tuple[pl.DataFrame, list[str]]:
    """Return the lines to write, and in words what is left out or keeps all of them from being written."""
    reasons = []
    roles = missing_roles(approved, settings)
    if roles:
        reasons.append(f"no account for {', '.join(roles)}; set {'them' if len(roles) > 1 else 'it'} in [journals.accounts]")
    if approved.height:
        lacking = [heading for heading in shape.required if not settings.journals.columns.get(heading)]
        reasons += [f'{shape.title} needs {heading}; set [journals.columns] "{heading}" = "…"' for heading in lacking]
    entries = approved
    if shape.reversal == "native":
        # The ERP reverses what it was told to reverse; only a reversal that never came is posted by hand.
        planned = (pl.col("reverses_journal") != "") & pl.col("reverses_journal").is_in(approved["journal_id"].implode())
        entries = entries.filter(~planned)
    if shape.currencies == "base":
        foreign = entries.filter(pl.col("currency") != settings.entity.currency)["journal_id"].unique().sort()
        if len(foreign):
            reasons.append(f"{shape.title} knows no currency but {settings.entity.currency}; post by hand: {', '.join(foreign)}")
        entries = entries.filter(pl.col("currency") == settings.entity.currency)
    if shape.clearing == "bank":
        counter = (
            entries.filter(pl.col("account_role") != "clearing").group_by("journal_id").agg(counter_account=pl.col("account").unique().sort().str.join(", "))
        )
        entries = entries.filter(pl.col("account_role") == "clearing").join(counter, on="journal_id", how="left", maintain_order="left")
    else:
        entries = entries.with_columns(counter_account=pl.lit(""))
    return entries, reasons


def _split(entries: pl.DataFrame, rows_max: int) -> list[pl.DataFrame]:
    """Split between entries; an entry with its reversal may stand in two files, an entry never does."""
    parts: list[list[pl.DataFrame]] = [[]]
    count = 0
    for part in entries.partition_by("journal_id", maintain_order=True):
        if count and count + part.height > rows_max:
            parts.append([])
            count = 0
        parts[-1].append(part)
        count += part.height
    return [pl.concat(group) for group in parts]


def _render(entries: pl.DataFrame, settings: Settings, shape: Layout, *, date_format: str) -> bytes:
    values = _values(entries, settings, shape, date_format)
    cells, numbers = [], {}
    for heading, source in shape.columns.items():
        if source in AMOUNTS:
            cells.append(pl.col(source).alias(heading))
            numbers[heading] = "amount_currency"
            continue
        constant = settings.journals.columns.get(heading)
        if constant is not None:
            cell = pl.lit(constant)
        elif source == "=05 if reversing":
            cell = pl.when(pl.col("reverses_on") != "").then(pl.lit("05")).otherwise(pl.lit(""))
        elif source.startswith("="):
            cell = pl.lit(source[1:])
        else:
            cell = pl.col(source) if source else pl.lit("")
        if shape.header == "first line" and heading in shape.header_columns:
            cell = pl.when(pl.col("line") == "1").then(cell).otherwise(pl.lit(""))
        cells.append(cell.alias(heading))
    return csv_bytes(values.select(*cells, "amount_currency"), list(shape.columns), money=numbers)


def _values(entries: pl.DataFrame, settings: Settings, shape: Layout, date_format: str) -> pl.DataFrame:
    """Return every value that a layout can name: amounts in minor units, the rest as text."""
    currency = pl.col("currency")
    base = pl.lit(settings.entity.currency)
    period = pl.concat_str([pl.col("period"), pl.lit("-01")]).str.to_date("%Y-%m-%d", strict=False)
    words = pl.col("memo").str.split(" ").list.slice(1).list.join(" ")
    return entries.select(
        "journal_id",
        "memo",
        "counter_account",
        account=pl.when(pl.col("account_role") == "clearing").then(_as_imported(settings)).otherwise("account"),
        date=pl.col("posting_date").dt.strftime(date_format),
        reverses_on=pl.col("reverses_on").dt.strftime(date_format).fill_null("") if shape.reversal == "native" else pl.lit(""),
        period_name=period.dt.strftime("%b %Y").fill_null(pl.col("period")),
        period_number=period.dt.strftime("%m").str.strip_chars_start("0").fill_null(pl.col("period")),
        currency=pl.when(currency == base).then(pl.lit("")).otherwise(currency) if shape.base_currency_is_blank else currency,
        amount_currency=currency,
        debit=pl.when(pl.col("debit_minor") != 0).then("debit_minor"),
        credit=pl.when(pl.col("credit_minor") != 0).then("credit_minor"),
        amount=pl.col("debit_minor") - pl.col("credit_minor"),
        line=pl.col("line").cast(pl.String),
        line_ten_thousands=(pl.int_range(1, pl.len() + 1) * 10_000).cast(pl.String),
        memo_50=pl.col("memo").str.slice(0, 50),
        memo_100=pl.col("memo").str.slice(0, 100),
        cause_short=words.str.slice(0, 25),
        description_30=pl.col("memo").str.slice(0, 30),
        reference_18=pl.when(words.str.contains(r"\S*\d\S*"))
        .then(words.str.extract(r"(\S*\d\S*)", 1))
        .otherwise("journal_id")
        .str.strip_chars(",")
        .str.slice(0, 18),
        account_type=pl.when((pl.col("account_role") == "clearing") & pl.lit(settings.journals.clearing_is_bank_account))
        .then(pl.lit("Bank Account"))
        .otherwise(pl.lit("G/L Account")),
    )


def _as_imported(settings: Settings) -> pl.Expr:
    names = settings.journals.clearing
    return pl.col("account").replace(list(names), list(names.values())) if names else pl.col("account")


def _prove(name: str, content: bytes, entries: pl.DataFrame, shape: Layout) -> list[dict[str, str]]:
    """Read a file again and compare what it holds with what was to be posted, by currency.

    Raises:
        DefectError: they differ, or an entry does not balance in the file.
    """
    by_source = {source: heading for heading, source in shape.columns.items()}
    rows = list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))
    control = []
    sums: dict[str, list[int]] = {}
    balance: dict[str, int] = {}
    made_from = entries.select("journal_id", "currency", "debit_minor", "credit_minor").iter_rows(named=True)
    for number, (source, row) in enumerate(zip(made_from, rows, strict=True), start=2):
        debit, credit = _sides(row, by_source, source["currency"])
        if (debit, credit) != (source["debit_minor"], source["credit_minor"]):
            raise DefectError(f"{name}: row {number} of {source['journal_id']} does not hold the amount of the entry; please report this")
        total = sums.setdefault(source["currency"], [0, 0, 0])
        total[0], total[1], total[2] = total[0] + debit, total[1] + credit, total[2] + 1
        balance[source["journal_id"]] = balance.get(source["journal_id"], 0) + debit - credit
    unbalanced = [journal for journal, left in balance.items() if left and shape.clearing == "ledger"]
    if unbalanced:
        raise DefectError(f"{name}: {', '.join(unbalanced)} would not balance; please report this")
    digest = hashlib.sha256(content).hexdigest()
    for currency, (debit, credit, count) in sorted(sums.items()):
        entry_count = entries.filter(pl.col("currency") == currency)["journal_id"].n_unique()
        control.append({
            "file": name, "entries": str(entry_count), "rows": str(count), "currency": currency, "debit": format_minor(debit, currency),
            "credit": format_minor(credit, currency), "sha256": digest,
        })  # fmt: skip
    return control


def _sides(row: dict[str, Any], by_source: dict[str, str], currency: str) -> tuple[int, int]:
    if "amount" in by_source:
        signed = parse_minor(row[by_source["amount"]], currency)
        return max(signed, 0), max(-signed, 0)
    debit, credit = (row[by_source[side]] for side in ("debit", "credit"))
    return parse_minor(debit or "0", currency), parse_minor(credit or "0", currency)
