"""Trial balances -> closing balances of the mapped ledger accounts, an opening that owes nothing to their lines.

A file has the header `account,currency,period,closing_balance`, debit positive, or what ERPs print: balances in two columns, or opening, debit,
credit and closing, which are then proved row by row; without a closing column the movements lead to it. The currency may be left out where the account has one, and the period where a line above the header names the month or its last day. Total
rows are proved, not read. Other accounts of a trial balance are counted and passed over.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from reconciliation.config import Settings
from reconciliation.connectors.inbox import InboxFile, raise_together
from reconciliation.connectors.ledger.accounts import account_key, mapped_accounts, name_as_mapped, resolve_currency
from reconciliation.connectors.tabular.amounts import AmountReading, read_amounts, to_minor
from reconciliation.connectors.tabular.cells import Grid, open_grids
from reconciliation.connectors.tabular.dates import parse_period
from reconciliation.connectors.tabular.detection import Layout, detect_layout, refuse_duplicates, try_layout
from reconciliation.connectors.tabular.faults import Faults
from reconciliation.connectors.tabular.profiles import Profile
from reconciliation.connectors.tabular.reading import list_proofs
from reconciliation.connectors.tabular.totals import show_thousandths
from reconciliation.errors import FileRefusedError
from reconciliation.schemas.files import LedgerBalance, SourceFile

BALANCES = Profile(
    name="balances",
    title="trial balance",
    columns={
        "account": (
            "account", "Account", "Account Name", "Full name", "Account full name", "Ledger Account", "G/L Account", "G/L Acct", "Account no.", "Account Number", "No.",
            "N/C", "Nominal Code", "Financial Row", "Account Code", "Konto", "Kontonummer", "Sachkonto", "Sachkontonr.", "Compte", "CompteNum", "Cuenta", "Rekening",
        ),
        "currency": ("currency", "Currency", "Crcy", "Company Code Currency", "Währung", "Devise"), "period": ("period", "Period", "Posting Period", "Periode", "Période"),
        "opening": (
            "Opening Balance", "Beginning Balance", "Starting Balance", "Starting Balance in Company Code Crcy", "Balance Carryforward", "Balance forward", "EB-Wert",
            "Anfangssaldo", "Eröffnungssaldo", "Saldovortrag", "Solde initial", "Saldo inicial",
        ),
        "balance": (
            "closing_balance", "Closing Balance", "Ending Balance", "Ending Balance in Company Code Crcy", "Accumulated balance", "Cumulative balance", "Balance at Date",
            "Balance", "Endsaldo", "Schlusssaldo", "Kumulierter Saldo", "Saldo", "Solde final", "Solde", "Saldo final", "Eindsaldo", "Net",
        ),
        "debit": (
            "Balance Debit", "Balance at Date Debit", "Debit Balance", "YTD Debit", "Debit - Year to date", "Debit YTD", "Saldo Soll", "Solde débiteur", "SoldeDebiteur",
            "Debit", "Debits", "Amount (Debit)", "Soll", "Débit",
        ),
        "credit": (
            "Balance Credit", "Balance at Date Credit", "Credit Balance", "YTD Credit", "Credit - Year to date", "Credit YTD", "Saldo Haben", "Solde créditeur",
            "SoldeCrediteur", "Credit", "Credits", "Amount (Credit)", "Haben", "Crédit",
        ),
    },
    required=("account", "balance|debit+credit"),
    signature=("account", "balance"),
    unnamed="account",
)  # fmt: skip


@dataclass(frozen=True)
class _BalanceFile:
    file: InboxFile
    name: str
    encoding: str
    mark: str
    confidence: float
    rows: pl.DataFrame
    delimiter: str
    evidence: str
    proofs: tuple[tuple[str, bool], ...]


_MONEY = ("balance", "debit", "credit", "opening")
_TOTAL = r"^(?:grand |report )?(?:total|totals|summe|gesamt|somme)\b"
_DAY_IN_MONTH = re.compile(r"\b([A-Za-z]+\.?) \d{1,2}(?:st|nd|rd|th)?, (\d{4})\b")
_PERIOD_TEXT = re.compile(r"[^\W\d_]{3,}\.? \d{4}\b|\b\d{4}-\d{2}\b|\b\d{1,2}/\d{4}\b")


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
    grid = _trial_balance(open_grids(file.name, file.content), file)
    layout = detect_layout(grid, (BALANCES,))
    body = grid.body(delimiter=layout.delimiter, after_row=layout.header_row, width=len(layout.headers))
    refuse_duplicates(grid.file, layout, body.frame)
    faults = Faults(grid.file)
    frame = body.frame.rename({f"c{place}": field for field, place in layout.fields.items()})
    absent = [name for name in ("account_name", "currency", "period", *_MONEY) if name not in layout.fields]
    frame = frame.with_columns(pl.lit("").alias(name) for name in absent)
    money = [name for name in _MONEY if name in layout.fields]
    frame = frame.filter(pl.any_horizontal(pl.col("account", "period", *money) != ""))
    for row, cells in body.irregular.items():
        faults.add(
            row=row, column="", message=f"has {cells} cells, the header in row {layout.header_row} has {len(layout.headers)}; quote cells that hold a separator"
        )
    is_total = pl.col("account").str.to_lowercase().str.contains(_TOTAL)
    is_note = pl.all_horizontal(pl.col(money) == "")
    totals, frame = frame.filter(is_total), frame.filter(~is_total & ~(is_note & (pl.col("period") == "")))
    faults.add_rows(frame.filter(pl.col("account") == ""), column=layout.header("account"), message="is empty")
    faults.add_rows(frame.filter(is_note), column=layout.header(money[0]), message="is empty")
    frame = _read_periods(
        frame.with_columns(currency_stated=pl.col("currency").str.to_uppercase(), account_key=account_key("account")), layout, settings, faults
    )
    amounts = _read_money(pl.concat([frame.select("row", *money), totals.select("row", *money)]), money, layout)
    faults.extend(amounts.faults)
    faults.raise_any()
    frame, totals = _attach(frame, money, amounts, layout, faults), _attach(totals, money, amounts, layout, faults)
    faults.raise_any()
    proofs = _prove_totals(frame, totals, money, layout, faults)
    rows = _map_rows(frame, layout, settings, faults)
    faults.raise_any()
    rows = rows.select(
        "row", "account", "account_key", "is_mapped", "currency", "period", "closing_balance_minor", source_file=pl.lit(grid.file), sha256=pl.lit(file.sha256),
        delivery=pl.lit(file.delivery, dtype=pl.Int64), last_period=pl.col("period").max(), count=pl.len(),
    )  # fmt: skip
    evidence = f"header in row {layout.header_row}: {layout.evidence}; decimal mark {amounts.mark}: {amounts.evidence}"
    return _BalanceFile(file, grid.file, grid.encoding, amounts.mark, layout.confidence, rows, layout.delimiter, evidence, proofs)


def _trial_balance(grids: list[Grid], file: InboxFile) -> Grid:
    """Return the sheet that holds the trial balance: the one it is recognized on, else the first."""
    if not grids:
        raise FileRefusedError(file=file.name, message="has no visible sheet with cells; save the trial balance's sheet visibly")
    return next((grid for grid in grids if len(grids) > 1 and try_layout(grid, (BALANCES,))), grids[0])


def _read_money(rows: pl.DataFrame, money: list[str], layout: Layout) -> AmountReading:
    texts = [rows.select(text=name, row="row", column=pl.lit(layout.header(name))) for name in money]
    distinct = pl.concat(texts).filter(pl.col("text") != "").sort("row", "column").unique(subset="text", keep="first", maintain_order=True)
    return read_amounts(distinct, stated_mark=None)


def _attach(rows: pl.DataFrame, money: list[str], amounts: AmountReading, layout: Layout, faults: Faults) -> pl.DataFrame:
    """Add `<name>_is` in thousandths for each money column, and `thousandths`, debit positive."""
    signed = pl.when(pl.col("marker") == "CR").then(-pl.col("thousandths")).otherwise("thousandths")
    for name in money:
        values = amounts.values.select(pl.col("text").alias(name), signed.alias(f"{name}_is"))
        rows = rows.join(values, on=name, how="left", maintain_order="left")
        unread = rows.filter(pl.col(f"{name}_is").is_null() & (pl.col(name) != ""))
        faults.add_rows(unread, column=layout.header(name), cell=name, message="{cell} has more decimals than any currency, or is too large; correct it")
    if "debit" not in money or "credit" not in money:
        return rows.with_columns(thousandths="balance_is")
    opening = pl.col("opening_is").fill_null(0) if "opening" in money else pl.lit(0)
    led_to = opening + pl.col("debit_is").fill_null(0) - pl.col("credit_is").fill_null(0)
    if "balance" not in money:
        return rows.with_columns(thousandths=led_to)
    if "opening" in money:
        differs = rows.filter((led_to != pl.col("balance_is")).fill_null(value=False))
        message = "{cell} is not the opening balance plus debit less credit; export it again"
        faults.add_rows(differs, column=layout.header("balance"), cell="balance", message=message)
    return rows.with_columns(thousandths="balance_is")


def _prove_totals(frame: pl.DataFrame, totals: pl.DataFrame, money: list[str], layout: Layout, faults: Faults) -> tuple[tuple[str, bool], ...]:
    """Compare total rows with the rows above them."""
    for name in money:
        for row, stated in totals.filter(pl.col(f"{name}_is").is_not_null()).select("row", f"{name}_is").iter_rows():
            above = int(frame.filter(pl.col("row") < row)[f"{name}_is"].fill_null(0).cast(pl.Int128).sum())
            if above != stated:
                message = f"total {show_thousandths(stated)} differs from the rows above it, which add to {show_thousandths(above)}; export it again"
                faults.add(row=row, column=layout.header(name), message=message)
    return (("total_rows_equal_their_lines", True),) if totals.height else ()


def _read_periods(frame: pl.DataFrame, layout: Layout, settings: Settings, faults: Faults) -> pl.DataFrame:
    listed = [name for name, _, _ in settings.calendar.periods]
    if "period" not in layout.fields:
        period = _preamble_period(layout, listed)
        if period is None:
            message = "no column has the period, and no line above the header names one month; add a column period, written as 2026-10"
            faults.add(row=layout.header_row, column="", message=message)
        return frame.with_columns(period=pl.lit(period, dtype=pl.String))
    faults.add_rows(frame.filter(pl.col("period") == ""), column=layout.header("period"), message="is empty")
    known = {text: parse_period(text, listed=listed) for text in frame["period"].unique()}
    unknown = frame.filter(pl.col("period").is_in([text for text, period in known.items() if period is None and text]))
    faults.add_rows(unknown, column=layout.header("period"), cell="period", message="{cell} is not a period; write it as 2026-10")
    return frame.with_columns(period=pl.col("period").replace_strict(known, return_dtype=pl.String)) if frame.height else frame


def _preamble_period(layout: Layout, listed: list[str]) -> str | None:
    """Return the one month that the lines above the header name: `As of October 31, 2026`, `Period: 2026-10`."""
    found = set()
    for line in layout.preamble:
        for cell in line:
            plain = _DAY_IN_MONTH.sub(r"\1 \2", cell)
            found |= {parse_period(match[0], listed=listed) for match in _PERIOD_TEXT.finditer(plain)}
    found.discard(None)
    return next(iter(found)) if len(found) == 1 else None


def _map_rows(frame: pl.DataFrame, layout: Layout, settings: Settings, faults: Faults) -> pl.DataFrame:
    mapped = mapped_accounts(settings)
    named = name_as_mapped(frame.drop("currency"), mapped)
    rows = resolve_currency(named, mapped, base_currency=settings.entity.currency)
    listed = (pl.col("currency_stated") == pl.col("currency")) | (pl.col("currency_stated") == "")
    rows = rows.with_columns(is_mapped=(pl.col("is_mapped") & listed.fill_null(value=False)) if mapped.height else pl.lit(True))
    rows = rows.with_columns(
        currency=pl.when("is_mapped")
        .then("currency")
        .otherwise(pl.coalesce(pl.when(pl.col("currency_stated") != "").then("currency_stated"), "currency", pl.lit(settings.entity.currency)))
    )
    rows = rows.with_columns(closing_balance_minor=to_minor("thousandths", "currency"))
    unfit = rows.filter("is_mapped", pl.col("closing_balance_minor").is_null())
    faults.add_rows(
        unfit,
        column=layout.header("balance" if "balance" in layout.fields else "debit"),
        cell="balance",
        message="{cell} has more decimals than its currency, or is larger than any amount that is accepted",
    )
    twice = rows.filter("is_mapped").filter(pl.col("closing_balance_minor").n_unique().over("account_key", "currency", "period") > 1)
    faults.add_rows(
        twice,
        column=layout.header("balance" if "balance" in layout.fields else "debit"),
        cell="balance",
        message="{cell} contradicts another row of the same account, currency and period; keep one",
    )
    return rows


def _rules(others: int, repeated: int) -> str:
    return ";".join(f"{name}={count}" for name, count in (("other_account", others), ("superseded", repeated)) if count)


def tie_balances(balances: pl.DataFrame, lines: pl.DataFrame) -> pl.DataFrame:
    """Compare each closing balance with the one a period before plus the lines of the period.

    Args:
        balances: `LedgerBalance`.
        lines: `LedgerLine`.

    Returns:
        `account, currency, period, source_file, difference_minor` of every balance that has one before it; zero where the lines lead to it.
    """
    moved = lines.group_by("account", "currency", period="month").agg(moved=pl.col("amount_minor").sum())
    over = ["account", "currency"]
    ordered = balances.sort(*over, "period").with_columns(
        opening=pl.col("closing_balance_minor").shift(1).over(over), before=pl.col("period").shift(1).over(over)
    )
    next_month = (pl.col("before") + "-01").str.to_date(strict=False).dt.offset_by("1mo").dt.strftime("%Y-%m")
    following = ordered.filter(next_month == pl.col("period")).join(moved, on=[*over, "period"], how="left")
    difference = pl.col("closing_balance_minor") - pl.col("opening") - pl.col("moved").fill_null(0)
    return following.select(*over, "period", "source_file", difference_minor=difference)


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
                "rows_retired": mapped - used.get(one.name, 0), "delimiter": one.delimiter, "evidence": one.evidence, "proofs": list_proofs(one.proofs),
                "other_names": ";".join(one.file.other_names), "totals": "", "rows_by_rule": _rules(one.rows.height - mapped, mapped - used.get(one.name, 0)), "covers_from": None, "covers_to": None, "delivery": one.file.delivery,
            }
        )  # fmt: skip
    return SourceFile.validate(pl.DataFrame(rows).select(SourceFile.column_names()).sort("source_file"), cast=True)
