"""MT940 and MT942 messages (SWIFT) -> entries, each statement tied out.

The tags are parsed by `mt-940`, one message at a time, since it keeps one opening and one closing balance a call. What it
would pass over is refused here: an entry it did not recognize, a balance without currency. A reversal of a credit (RC) takes
money out. MT942 is an interim report: its entries are kept apart as not booked. The day of an entry without entry date is its value date.
"""

import logging
import re
from datetime import date
from decimal import Decimal
from typing import Any

import mt940
import polars as pl

from reconciliation.connectors.bank.statement import LINES_SCHEMA, BankFile, account_identity
from reconciliation.connectors.tabular.cells import decode_text
from reconciliation.connectors.tabular.faults import Faults
from reconciliation.errors import FileRefusedError
from reconciliation.money import format_minor, parse_minor

_TAG = re.compile(r"^(?:\{.*\{4:\s*)?:(?:20|25|28C?|60[FM]|61|62[FM]|34F|13D):", re.MULTILINE)
_MESSAGE = re.compile(r"(?m)^(?=(?:\{1:.*)?:20:)|^(?=\{1:)")
_BALANCE = re.compile(r"(?m)^:6[02][FM]:")
_ENTRY = re.compile(r"(?m)^:61:")
_BALANCES = {
    "opening": ("60", "final_opening_balance", "intermediate_opening_balance"),
    "closing": ("62", "final_closing_balance", "intermediate_closing_balance"),
}
_NO_REFERENCE = frozenset({"", "NONREF", "NOREF", "NOTPROVIDED"})
_DESCRIPTION_MAX = 4_000

logging.getLogger("mt940").setLevel(logging.CRITICAL)


def is_mt940(content: bytes) -> bool:
    """Tell SWIFT messages from tables by a tag at the beginning of one of the first lines."""
    head = content[:4096].decode("latin-1").lstrip("\ufeffï»¿\r\n -")
    return bool(_TAG.match(head)) or bool(re.match(r"\{1:F01", head)) or bool(_TAG.search(head) and _ENTRY.search(head))


def read_mt940(file: str, content: bytes) -> BankFile:
    """Read all messages of a file.

    Raises:
        FileRefusedError: a tag or amount that cannot be read, no currency, a statement that does not tie out.
    """
    text, encoding = _decode(file, content)
    faults = Faults(file)
    rows: list[tuple[object, ...]] = []
    tied, interim = 0, 0
    messages = [message for message in _MESSAGE.split(text.replace("\r\n", "\n").replace("\r", "\n")) if _TAG.search(message)]
    if not any(_BALANCE.search(message) or _ENTRY.search(message) for message in messages):
        raise FileRefusedError(file=file, message="holds no statement: no balance (:60F:) and no entry (:61:); download it again")
    for number, message in enumerate(messages, start=1):
        parsed = _parse(file, message, number=number, row=len(rows) + 1)
        is_interim = ":34F:" in message or (":13D:" in message and ":62" not in message)
        interim += is_interim
        entries = _entries(parsed, number=number, first_row=len(rows) + 1, is_booked=not is_interim, faults=faults)
        faults.raise_any()
        if not is_interim:
            tied += _tie_out(parsed, message, entries, number=number, first_row=len(rows) + 1, faults=faults)
        faults.raise_any()
        rows += entries
    profile = "mt942" if interim and interim == len(messages) else "mt940"
    proofs = (("opening_plus_entries_is_closing", True),) if tied else ()
    return BankFile(file, profile, 1.0, encoding, ",", "year_first", pl.DataFrame(rows, schema=LINES_SCHEMA, orient="row"), proofs)


def _decode(file: str, content: bytes) -> tuple[str, str]:
    """Decode a message; banks' old systems write names in DOS letters, and the tags are plain in any encoding."""
    try:
        return decode_text(file, content)
    except FileRefusedError:
        if b"\0" in content:
            raise
        return content.decode("cp850"), "cp850"


def _parse(file: str, message: str, *, number: int, row: int) -> Any:
    """Parse one message with the library.

    Raises:
        FileRefusedError: a tag cannot be read, or the library passed an entry over.
    """
    reason: Exception | None = None
    of_asn_bank: dict[int | str, Any] = {61: mt940.tags.StatementASNB()}
    for tags in (None, of_asn_bank):
        parsed = mt940.models.Transactions(processors={}, tags=tags, options=mt940.Options.all())
        try:
            parsed.parse(message)
        except (RuntimeError, ValueError, ArithmeticError, TypeError, AttributeError, KeyError, IndexError) as error:
            reason = reason or error
            continue
        found = [entry for entry in parsed.transactions if entry.data.get("amount") is not None]
        if len(found) == len(_ENTRY.findall(message)):
            return parsed
        reason = reason or ValueError(f"{len(_ENTRY.findall(message))} entries (:61:), of which {len(found)} could be read")
    shown = str(reason.args[0] if reason and reason.args else reason).split(" from ")[-1][:120]
    raise FileRefusedError(file=file, row=row, message=f"message {number} cannot be read: {shown}; download the statement again")


