"""BAI2 files (Cash Management Balance Reporting, version 2) -> entries, proved by the file's own control totals.

A record ends with `/` and goes on in 88 records. Each account trailer (49) states the sum of all amounts of its account and its
record count, group (98) and file trailer (99) those of theirs: a file that was cut, edited or padded contradicts them. Where an account has
opening (010) and closing ledger balance (015), opening + entries = closing is checked too. Type codes 100-399 are credits, 400-699
debits; others move no money that is booked (BAI2 specification, appendix A). An entry's day is its group's as-of date.
"""

import re
from dataclasses import dataclass, field
from datetime import date, datetime

import polars as pl

from reconciliation.connectors.bank.statement import LINES_SCHEMA, BankFile, account_identity
from reconciliation.connectors.tabular.cells import decode_text
from reconciliation.connectors.tabular.faults import Faults, show_cell
from reconciliation.errors import FileRefusedError
from reconciliation.money import AMOUNT_MINOR_MAX, format_minor

_START = re.compile(rb"\s*01,[^,]*,[^,]*,\d{6},")
# Some banks put several records on a line, each behind the slash that ends the one before.
_BREAK = re.compile(r"\n|/[ \t]+(?=(?:01|02|03|16|49|88|98|99),)")
_KNOWN = frozenset({"01", "02", "03", "16", "49", "88", "98", "99"})
_CURRENCY = "USD"
"""Of files that name none (BAI2 specification, group header)."""
_OPENING, _CLOSING = "010", "015"
_DESCRIPTION_MAX = 4_000


@dataclass
class _Record:
    line: int
    code: str
    fields: list[str]
    count: int = 1
    text: str = ""


@dataclass
class _Account:
    number: str
    currency: str
    day: date
    sum_minor: int = 0
    records: int = 1
    balances: dict[str, int] = field(default_factory=dict)
    moved_minor: int = 0


def is_bai2(content: bytes) -> bool:
    """Tell a BAI2 file by its first record, the file header."""
    return bool(_START.match(content))


def read_bai2(file: str, content: bytes) -> BankFile:
    """Read all accounts of a file.

    Raises:
        FileRefusedError: an unknown record, an amount that cannot be read, control totals or balances that do not hold.
    """
    text, encoding = decode_text(file, content)
    reader = _Reader(Faults(file))
    for record in _records(file, text):
        reader.take(record)
        reader.faults.raise_any()
    if not reader.is_closed:
        raise FileRefusedError(file=file, message="ends before its file trailer (99); it was cut short: download it again")
    lines = pl.DataFrame(reader.rows, schema=LINES_SCHEMA, orient="row")
    proofs = [("control_totals", True), *([("opening_plus_entries_is_closing", True)] if reader.tied else [])]
    return BankFile(file, "bai2", 1.0, encoding, "", "year_first", lines, tuple(proofs))


def _records(file: str, text: str) -> list[_Record]:
    """Cut a file into logical records, continuations joined."""
    found: list[_Record] = []
    line = 1
    place = 0
    for cut in [*_BREAK.finditer(text), None]:
        raw = text[place : cut.start() if cut else len(text)].strip()
        if raw:
            code = raw[:2]
            if code == "88" and found and raw[2:3] == ",":
                _continue(found[-1], raw[3:].removesuffix("/"))
            elif code in _KNOWN - {"88"} and raw[2:3] == ",":
                found.append(_Record(line, code, [part.strip() for part in raw.removesuffix("/").split(",")], text=raw.removesuffix("/")))
            elif found and found[-1].code == "16":
                found[-1].text += " " + raw.removesuffix("/")
            else:
                raise FileRefusedError(file=file, row=line, message=f"{show_cell(raw)} begins no record of BAI2; download the file again")
        if cut:
            line += cut[0].count("\n")
            place = cut.end()
    return found


def _continue(record: _Record, rest: str) -> None:
    record.count += 1
    record.fields += [part.strip() for part in rest.split(",")]
    record.text += ("," if record.code != "16" or record.text.count(",") < 3 else " ") + rest


