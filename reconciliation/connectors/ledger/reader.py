"""Ledger exports + settings -> ledger lines on mapped accounts, rows set aside with their rule, and what became of each file.

Every export is read by itself first (`read_export`), so that `reconcile check` says of one file what the pipeline would. Then
accounts are mapped and coverage decides which export counts. Run alone: `reconcile check FILE`. Left out: what a line means.
"""

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from reconciliation.calendar import Calendar
from reconciliation.config import Settings
from reconciliation.connectors.inbox import InboxFile, raise_together
from reconciliation.connectors.ledger.accounts import account_key, found_accounts, mapped_accounts, name_as_mapped, resolve_currency
from reconciliation.connectors.ledger.amounts import account_amounts, base_amounts, expand_contra, has_foreign_amounts, take_base_amounts
from reconciliation.connectors.ledger.coverage import Covered, apply_coverage
from reconciliation.connectors.ledger.proofs import prove_export
from reconciliation.connectors.tabular.cells import Grid, open_grids
from reconciliation.connectors.tabular.dates import parse_period
from reconciliation.connectors.tabular.detection import try_layout
from reconciliation.connectors.tabular.faults import Faults
from reconciliation.connectors.tabular.identity import content_hash
from reconciliation.connectors.tabular.profiles import Profile, choose_profiles, kept_mappings, shipped_profiles
from reconciliation.connectors.tabular.reading import FileReading as FileReading
from reconciliation.connectors.tabular.reading import add_outcome, list_proofs
from reconciliation.connectors.tabular.table import Table, read_table
from reconciliation.connectors.tabular.totals import Proofs
from reconciliation.errors import FileRefusedError
from reconciliation.personal import mask_personal
from reconciliation.schemas.files import LedgerLine, SetAsideRow, SourceFile

logger = logging.getLogger(__name__)

SUFFIXES = frozenset({".csv", ".txt", ".tsv", ".xlsx", ".xlsm"})

PROFILES = Path(__file__).parent / "profiles"
MAPPINGS = "mappings"
"""Folder beside the settings file in which confirmed mappings are kept; each is recognized by the header it was made for."""

MONTHS_APART_MAX = 6
"""A numbered period without a year lies in the year that brings it nearest to its posting date."""

_FOREIGN_WORDS = re.compile(
    r"\b(?:doc|document|trans|tran|transaction|original|orig|source|foreign|entered|account currency|fcy|fx|tc|dc)\b|fremdw|belegw|transaktionsw|devise|étrang|divisa|extranj|vreemd|estera",
    re.IGNORECASE,
)
_MONEY_WORDS = re.compile(r"amount|amt|value|debit|credit|betrag|umsatz|montant|importe|monto|bedrag|importo|kwota|belopp|beløb", re.IGNORECASE)
_UNIT = "\x1f"
# A row that names two mapped accounts is two lines.
_SOURCE_ROW = pl.when("is_contra").then(pl.format("{}/contra", "row")).otherwise(pl.col("row").cast(pl.String))


@dataclass(frozen=True)
class Export:
    """One export, read by itself: its table, and its lines before accounts are mapped."""

    file: InboxFile
    table: Table
    lines: pl.DataFrame
    proofs: Proofs


KEPT_BYTES_MAX, KEPT_MAX = 4_000_000, 64
_READ: dict[tuple[str | bytes, ...], list[Export]] = {}
"""Small exports as this process has read them: a run of several months meets the same deliveries in each. Nothing in them is ever changed."""


def ledger_profiles(settings: Settings) -> tuple[Profile, ...]:
    """Return the profiles that `[ledger] profile` allows.

    Raises:
        SettingsError: it names none.
    """
    chosen = choose_profiles(shipped_profiles(PROFILES), setting=settings.ledger.profile, folder=settings.folder)
    return (*kept_mappings(settings.path(MAPPINGS)), *chosen) if settings.ledger.profile == "auto" else chosen