def _entries(parsed: Any, *, number: int, first_row: int, is_booked: bool, faults: Faults) -> list[tuple[object, ...]]:
    account = account_identity(str(parsed.data.get("account_identification") or ""))
    found = [entry.data for entry in parsed.transactions if entry.data.get("amount") is not None]
    rows: list[tuple[object, ...]] = []
    for row, data in enumerate(found, start=first_row):
        currency = _currency(data.get("currency")) or _statement_currency(parsed)
        minor = _minor(data["amount"].amount, currency, row=row, faults=faults)
        value_on = _day(data.get("date"))
        booked_on = _day(data.get("entry_date")) or value_on
        if booked_on is None:
            faults.add(row=row, column=":61:", message="the entry has no day; download the statement again")
        texts = (_text(data, "applicant_name"), _reference(data), _description(data))
        rows.append((number, row, account, booked_on, value_on, currency, minor, *texts, is_booked))
    return rows


def _minor(amount: Decimal, currency: str, *, row: int, faults: Faults) -> int | None:
    if not currency:
        faults.add(
            row=row,
            column=":60F:",
            message="no balance or limit of the message names a currency, so that the entry's is not known; download the statement again",
        )
        return None
    try:
        return parse_minor(format(amount, "f"), currency)
    except ValueError as error:
        faults.add(row=row, column=":61:", message=f"{error}; download the statement again")
        return None


def _tie_out(parsed: Any, message: str, entries: list[tuple[object, ...]], *, number: int, first_row: int, faults: Faults) -> bool:
    """Check opening + entries = closing. SWIFT makes both balances mandatory in an MT940."""
    balances: dict[str, tuple[str, int]] = {}
    for name, (tag, *keys) in _BALANCES.items():
        balance = next((parsed.data[key] for key in keys if parsed.data.get(key) is not None), None)
        if len(re.findall(rf"(?m)^:{tag}[FM]:", message)) > 1:
            faults.add(row=first_row, column=f":{tag}F:", message=f"message {number} has several {name} balances; download the statement again")
            return True
        if balance is None:
            what = "cannot be read" if re.search(rf"(?m)^:{tag}[FM]:", message) else "is missing, as in a file that was cut short"
            faults.add(row=first_row, column=f":{tag}F:", message=f"the {name} balance of message {number} {what}; download the statement again")
            continue
        currency = _currency(balance.amount.currency)
        minor = _minor(balance.amount.amount, currency or _statement_currency(parsed), row=first_row, faults=faults)
        if minor is not None:
            balances[name] = (currency, minor)
    if len(balances) < 2:
        return False
    (currency, opening), (closing_currency, closing) = balances["opening"], balances["closing"]
    if closing_currency != currency:
        text = (
            f"message {number}: the opening balance is in {currency}, the closing balance in {closing_currency or 'no currency'}; download the statement again"
        )
        faults.add(row=first_row, column=":62F:", message=text)
        return True
    moved = sum(int(str(entry[6])) for entry in entries)
    if opening + moved != closing:
        shown = [format_minor(amount, currency) for amount in (opening, moved, opening + moved, closing)]
        text = f"message {number}: opening {shown[0]} + entries {shown[1]} = {shown[2]}, but the closing balance is {shown[3]} {currency}"
        faults.add(row=first_row, column=":62F:", message=f"{text}; an entry is missing or altered: download it again")
    return True


def _statement_currency(parsed: Any) -> str:
    names = [key for _, *keys in _BALANCES.values() for key in keys]
    balances = [parsed.data.get(name) for name in names]
    limits = [parsed.data.get(name) for name in ("d_floor_limit", "c_floor_limit")]
    stated = [*(balance.amount.currency for balance in balances if balance is not None), *(limit.currency for limit in limits if limit is not None)]
    return next((code for code in map(_currency, stated) if code), "")


def _currency(code: object) -> str:
    return code if isinstance(code, str) and re.fullmatch("[A-Z]{3}", code) else ""


def _day(value: object) -> date | None:
    return date(value.year, value.month, value.day) if isinstance(value, date) else None


def _text(data: dict[str, Any], name: str) -> str:
    return " ".join(str(data.get(name) or "").split())


def _reference(data: dict[str, Any]) -> str:
    names = ("end_to_end_reference", "customer_reference", "bank_reference")
    found = [text for name in names if (text := _text(data, name)).upper() not in _NO_REFERENCE]
    return " ".join(dict.fromkeys(found))[:_DESCRIPTION_MAX]


def _description(data: dict[str, Any]) -> str:
    found = [text for name in ("purpose", "posting_text", "extra_details", "transaction_details", "non_swift_text") if (text := _text(data, name))]
    return " ".join(dict.fromkeys(found))[:_DESCRIPTION_MAX]
