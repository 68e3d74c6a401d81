"""A close package -> whether it adds up and is unaltered. One file, the standard library alone.

Every package holds a copy, so that an auditor needs nothing but Python 3.11: `python audit.py`, or `python audit.py FOLDER --before FOLDER`.
Nothing of the program that wrote the package is imported; currencies, vocabulary and laws are written down here a second time.

It proves: every file is the one that the manifest lists; every total re-adds from the lines; every item stands once, matched or open; the
difference is the open items; entries balance; the month begins with what the month before carried out; the chain of decisions is unbroken.
It does not prove that the inputs were complete or that a match is right, and whoever can rewrite the whole folder can rewrite its hashes too: compare
`package_sha256` with the one that was signed, and the head of the decisions with the one that was kept elsewhere.
"""

import argparse
import csv
import hashlib
import json
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import NamedTuple, TypeAlias

Row: TypeAlias = dict[str, str]
Block: TypeAlias = tuple[str, str]  # book, currency
Key: TypeAlias = tuple[str, str]  # leg, item

MANIFEST = "manifest.json"
ZERO_DECIMAL = frozenset("BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF".split())
THREE_DECIMAL = frozenset("BHD IQD JOD KWD LYD OMR TND".split())
MONEY = {places: re.compile(r"-?(?:0|[1-9][0-9]*)" + (rf"\.[0-9]{{{places}}}" if places else "")) for places in (0, 2, 3)}
CERTIFIED = ("period", "cut_off", "entity", "settings_sha256", "model", "code_version", "accepted_incomplete")
"""Entries of the manifest that the signed hash covers beside the files and inputs."""
UNSIGNED = frozenset({"decisions.csv", "signoffs.csv"})
"""Files that record who signed; they change by the signing itself, so the signed hash leaves them out."""
LEFT = frozenset({"stripe", "residual", "opening"})
SIDES = {"books": LEFT | {"ledger"}, "cash": frozenset({"stripe", "residual", "bank"})}
TO_REVIEW = frozenset({"needs_review", "awaiting_second", "confirmed_exception", "reopened", "proposed_clear"})
ACCEPTED = frozenset({"auto_cleared", "cleared_by_reviewer", "written_off", "settled"})
LINES = {
    "books": ("opening", "posted_into_locked_month", "ledger_only", "closing"),
    "bridge": ("undetermined", "unexplained", "total"),
    "cash": ("in_transit_opening", "paid_out", "returned", "arrived", "in_transit_closing"),
}
AGES = ((3, "0-3"), (7, "4-7"), (30, "8-30"), (60, "31-60"), (90, "61-90"), (10**9, "91+"))
TABLES = (
    "statement.csv", "matches.csv", "open_items.csv", "exceptions.csv", "expected_variances.csv", "set_aside.csv", "payouts.csv",
    "journal_entries.csv", "rollforward.csv", "disputes.csv", "controls.csv", "decisions.csv", "signoffs.csv", "restatement.csv",
)  # fmt: skip
SHOWN_MAX = 20


class Item(NamedTuple):
    """An item of the package as the laws need it; `effect` is what it adds to Stripe - ledger, or paid - arrived, in minor units."""

    leg: str
    item_id: str
    book: str
    currency: str
    side: str
    component: str
    date: str
    source: tuple[str, str]
    effect: int


@dataclass
class Check:
    """One check: what it looked at, what it found wrong, and why it was not done, if it was not."""

    name: str
    found: list[str] = field(default_factory=list)
    seen: str = ""
    skipped: str = ""

    @property
    def result(self) -> str:
        """Return `held`, `broken` or `not performed`."""
        return "broken" if self.found else "not performed" if self.skipped else "held"


class UnreadableError(Exception):
    """A file of the package cannot be read; nothing can be said about what is in it."""


def minor(text: str, currency: str) -> int:
    """Read a money cell as minor units; blank is zero.

    Raises:
        UnreadableError: no plain decimal with exactly the currency's decimals.
    """
    if not text:
        return 0
    places = 0 if currency in ZERO_DECIMAL else 3 if currency in THREE_DECIMAL else 2
    if MONEY[places].fullmatch(text) is None:
        raise UnreadableError(f"{text[:40]!r} is no amount with the {places} decimals of {currency or 'its currency'}")
    return int(text.replace(".", ""))


def money(amount: int, currency: str) -> str:
    """Write minor units as a plain decimal."""
    places = 0 if currency in ZERO_DECIMAL else 3 if currency in THREE_DECIMAL else 2
    digits = str(abs(amount)).rjust(places + 1, "0")
    return ("-" if amount < 0 else "") + (f"{digits[:-places]}.{digits[-places:]}" if places else digits)


def count(text: str) -> int:
    """Read a whole number; blank is zero.

    Raises:
        UnreadableError: it is none.
    """
    if text and not re.fullmatch(r"-?[0-9]+", text):
        raise UnreadableError(f"{text[:40]!r} is no whole number")
    return int(text or "0")


def listed(cell: str) -> list[str]:
    """Split a cell that holds a list."""
    return [part for part in cell.split(";") if part]


def package_hash(manifest: dict[str, object]) -> str:
    """Return the hash that preparer and reviewer sign: of every figure and input, not of the files that record the signing or show them to people."""
    lines = [f"{name} {manifest.get(name)}" for name in CERTIFIED]
    lines += [f"output {entry.get('path')} {entry.get('sha256')}" for entry in entries(manifest.get("outputs")) if is_certified(str(entry.get("path")))]
    for book in entries(manifest.get("books")):
        lines += [f"input {book.get('book')} {entry.get('path')} {entry.get('sha256')}" for entry in entries(book.get("inputs"))]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def is_certified(name: str) -> bool:
    """Tell whether the signed hash covers a file."""
    return name.endswith(".csv") and name not in UNSIGNED