def read_ledger(files: Sequence[InboxFile], *, settings: Settings) -> FileReading:
    """Read ledger exports.

    Args:
        files: in any order; their names decide nothing.
        settings: accounts, calendar, profile.

    Raises:
        FileRefusedError: exports that cannot be read exactly, all of them at once.
        SettingsError: no account is mapped and the exports are on several.
    """
    profiles, exports, refused = ledger_profiles(settings), [], []
    for file in files:
        try:
            exports.extend(read_export(file, profiles, settings=settings))
        except FileRefusedError as error:
            refused.append(error)
    raise_together(refused)
    if not exports:
        empty = SourceFile.create_empty()
        return FileReading(LedgerLine.create_empty(), SetAsideRow.create_empty(), empty)
    mapped = _mapping(exports, settings)
    scoped: list[pl.DataFrame] = []
    for export in exports:
        try:
            scoped.append(_map_lines(export, mapped, settings))
        except FileRefusedError as error:
            refused.append(error)
    raise_together(refused)
    covered = apply_coverage(pl.concat(scoped))
    lines = covered.lines
    used, aside = _ledger_lines(lines), _set_aside(lines)
    reading = FileReading(used, aside, _source_files(exports, covered, used, aside))
    logger.info("%d ledger exports: %d rows, %d used, %d set aside or retired", len(exports), lines.height, reading.lines.height, reading.set_aside.height)
    return reading


def read_export(file: InboxFile, profiles: Sequence[Profile], *, settings: Settings) -> list[Export]:
    """Read one export, which is several where a workbook has several ledger sheets.

    Raises:
        FileRefusedError: it cannot be read exactly.
    """
    key: tuple[str | bytes, ...] = (file.name, file.content, str(file.delivery), *file.other_names, settings.model_dump_json(), repr(profiles))
    if key in _READ:
        return _READ[key]
    grids = open_grids(file.name, file.content)
    if len(grids) > 1:
        grids = [grid for grid in grids if try_layout(grid, profiles)] or grids[:1]
    if not grids:
        raise FileRefusedError(file=file.name, message="has no visible sheet with cells; save the export's sheet visibly")
    exports = [_read_sheet(file, grid, profiles, settings) for grid in grids]
    if len(file.content) <= KEPT_BYTES_MAX and len(_READ) < KEPT_MAX:
        _READ[key] = exports
    return exports


def _read_sheet(file: InboxFile, grid: Grid, profiles: Sequence[Profile], settings: Settings) -> Export:
    table = read_table(grid, profiles, day_first=settings.ledger.day_first, default_currency=settings.entity.currency)
    faults, profile = Faults(table.file), table.layout.profile
    kind, posting = pl.col("type").str.to_lowercase(), pl.col("posting").str.to_lowercase()
    lines = table.lines.with_columns(
        account_key=account_key("account"),
        currency_stated=_currency_code(profile, table.layout.constants.get("currency", "")),
        is_revaluation=kind.is_in([name.lower() for name in profile.revaluation_types]),
        is_non_posting=kind.is_in([name.lower() for name in profile.non_posting_types]) | posting.is_in(list(profile.non_posting_words)),
        month=_month(table, settings.calendar, faults),
    )
    no_account = "stands below no account's heading; export the whole report" if profile.sections else "is empty; every line needs an account"
    faults.add_rows(lines.filter(pl.col("account_key") == ""), column=table.layout.header("account"), message=no_account)
    odd = lines.filter(~pl.col("currency_stated").str.contains("^([A-Z]{3})?$"))
    faults.add_rows(
        odd,
        column=table.layout.header("currency"),
        cell="currency",
        message="{cell} is not a currency code such as GBP; write the code, or name it under [currency_names] in a mapping file",
    )
    base = settings.entity.currency
    other_base = lines.filter(~pl.col("base_currency").str.to_uppercase().is_in(["", base]))
    message = f"{{cell}} is the currency of the books in this export, but [entity] currency is {base}; export in {base}, or correct the settings"
    faults.add_rows(other_base, column=table.layout.header("base_currency"), cell="base_currency", message=message)
    _refuse_other_base(table, base, faults)
    _refuse_second_amount(lines, table, base, faults)
    faults.raise_any()
    lines = base_amounts(lines, table, faults)
    faults.raise_any()
    proofs = (*table.proofs, *prove_export(lines, table, faults))
    faults.raise_any()
    lines = expand_contra(_link_reversals(lines, profile), profile, account_key=account_key("contra_account"))
    return Export(file, table, lines, proofs)


