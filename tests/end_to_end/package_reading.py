"""The files of one close package -> its tables, and what is wrong with how they are written. Standard library only.

The columns, the currencies' decimals and the rules of the CSV files are written down here a second time on purpose: `package_laws.py`, which
reads packages through this module, must not inherit a mistake of the product.
"""

import csv
import io
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path

Row = dict[str, str]
ItemKey = tuple[str, str]
Block = tuple[str, str]

_BREAK_COLUMNS = """break_id, match_id, book, leg, kind, cause, nature, side, item_ids, balance_transaction_ids, source_rows, stripe_account, amount, currency,
    counter_amount, counter_currency, date, age_days, counterparty, reference, probability_true_exception, money_at_risk, disposition,
    reasons, suggested_action, prepared_by, prepared_at, approved_by, approved_at, decision_reason"""
HEADERS = {
    name: [column.strip() for column in columns.split(",")]
    for name, columns in {
        "statement.csv": "book, currency, section, line, nature, cause, items, stripe, ledger, bank, difference, accepted, awaiting",
        "matches.csv": """match_id, book, leg, strategy, score, side, item_id, stripe_account, balance_transaction_id, component, payout_id,
            source_file, source_row, date, amount, currency, counterparty, reference, description, presentment_amount, presentment_currency,
            evidence, match_difference""",
        "open_items.csv": """item_id, book, leg, side, stripe_account, balance_transaction_id, component, payout_id, source_file, source_row, date,
            age_days, age_bucket, amount, currency, counterparty, reference, description, break_id, kind, cause, nature, disposition,
            origin_period, journal_id, cleared_after_cutoff_on, cleared_by_item""",
        "exceptions.csv": _BREAK_COLUMNS,
        "expected_variances.csv": _BREAK_COLUMNS,
        "set_aside.csv": "source_file, source_row, side, date, amount, currency, account, rule, description",
        "payouts.csv": """book, stripe_account, payout_id, currency, created, arrival_date, method, automatic, itemised, solutions,
            status_at_cutoff, status_latest, failure_code, returned_on, amount, lines, gross, fees, refunds, disputes, other, lines_net,
            lines_difference, bank_file, bank_row, bank_date, bank_amount, bank_difference, ledger_row, ledger_date, ledger_amount,
            ledger_difference, in_transit_at_cutoff, trace_id, statement_descriptor""",
        "journal_entries.csv": """journal_id, line, type, status, posting_date, period, reverses_on, reverses_journal, entity, account, account_role,
            debit, credit, currency, memo, break_ids, items, prepared_by, approved_by""",
        "rollforward.csv": """book, leg, currency, cause, carried_in, carried_in_count, new, new_count, settled, settled_count,
            carried_out, carried_out_count""",
    }.items()
}
_BREAK_MONEY = ("amount", "counter_amount", "money_at_risk")
MONEY = {
    "statement.csv": ("stripe", "ledger", "bank", "difference", "accepted", "awaiting"),
    "matches.csv": ("amount", "match_difference", "presentment_amount"),
    "open_items.csv": ("amount",),
    "exceptions.csv": _BREAK_MONEY,
    "expected_variances.csv": _BREAK_MONEY,
    "set_aside.csv": ("amount",),
    "payouts.csv": tuple(
        """amount gross fees refunds disputes other lines_net lines_difference bank_amount bank_difference ledger_amount
        ledger_difference in_transit_at_cutoff""".split()
    ),
    "journal_entries.csv": ("debit", "credit"),
    "rollforward.csv": ("carried_in", "new", "settled", "carried_out"),
}
# Money columns whose currency stands in another column than `currency`.
OTHER_CURRENCY = {"presentment_amount": "presentment_currency", "counter_amount": "counter_currency"}
COUNTS = {"items", "age_days", "lines", "solutions", "carried_in_count", "new_count", "settled_count", "carried_out_count"}
NUMBERS = {"score", "probability_true_exception"}
DATES = {"date", "created", "arrival_date", "returned_on", "bank_date", "ledger_date", "posting_date", "reverses_on", "cleared_after_cutoff_on"}
_BREAK_REQUIRED = ("break_id", "book", "leg", "kind", "cause", "item_ids", "amount", "currency", "disposition", "money_at_risk")
REQUIRED = {
    "statement.csv": ("book", "currency", "section", "line", "difference"),
    "matches.csv": ("match_id", "book", "leg", "strategy", "side", "item_id", "date", "amount", "currency"),
    "open_items.csv": tuple("item_id book leg side date age_days age_bucket amount currency break_id kind cause disposition origin_period".split()),
    "exceptions.csv": _BREAK_REQUIRED,
    "expected_variances.csv": _BREAK_REQUIRED,
    "set_aside.csv": ("source_file", "source_row", "side", "amount", "rule"),
    "payouts.csv": ("book", "stripe_account", "payout_id", "currency", "created", "amount"),
    "journal_entries.csv": ("journal_id", "line", "status", "posting_date", "period", "account_role", "currency", "memo"),
    "rollforward.csv": tuple(HEADERS["rollforward.csv"]),
}
ZERO_DECIMAL = frozenset("BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF".split())
THREE_DECIMAL = frozenset("BHD IQD JOD KWD LYD OMR TND".split())
FORMULA_STARTS = tuple("=+-@\t\r\n\0＝＋－＠")
IDENTIFIER = re.compile(r"[A-Za-z]+_")
ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}:\d{2}.*)?")
QUOTED = re.compile(r'"(?:[^"]|"")*"')


