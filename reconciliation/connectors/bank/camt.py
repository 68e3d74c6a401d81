"""CAMT messages (ISO 20022, any version) -> entries, each statement tied out.

Opening balance + booked entries = closing balance where a statement carries both; a contradiction refuses the file. A batch
entry stays one line, as it is one on the account. Pending entries are kept apart, and so is all of CAMT.052 (intraday) and
CAMT.054 (advices), which repeat what the statement (CAMT.053) will say. The direction of an entry is what `CdtDbtInd` states, also
for a reversal: `RvslInd` says that the original went the other way (ISO 20022, BankToCustomerStatement, ReversalIndicator).
"""

import re
from collections.abc import Iterator
from datetime import date

import polars as pl
from lxml import etree

from reconciliation.connectors.bank.statement import LINES_SCHEMA, BankFile, account_identity
from reconciliation.connectors.tabular.faults import Faults, show_cell
from reconciliation.errors import FileRefusedError
from reconciliation.money import format_minor, parse_minor

_NAMESPACE = re.compile(r"(?:urn:iso:std:iso:20022:tech:xsd:)?([a-z]{4}\.\d{3})\.001\.\d+")
_MESSAGES = {"BkToCstmrStmt": ("camt053", "Stmt"), "BkToCstmrAcctRpt": ("camt052", "Rpt"), "BkToCstmrDbtCdtNtfctn": ("camt054", "Ntfctn")}
_OPENING, _CLOSING = ("OPBD", "PRCD"), ("CLBD",)
_NOT_PROVIDED = frozenset({"", "NOTPROVIDED", "NOT PROVIDED", "NONREF"})
_DESCRIPTION_MAX = 4_000


def is_xml(content: bytes) -> bool:
    """Tell XML from tables by its first sign, in any encoding a byte-order mark can announce."""
    return content.lstrip(b"\xef\xbb\xbf\xff\xfe\x00 \t\r\n")[:1] == b"<"


def read_camt(file: str, content: bytes) -> BankFile:
    """Read all statements of a CAMT.053 message, or all reports of a CAMT.052 or CAMT.054, whose entries count as not booked.

    Raises:
        FileRefusedError: not well-formed, another message, an entry that cannot be read, a statement that does not tie out.
    """
    root = _parse(file, content)
    faults = Faults(file)
    profile, part = _MESSAGES[_tag(root)]
    statements = list(_children(root, part))
    if not statements:
        raise FileRefusedError(file=file, message=f"holds no statement ({part}); ask the bank for the CAMT.053 statement")
    rows: list[tuple[object, ...]] = []
    tied = 0
    for number, statement in enumerate(statements, start=1):
        account = _account(statement)
        first = len(rows)
        for entry in _children(statement, "Ntry"):
            row = _entry(entry, statement=number, row=len(rows) + 1, account=account, faults=faults)
            rows.append(row)
        faults.raise_any()
        tied += _tie_out(statement, rows[first:], first_row=first + 1, number=number, faults=faults)
    faults.raise_any()
    proofs = (("opening_plus_entries_is_closing", True),) if tied else ()
    lines = pl.DataFrame(rows, schema=LINES_SCHEMA, orient="row").with_columns(is_booked=pl.col("is_booked") & pl.lit(profile == "camt053"))
    encoding = (root.getroottree().docinfo.encoding or "utf-8").lower()
    return BankFile(file, profile, 1.0, encoding, ".", "year_first", lines, proofs)


