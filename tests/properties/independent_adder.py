"""A simulated company's own files -> what a month's package must hold, added up in plain integers. Standard library only.

It reads Stripe's objects, the ledger exports and the bank statements as they were written, and nothing of the product: what came in must be matched,
open or set aside, once, in count and to the minor unit, per source and currency. `new` is what no earlier month had.
"""

import csv
import json
import re
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

CLEARING = "1050 Stripe Clearing"
Sums = Counter[tuple[str, str, str]]
"""(source, currency, `rows` or `minor`) -> how many, or how much."""


def minor(text: str) -> int:
    """Read a decimal of two places without a float."""
    whole, _, fraction = text.lstrip("-").partition(".")
    value = int(whole or "0") * 100 + int((fraction + "00")[:2])
    return -value if text.startswith("-") else value


def compare(company: Path, package: Path, before: Path | None, *, period: str) -> list[str]:
    """Return every source and currency whose rows in the package are not those of the files."""
    expected = Counter[tuple[str, str, str]]()
    for source, currency, amount in [*stripe_components(company, period), *ledger_lines(company, period), *bank_lines(company, period)]:
        expected[source, currency, "rows"] += 1
        expected[source, currency, "minor"] += amount
    carried = rows_of(before / "open_items.csv" if before else company / "opening_items.csv")
    found = in_package(package, {(row["leg"], row["item_id"]) for row in carried})
    keys = sorted({*expected, *found})
    return [f"{' '.join(key)}: the files hold {expected[key]}, the package {found[key]}" for key in keys if expected[key] != found[key]]


def stripe_components(company: Path, period: str) -> Iterator[tuple[str, str, int]]:
    """Yield gross and fee of every balance transaction of the month, in the books' time zone."""
    zone = ZoneInfo(re.search(r'timezone = "([^"]+)"', (company / "reconciliation.toml").read_text()).group(1))
    for line in (company / "stripe" / "balance_transactions.jsonl").read_text().splitlines():
        row = json.loads(line)
        if datetime.fromtimestamp(row["created"], zone).strftime("%Y-%m") == period:
            parts = [part for part in (row["amount"], -row["fee"]) if part] or [0]
            yield from (("stripe", row["currency"].upper(), part) for part in parts)


def ledger_lines(company: Path, period: str) -> Iterator[tuple[str, str, int]]:
    """Yield the ledger rows that this month's delivery brought for the first time."""
    seen: set[str] = set()
    for delivery in sorted((company / "deliveries").iterdir()):
        fresh = {}
        for file in sorted((delivery / "ledger").glob("*.csv")):
            with file.open(encoding="utf-8", newline="") as handle:
                fresh |= {row["Internal ID"]: row for row in csv.DictReader(handle)}
        if delivery.name == period:
            for identity in sorted(set(fresh) - seen):
                row = fresh[identity]
                source = "ledger" if row["Account"] == CLEARING else "ledger, set aside"
                yield source, row["Currency"], minor(row["Debit"] or "0") - minor(row["Credit"] or "0")
        seen |= set(fresh)


def bank_lines(company: Path, period: str) -> Iterator[tuple[str, str, int]]:
    """Yield the entries of the month's statement: those that name Stripe, and the others."""
    tree = ET.parse(company / "deliveries" / period / "bank" / f"{period}.xml")
    for entry in tree.getroot().findall(".//{*}Ntry"):
        amount = entry.find("{*}Amt")
        sign = -1 if entry.findtext("{*}CdtDbtInd") == "DBIT" else 1
        is_payout = "STRIPE" in "".join(entry.itertext()).upper()
        yield "bank" if is_payout else "bank, set aside", amount.attrib["Ccy"], sign * minor(amount.text)


def in_package(package: Path, carried: set[tuple[str, str]]) -> Sums:
    """Add up the package's new rows: matched and open ones that were not carried in, and rows set aside."""
    sums: Sums = Counter()
    for row in [*rows_of(package / "matches.csv"), *rows_of(package / "open_items.csv")]:
        is_item = (row["side"], row["leg"]) in {("stripe", "books"), ("ledger", "books"), ("bank", "cash")}
        if is_item and (row["leg"], row["item_id"]) not in carried:
            sums[row["side"], row["currency"], "rows"] += 1
            sums[row["side"], row["currency"], "minor"] += minor(row["amount"])
    for row in rows_of(package / "set_aside.csv"):
        if row["side"] != "stripe":
            sums[f"{row['side']}, set aside", row["currency"], "rows"] += 1
            sums[f"{row['side']}, set aside", row["currency"], "minor"] += minor(row["amount"])
    return sums


def rows_of(table: Path) -> list[dict[str, str]]:
    """Read a table of a package."""
    with table.open(encoding="utf-8-sig", newline="") as handle:
        return list(csv.DictReader(handle))