def _refuse_other_base(table: Table, base: str, faults: Faults) -> None:
    """Refuse columns whose header names a currency that is not that of the books, where the system writes base amounts there."""
    for field, codes in table.layout.header_currencies.items():
        in_base = table.layout.profile.amount_currency == "base" and not field.startswith("foreign")
        if in_base and base not in codes:
            message = f"is in {' or '.join(sorted(codes))}, but [entity] currency is {base}; export in {base}, or correct the settings"
            faults.add(row=table.layout.header_row, column=table.layout.header(field), message=message)


def _refuse_second_amount(lines: pl.DataFrame, table: Table, base: str, faults: Faults) -> None:
    """Refuse a plain table in several currencies with a second amount that is not read: which of the two is the account's is not known."""
    layout = table.layout
    if layout.profile.amount_currency == "base" or has_foreign_amounts(table) or lines["currency_stated"].is_in(["", base]).all():
        return
    for index, header in enumerate(layout.headers):
        if index not in layout.fields.values() and _FOREIGN_WORDS.search(header) and _MONEY_WORDS.search(header):
            message = "seems to be the amount in another currency, and it is not read; name the account's amount as amount in a mapping file ([ledger] profile)"
            faults.add(row=layout.header_row, column=header, message=message)


def _link_reversals(lines: pl.DataFrame, profile: Profile) -> pl.DataFrame:
    """Let `reverses` name a document, also where the export names the number of an entry."""
    if profile.reverses_by == "document":
        return lines.with_columns(reverses=pl.when(pl.col("reverses").str.contains(r"^0*$")).then(pl.lit("")).otherwise("reverses"))
    documents = (
        lines.filter(pl.col("internal_id") != "").unique(subset="internal_id", keep="first").select(reverses="internal_id", reversed_document="document")
    )
    joined = lines.join(documents, on="reverses", how="left", maintain_order="left")
    return joined.with_columns(reverses=pl.col("reversed_document").fill_null("")).drop("reversed_document")


def _currency_code(profile: Profile, constant: str) -> pl.Expr:
    names = {name.lower(): code for name, code in profile.currency_names.items()}
    stated = pl.when(pl.col("currency") == "").then(pl.lit(constant)).otherwise("currency")
    return stated.str.to_lowercase().replace(names).str.to_uppercase() if names else stated.str.to_uppercase()


def _month(table: Table, calendar: Calendar, faults: Faults) -> pl.Series:
    """Return each line's accounting period: the one its ERP states, else that of its posting date."""
    is_number = pl.col("period").str.contains(r"^[0-9]{1,3}$")
    number = pl.col("period").str.strip_chars_start("0")
    special = [str(period) for period in table.layout.profile.special_periods if not calendar.periods]
    regular = pl.when(number.is_in(special)).then(pl.lit("12")).otherwise(number)
    joined = pl.when(is_number).then(regular + "/" + _year_of_period(number)).otherwise("period")
    lines = table.lines.with_columns(period=joined)
    texts = lines.filter(pl.col("period") != "").group_by("period").agg(pl.col("row").min())
    listed = [name for name, _, _ in calendar.periods]
    known: dict[str, str] = {}
    for text, row in texts.iter_rows():
        period = parse_period(text, listed=listed)
        if period is None:
            faults.add(
                row=row,
                column=table.layout.header("period"),
                message=f"{text[:40]!r} is not a posting period; write it as 'Oct 2026', '2026-10' or '10/2026'",
            )
        else:
            known[text] = period
    _refuse_shifted_periods(lines, known, table, calendar, faults)
    stated = pl.col("period").replace_strict(known, default=None, return_dtype=pl.String)
    return lines.select(pl.coalesce(stated, calendar.period_of_day("day")).alias("month")).to_series()


def _year_of_period(number: pl.Expr) -> pl.Expr:
    """Return the year of a numbered period: the one stated, else that of the posting date, which may lie a few months into the next or the last."""
    apart = number.cast(pl.Int32, strict=False).clip(1, 12) - pl.col("day").dt.month().cast(pl.Int32)
    shift = pl.when(apart > MONTHS_APART_MAX).then(-1).when(apart < -MONTHS_APART_MAX).then(1).otherwise(0)
    dated = (pl.col("day").dt.year() + shift).cast(pl.String)
    return pl.when(pl.col("fiscal_year") != "").then("fiscal_year").otherwise(dated)