def _parse(file: str, content: bytes) -> etree._Element:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=False, load_dtd=False, remove_comments=True, remove_pis=True)
    try:
        document = etree.fromstring(content, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        raise FileRefusedError(file=file, row=line, message=f"is not well-formed XML ({error}); download the statement again") from error
    if document.getroottree().docinfo.internalDTD is not None:
        raise FileRefusedError(file=file, message="declares a document type, which no bank statement needs; it is not read")
    root = next((child for child in document if _tag(child) in _MESSAGES), None) if _tag(document) == "Document" else document
    if root is not None and _tag(root) in _MESSAGES:
        return root
    message = _NAMESPACE.search(etree.QName(document).namespace or "")
    if _tag(document) == "Workbook":
        raise FileRefusedError(file=file, message="is a workbook of the XML form that some systems call .xls; open it in a spreadsheet and save it as .xlsx")
    found = message[1].upper() if message else f"<{_tag(document)}>"
    raise FileRefusedError(file=file, message=f"is {found}, not a CAMT statement; ask the bank for CAMT.053")


def _entry(entry: etree._Element, *, statement: int, row: int, account: str, faults: Faults) -> tuple[object, ...]:
    currency, amount = _amount(entry, row, faults)
    booked = _date(entry, "BookgDt", row, faults)
    value = _date(entry, "ValDt", row, faults)
    if booked is None and value is None:
        faults.add(row=row, column="BookgDt", message="the entry has neither a booking nor a value date; ask the bank for the statement again")
    status = (_text(entry, "Sts/Cd") or _text(entry, "Sts") or "BOOK").upper()
    counterparty = _counterparty(entry, is_credit=(amount or 0) >= 0)
    texts = (counterparty, _reference(entry), _description(entry))
    return (statement, row, account, booked or value, value, currency, amount, *texts, status == "BOOK")


def _amount(parent: etree._Element, row: int, faults: Faults) -> tuple[str, int | None]:
    """Return currency and signed amount of an entry or balance; a fault gives None."""
    element = next(_children(parent, "Amt"), None)
    direction = _text(parent, "CdtDbtInd")
    text = (element.text or "").strip() if element is not None else ""
    currency = (element.get("Ccy") or "").upper() if element is not None else ""
    if not re.fullmatch("[A-Z]{3}", currency):
        faults.add(row=row, column="Amt", message=f"the amount {show_cell(text)} has no currency (Ccy); ask the bank for the statement again")
        return currency, None
    if direction not in {"CRDT", "DBIT"}:
        faults.add(row=row, column="CdtDbtInd", message=f"{show_cell(direction)} is neither CRDT nor DBIT; ask the bank for the statement again")
        return currency, None
    try:
        minor = parse_minor(text, currency)
    except ValueError as error:
        faults.add(row=row, column="Amt", message=f"{error}; ask the bank for the statement again")
        return currency, None
    return currency, minor if direction == "CRDT" else -minor


def _date(entry: etree._Element, name: str, row: int, faults: Faults) -> date | None:
    text = _text(entry, f"{name}/Dt") or _text(entry, f"{name}/DtTm")
    if not text:
        return None
    try:
        return date.fromisoformat(text[:10])
    except ValueError:
        faults.add(row=row, column=name, message=f"{show_cell(text)} is not a date; ask the bank for the statement again")
        return None


def _tie_out(statement: etree._Element, entries: list[tuple[object, ...]], *, first_row: int, number: int, faults: Faults) -> bool:
    """Check opening + booked entries = closing; return whether there were both balances to check."""
    balances = [(_text(balance, "Tp/CdOrPrtry/Cd").upper(), *_amount(balance, first_row, faults)) for balance in _children(statement, "Bal")]
    faults.raise_any()
    opening = next((balance for code in _OPENING for balance in balances if balance[0] == code), None)
    closing = next((balance for code in _CLOSING for balance in reversed(balances) if balance[0] == code), None)
    if opening is None or closing is None or opening[2] is None or closing[2] is None:
        return False
    booked = [entry for entry in entries if entry[10]]
    currencies = sorted({opening[1], closing[1], *(str(entry[5]) for entry in booked)})
    if len(currencies) > 1:
        message = f"statement {number}: opening, closing and entries are in {', '.join(currencies)} and cannot tie out; ask the bank for the statement again"
        faults.add(row=first_row, column="Bal", message=message)
        return True
    moved = sum(int(str(entry[6])) for entry in booked)
    if opening[2] + moved != closing[2]:
        shown = [format_minor(amount, currencies[0]) for amount in (opening[2], moved, opening[2] + moved, closing[2])]
        message = f"statement {number}: opening {shown[0]} + entries {shown[1]} = {shown[2]}, but the closing balance is {shown[3]} {currencies[0]}"
        message += "; an entry is missing or altered: download it again"
        faults.add(row=first_row, column="Bal", message=message)
    return True


def _account(statement: etree._Element) -> str:
    return account_identity(
        _text(statement, "Acct/Id/IBAN") or _text(statement, "Acct/Id/Othr/Id") or _text(statement, "Acct/Id/BBAN") or _text(statement, "Acct/Id/PrtryAcct/Id")
    )


def _description(entry: etree._Element) -> str:
    texts = [*_texts(entry, "NtryDtls/TxDtls/RmtInf/Ustrd"), *_texts(entry, "NtryDtls/TxDtls/AddtlTxInf"), *_texts(entry, "AddtlNtryInf")]
    return " ".join(dict.fromkeys(texts))[:_DESCRIPTION_MAX]


def _reference(entry: etree._Element) -> str:
    paths = (
        "NtryDtls/TxDtls/Refs/EndToEndId",
        "NtryDtls/TxDtls/RmtInf/Strd/CdtrRefInf/Ref",
        "NtryDtls/TxDtls/Refs/AcctSvcrRef",
        "AcctSvcrRef",
        "NtryDtls/Btch/PmtInfId",
    )
    found = [text for path in paths for text in _texts(entry, path) if text.upper() not in _NOT_PROVIDED]
    return " ".join(dict.fromkeys(found))[:_DESCRIPTION_MAX]


def _counterparty(entry: etree._Element, *, is_credit: bool) -> str:
    """Return the names of the other side: who paid money in, who received money out."""
    roles = ("UltmtDbtr", "Dbtr") if is_credit else ("UltmtCdtr", "Cdtr")
    for role in reversed(roles):
        names = [*_texts(entry, f"NtryDtls/TxDtls/RltdPties/{role}/Nm"), *_texts(entry, f"NtryDtls/TxDtls/RltdPties/{role}/Pty/Nm")]
        if names:
            return " ".join(dict.fromkeys(names))[:_DESCRIPTION_MAX]
    return ""


def _tag(element: etree._Element) -> str:
    return etree.QName(element).localname


def _children(element: etree._Element, name: str) -> Iterator[etree._Element]:
    return (child for child in element if _tag(child) == name)


def _texts(element: etree._Element, path: str) -> list[str]:
    found = [element]
    for name in path.split("/"):
        found = [child for parent in found for child in _children(parent, name)]
    texts = (" ".join((child.text or "").split()) for child in found)
    return [text for text in texts if text]


def _text(element: etree._Element, path: str) -> str:
    return next(iter(_texts(element, path)), "")