@dataclass
class Package:
    """The tables of one package, and what the checks need of them again and again."""

    folder: Path
    tables: dict[str, list[Row]]
    manifest: dict[str, object]
    before: "Package | None" = None

    @property
    def period(self) -> str:
        """Return the month of the package as its manifest states it."""
        return str(self.manifest.get("period", ""))

    @cached_property
    def open(self) -> dict[ItemKey, Row]:
        """Return open items by leg and item."""
        return {(row["leg"], row["item_id"]): row for row in self.tables["open_items.csv"]}

    @cached_property
    def matched(self) -> dict[ItemKey, Row]:
        """Return match members by leg and item."""
        return {(row["leg"], row["item_id"]): row for row in self.tables["matches.csv"]}

    @cached_property
    def everything(self) -> dict[ItemKey, Row]:
        """Return all items of the package, matched or open."""
        return {**self.matched, **self.open}

    @cached_property
    def matches(self) -> dict[str, list[Row]]:
        """Return the members of each match, in the order of the file."""
        return grouped(self.tables["matches.csv"], "match_id")

    @cached_property
    def breaks(self) -> list[Row]:
        """Return the breaks of both files."""
        return self.tables["exceptions.csv"] + self.tables["expected_variances.csv"]

    @cached_property
    def blocks(self) -> dict[Block, dict[str, dict[str, Row]]]:
        """Return the statement: (book, currency) -> section -> line -> row."""
        blocks: dict[Block, dict[str, dict[str, Row]]] = {}
        for row in self.tables["statement.csv"]:
            sections = blocks.setdefault((row["book"], row["currency"]), {"books": {}, "bridge": {}, "cash": {}})
            sections.setdefault(row["section"], {})[row["line"]] = row
        return blocks

    def items(self, block: Block, leg: str, *sides: str) -> list[Row]:
        """Return the items of a block and leg, matched and open, on the given sides."""
        rows = self.tables["matches.csv"] + self.tables["open_items.csv"]
        return [row for row in rows if (row["book"], row["currency"]) == block and row["leg"] == leg and row["side"] in sides]

    def is_new(self, row: Row) -> bool:
        """Tell whether an item came in this month: not open the month before; in the first month, dated in it."""
        if self.before is not None:
            return (row["leg"], row["item_id"]) not in self.before.open
        return row["date"][:7] >= self.period


def read_package(folder: Path) -> tuple[Package | None, list[str]]:
    """Read a package and check how its files are written; None where a table is missing or its numbers cannot be read."""
    tables: dict[str, list[Row]] = {}
    faults: list[str] = []
    for name in HEADERS:
        rows, fault = read_table(folder / name)
        if rows is not None:
            tables[name] = rows
        faults += fault
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        manifest = None
        faults.append(f"manifest.json: cannot be read: {error}")
    unreadable = [fault for name, rows in tables.items() for fault in check_numbers(name, rows)]
    faults += unreadable + [fault for name, rows in tables.items() for fault in check_cells(name, rows)]
    if unreadable or len(tables) < len(HEADERS) or not isinstance(manifest, dict):
        return None, faults
    return Package(folder, tables, manifest), faults