def _refuse_shifted_periods(lines: pl.DataFrame, known: dict[str, str], table: Table, calendar: Calendar, faults: Faults) -> None:
    """Refuse numbered periods of a fiscal year that does not begin in January: the third period is then not March."""
    if not known or not table.lines["period"].str.contains(r"^[0-9]{1,3}$").any():
        return
    stated = pl.col("period").replace_strict(known, default=None, return_dtype=pl.String)
    compared = lines.select("row", "period", stated=stated, dated=calendar.period_of_day("day")).drop_nulls()
    differing = compared.filter(pl.col("stated") != pl.col("dated"))
    if differing.height * 2 > compared.height:
        row, period, _, dated = differing.row(0)
        message = (
            f"period {period!r} is dated {dated}, as are most others: the fiscal year does not begin in January; name its periods in a file ([close] calendar)"
        )
        faults.add(row=row, column=table.layout.header("period"), message=message)


def _mapping(exports: Sequence[Export], settings: Settings) -> pl.DataFrame:
    mapped = mapped_accounts(settings)
    if mapped.is_empty():
        return found_accounts(pl.concat([export.lines.select("account_key", "currency_stated") for export in exports]), settings=settings)
    return mapped


def _map_lines(export: Export, mapped: pl.DataFrame, settings: Settings) -> pl.DataFrame:
    """Bring one export's lines to accounts, currencies and amounts.

    Raises:
        FileRefusedError: a currency that the account is not listed in, amounts that contradict each other.
    """
    table, base = export.table, settings.entity.currency
    faults = Faults(table.file)
    named = name_as_mapped(export.lines, mapped)
    lines = take_base_amounts(resolve_currency(named, mapped, base_currency=base), table, base_currency=base)
    unlisted = (
        pl.col("is_mapped")
        & ~pl.col("is_revaluation")
        & (pl.col("currency_stated") != "")
        & (pl.col("currency") != base)
        & (pl.col("currency_stated") != pl.col("currency"))
    ) | (pl.col("is_mapped") & pl.col("currency").is_null())
    message = "{cell} is not a currency that [[books.ledger_accounts]] lists for this account; list the account once for each of its currencies"
    faults.add_rows(lines.filter(unlisted), column=table.layout.header("currency"), cell="currency", message=message)
    if table.layout.profile.amount_currency == "line" and not has_foreign_amounts(table):
        other = pl.col("is_mapped") & (pl.col("currency_stated") != "") & (pl.col("currency_stated") != pl.col("currency"))
        message = "{cell} is not the currency of the account, and the export has no amount in the account's; export that too"
        faults.add_rows(lines.filter(other), column=table.layout.header("currency"), cell="currency", message=message)
    lines = account_amounts(lines, table, base_currency=base, faults=faults)
    faults.raise_any()
    # Of a row with two accounts the mapped ones count; where none is mapped, the first.
    lines = lines.filter(pl.col("is_mapped") | (~pl.col("is_contra") & ~pl.col("is_mapped").any().over("row")))
    reversed_document = pl.when(pl.col("type").str.to_lowercase().is_in([name.lower() for name in table.layout.profile.reversal_types])).then(
        pl.col("created_from").str.extract(r"(?:^|#)\s*([^\s#]+)\s*$")
    )
    first, last = table.covers or (None, None)
    return lines.select(
        "row", "is_contra", "day", "month", "account", "account_key", "is_mapped", "currency", "amount_minor", "base_amount_minor", "type", "counterparty", "memo", "poster",
        stated_from=pl.lit(first, dtype=pl.Date), stated_to=pl.lit(last, dtype=pl.Date),
        source_file=pl.lit(table.file), sha256=pl.lit(export.file.sha256), delivery=pl.lit(export.file.delivery, dtype=pl.Int64),
        document=pl.col("document").str.replace_all(r"\s+", " "),
        reference=pl.concat_str("reference", "clearing_document", separator=" ").str.strip_chars(),
        reverses_document=pl.when(pl.col("reverses") != "").then("reverses").otherwise(reversed_document),
        without_document=pl.when(pl.col("document") == "").then(pl.concat_str("counterparty", "reference", "type", separator=_UNIT)).otherwise(pl.lit("")),
        rule=pl.when("is_non_posting").then(pl.lit("non_posting")).when(~pl.col("is_mapped")).then(pl.lit("other_account"))
        .when("is_revaluation").then(pl.lit("revaluation")),
    )  # fmt: skip


