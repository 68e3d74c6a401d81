"""One file + settings -> what `reconcile check` prints: how the pipeline reads it, or why it refuses it.

Nothing is stored, and nothing but `SettingsError` is raised: every refusal of a file is part of the answer.
"""

import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from reconciliation.config import Settings
from reconciliation.connectors.bank.csv_statement import bank_profiles
from reconciliation.connectors.bank.reader import is_statement, read_bank, read_statement
from reconciliation.connectors.inbox import FILE_BYTES_MAX, InboxFile, file_name, read_content
from reconciliation.connectors.ledger.reader import ledger_profiles, read_export, read_ledger
from reconciliation.connectors.tabular.cells import CsvGrid, open_grids
from reconciliation.connectors.tabular.detection import CONFIDENCE_MIN, Layout, find_incomplete, try_layout
from reconciliation.errors import FileRefusedError, SettingsError
from reconciliation.money import format_minor

Description = dict[str, Any]


def describe_file(path: Path, settings: Settings) -> Description:
    """Describe one ledger or bank file with the keys of `reconcile check --json` (`interface.md`).

    Args:
        path: any file.
        settings: accounts, profile and scope, as the pipeline would use them.

    Returns:
        JSON-ready; `refused` is null, or row, column and message. What is not known of a refused file is null.
    """
    name = file_name(path.absolute(), base=settings.folder.absolute())
    description: Description = {
        "file": name, "kind": None, "profile": None, "confidence": None, "encoding": None, "decimal_mark": None, "date_order": None,
        "rows_in": None, "rows_used": None, "rows_set_aside": [], "totals": {}, "proofs": [], "refused": None,
    }  # fmt: skip
    try:
        file = read_file(path, settings)
        description["kind"] = _kind(file, path, settings)
        describe: Callable[[InboxFile, Settings], Description] = _describe_bank if description["kind"] == "bank" else _describe_ledger
        description |= describe(file, settings)
    except FileRefusedError as error:
        description["refused"] = {"row": error.row, "column": error.column, "message": error.message}
    except SettingsError as error:
        description["refused"] = {"row": None, "column": None, "message": str(error)}
    return description


def read_file(path: Path, settings: Settings) -> InboxFile:
    """Read any file as the inbox would.

    Raises:
        FileRefusedError: it does not exist, is too large or no regular file.
    """
    name = file_name(path.absolute(), base=settings.folder.absolute())
    content = read_content(Path(os.path.realpath(path)), root=path.parent, name=name, file_bytes_max=FILE_BYTES_MAX)
    if content is None:
        raise FileRefusedError(file=name, message="does not exist; name a file")
    return InboxFile(name=name, content=content, sha256=hashlib.sha256(content).hexdigest(), delivery=1)


def _kind(file: InboxFile, path: Path, settings: Settings) -> str:
    """Tell bank from ledger: by the inbox the file lies in, else by the layout that fits better."""
    place = path.absolute()
    for kind, inbox in (("ledger", settings.ledger.inbox), ("bank", settings.bank.inbox)):
        if place.is_relative_to(settings.path(inbox).absolute()):
            return kind
    if is_statement(file.content):
        return "bank"
    best: dict[str, float] = {"ledger": 0.0, "bank": 0.0}
    best_layout: Layout | None = None
    systems = ledger_profiles(settings)
    for grid in open_grids(file.name, file.content):
        for kind, profiles in (("ledger", systems), ("bank", bank_profiles())):
            layout = try_layout(grid, profiles)
            if layout and layout.confidence >= CONFIDENCE_MIN and (kind == "ledger" or not find_incomplete(systems, layout)):
                if kind == "ledger" and layout.confidence > best["ledger"]:
                    best_layout = layout
                best[kind] = max(best[kind], layout.confidence)
    # A table on a ledger account of the settings is the ledger's; a plain one with other accounts, or none, is as well a bank's.
    if best["bank"] and best_layout and any(book.ledger_accounts for book in settings.books):
        if _names_account(file, settings):
            return "ledger"
        if not best_layout.profile.signature and not best_layout.profile.is_mapping:
            return "bank"
    return "bank" if best["bank"] > best["ledger"] else "ledger"


def _names_account(file: InboxFile, settings: Settings) -> bool:
    """Tell whether a file names a ledger account of the settings. An amount is no name."""
    names = {rf"(?<!\w){re.escape(account.account)}(?!\w|[.,]\d\d(?!\d))" for book in settings.books for account in book.ledger_accounts}
    grids = open_grids(file.name, file.content)
    texts = [grid.text if isinstance(grid, CsvGrid) else "\n".join(cell or "" for row in grid.cells.rows() for cell in row) for grid in grids]
    return any(re.search(name, text) for name in names for text in texts)


def _describe_ledger(file: InboxFile, settings: Settings) -> Description:
    exports = read_export(file, ledger_profiles(settings), settings=settings)
    reading = read_ledger([file], settings=settings)
    proofs = [proof for export in exports for proof in export.proofs]
    return _summary(reading.lines, reading.set_aside, reading.files, proofs)


def _describe_bank(file: InboxFile, settings: Settings) -> Description:
    statements = read_statement(file, settings=settings)
    reading = read_bank([file], settings=settings)
    return _summary(reading.lines, reading.set_aside, reading.files, [proof for statement in statements for proof in statement.proofs])


def _summary(lines: pl.DataFrame, set_aside: pl.DataFrame, files: pl.DataFrame, proofs: list[tuple[str, bool]]) -> Description:
    first = files.row(0, named=True)
    rows_in, used, aside, retired = (sum(files[name].to_list()) for name in ("rows_in", "rows_used", "rows_set_aside", "rows_retired"))
    held = {name: all(holds for other, holds in proofs if other == name) for name, _ in proofs}
    held["rows_in_are_used_or_set_aside"] = rows_in == used + aside + retired
    rows = set_aside.select(row=_row_name(files.height), reason="rule").to_dicts()
    return {
        "profile": first["profile"], "confidence": min(files["confidence"].to_list()), "encoding": first["encoding"], "decimal_mark": first["decimal_mark"],
        "date_order": first["date_order"], "rows_in": rows_in, "rows_used": used, "rows_set_aside": rows, "totals": _totals(lines),
        "proofs": [{"name": name, "holds": holds} for name, holds in held.items()],
    }  # fmt: skip


def _row_name(sheets: int) -> pl.Expr:
    """Return a number, or `Sheet:row` where a workbook has several sheets."""
    if sheets == 1:
        return pl.col("source_row").cast(pl.Int64)
    return pl.col("source_file").str.extract(r"!(.*)$") + ":" + pl.col("source_row")


def _totals(lines: pl.DataFrame) -> dict[str, dict[str, int | str]]:
    """Add up lines per currency; debit is what raises the account in ledger sign, which on a bank account is money in."""
    amount = pl.col("amount_minor").cast(pl.Int128)
    sums = lines.group_by("currency").agg(rows=pl.len(), debit=amount.filter(amount > 0).sum(), credit=amount.filter(amount < 0).sum(), net=amount.sum())
    return {
        row["currency"]: {
            "rows": row["rows"],
            **{name: format_minor(int(row[name]) * sign, row["currency"]) for name, sign in (("debit", 1), ("credit", -1), ("net", 1))},
        }
        for row in sums.sort("currency").iter_rows(named=True)
    }
