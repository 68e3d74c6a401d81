"""What `reconcile open` is given -> the stored opening of a book: ledger balances and old open items.

The items file is the last manual reconciliation, CSV or XLSX, with the columns of `open_items.csv`; leg, side, date, amount
and currency are needed.
"""

import difflib
import io
from pathlib import Path

import polars as pl

from reconciliation.config import Book, Settings
from reconciliation.errors import FileRefusedError, LockedPeriodError, SettingsError
from reconciliation.lake import Lake
from reconciliation.money import parse_minor
from reconciliation.population import read_opening_items

NEEDED = ["leg", "side", "date", "amount", "currency"]
ALLOWED = {"leg": ["books", "cash"], "side": ["stripe", "ledger", "bank"]}


def record_opening(lake: Lake, settings: Settings, *, period: str, ledger: list[str], items: Path | None) -> dict[str, int]:
    """Store the opening of the first month.

    Args:
        lake: where it is stored.
        settings: book and account names.
        period: must be the first month reconciled.
        ledger: texts such as `1050 Stripe Clearing GBP=1312.00`; the currency may be left out where the account has one.
        items: open items of the last manual reconciliation, or None.

    Returns:
        `account|currency` -> balance in minor units.

    Raises:
        SettingsError: another period than the first, an unknown account, a balance that is no amount.
        FileRefusedError: the items file lacks a column or holds a value that cannot be read.
        LockedPeriodError: the first month is locked already.
    """
    if period != settings.start.period:
        raise SettingsError(f"--period {period}: the opening belongs to the first month reconciled, {settings.start.period} ([start] period)")
    if lake.scopes(f"lock/{period}"):
        raise LockedPeriodError(f"{period} is locked, so its opening does not change any more")
    book = settings.books[0]
    balances = dict(_parse_balance(text, book) for text in ledger)
    tables = {"items": lake.stage("opening_items", read_items_file(items, settings))} if items else {}
    lake.publish(f"opening/{book.name}", tables, facts={"ledger": balances})
    return balances


def read_items_file(path: Path, settings: Settings) -> pl.DataFrame:
    """Read open items from CSV or XLSX into `Item` columns with `reference_text`.

    Raises:
        FileRefusedError: all faults at once, each with its row and column.
    """
    rows = _read_text_table(path)
    missing = [name for name in NEEDED if name not in rows.columns]
    if missing:
        near = [f"{name} (is it {close[0]!r}?)" if (close := difflib.get_close_matches(name, rows.columns, n=1)) else name for name in missing]
        raise FileRefusedError(file=str(path), row=1, message=f"columns missing: {', '.join(near)}; needed are {', '.join(NEEDED)}, named as in open_items.csv")
    faults, amounts, days = [], [], []
    for number, row in enumerate(rows.select(NEEDED).iter_rows(named=True), 2):
        for column, allowed in ALLOWED.items():
            if row[column] not in allowed:
                faults.append(f"row {number} [{column}]: {row[column]!r}, expected {' or '.join(allowed)}")
        try:
            amounts.append(parse_minor((row["amount"] or "").strip(), row["currency"] or ""))
        except ValueError as error:
            faults.append(f"row {number} [amount]: {error}")
        day = pl.Series([row["date"]]).str.to_date("%Y-%m-%d", strict=False).item()
        if day is None:
            faults.append(f"row {number} [date]: {row['date']!r} is not a day like 2026-09-30")
        days.append(day)
    if faults:
        raise FileRefusedError(file=str(path), message="; ".join(faults[:20]) + "; correct them and repeat")
    kept = rows.drop("amount", "date", "age_days", strict=False)
    return read_opening_items(
        kept.with_columns(pl.Series("amount_minor", amounts, dtype=pl.Int64), pl.Series("date", days, dtype=pl.Date)), calendar=settings.calendar
    )


def _read_text_table(path: Path) -> pl.DataFrame:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise FileRefusedError(file=str(path), message=f"cannot be read ({error.strerror}); name an existing CSV or XLSX") from error
    try:
        if path.suffix.lower() == ".xlsx":
            return pl.read_excel(io.BytesIO(content), infer_schema_length=0, raise_if_empty=False)
        return pl.read_csv(io.BytesIO(content.removeprefix(b"\xef\xbb\xbf")), infer_schema=False)
    except (pl.exceptions.PolarsError, UnicodeDecodeError) as error:
        raise FileRefusedError(file=str(path), message=f"is no readable table ({str(error).splitlines()[0]}); save it as CSV in UTF-8 or as XLSX") from error


def _parse_balance(text: str, book: Book) -> tuple[str, int]:
    name, separator, amount = text.rpartition("=")
    if not separator:
        raise SettingsError(f"--ledger {text!r}: expected 'account currency=balance', for example '1050 Stripe Clearing GBP=1312.00'")
    known = {(account.account, account.currency): account for account in book.ledger_accounts}
    exact = [key for key in known if f"{key[0]} {key[1]}" == name.strip()]
    by_account = [key for key in known if key[0] == name.strip()]
    found = exact or by_account
    if len(found) != 1:
        listed = ", ".join(f"'{account} {currency}'" for account, currency in known) or "none ([[books.ledger_accounts]] is empty)"
        raise SettingsError(f"--ledger {name.strip()!r} names {'several accounts' if found else 'no account'} of the settings; they have {listed}")
    account, currency = found[0]
    try:
        return f"{account}|{currency}", parse_minor(amount.strip(), currency)
    except ValueError as error:
        raise SettingsError(f"--ledger {text!r}: {error}") from error
