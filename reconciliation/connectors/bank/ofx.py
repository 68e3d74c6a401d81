"""OFX and QFX files (version 1, SGML, and version 2, XML) -> booked entries.

An element of version 1 with a value has no end tag; the document is brought to XML by closing those, and lxml reads both. The
day of an entry is the day as written: `20261031000000[+1:CET]` is 31 October, which a conversion to UTC would move.

OFX states a closing balance (LEDGERBAL) and seldom an opening one (a BAL whose name begins with "opening" or "beginning"). Where it does, opening
+ entries = closing. Where a file has several statements of an account, the closing balance of one is what the next opens with. In any
case an identifier (FITID) may stand once in a statement.
"""

import re
from collections.abc import Iterator
from datetime import date, timedelta
from typing import NamedTuple

import polars as pl
from lxml import etree

from reconciliation.connectors.bank.statement import LINES_SCHEMA, BankFile, account_identity
from reconciliation.connectors.tabular.cells import decode_text
from reconciliation.connectors.tabular.faults import Faults, show_cell
from reconciliation.errors import FileRefusedError
from reconciliation.money import format_minor, parse_minor

_START = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:OFXHEADER:|<\?xml[^>]*\?>\s*(?:<!--.*?-->\s*)*<\?OFX|<\?OFX|<OFX>)", re.IGNORECASE | re.DOTALL)
_OPEN_VALUE = re.compile(r"<([A-Za-z0-9_.]+)>([^<]*[^<\s][^<]*)(?!\s*</\1>)(?=<|$)")
_STATEMENTS = ("STMTRS", "CCSTMTRS")
_DESCRIPTION_MAX = 4_000


def is_ofx(content: bytes) -> bool:
    """Tell OFX by its header."""
    return bool(_START.match(content[:2048]))


def read_ofx(file: str, content: bytes) -> BankFile:
    """Read all bank and card statements of a file.

    Raises:
        FileRefusedError: not well-formed, no statement, an entry without day, amount or identifier, no currency.
    """
    text, encoding = decode_text(file, content)
    root = _parse(file, text)
    faults = Faults(file)
    statements = [element for element in root.iter() if element.tag in _STATEMENTS]
    if not statements:
        raise FileRefusedError(file=file, message="holds no bank or card statement (STMTRS); download the statement again")
    rows: list[tuple[object, ...]] = []
    read: list[_Statement] = []
    for number, statement in enumerate(statements, start=1):
        currency = _text(statement, "CURDEF").upper()
        account = account_identity(_text(statement, "BANKACCTFROM/ACCTID") or _text(statement, "CCACCTFROM/ACCTID"))
        entries = [entry for listing in statement.findall("BANKTRANLIST") for entry in listing.findall("STMTTRN")]
        if not re.fullmatch("[A-Z]{3}", currency):
            faults.add(row=len(rows) + 1, column="CURDEF", message=f"statement {number} names no currency ({show_cell(currency)}); download it again")
            continue
        seen: dict[str, int] = {}
        for entry in entries:
            row = len(rows) + 1
            rows.append(_entry(entry, statement=number, row=row, account=account, currency=currency, faults=faults))
            key = _text(entry, "FITID")
            if key and key in seen:
                faults.add(
                    row=row, column="FITID", message=f"the identifier {show_cell(key)} stands at entry {seen[key]} already; download the statement again"
                )
            seen[key] = row
        read.append(_statement(statement, account, currency, rows[len(rows) - len(entries) :], len(rows) - len(entries) + 1, faults))
    faults.raise_any()
    tied = _tie_out(read, faults)
    faults.raise_any()
    lines = pl.DataFrame(rows, schema=LINES_SCHEMA, orient="row")
    return BankFile(file, "ofx", 1.0, encoding, ".", "year_first", lines, (("identifiers_are_unique", True), *tied))


class _Statement(NamedTuple):
    """What a statement says of itself; balances in minor units, None where it states none."""

    account: str
    currency: str
    first_row: int
    first_day: str
    last_day: str
    moved: int
    opening: int | None
    closing: int | None


def _statement(element: etree._Element, account: str, currency: str, entries: list[tuple[object, ...]], first_row: int, faults: Faults) -> _Statement:
    moved = sum(int(str(entry[6])) for entry in entries if entry[6] is not None)
    is_of_one_currency = all(entry[5] == currency for entry in entries)
    openings = [balance for balance in element.iter("BAL") if _text(balance, "NAME").lower().startswith(("opening", "beginning"))]
    opening = _balance(openings[0], "VALUE", currency, first_row, faults) if len(openings) == 1 else None
    closing = _balance(element, "LEDGERBAL/BALAMT", currency, first_row, faults) if is_of_one_currency else None
    first, last = (_text(element, f"BANKTRANLIST/{name}")[:8] for name in ("DTSTART", "DTEND"))
    return _Statement(account, currency, first_row, first, last, moved, opening, closing)


