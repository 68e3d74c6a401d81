"""Bank statements + settings -> booked lines that may be payouts, the others set aside, and what became of each file.

A line is in scope of the first book whose `bank_accounts` allow its account and one of whose `bank_match` descriptors stands in its
description, counterparty or reference, in any letter case. The rest are rent and wages: set aside as `not_a_payout`, never breaks.
"""

import logging
from collections.abc import Sequence

import polars as pl

from reconciliation.config import Settings
from reconciliation.connectors.bank.bai2 import is_bai2, read_bai2
from reconciliation.connectors.bank.camt import is_xml, read_camt
from reconciliation.connectors.bank.csv_statement import bank_profiles, read_csv_statement
from reconciliation.connectors.bank.mt940 import is_mt940, read_mt940
from reconciliation.connectors.bank.ofx import is_ofx, read_ofx
from reconciliation.connectors.bank.statement import BankFile, account_identity
from reconciliation.connectors.inbox import InboxFile, raise_together
from reconciliation.connectors.tabular.cells import open_grids
from reconciliation.connectors.tabular.detection import try_layout
from reconciliation.connectors.tabular.identity import content_hash
from reconciliation.connectors.tabular.reading import FileReading as FileReading
from reconciliation.connectors.tabular.reading import add_outcome, list_proofs
from reconciliation.errors import FileRefusedError
from reconciliation.personal import mask_personal
from reconciliation.schemas.files import BankLine, SetAsideRow, SourceFile

logger = logging.getLogger(__name__)

SUFFIXES = frozenset(
    {".xml", ".csv", ".txt", ".tsv", ".xlsx", ".xlsm", ".camt", ".053", ".c53", ".sta", ".mt940", ".940", ".mt942", ".swi", ".bai", ".bai2", ".ofx", ".qfx"}
)

_IDENTITY = ("bank_account", "booked_on", "amount_minor", "currency", "description", "reference")


def read_bank(files: Sequence[InboxFile], *, settings: Settings) -> FileReading:
    """Read bank statements.

    Args:
        files: in any order; their names decide nothing.
        settings: what is in scope.

    Raises:
        FileRefusedError: statements that cannot be read exactly or do not tie out, all of them at once.
    """
    read: list[tuple[InboxFile, BankFile]] = []
    refused: list[FileRefusedError] = []
    for file in files:
        try:
            read.extend((file, one) for one in read_statement(file, settings=settings))
        except FileRefusedError as error:
            refused.append(error)
    raise_together(refused)
    if not read:
        return FileReading(BankLine.create_empty(), SetAsideRow.create_empty(), SourceFile.create_empty())
    rows = pl.concat([_stamp(file, one) for file, one in read])
    lines = _count_once(_scope(rows, settings))
    used, aside = _bank_lines(lines), _set_aside(lines, settings)
    files_read = add_outcome(_source_files(read, lines), lines=used, set_aside=aside).select(SourceFile.column_names())
    reading = FileReading(used, aside, SourceFile.validate(files_read, cast=True))
    logger.info("%d bank files: %d rows, %d in scope, %d set aside or repeated", len(read), lines.height, reading.lines.height, reading.set_aside.height)
    return reading


def read_statement(file: InboxFile, *, settings: Settings) -> list[BankFile]:
    """Read one bank file, which is several where a workbook has several sheets.

    Raises:
        FileRefusedError: it cannot be read exactly.
    """
    if is_ofx(file.content):
        return [read_ofx(file.name, file.content)]
    if is_xml(file.content):
        return [read_camt(file.name, file.content)]
    if is_mt940(file.content):
        return [read_mt940(file.name, file.content)]
    if is_bai2(file.content):
        return [read_bai2(file.name, file.content)]
    grids = open_grids(file.name, file.content)
    if len(grids) > 1:
        grids = [grid for grid in grids if try_layout(grid, bank_profiles())] or grids[:1]
    if not grids:
        raise FileRefusedError(file=file.name, message="has no visible sheet with cells; save the statement's sheet visibly")
    return [read_csv_statement(grid, day_first=settings.ledger.day_first, default_currency=settings.entity.currency) for grid in grids]


def is_statement(content: bytes) -> bool:
    """Tell whether content is in one of the formats that only banks write."""
    return is_ofx(content) or is_xml(content) or is_mt940(content) or is_bai2(content)