def manifest_hash(content: bytes) -> str:
    """Return the manifest's own hash: of its bytes, with the 64 digits of that hash as zeros."""
    return hashlib.sha256(re.sub(rb'("manifest_sha256": ")[0-9a-f]{64}"', rb"\g<1>" + b"0" * 64 + b'"', content)).hexdigest()


def entries(value: object) -> list[dict[str, object]]:
    """Return the objects of a list in the manifest."""
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


class Package:
    """The files of one package, read as the checks ask for them."""

    def __init__(self, folder: Path) -> None:
        """Open a package.

        Raises:
            UnreadableError: there is no manifest that can be read.
        """
        self.folder = folder
        try:
            self.content = (folder / MANIFEST).read_bytes()
            self.manifest = json.loads(self.content)
        except (OSError, ValueError, RecursionError) as error:
            raise UnreadableError(f"{folder / MANIFEST}: cannot be read ({error}); name the folder of a close package, such as close/2026-10/v1") from error
        if not isinstance(self.manifest, dict):
            raise UnreadableError(f"{folder / MANIFEST}: is no list of a package's files")
        self.period = str(self.manifest.get("period", ""))
        self.first_day = str(self.manifest.get("first_day") or f"{self.period}-01")

    def table(self, name: str, *columns: str) -> Iterator[tuple[str, ...]]:
        """Yield the rows of a table, the named columns only.

        Raises:
            UnreadableError: no such file, no UTF-8, a row with too many or too few cells, a column that is missing.
        """
        try:
            with (self.folder / name).open(encoding="utf-8-sig", newline="") as handle:
                reader = csv.reader(handle, strict=True)
                header = next(reader, [])
                missing = [column for column in columns if column not in header]
                if missing:
                    raise UnreadableError(f"{name}: has no column {', '.join(missing)}")
                places = [header.index(column) for column in columns]
                for row in reader:
                    if len(row) != len(header):
                        raise UnreadableError(f"{name}:{reader.line_num}: {len(row)} cells, the header has {len(header)}")
                    yield tuple([row[place] for place in places])
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise UnreadableError(f"{name}: cannot be read ({error})") from error

    def rows(self, name: str) -> list[Row]:
        """Return a small table with all its columns; empty when the package has none of that name.

        Raises:
            UnreadableError: as `table`.
        """
        if not (self.folder / name).is_file():
            return []
        with (self.folder / name).open(encoding="utf-8-sig", errors="replace") as handle:
            header = next(csv.reader([handle.readline()]), [])
        return [dict(zip(header, row, strict=True)) for row in self.table(name, *header)]

    @cached_property
    def open(self) -> list[tuple[Item, Row]]:
        """Return the open items with their rows."""
        return [(item_of(row), row) for row in self.rows("open_items.csv")]

    @cached_property
    def blocks(self) -> dict[Block, dict[str, dict[str, Row]]]:
        """Return the statement: (book, currency) -> section -> line -> row."""
        blocks: dict[Block, dict[str, dict[str, Row]]] = {}
        for row in self.rows("statement.csv"):
            blocks.setdefault((row["book"], row["currency"]), {section: {} for section in LINES}).setdefault(row["section"], {})[row["line"]] = row
        return blocks

    @cached_property
    def breaks(self) -> list[Row]:
        """Return the breaks of both files."""
        return self.rows("exceptions.csv") + self.rows("expected_variances.csv")


def item_of(row: Row) -> Item:
    """Read an item's row.

    Raises:
        UnreadableError: its amount is none.
    """
    amount = minor(row["amount"], row["currency"])
    effect = amount if row["side"] in LEFT else -amount
    return Item(
        row["leg"], row["item_id"], row["book"], row["currency"], row["side"], row["component"], row["date"], (row["source_file"], row["source_row"]), effect
    )


@dataclass
class Matched:
    """What one reading of `matches.csv` leaves: its items' keys and sums, and what later checks ask of matches.

    Attributes:
        effects: leg and item -> effect.
        matches: match -> leg, book, currency, difference left.
        residuals: residuals that are matched, by id -> effect, book, currency.
        sums: (book, leg, currency, side) -> count, amount.
        fresh: (block, leg, side) -> count, effect of what came in this month; ledger lines on no component as side `ledger_only`.
        components: (block, component) -> count, effect of the month's own components.
        sources: file and row of what came in this month.
    """

    effects: dict[Key, int] = field(default_factory=dict)
    matches: dict[str, tuple[str, str, str, int]] = field(default_factory=dict)
    residuals: dict[Key, tuple[int, str, str]] = field(default_factory=dict)
    sums: dict[tuple[str, ...], list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0]))
    fresh: dict[tuple[Block, str, str], list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0]))
    components: dict[tuple[Block, str], list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0]))
    sources: set[tuple[str, str]] = field(default_factory=set)


