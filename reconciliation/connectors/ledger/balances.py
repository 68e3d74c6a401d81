"""Trial balances -> the closing balance of each mapped account, currency and period; the newest delivery that names one counts.

A file has the header `account,currency,period,closing_balance`, debit positive; the currency may be left out where the
account has one. Other accounts of a trial balance are counted and passed over.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from reconciliation.config import Settings
from reconciliation.connectors.inbox import InboxFile, raise_together
from reconciliation.connectors.ledger.accounts import account_key, mapped_accounts, resolve_currency
from reconciliation.connectors.tabular.amounts import read_amounts, to_minor
from reconciliation.connectors.tabular.cells import open_grids
from reconciliation.connectors.tabular.dates import parse_period
from reconciliation.connectors.tabular.detection import Layout, detect_layout
from reconciliation.connectors.tabular.faults import Faults
from reconciliation.connectors.tabular.profiles import Profile
from reconciliation.errors import FileRefusedError
from reconciliation.schemas.files import LedgerBalance, SourceFile

BALANCES = Profile(
    name="balances",
    title="trial balance",
    columns={
        "account": ("account", "Account", "Account Name"), "currency": ("currency", "Currency"), "period": ("period", "Period", "Posting Period"),
        "balance": ("closing_balance", "Closing Balance", "Ending Balance", "Balance"),
    },
    required=("account", "period", "balance"),
    signature=("account", "period", "balance"),
)  # fmt: skip


@dataclass(frozen=True)
class _BalanceFile:
    file: InboxFile
    name: str
    encoding: str
    mark: str
    confidence: float
    rows: pl.DataFrame


def read_balances(files: Sequence[InboxFile], *, settings: Settings) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Read trial balances.

    Returns:
        Closing balances (`LedgerBalance`) and one row a file (`SourceFile`).

    Raises:
        FileRefusedError: files that cannot be read exactly or name a balance twice with different amounts, all of them at once.
    """
    read, refused = [], []
    for file in files:
        try:
            read.append(_read_file(file, settings))
        except FileRefusedError as error:
            refused.append(error)
    raise_together(refused)
    if not read:
        return LedgerBalance.create_empty(), SourceFile.create_empty()
    rows = pl.concat([one.rows for one in read])
    key = ["account_key", "currency", "period"]
    newest = rows.filter("is_mapped").sort("delivery", "last_period", "count", "sha256", "row").unique(subset=key, keep="last", maintain_order=True)
    balances = newest.with_columns(source_row=pl.col("row").cast(pl.String)).select(LedgerBalance.column_names()).sort("account", "currency", "period")
    return LedgerBalance.validate(balances), _source_files(read, newest)


def _read_file(file: InboxFile, settings: Settings) -> _BalanceFile:
    grid = open_grids(file.name, file.content)[0]
    layout = detect_layout(grid, (BALANCES,))
    body = grid.body(delimiter=layout.delimiter, after_row=layout.header_row, width=len(layout.headers))
    faults = Faults(grid.file)
    frame = body.frame.rename({f"c{place}": field for field, place in layout.fields.items()})
    if "currency" not in layout.fields:
        frame = frame.with_columns(currency=pl.lit(""))
    frame = frame.filter(pl.any_horizontal(pl.col("account", "period", "balance") != ""))
    for row, cells in body.irregular.items():
        faults.add(
            row=row, column="", message=f"has {cells} cells, the header in row {layout.header_row} has {len(layout.headers)}; quote cells that hold a separator"
        )
    for field in ("account", "period", "balance"):
        faults.add_rows(frame.filter(pl.col(field) == ""), column=layout.header(field), message="is empty")
    frame = _read_periods(
        frame.with_columns(currency_stated=pl.col("currency").str.to_uppercase(), account_key=account_key("account")), layout, settings, faults
    )
    texts = (
        frame.select(text="balance", row="row", column=pl.lit(layout.header("balance")))
        .filter(pl.col("text") != "")
        .unique(subset="text", keep="first", maintain_order=True)
    )
    amounts = read_amounts(texts, stated_mark=None)
    faults.extend(amounts.faults)
    faults.raise_any()
    rows = _map_rows(frame.join(amounts.values, left_on="balance", right_on="text", how="left", maintain_order="left"), layout, settings, faults)
    faults.raise_any()
    rows = rows.select(
        "row", "account", "account_key", "is_mapped", "currency", "period", "closing_balance_minor", source_file=pl.lit(grid.file), sha256=pl.lit(file.sha256),
        delivery=pl.lit(file.delivery, dtype=pl.Int64), last_period=pl.col("period").max(), count=pl.len(),
    )  # fmt: skip
    return _BalanceFile(file, grid.file, grid.encoding, amounts.mark, layout.confidence, rows)