def _ledger_lines(lines: pl.DataFrame) -> pl.DataFrame:
    used = lines.filter((pl.col("fate") == "used") & pl.col("rule").is_null())
    content = ["account", "day", "amount_minor", "memo", "currency", "base_amount_minor", "reference", "counterparty", "type", "poster", "month"]
    order = ["document", *content, "rank", "row"]
    named = used.filter(pl.col("document") != "").with_columns(is_alone=pl.col("document").is_unique())
    alone = named.filter("is_alone").with_columns(item_id=pl.format("gl_{}/1", "document"))
    several = named.filter(~pl.col("is_alone")).sort(order, nulls_last=True)
    several = several.with_columns(item_id=pl.format("gl_{}/{}", "document", pl.int_range(1, pl.len() + 1).over("document")))
    with_document = pl.concat([alone, several]).drop("is_alone")
    without = used.filter(pl.col("document") == "").sort(order, nulls_last=True)
    without = without.with_columns(hash=content_hash(without, ["account", "day", "amount_minor", "currency", "memo", "counterparty", "reference", "type"]))
    without = without.with_columns(item_id=pl.format("glh_{}/{}", "hash", pl.int_range(1, pl.len() + 1).over("hash"))).drop("hash")
    frame = pl.concat([with_document, without]).rename({"day": "posting_on"}).with_columns(source_row=_SOURCE_ROW)
    # After the ids, which come from the whole content.
    return LedgerLine.validate(mask_personal(frame, ["memo", "counterparty"]).select(LedgerLine.column_names()).sort("item_id"))


def _set_aside(lines: pl.DataFrame) -> pl.DataFrame:
    aside = lines.filter((pl.col("fate") != "used") | pl.col("rule").is_not_null()).with_columns(
        rule=pl.when(pl.col("fate") == "used").then("rule").otherwise("fate"), source_row=_SOURCE_ROW, side=pl.lit("ledger")
    )
    frame = aside.sort("source_file", "row", "is_contra").rename({"day": "date", "memo": "description"}).select(SetAsideRow.column_names())
    return SetAsideRow.validate(mask_personal(frame, ["description"]), cast=True)


def _source_files(exports: Sequence[Export], covered: Covered, lines: pl.DataFrame, set_aside: pl.DataFrame) -> pl.DataFrame:
    used = pl.col("fate") == "used"
    counts = covered.lines.group_by("source_file").agg(
        rows_in=pl.len(),
        rows_used=(used & pl.col("rule").is_null()).sum(),
        rows_set_aside=(used & pl.col("rule").is_not_null()).sum(),
        rows_retired=(~used).sum(),
    )
    keys = covered.lines.filter("is_mapped").select("account_key").unique()
    spans = covered.spans.join(keys, on="account_key", how="semi").group_by("source_file").agg(pl.col("covers_from").min(), pl.col("covers_to").max())
    rows = [
        {
            "source_file": export.table.file, "sha256": export.file.sha256, "kind": "ledger", "profile": export.table.layout.profile.name,
            "confidence": export.table.layout.confidence, "encoding": export.table.encoding, "decimal_mark": export.table.mark,
            "date_order": export.table.date_order, "delivery": export.file.delivery, "delimiter": export.table.layout.delimiter,
            "other_names": ";".join(export.file.other_names), "evidence": export.table.evidence, "proofs": list_proofs(export.proofs),
        }
        for export in exports
    ]  # fmt: skip
    files = pl.DataFrame(rows).join(counts, on="source_file", how="left").join(spans, on="source_file", how="left")
    files = files.with_columns(pl.col("rows_in", "rows_used", "rows_set_aside", "rows_retired").fill_null(0))
    files = add_outcome(files, lines=lines, set_aside=set_aside)
    return SourceFile.validate(files.select(SourceFile.column_names()).sort("source_file"), cast=True)