class Audit:
    """All checks of one package, in the order of the laws."""

    def __init__(self, package: Package, before: Package | None, *, why_no_before: str) -> None:
        """Prepare the checks; `before` is the package of the month before, as it was carried from."""
        self.package, self.before, self.why_no_before = package, before, why_no_before
        self.checks: dict[str, Check] = {}
        self.is_first = package.manifest.get("carried_from") is None and before is None
        self.matched = Matched()
        self.late: set[Key] = set()
        self.carried = {(item.leg, item.item_id): item for item, _ in before.open} if before is not None else {}

    def run(self) -> list[Check]:
        """Run every check; one that cannot read its files is broken, and the others still run."""
        steps: tuple[tuple[str, Callable[[Check], None]], ...] = (
            ("manifest and signed hash", self.check_manifest),
            ("files: listed, unaltered, well formed", self.check_files),
            ("law 1: each item stands once", self.check_items),
            ("law 2: population", self.check_population),
            ("law 2: rows read = used + set aside + retired", self.check_rows_read),
            ("law 3: each open item in one break", self.check_breaks),
            ("law 4: the statement foots and is its open items", self.check_statement),
            ("law 4: cash in transit", self.check_cash),
            ("law 5: entries balance and lead to Stripe's balance", self.check_journals),
            ("law 7: carried in = carried out before", self.check_carried),
            ("roll-forward by cause", self.check_roll_forward),
            ("payouts", self.check_payouts),
            ("disputes", self.check_disputes),
            ("controls", self.check_controls),
            ("restatement of locked months", self.check_restatement),
            ("decisions: an unbroken chain", self.check_decisions),
            ("sign-offs", self.check_signoffs),
        )
        for name, step in steps:
            check = self.checks[name] = Check(name)
            try:
                step(check)
            except (UnreadableError, OSError) as error:
                check.found.append(str(error))
            except (KeyError, ValueError, TypeError, AttributeError) as error:
                check.found.append(f"cannot be checked, a column or an entry is not what a package has: {error!r}")
        return list(self.checks.values())

    # --- files ------------------------------------------------------------------------------------------------------

    def check_manifest(self, check: Check) -> None:
        """The manifest's own hash and the signed hash are those of its content, and the period is the folder's."""
        manifest = self.package.manifest
        if manifest.get("manifest_sha256") != manifest_hash(self.package.content):
            check.found.append("manifest.json was altered: its content has another hash than it states (manifest_sha256)")
        if manifest.get("package_sha256") != package_hash(manifest):
            check.found.append("package_sha256 is not the hash of the listed figures and inputs")
        folder = self.package.folder.resolve().parent.name
        if re.fullmatch(r"\d{4}-\d{2}", folder) and folder != self.package.period:
            check.found.append(f"the folder is of {folder}, the manifest of {self.package.period}")
        check.seen = f"package_sha256 {manifest.get('package_sha256')}"

    def check_files(self, check: Check) -> None:
        """Every file is listed with its hash and rows, and nothing else lies there."""
        outputs = {str(entry.get("path")): entry for entry in entries(self.package.manifest.get("outputs"))}
        present = {path.relative_to(self.package.folder).as_posix() for path in self.package.folder.rglob("*") if not path.is_dir()} - {MANIFEST}
        present = {name for name in present if not name.startswith("__pycache__/")}
        check.found += [f"{name}: lies in the package and is not listed" for name in sorted(present - outputs.keys())]
        check.found += [f"{name}: is listed and missing" for name in sorted(outputs.keys() - present)]
        size = 0
        for name in sorted(present & outputs.keys()):
            digest, ends, returns, pairs, starts_with_mark = fingerprint(self.package.folder / name)
            size += 1
            if digest != outputs[name].get("sha256"):
                check.found.append(f"{name}: was altered (its hash is {digest[:16]}…, listed is {str(outputs[name].get('sha256'))[:16]}…)")
            if not name.endswith(".csv") or outputs[name].get("rows") is None:
                continue
            if ends - 1 != outputs[name].get("rows"):
                check.found.append(f"{name}: has {ends - 1} rows, listed are {outputs[name].get('rows')}")
            if not starts_with_mark or not ends == returns == pairs:
                check.found.append(f"{name}: does not begin with a byte-order mark, or a row does not end with CR LF")
        missing = [name for name in TABLES if name not in outputs]
        check.found += [f"{name}: a package has this table, this one does not" for name in missing]
        check.seen = f"{size} files"

    # --- items ------------------------------------------------------------------------------------------------------

    def is_new(self, item: Item) -> bool:
        """Tell whether an item came in this month: not carried in; in the first month, dated in it."""
        if self.before is not None:
            return (item.leg, item.item_id) not in self.carried
        return item.date >= self.package.first_day

    def check_items(self, check: Check) -> None:
        """Each item stands in one match or is open, once; each match re-adds; each difference has its residual; rows set aside stand apart."""
        restated = self.package.rows("restatement.csv")
        self.late = {(row["leg"], row["item_id"]) for row in restated if row["posted_into"] == self.package.period}
        self._read_matches(check)
        for item, row in self.package.open:
            self._count(check, item)
            if item.leg == "books" and item.side == "stripe" and item.item_id != f"{row['balance_transaction_id']}/{row['component']}":
                check.found.append(f"{item.item_id}: is not its transaction's component")
            days = count(row["age_days"])
            if row["age_bucket"] != next(name for last, name in AGES if days <= last):
                check.found.append(f"{item.item_id}: {days} days are not in bucket {row['age_bucket']}")
            self._note(item, is_alone=True, is_matched=False)
        residuals = {(item.leg, item.item_id): (item.effect, item.book, item.currency) for item, _ in self.package.open if item.side == "residual"}
        residuals |= self.matched.residuals
        for match, (leg, book, currency, difference) in self.matched.matches.items():
            found = residuals.get((leg, match))
            if (found or (0, book, currency)) != (difference, book, currency):
                check.found.append(f"{match}: leaves {money(difference, currency)} {currency}, and no residual of that amount is open or matched")
        self._check_set_aside(check)
        check.seen = f"{len(self.matched.effects) - len(self.package.open)} matched, {len(self.package.open)} open"

    def _count(self, check: Check, item: Item) -> None:
        key = (item.leg, item.item_id)
        if key in self.matched.effects:
            check.found.append(f"{item.item_id}: stands more than once in the {item.leg} leg")
        self.matched.effects[key] = item.effect
        if item.side not in SIDES.get(item.leg, frozenset()):
            check.found.append(f"{item.item_id}: side {item.side!r} does not exist in leg {item.leg!r}")

    def _read_matches(self, check: Check) -> None:
        columns = ("match_id", "leg", "item_id", "book", "currency", "side", "component", "date", "source_file", "source_row", "amount", "match_difference")
        for match, group in groupby(self.package.table("matches.csv", *columns), key=lambda row: row[0]):
            members = []
            for _, leg, item_id, book, currency, side, component, day, file, place, amount, _ in (rows := list(group)):
                value = minor(amount, currency)
                members.append(Item(leg, item_id, book, currency, side, component, day, (file, place), value if side in LEFT else -value))
            self._check_match(check, match, members, [row[11] for row in rows])

    def _check_match(self, check: Check, match: str, members: list[Item], differences: list[str]) -> None:
        first = members[0]
        if match in self.matched.matches:
            check.found.append(f"{match}: its rows do not stand together")
        if any((each.leg, each.book, each.currency) != (first.leg, first.book, first.currency) for each in members):
            check.found.append(f"{match}: its members are not of one leg, book and currency")
        left = sum(each.effect for each in members)
        is_one_sided = len({each.side in LEFT for each in members}) == 1
        if len(members) < 2 or not differences[0] or any(differences[1:]) or minor(differences[0], first.currency) != left or (is_one_sided and left):
            check.found.append(f"{match}: its members leave {money(left, first.currency)} {first.currency}, it states {differences[0] or 'nothing'}")
        self.matched.matches[match] = (first.leg, first.book, first.currency, left)
        is_alone = not any(each.side in ("stripe", "residual") for each in members)
        for each in members:
            self._count(check, each)
            self._note(each, is_alone=is_alone, is_matched=True)
            if each.side == "residual":
                self.matched.residuals[each.leg, each.item_id] = (each.effect, each.book, each.currency)

    def _note(self, item: Item, *, is_alone: bool, is_matched: bool) -> None:
        """Add an item to the sums that the statement and the manifest are held against."""
        sums = self.matched.sums[item.book, item.leg, item.currency, item.side, str(is_matched)]
        sums[0] += 1
        sums[1] += item.effect if item.side in LEFT else -item.effect
        block = (item.book, item.currency)
        if self.is_new(item):
            side = "returned" if item.leg == "cash" and item.item_id.endswith("/returned") else item.side
            add(self.matched.fresh[block, item.leg, side], item.effect)
            is_late = (item.leg, item.item_id) in self.late
            if item.leg == "books" and item.side == "ledger" and is_alone and not is_late:
                add(self.matched.fresh[block, "books", "ledger_only"], item.effect)
            if item.leg == "books" and item.side == "stripe" and not is_late:
                add(self.matched.components[block, item.component], item.effect)
            if item.source[1]:
                self.matched.sources.add(item.source)
        else:
            add(self.matched.fresh[block, item.leg, "carried"], item.effect)

    def _check_set_aside(self, check: Check) -> None:
        places: Counter[tuple[str, str]] = Counter()
        for file, row, amount, currency in self.package.table("set_aside.csv", "source_file", "source_row", "amount", "currency"):
            places[file, row] += 1
            minor(amount, currency)
        check.found += [f"set_aside.csv: {file}:{row} stands {n} times" for (file, row), n in places.items() if n > 1]
        check.found += [f"{file}:{row}: is set aside and also an item" for file, row in sorted(self.matched.sources & places.keys())]

    def check_population(self, check: Check) -> None:
        """The items re-add to the control totals, and what came in this month to the moves of the statement."""
        stated = Counter[tuple[str, ...]]()
        counts = Counter[tuple[str, ...]]()
        for entry in entries(self.package.manifest.get("control_totals")):
            key = tuple(str(entry[name]) for name in ("book", "leg", "currency", "side", "is_matched"))
            stated[key], counts[key] = minor(str(entry["amount"]), str(entry["currency"])), int(str(entry["count"]))
        for key in sorted(stated.keys() | self.matched.sums.keys()):
            number, amount = self.matched.sums.get(key, [0, 0])
            if (counts[key], stated[key]) != (number, amount):
                check.found.append(
                    f"{' '.join(key[:4])}, {'matched' if key[4] == 'True' else 'open'}: {number} items of {money(amount, key[2])}, the manifest counts {counts[key]} of {money(stated[key], key[2])}"
                )
        check.seen = f"{sum(number for number, _ in self.matched.sums.values())} items, {len(stated)} control totals"
        if self.before is None and not self.is_first:
            check.seen += "; not held against the statement's moves: " + self.why_no_before
            return
        for block, sections in self.package.blocks.items():
            self._check_moves(check, block, sections["books"])

    def _check_moves(self, check: Check, block: Block, books: dict[str, Row]) -> None:
        moves = [row for line, row in books.items() if line not in ("opening", "without_lines", "closing")]
        for side in ("stripe", "ledger"):
            moved = sum(minor(row[side], block[1]) for row in moves)
            found = self.matched.fresh.get((block, "books", side), [0, 0])[1] * (1 if side == "stripe" else -1)
            # In a first month alone nothing tells a line posted early into this month from one that was carried in.
            if moved != found and (self.before is not None or side == "stripe"):
                check.found.append(
                    f"{' '.join(block)}: the {side} items of the month come to {money(found, block[1])}, the statement moves by {money(moved, block[1])}"
                )
        only, shown_only = self.matched.fresh.get((block, "books", "ledger_only"), [0, 0]), books["ledger_only"]
        if self.before is not None and [count(shown_only["items"]), -minor(shown_only["ledger"], block[1])] != only:
            check.found.append(f"{' '.join(block)}: ledger_only is not the {only[0]} ledger lines that stand on no component")
        named = {line.partition(".")[2] for line in books if "." in line}
        for component in sorted(named | {name for where, name in self.matched.components if where == block}):
            lines = [row for line, row in books.items() if "." in line and line.partition(".")[2] == component]
            shown = [sum(count(row["items"]) for row in lines), sum(minor(row["stripe"], block[1]) for row in lines)]
            if shown != self.matched.components.get((block, component), [0, 0]):
                check.found.append(f"{' '.join(block)}: the lines of component {component} are not its items")

    def check_rows_read(self, check: Check) -> None:
        """Of each input: rows read = used + set aside + retired; the file of rows set aside holds no more of it than that."""
        counted: dict[str, int] = {}
        for book in entries(self.package.manifest.get("books")):
            for entry in entries(book.get("inputs")):
                read, used, aside, retired = (int(str(entry.get(name) or 0)) for name in ("rows", "rows_used", "rows_set_aside", "rows_retired"))
                counted[str(entry.get("path"))] = aside + retired
                if read != used + aside + retired:
                    check.found.append(f"{entry.get('path')}: {read} rows read, {used} used, {aside} set aside, {retired} retired")
        shown = Counter(row[0].partition("!")[0] for row in self.package.table("set_aside.csv", "source_file"))
        check.found += [
            f"{file}: {number} rows set aside, the manifest counts {counted.get(file, 0)}" for file, number in shown.items() if number > counted.get(file, 0)
        ]
        check.seen = f"{len(counted)} inputs"

    # --- breaks and statement ---------------------------------------------------------------------------------------

    def check_breaks(self, check: Check) -> None:
        """Every open item is named by exactly one break, its own; amounts and dispositions are those of the items."""
        names = Counter(row["break_id"] for row in self.package.breaks)
        check.found += [f"{name}: stands {number} times" for name, number in names.items() if number > 1]
        for file, known in (("exceptions.csv", TO_REVIEW), ("expected_variances.csv", ACCEPTED)):
            check.found += [f"{file}: {row['break_id']} is {row['disposition']}" for row in self.package.rows(file) if row["disposition"] not in known]
        naming = Counter((row["leg"], item) for row in self.package.breaks for item in listed(row["item_ids"]))
        sums: dict[str, int] = defaultdict(int)
        by_name = {row["break_id"]: row for row in self.package.breaks}
        for item, row in self.package.open:
            own = by_name.get(row["break_id"])
            sums[row["break_id"]] += item.effect
            if own is None or item.item_id not in listed(own["item_ids"]) or naming[item.leg, item.item_id] != 1:
                check.found.append(f"{item.item_id}: is named by {naming[item.leg, item.item_id]} breaks, its own is {row['break_id']}")
            elif any(row[column] != own[column] for column in ("leg", "book", "currency", "kind", "disposition")):
                check.found.append(f"{item.item_id}: leg, book, currency, kind or disposition is not that of its break {row['break_id']}")
        still_open = {(item.leg, item.item_id) for item, _ in self.package.open}
        across: list[str] = []
        for row in self.package.breaks:
            items = [(row["leg"], item) for item in listed(row["item_ids"])]
            amount, is_across = minor(row["amount"], row["currency"]), row["match_id"] != "" and not all(item in still_open for item in items)
            if amount != sums.get(row["break_id"], 0):
                check.found.append(f"{row['break_id']}: states {row['amount']}, its open items come to {money(sums.get(row['break_id'], 0), row['currency'])}")
            if is_across and row["match_id"] not in self.matched.matches:
                check.found.append(f"{row['break_id']}: names match {row['match_id']}, which the package does not hold")
            across += [row["match_id"]] if is_across else []
        check.found += [f"{match}: stands in {number} breaks" for match, number in Counter(across).items() if number > 1]
        check.seen = f"{len(self.package.breaks)} breaks"

    def check_statement(self, check: Check) -> None:
        """Books foot down and across, the bridge re-adds from the open items, and both end in the same difference."""
        have = {(item.book, item.currency) for item, _ in self.package.open} | {(key[0], key[2]) for key in self.matched.sums}
        check.found += [f"nothing for {' '.join(block)}, which has items" for block in sorted(have - self.package.blocks.keys())]
        rows = Counter((row["book"], row["currency"], row["section"], row["line"]) for row in self.package.rows("statement.csv"))
        check.found += [f"{' '.join(line)}: stands {number} times" for line, number in rows.items() if number > 1]
        for block, sections in self.package.blocks.items():
            missing = [f"{section}.{line}" for section, lines in LINES.items() for line in lines if line not in sections[section]]
            if missing:
                check.found.append(f"{' '.join(block)}: has no line {', '.join(missing)}")
                continue
            self._check_books(check, block, sections["books"])
            self._check_bridge(check, block, sections)
        check.seen = f"{len(self.package.blocks)} book(s) and currencies"

    def _check_books(self, check: Check, block: Block, books: dict[str, Row]) -> None:
        place, currency = " ".join(block), block[1]
        for line, row in books.items():
            if minor(row["stripe"], currency) - minor(row["ledger"], currency) != minor(row["difference"], currency):
                check.found.append(f"{place}: {line} does not foot across")
        for column in ("stripe", "ledger", "difference"):
            total = sum(minor(row[column], currency) for line, row in books.items() if line != "closing")
            if total != minor(books["closing"][column], currency):
                check.found.append(f"{place}: column {column} comes to {money(total, currency)}, closing states {books['closing'][column]}")

    def _check_bridge(self, check: Check, block: Block, sections: dict[str, dict[str, Row]]) -> None:
        place, currency, bridge = " ".join(block), block[1], sections["bridge"]
        sums: dict[str, list[int]] = {"undetermined": [0, 0, 0]}
        for item, row in self.package.open:
            if item.leg == "books" and (item.book, item.currency) == block:
                is_bare = row["nature"] == "" or row["cause"] in ("opening_difference", "undetermined")
                tally = sums.setdefault(row["cause"] if is_bare else f"{row['nature']}.{row['cause']}", [0, 0, 0])
                add(tally, item.effect)
                tally[2] += item.effect if row["disposition"] in ACCEPTED else 0
        unexplained = minor(bridge["unexplained"]["difference"], currency)
        sums["unexplained"] = [0, unexplained, 0]
        sums["total"] = [sum(column) for column in zip(*sums.values(), strict=True)]
        for line in sorted(sums.keys() | bridge.keys()):
            shown = bridge.get(line)
            if shown is None or line not in sums:
                check.found.append(f"{place}: bridge line {line} " + ("is missing" if shown is None else "has no open item"))
                continue
            stated = [count(shown["items"]), *(minor(shown[column], currency) for column in ("difference", "accepted", "awaiting"))]
            if stated != [*sums[line], sums[line][1] - sums[line][2]]:
                check.found.append(
                    f"{place}: bridge line {line} states {shown['difference']}, its {sums[line][0]} open items come to {money(sums[line][1], currency)}"
                )
        if sums["total"][1] != minor(sections["books"]["closing"]["difference"], currency):
            check.found.append(
                f"{place}: the open items come to {money(sums['total'][1], currency)}, the closing difference is {sections['books']['closing']['difference']}"
            )
        before = self.before.blocks.get(block) if self.before is not None else None
        brought = minor(before["bridge"]["unexplained"]["difference"], currency) if before else 0
        without = minor(sections["books"].get("without_lines", {}).get("difference", ""), currency)
        if (self.before is not None or self.is_first) and unexplained != brought + without:
            check.found.append(f"{place}: unexplained is not the month before's plus what moved without a line")

    def check_cash(self, check: Check) -> None:
        """What was in transit, went out and arrived leads to what is in transit now: the open payouts."""
        for block, sections in self.package.blocks.items():
            place, currency, cash = " ".join(block), block[1], sections["cash"]
            if cash.keys() != set(LINES["cash"]):
                continue  # Said by the statement's own check.
            total = sum(minor(row["difference"], currency) for line, row in cash.items() if line != "in_transit_closing")
            still_open = [item.effect for item, _ in self.package.open if item.leg == "cash" and (item.book, item.currency) == block]
            closing = cash["in_transit_closing"]
            if not total == minor(closing["difference"], currency) == sum(still_open) or count(closing["items"]) != len(still_open):
                check.found.append(
                    f"{place}: the lines come to {money(total, currency)}, the open payouts to {money(sum(still_open), currency)}, stated is {closing['difference']}"
                )
            for line, row in cash.items():
                if line != "in_transit_closing" and minor(row["stripe"], currency) - minor(row["bank"], currency) != minor(row["difference"], currency):
                    check.found.append(f"{place}: {line} does not foot across")
            if self.before is None and not self.is_first:
                continue
            for line, side in (("in_transit_opening", "carried"), ("paid_out", "stripe"), ("returned", "returned"), ("arrived", "bank")):
                found = self.matched.fresh.get((block, "cash", side), [0, 0])
                if [count(cash[line]["items"]), minor(cash[line]["difference"], currency)] != found:
                    check.found.append(f"{place}: {line} states {cash[line]['difference']}, its {found[0]} items come to {money(found[1], currency)}")
        check.seen = f"{sum(1 for item, _ in self.package.open if item.leg == 'cash')} open in the cash leg"

    def check_journals(self, check: Check) -> None:
        """Every entry balances; ledger + entries to post = Stripe - items without an entry - unexplained."""
        rows = self.package.rows("journal_entries.csv")
        by_journal: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
        to_post: dict[str, int] = defaultdict(int)
        for row in rows:
            signed = minor(row["debit"], row["currency"]) - minor(row["credit"], row["currency"])
            add(by_journal[row["journal_id"], row["currency"]], signed)
            if row["account_role"] == "clearing" and row["status"] != "posted" and row["period"] <= self.package.period:
                to_post[row["currency"]] += signed
        check.found += [f"{name}: does not balance, {money(left, currency)} {currency} is left" for (name, currency), (_, left) in by_journal.items() if left]
        for currency in sorted({currency for _, currency in self.package.blocks}):
            blocks = [sections for (_, code), sections in self.package.blocks.items() if code == currency]
            difference = sum(
                minor(each["books"]["closing"]["difference"], currency) - minor(each["bridge"]["unexplained"]["difference"], currency) for each in blocks
            )
            left = sum(item.effect for item, row in self.package.open if item.leg == "books" and item.currency == currency and not row["journal_id"])
            if difference - to_post[currency] != left:
                check.found.append(
                    f"{currency}: the entries to post leave {money(difference - to_post[currency], currency)}, the items without an entry come to {money(left, currency)}"
                )
        check.seen = f"{len(by_journal)} entries"

    # --- from month to month ----------------------------------------------------------------------------------------

    def check_carried(self, check: Check) -> None:
        """Item by item, this month carries in what the month before carried out."""
        if self.before is None:
            check.skipped = "the first month" if self.is_first else self.why_no_before
            return
        for key, old in self.carried.items():
            if self.matched.effects.get(key) != old.effect:
                place = (
                    "is neither matched nor open" if key not in self.matched.effects else f"stands here with {money(self.matched.effects[key], old.currency)}"
                )
                check.found.append(f"{old.item_id} ({old.leg}): was carried out of {self.before.period} with {money(old.effect, old.currency)} and {place}")
        for block in sorted(self.package.blocks.keys() | self.before.blocks.keys()):
            here, there = (package.blocks.get(block, {}) for package in (self.package, self.before))
            for section, opening, closing in (("books", "opening", "closing"), ("cash", "in_transit_opening", "in_transit_closing")):
                now, then = here.get(section, {}).get(opening, {}), there.get(section, {}).get(closing, {})
                for column in ("stripe", "ledger", "difference") if section == "books" else ("difference",):
                    if minor(now.get(column, ""), block[1]) != minor(then.get(column, ""), block[1]):
                        check.found.append(f"{' '.join(block)}: {opening} {column} is {now.get(column)}, {self.before.period} closed with {then.get(column)}")
        stated = self.package.manifest.get("carried_from")
        if isinstance(stated, dict) and stated.get("package_sha256") != self.before.manifest.get("package_sha256"):
            check.found.append(f"this month was carried from another package of {self.before.period}: {stated.get('package_sha256')}")
        check.seen = f"{len(self.carried)} items carried from {self.before.period} ({self.before.folder.name})"

    def check_roll_forward(self, check: Check) -> None:
        """By cause: carried in + new - settled = carried out, which is what is open; carried in is the opening difference."""
        still_open: dict[tuple[str, ...], list[int]] = defaultdict(lambda: [0, 0])
        for item, row in self.package.open:
            add(still_open[item.book, item.leg, item.currency, row["cause"]], item.effect)
        carried: dict[Block, int] = defaultdict(int)
        for row in self.package.rows("rollforward.csv"):
            values = [minor(row[name], row["currency"]) for name in ("carried_in", "new", "settled", "carried_out")]
            counts = [count(row[f"{name}_count"]) for name in ("carried_in", "new", "settled", "carried_out")]
            place = (row["book"], row["leg"], row["currency"], row["cause"])
            if any(numbers[0] + numbers[1] - numbers[2] != numbers[3] for numbers in (values, counts)):
                check.found.append(f"{' '.join(place)}: carried in + new - settled is not carried out")
            if [counts[3], values[3]] != still_open.pop(place, [0, 0]):
                check.found.append(f"{' '.join(place)}: carried out {row['carried_out']} is not its open items")
            if row["leg"] == "books":
                carried[row["book"], row["currency"]] += values[0]
        check.found += [f"{' '.join(place)}: has open items and no line" for place in still_open]
        if self.before is None and not self.is_first:
            return
        for block, sections in self.package.blocks.items():
            before = self.before.blocks.get(block) if self.before is not None else None
            brought = minor(before["bridge"]["unexplained"]["difference"], block[1]) if before else 0
            if carried[block] + brought != minor(sections["books"]["opening"]["difference"], block[1]):
                check.found.append(f"{' '.join(block)}: carried in is not the opening difference")

    # --- schedules --------------------------------------------------------------------------------------------------

    def check_payouts(self, check: Check) -> None:
        """Each payout's own differences re-add, and it is in transit exactly if it is open."""
        still_open = {item.item_id for item, _ in self.package.open if item.leg == "cash"}
        rows = self.package.rows("payouts.csv")
        for row in rows:
            name, currency = row["payout_id"], row["currency"]
            value = {
                column: minor(row[column], currency)
                for column in ("amount", "lines_net", "lines_difference", "bank_amount", "bank_difference", "ledger_amount", "ledger_difference")
            }
            parts = sum(minor(row[column], currency) for column in ("gross", "fees", "refunds", "disputes", "other"))
            if row["lines_net"] and (parts != value["lines_net"] or value["amount"] - value["lines_net"] != value["lines_difference"]):
                check.found.append(f"{name}: its lines do not add, or lines_difference is not amount - lines_net")
            if row["bank_amount"] and value["amount"] - value["bank_amount"] != value["bank_difference"]:
                check.found.append(f"{name}: bank_difference is not amount - bank_amount")
            if row["ledger_amount"] and value["amount"] + value["ledger_amount"] != value["ledger_difference"]:
                check.found.append(f"{name}: ledger_difference is not amount + ledger_amount (a payout is a credit in the ledger)")
            if minor(row["in_transit_at_cutoff"], currency) != (value["amount"] if name in still_open else 0):
                check.found.append(f"{name}: in_transit_at_cutoff {row['in_transit_at_cutoff']} does not agree with the open items")
            if self.matched.effects.get(("cash", name), value["amount"]) != value["amount"]:
                check.found.append(f"{name}: its amount is not that of its item")
        check.found += [f"{name}: stands {number} times" for name, number in Counter(row["payout_id"] for row in rows).items() if number > 1]
        check.seen = f"{len(rows)} payouts"

    def check_disputes(self, check: Check) -> None:
        """Each dispute: opening + withdrawn - reinstated - lost = closing."""
        rows = self.package.rows("disputes.csv")
        for row in rows:
            opening, withdrawn, reinstated, lost, closing = (
                minor(row[name], row["currency"]) for name in ("opening", "withdrawn", "reinstated", "lost", "closing")
            )
            if opening + withdrawn - reinstated - lost != closing:
                check.found.append(f"{row['dispute_id']}: opening + withdrawn - reinstated - lost is not closing")
        check.seen = f"{len(rows)} disputes"

    def check_controls(self, check: Check) -> None:
        """A control is `passed` exactly if its actual value is the expected one."""
        rows = self.package.rows("controls.csv")
        for row in rows:
            if row["result"] != "not performed" and (row["expected"] == row["actual"]) != (row["result"] == "passed"):
                check.found.append(f"{row['control']} {row['scope']}: expected {row['expected']}, actual {row['actual']}, and it is said to be {row['result']}")
        failed = [f"{row['control']} {row['scope']}".strip() for row in rows if row["result"] == "failed"]
        check.seen = f"{len(rows)} controls" + (f", failed as the package itself says: {', '.join(failed)}" if failed else "")

    def check_restatement(self, check: Check) -> None:
        """The changes of locked months re-add to the line `posted_into_locked_month`."""
        sums: dict[tuple[Block, str], int] = defaultdict(int)
        rows = self.package.rows("restatement.csv")
        for row in rows:
            before, now = minor(row["amount_before"], row["currency"]), minor(row["amount_now"], row["currency"])
            if now - before != minor(row["difference"], row["currency"]):
                check.found.append(f"{row['item_id']}: difference is not amount_now - amount_before")
            if row["leg"] == "books" and row["posted_into"] == self.package.period:
                sums[(row["book"], row["currency"]), row["side"]] += now - before
        for block, sections in self.package.blocks.items():
            line = sections["books"].get("posted_into_locked_month", {})
            for side in ("stripe", "ledger"):
                if sums[block, side] != minor(line.get(side, ""), block[1]):
                    check.found.append(
                        f"{' '.join(block)}: the changes of locked months come to {money(sums[block, side], block[1])} at {side}, the statement shows {line.get(side)}"
                    )
        check.seen = f"{len(rows)} changes"

    def check_decisions(self, check: Check) -> None:
        """Each entry's hash is that of its content and names the entry before; the last one is the head that the manifest prints."""
        rows = self.package.rows("decisions.csv")
        previous = "0" * 64
        for number, row in enumerate(rows, 1):
            if row["number"] != str(number) or row["previous"] != previous or hashlib.sha256(row["entry"].encode()).hexdigest() != row["sha256"]:
                check.found.append(f"entry {row['number']}: is not the entry that was made, or one before it is missing")
                break
            previous = row["sha256"]
        stated = self.package.manifest.get("decision_log")
        head = stated.get("head") if isinstance(stated, dict) else None
        if (head or "0" * 64) != previous:
            check.found.append(f"the chain ends with {previous}, the manifest prints {head}")
        check.seen = f"{len(rows)} entries, head {previous[:16]}"

    def check_signoffs(self, check: Check) -> None:
        """Two people signed, and what they signed is this package."""
        rows = [row for row in self.package.rows("signoffs.csv") if row["package_sha256"] == self.package.manifest.get("package_sha256")]
        by_role = {row["role"]: row["by"] for row in rows}
        if by_role.get("preparer") and by_role.get("preparer") == by_role.get("reviewer"):
            check.found.append(f"{by_role['preparer']} signed as preparer and as reviewer")
        check.seen = ", ".join(f"{role}: {name}" for role, name in sorted(by_role.items())) or "not signed"