class _Reader:
    """Follows a file's records from header to trailer."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self.rows: list[tuple[object, ...]] = []
        self.is_closed = False
        self.tied = 0
        self._account: _Account | None = None
        self._group: dict[str, int] | None = None
        self._file = {"sum": 0, "accounts": 0, "groups": 0, "records": 0}
        self._day, self._currency, self._statement = date.min, "", 0

    def take(self, record: _Record) -> None:
        """Take the next record."""
        self._file["records"] += record.count
        if self._group is not None:
            self._group["records"] += record.count
        if self._account is not None and record.code in {"16", "49"}:
            self._account.records += record.count
        step = {"01": self._header, "02": self._open_group, "03": self._open_account, "16": self._entry, "49": self._close_account}
        step |= {"98": self._close_group, "99": self._close_file}
        step[record.code](record)

    def _fault(self, record: _Record, message: str) -> None:
        self.faults.add(row=record.line, column=record.code, message=f"{message}; download the file again")

    def _field(self, record: _Record, place: int) -> str:
        return record.fields[place] if place < len(record.fields) else ""

    def _number(self, record: _Record, text: str) -> int:
        if not re.fullmatch(r"[+-]?\d{1,18}", text or "0"):
            self._fault(record, f"{show_cell(text)} is not a whole number of the currency's smallest unit")
            return 0
        return int(text or "0")

    def _header(self, record: _Record) -> None:
        if self._field(record, 8) not in {"2", ""}:
            self._fault(record, f"the file is of version {show_cell(self._field(record, 8))}, not 2")

    def _open_group(self, record: _Record) -> None:
        if self._group is not None or self._account is not None:
            self._fault(record, "a group begins before the one before it ended")
        self._group = {"sum": 0, "accounts": 0, "records": record.count}
        self._currency = self._field(record, 6).upper()
        text = self._field(record, 4)
        try:
            self._day = datetime.strptime(text, "%y%m%d").date()  # noqa: DTZ007  # a day has no zone
        except ValueError:
            self._fault(record, f"the as-of date {show_cell(text)} is no day")

    def _open_account(self, record: _Record) -> None:
        if self._group is None or self._account is not None:
            self._fault(record, "an account begins outside a group, or before the one before it ended")
            return
        self._statement += 1
        currency = self._field(record, 2).upper() or self._currency or _CURRENCY
        if not re.fullmatch("[A-Z]{3}", currency):
            self._fault(record, f"{show_cell(currency)} is not a currency code")
        account = _Account(account_identity(self._field(record, 1)), currency, self._day, records=record.count)
        place = 3
        while place < len(record.fields):
            code, amount, funds = (self._field(record, place + step) for step in (0, 1, 3))
            if code and amount:
                number = self._number(record, amount)
                account.sum_minor += number
                account.balances[code] = number
            place += 4 + _funds_width(funds, self._field(record, place + 4))
        self._account = account

    def _entry(self, record: _Record) -> None:
        account = self._account
        if account is None:
            self._fault(record, "an entry stands outside an account")
            return
        code, amount = self._field(record, 1), self._number(record, self._field(record, 2))
        account.sum_minor += amount
        side = _side(code)
        if side is None:
            self._fault(record, f"the type code {show_cell(code)} is no three digits")
            return
        place = 4 + _funds_width(self._field(record, 3), self._field(record, 4))
        parts = record.text.split(",", place + 2)
        bank, customer = (self._field(record, place), self._field(record, place + 1))
        text = " ".join((parts[place + 2] if len(parts) > place + 2 else "").split())[:_DESCRIPTION_MAX]
        if amount and side == 0:
            self._fault(record, f"the type code {show_cell(code)} moves no money, but the entry has an amount")
            return
        minor = amount * side
        if abs(minor) > AMOUNT_MINOR_MAX:
            self._fault(record, "the amount is larger than any that is accepted")
        account.moved_minor += amount * side
        reference = " ".join(part for part in (bank, customer) if part)
        self.rows.append((self._statement, len(self.rows) + 1, account.number, account.day, None, account.currency, minor, "", reference, text, True))

    def _close_account(self, record: _Record) -> None:
        account = self._account
        if account is None or self._group is None:
            self._fault(record, "an account ends that did not begin")
            return
        self._compare(record, "sum of amounts", account.sum_minor, self._field(record, 1))
        self._compare(record, "record count", account.records, self._field(record, 2))
        opening, closing = account.balances.get(_OPENING), account.balances.get(_CLOSING)
        if opening is not None and closing is not None:
            self.tied += 1
            if opening + account.moved_minor != closing:
                shown = [format_minor(amount, account.currency) for amount in (opening, account.moved_minor, closing)]
                self._fault(record, f"opening {shown[0]} + entries {shown[1]} is not the closing balance {shown[2]} {account.currency}; an entry is missing")
        self._group["sum"] += account.sum_minor
        self._group["accounts"] += 1
        self._account = None

    def _close_group(self, record: _Record) -> None:
        if self._group is None or self._account is not None:
            self._fault(record, "a group ends that did not begin, or inside an account")
            return
        self._compare(record, "sum of account totals", self._group["sum"], self._field(record, 1))
        self._compare(record, "number of accounts", self._group["accounts"], self._field(record, 2))
        self._compare(record, "record count", self._group["records"], self._field(record, 3))
        self._file["sum"] += self._group["sum"]
        self._file["groups"] += 1
        self._group = None

    def _close_file(self, record: _Record) -> None:
        if self._group is not None:
            self._fault(record, "the file ends inside a group")
        self._compare(record, "sum of group totals", self._file["sum"], self._field(record, 1))
        self._compare(record, "number of groups", self._file["groups"], self._field(record, 2))
        self._compare(record, "record count", self._file["records"], self._field(record, 3))
        self.is_closed = True

    def _compare(self, record: _Record, what: str, found: int, stated: str) -> None:
        if stated and self._number(record, stated) != found:
            self._fault(record, f"the trailer states a {what} of {stated.lstrip('+0') or '0'}, but it is {found}")


def _side(code: str) -> int | None:
    """Return 1 for a credit, -1 for a debit, 0 for what moves nothing, None for no type code."""
    if not re.fullmatch(r"\d{3}", code):
        return None
    number = int(code)
    if 100 <= number <= 399:
        return 1
    return -1 if 400 <= number <= 699 else 0


def _funds_width(kind: str, following: str) -> int:
    """Return how many fields a funds type has behind it: V a day and a time, S three amounts, D a count and pairs."""
    widths = {"V": 2, "S": 3}
    if kind == "D":
        return 1 + 2 * int(following) if following.isdigit() else 1
    return widths.get(kind, 0)