def _read_periods(frame: pl.DataFrame, layout: Layout, settings: Settings, faults: Faults) -> pl.DataFrame:
    listed = [name for name, _, _ in settings.calendar.periods]
    known = {text: parse_period(text, listed=listed) for text in frame["period"].unique()}
    unknown = frame.filter(pl.col("period").is_in([text for text, period in known.items() if period is None and text]))
    faults.add_rows(unknown, column=layout.header("period"), cell="period", message="{cell} is not a period; write it as 2026-10")
    return frame.with_columns(period=pl.col("period").replace_strict(known, return_dtype=pl.String)) if frame.height else frame


def _map_rows(frame: pl.DataFrame, layout: Layout, settings: Settings, faults: Faults) -> pl.DataFrame:
    mapped = mapped_accounts(settings)
    rows = resolve_currency(frame.drop("currency"), mapped, base_currency=settings.entity.currency)
    listed = (pl.col("currency_stated") == pl.col("currency")) | (pl.col("currency_stated") == "")
    rows = rows.with_columns(is_mapped=(pl.col("is_mapped") & listed.fill_null(value=False)) if mapped.height else pl.lit(True))
    rows = rows.with_columns(
        currency=pl.when("is_mapped")
        .then("currency")
        .otherwise(pl.coalesce(pl.when(pl.col("currency_stated") != "").then("currency_stated"), "currency", pl.lit(settings.entity.currency)))
    )
    rows = rows.with_columns(thousandths=pl.when(pl.col("marker") == "CR").then(-pl.col("thousandths")).otherwise("thousandths"))
    rows = rows.with_columns(closing_balance_minor=to_minor("thousandths", "currency"))
    unfit = rows.filter("is_mapped", pl.col("closing_balance_minor").is_null())
    faults.add_rows(
        unfit,
        column=layout.header("balance"),
        cell="balance",
        message="{cell} has more decimals than its currency, or is larger than any amount that is accepted",
    )
    twice = rows.filter("is_mapped").filter(pl.col("closing_balance_minor").n_unique().over("account_key", "currency", "period") > 1)
    faults.add_rows(
        twice, column=layout.header("balance"), cell="balance", message="{cell} contradicts another row of the same account, currency and period; keep one"
    )
    return rows


def _source_files(read: Sequence[_BalanceFile], newest: pl.DataFrame) -> pl.DataFrame:
    used = dict(newest.group_by("source_file").len().iter_rows())
    rows = []
    for one in read:
        mapped = one.rows.filter("is_mapped").height
        rows.append(
            {
                "source_file": one.name, "sha256": one.file.sha256, "kind": "balances", "profile": BALANCES.name, "confidence": one.confidence,
                "encoding": one.encoding, "decimal_mark": one.mark, "date_order": "", "rows_in": one.rows.height, "rows_used": used.get(one.name, 0),
                "rows_set_aside": one.rows.height - mapped,
                "rows_retired": mapped - used.get(one.name, 0), "covers_from": None, "covers_to": None, "delivery": one.file.delivery,
            }
        )  # fmt: skip
    return SourceFile.validate(pl.DataFrame(rows).select(SourceFile.column_names()).sort("source_file"), cast=True)