def _stamp(file: InboxFile, one: BankFile) -> pl.DataFrame:
    last = one.lines["booked_on"].max() if one.lines.height else None
    return one.lines.with_columns(
        source_file=pl.lit(one.file),
        sha256=pl.lit(file.sha256),
        delivery=pl.lit(file.delivery, dtype=pl.Int64),
        last_day=pl.lit(last, dtype=pl.Date),
        count=pl.len(),
    )


def _scope(rows: pl.DataFrame, settings: Settings) -> pl.DataFrame:
    """Add `rule`: null in scope, else why not."""
    text = pl.concat_str("description", "counterparty", "reference", separator="\n").str.to_lowercase()
    in_scope = pl.lit(False)
    for book in settings.books:
        named = pl.any_horizontal([pl.lit(False), *(text.str.contains(descriptor.lower(), literal=True) for descriptor in book.bank_match)])
        accounts = [account_identity(account) for account in book.bank_accounts]
        # A CSV that names no account was put into the inbox for one of them; there is nothing to compare.
        allowed = pl.col("bank_account").is_in([*accounts, ""]) if accounts else pl.lit(True)
        in_scope = in_scope | (named & allowed)
    return rows.with_columns(rule=pl.when(~pl.col("is_booked")).then(pl.lit("not_booked")).when(~in_scope).then(pl.lit("not_a_payout")))


def _count_once(rows: pl.DataFrame) -> pl.DataFrame:
    """Mark lines of overlapping files: the n-th equal line of one file is the n-th equal line of another; the newest file has it."""
    order = ["delivery", "last_day", "count", "sha256", "source_file", "row"]
    identity = [*_IDENTITY, "is_booked"]
    ordered = rows.sort(order, nulls_last=False).with_columns(ordinal=pl.int_range(1, pl.len() + 1).over("source_file", *identity))
    is_last = pl.int_range(pl.len()).over(*identity, "ordinal") == pl.len().over(*identity, "ordinal") - 1
    return ordered.with_columns(rule=pl.when(is_last).then("rule").otherwise(pl.lit("superseded")))


def _bank_lines(lines: pl.DataFrame) -> pl.DataFrame:
    used = lines.filter(pl.col("rule").is_null())
    used = used.with_columns(hash=content_hash(used, _IDENTITY)).with_columns(
        item_id=pl.format("bk_{}/{}", "hash", "ordinal"), source_row=pl.col("row").cast(pl.String)
    )
    # After the ids, which come from the whole content.
    return BankLine.validate(mask_personal(used, ["description", "counterparty"]).select(BankLine.column_names()).sort("item_id"))


def _set_aside(lines: pl.DataFrame, settings: Settings) -> pl.DataFrame:
    aside = lines.filter(pl.col("rule").is_not_null()).with_columns(
        source_row=pl.col("row").cast(pl.String), side=pl.lit("bank"), month=settings.calendar.period_of_day("booked_on")
    )
    frame = aside.rename({"booked_on": "date", "bank_account": "account"}).select(SetAsideRow.column_names())
    masked = mask_personal(frame, ["description"])
    return SetAsideRow.validate(masked.sort("source_file", pl.col("source_row").cast(pl.Int64)), cast=True)


def _source_files(read: Sequence[tuple[InboxFile, BankFile]], lines: pl.DataFrame) -> pl.DataFrame:
    superseded = pl.col("rule") == "superseded"
    counts = lines.group_by("source_file").agg(
        rows_used=pl.col("rule").is_null().sum(),
        rows_set_aside=(~superseded).fill_null(value=False).sum(), rows_retired=superseded.fill_null(value=False).sum(),
        covers_from=pl.col("booked_on").min(), covers_to=pl.col("booked_on").max(),
    )  # fmt: skip
    rows = [
        {
            "source_file": one.file, "sha256": file.sha256, "kind": "bank", "profile": one.profile, "confidence": one.confidence, "encoding": one.encoding,
            "decimal_mark": one.decimal_mark, "date_order": one.date_order, "rows_in": one.lines.height, "delivery": file.delivery,
            "delimiter": one.delimiter, "evidence": one.evidence, "other_names": ";".join(file.other_names), "proofs": list_proofs(one.proofs),
        }
        for file, one in read
    ]  # fmt: skip
    files = pl.DataFrame(rows).join(counts, on="source_file", how="left")
    files = files.with_columns(pl.col("rows_used", "rows_set_aside", "rows_retired").fill_null(0))
    return files.sort("source_file")