def _balance(element: etree._Element, path: str, currency: str, row: int, faults: Faults) -> int | None:
    text = _text(element, path)
    try:
        return parse_minor(text.replace(",", ".") if re.fullmatch(r"[+-]?\d+,\d+", text) else text, currency) if text else None
    except ValueError as error:
        faults.add(row=row, column=path, message=f"{error}; download the statement again")
        return None


def _tie_out(statements: list[_Statement], faults: Faults) -> tuple[tuple[str, bool], ...]:
    """Check opening + entries = closing, where the opening is stated or is the closing balance of the statement before."""
    tied = 0
    by_account: dict[tuple[str, str], _Statement] = {}
    for one in statements:
        before = by_account.get((one.account, one.currency))
        # A statement that overlaps the one before, or leaves days out, does not open with its closing balance.
        follows = before is not None and one.first_day != "" and one.first_day == _next_day(before.last_day)
        opening = one.opening if one.opening is not None else before.closing if before is not None and follows else None
        if opening is not None and one.closing is not None:
            tied += 1
            if opening + one.moved != one.closing:
                shown = [format_minor(amount, one.currency) for amount in (opening, one.moved, opening + one.moved, one.closing)]
                message = f"opening {shown[0]} + entries {shown[1]} = {shown[2]}, but the closing balance is {shown[3]} {one.currency}"
                faults.add(row=one.first_row, column="LEDGERBAL", message=f"{message}; an entry is missing or altered: download it again")
        by_account[(one.account, one.currency)] = one
    return (("opening_plus_entries_is_closing", True),) if tied else ()


def _next_day(text: str) -> str:
    try:
        return (date(int(text[:4]), int(text[4:6]), int(text[6:8])) + timedelta(days=1)).strftime("%Y%m%d")
    except ValueError:
        return ""


def _parse(file: str, text: str) -> etree._Element:
    start = re.search(r"<OFX>", text, re.IGNORECASE)
    if not start:
        raise FileRefusedError(file=file, message="has the header of OFX but no <OFX> element; download the statement again")
    body = text[start.start() :]
    if not re.match(r"\s*<\?xml", text):
        body = _close_values(body)
    parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=False, load_dtd=False, remove_comments=True, remove_pis=True)
    try:
        root = etree.fromstring(body.encode(), parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        line = text[: start.start()].count("\n") + (getattr(error, "lineno", None) or 1)
        raise FileRefusedError(file=file, row=line, message=f"is not well-formed OFX ({error}); download the statement again") from error
    if root.getroottree().docinfo.internalDTD is not None:
        raise FileRefusedError(file=file, message="declares a document type, which no bank statement needs; it is not read")
    for element in root.iter():
        if isinstance(element.tag, str):
            element.tag = element.tag.upper()
    return root


def _close_values(body: str) -> str:
    """Close the elements of version 1 that hold a value."""
    body = re.sub(r"&(?!#?\w+;)", "&amp;", body).replace("&nbsp;", " ")
    return _OPEN_VALUE.sub(lambda found: f"<{found[1]}>{found[2].strip()}</{found[1]}>", body)


def _entry(entry: etree._Element, *, statement: int, row: int, account: str, currency: str, faults: Faults) -> tuple[object, ...]:
    booked_on = _day(entry, "DTPOSTED", row, faults)
    if booked_on is None:
        faults.add(row=row, column="DTPOSTED", message="the entry has no day of booking; download the statement again")
    if not _text(entry, "FITID"):
        faults.add(row=row, column="FITID", message="the entry has no identifier; download the statement again")
    own = _text(entry, "CURRENCY/CURSYM").upper() or currency
    amount = _text(entry, "TRNAMT")
    minor = None
    try:
        minor = parse_minor(amount.replace(",", ".") if re.fullmatch(r"[+-]?\d+,\d+", amount) else amount, own)
    except ValueError as error:
        faults.add(row=row, column="TRNAMT", message=f"{error}; download the statement again" if amount else "the entry has no amount; download it again")
    texts = list(dict.fromkeys(text for path in ("NAME", "PAYEE/NAME", "MEMO") for text in [_text(entry, path)] if text))
    references = list(dict.fromkeys(text for path in ("FITID", "CHECKNUM", "REFNUM") for text in [_text(entry, path)] if text))
    counterparty = _text(entry, "NAME") or _text(entry, "PAYEE/NAME")
    value_on = _day(entry, "DTAVAIL", row, faults)
    return (statement, row, account, booked_on, value_on, own, minor, counterparty, " ".join(references), " ".join(texts)[:_DESCRIPTION_MAX], True)


def _day(entry: etree._Element, name: str, row: int, faults: Faults) -> date | None:
    text = _text(entry, name)
    if not text:
        return None
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:8]))
    except ValueError:
        faults.add(row=row, column=name, message=f"{show_cell(text)} is not a date; download the statement again")
        return None


def _text(element: etree._Element, path: str) -> str:
    return next(_texts(element, path), "")


def _texts(element: etree._Element, path: str) -> Iterator[str]:
    for found in element.findall(path):
        text = " ".join((found.text or "").split())
        if text:
            yield text