def add(sums: list[int], effect: int) -> None:
    """Count an item and add its effect."""
    sums[0] += 1
    sums[1] += effect


def fingerprint(path: Path) -> tuple[str, int, int, int, bool]:
    """Return a file's SHA-256, its line feeds, carriage returns and pairs of both, and whether it begins with a byte-order mark."""
    digest, ends, returns, pairs, last = hashlib.sha256(), 0, 0, 0, b""
    starts_with_mark = False
    with path.open("rb") as handle:
        while part := handle.read(1 << 20):
            starts_with_mark = starts_with_mark or (not last and part.startswith(b"\xef\xbb\xbf"))
            digest.update(part)
            ends, returns = ends + part.count(b"\n"), returns + part.count(b"\r")
            pairs += part.count(b"\r\n") + (last == b"\r" and part.startswith(b"\n"))
            last = part[-1:]
    return digest.hexdigest(), ends, returns, pairs, starts_with_mark


def find_before(package: Package) -> tuple[Package | None, str]:
    """Find the package that a month was carried from, beside it: `../../<month before>/<version>`; or say why there is none."""
    stated = package.manifest.get("carried_from")
    if not isinstance(stated, dict):
        return None, "the manifest names no month before"
    period, wanted = str(stated.get("period")), stated.get("package_sha256")
    folder = package.folder.resolve().parent.parent / period
    for path in [*sorted(folder.glob("v[0-9]*"), key=lambda path: (len(path.name), path.name)), folder / "draft"]:
        try:
            found = Package(path)
        except UnreadableError:
            continue
        if found.manifest.get("package_sha256") == wanted:
            return found, ""
    return None, f"the package of {period} that this month was carried from does not lie beside it; name it with --before"