def read_table(path: Path) -> tuple[list[Row] | None, list[str]]:
    """Read one CSV file: mark, line ends, header, shape, no row twice. None where the header or the shape is wrong."""
    name = path.name
    try:
        content = path.read_bytes()
        text = content.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        return None, [f"{name}: cannot be read: {error}"]
    faults = [] if content.startswith(b"\xef\xbb\xbf") else [f"{name}: does not begin with a byte-order mark"]
    bare = QUOTED.sub("", text)
    if not text.endswith("\r\n") or not bare.count("\n") == bare.count("\r") == bare.count("\r\n"):
        faults.append(f"{name}: a row does not end with \\r\\n")
    try:
        records = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        return None, [*faults, f"{name}: not a CSV file: {error}"]
    if not records or records[0] != HEADERS[name]:
        return None, [*faults, f"{name}: the header is {records[0] if records else []}, not {HEADERS[name]}"]
    width = len(HEADERS[name])
    wrong = [f"{name}:{number}: {len(record)} cells, not {width}" for number, record in enumerate(records, 1) if len(record) != width]
    if wrong:
        return None, faults + wrong
    repeated = [record for record, count in Counter(tuple(record) for record in records[1:]).items() if count > 1]
    faults += [f"{name}: a row stands twice: {record}" for record in repeated]
    return [dict(zip(HEADERS[name], record, strict=True)) for record in records[1:]], faults


def check_numbers(name: str, rows: list[Row]) -> Iterator[str]:
    """Yield money that is no plain decimal with its currency's decimals, counts and dates that are none, and cells that must not be blank."""
    for number, row in enumerate(rows, 2):
        for column in MONEY[name]:
            currency = row[OTHER_CURRENCY.get(column, "currency")]
            if row[column] and not is_money(row[column], currency):
                yield f"{name}:{number}: {column} {row[column]!r} is no plain decimal with the decimals of {currency or 'its currency'}"
        for column in COUNTS & row.keys():
            # `items` of a journal is a list of items, of a statement a count.
            if name != "journal_entries.csv" and row[column] and not re.fullmatch(r"0|-?[1-9]\d*", row[column]):
                yield f"{name}:{number}: {column} {row[column]!r} is no whole number"
        for column in DATES & row.keys():
            if row[column] and not is_date(row[column]):
                yield f"{name}:{number}: {column} {row[column]!r} is no ISO date"
        for column in REQUIRED[name]:
            if not row[column]:
                yield f"{name}:{number}: {column} is blank"
        if row["currency"] and not re.fullmatch("[A-Z]{3}", row["currency"]):
            yield f"{name}:{number}: currency {row['currency']!r} is no code"


def check_cells(name: str, rows: list[Row]) -> Iterator[str]:
    """Yield text that a spreadsheet could take for a formula, and ids that a spreadsheet could take for a number."""
    numeric = {*MONEY[name], *NUMBERS, *(set() if name == "journal_entries.csv" else COUNTS)}
    for number, row in enumerate(rows, 2):
        for column, cell in row.items():
            if "\0" in cell or (column not in numeric and cell.startswith(FORMULA_STARTS)):
                yield f"{name}:{number}: {column} could be taken for a formula: {cell[:40]!r}"
            if column in ("match_id", "break_id", "item_id") and cell and not IDENTIFIER.match(cell):
                yield f"{name}:{number}: {column} {cell!r} does not start with letters and an underscore"


def is_date(text: str) -> bool:
    """Tell whether a text is an ISO date, or an ISO timestamp, of a day that exists."""
    try:
        return bool(ISO_DATE.fullmatch(text)) and date.fromisoformat(text[:10]) is not None
    except ValueError:
        return False


def decimals(currency: str) -> int:
    """Return how many decimals a currency has with Stripe."""
    return 0 if currency in ZERO_DECIMAL else 3 if currency in THREE_DECIMAL else 2


def is_money(text: str, currency: str) -> bool:
    """Tell whether a text is a plain decimal with exactly the currency's decimals; zero has no sign."""
    places = decimals(currency)
    pattern = r"-?(0|[1-9]\d*)" + (rf"\.\d{{{places}}}" if places else "")
    return bool(re.fullmatch(pattern, text)) and not (text.startswith("-") and not text.strip("-0."))


def minor(text: str) -> int:
    """Read a money cell, already known to have its currency's decimals, as minor units; blank is nothing."""
    return int(text.replace(".", "") or "0")


def effect(row: Row) -> int:
    """Return what an item adds to Stripe - ledger (books) or paid - arrived (cash)."""
    return -minor(row["amount"]) if row["side"] in ("ledger", "bank") else minor(row["amount"])


def total(rows: Iterable[Row], column: str = "amount") -> int:
    """Add a money column."""
    return sum(minor(row[column]) for row in rows)


def listed(cell: str) -> list[str]:
    """Split a list cell."""
    return cell.split(";") if cell else []


def grouped(rows: Iterable[Row], *columns: str) -> dict[str, list[Row]]:
    """Group rows by columns, joined with a bar where there are several."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups["|".join(row[column] for column in columns)].append(row)
    return groups