def audit_package(folder: Path, before: Path | None = None) -> list[Check]:
    """Audit a close package.

    Args:
        folder: the package.
        before: the package of the month before; default: the one it was carried from, if that lies beside it.

    Raises:
        UnreadableError: there is no package in the folder.
    """
    package = Package(folder)
    found, why = (Package(before), "") if before is not None else find_before(package)
    return Audit(package, found, why_no_before=why).run()


def describe(checks: Iterable[Check], *, title: str) -> str:
    """Write the outcome as people read it."""
    lines = [title]
    for check in checks:
        lines.append(
            f"  {check.result.upper() if check.found else check.result:<14} {check.name}"
            + (f" ({check.seen or check.skipped})" if check.seen or check.skipped else "")
        )
        lines += [f"                   {text}" for text in check.found[:SHOWN_MAX]]
        if len(check.found) > SHOWN_MAX:
            lines.append(f"                   and {len(check.found) - SHOWN_MAX} more")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Audit from a command line; returns 0 when everything held, 1 when something is broken, 2 when there is no package."""
    parser = argparse.ArgumentParser(description="Re-add and verify a close package.", epilog="example: python audit.py close/2026-10/v1")
    parser.add_argument("folder", type=Path, nargs="?", default=Path(__file__).resolve().parent, help="the package; default: the folder of this file")
    parser.add_argument("--before", type=Path, default=None, help="the package of the month before; default: found beside it")
    given = parser.parse_args(arguments)
    try:
        checks = audit_package(given.folder, given.before)
    except UnreadableError as error:
        sys.stderr.write(f"audit: {error}\n")
        return 2
    broken = sum(1 for check in checks if check.found)
    sys.stdout.write(describe(checks, title=str(given.folder)) + f"\n{'everything held' if not broken else f'{broken} check(s) broken'}\n")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
