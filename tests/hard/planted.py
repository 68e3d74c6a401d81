"""A small company whose records are full of secrets and of a thousand personal values, each of them told apart from everything else.

Names, e-mail addresses, IBANs and card numbers stand where they do stand in life: in billing details, receipts, descriptions and
metadata at Stripe, in names and memos of the ledger, in parties and remittance texts of the bank.
"""

import csv
import io
import re
import string
from dataclasses import dataclass
from pathlib import Path

import orjson

from reconciliation.simulation.company import simulate_company
from reconciliation.simulation.options import SimulationOptions
from reconciliation.simulation.writer import write_company

MONTH = "2026-08"
KEY = "rk_test_PlantedKeyQv7Jm2"
SECRETS = {
    "STRIPE_API_KEY": KEY,
    "STRIPE_WEBHOOK_SECRET": "whsec_PlantedHookXk3Wd9",
    "RECONCILIATION_REVIEW_KEY": "PlantedSealingKey_that_is_long_enough_Zr8Tn4",
    "AWS_SECRET_ACCESS_KEY": "PlantedStoreSecretHb5Lc6",
    "PGPASSWORD": "PlantedDatabaseWordMf1Qs0",
}
"""What a run finds in its environment; none of it may be written anywhere."""


@dataclass(frozen=True)
class Planted:
    """Personal values, by kind."""

    names: tuple[str, ...]
    emails: tuple[str, ...]
    ibans: tuple[str, ...]
    cards: tuple[str, ...]

    @property
    def numbers(self) -> tuple[str, ...]:
        """What no accountant needs in full."""
        return self.emails + self.ibans + self.cards

    @property
    def all(self) -> tuple[str, ...]:
        """Every value."""
        return self.names + self.numbers


def make_values(count: int) -> Planted:
    """Make a quarter of the values of each kind; IBANs and card numbers have right check digits."""
    each = range(count // 4)
    names = tuple(f"Zeph{letters(n)} Quill{letters(n)}" for n in each)
    emails = tuple(f"zeph{letters(n)}{1960 + n % 50}@canary.example" for n in each)
    return Planted(names, emails, tuple(iban(n) for n in each), tuple(card(n) for n in each))


def letters(number: int) -> str:
    """Spell a number in letters, so that a name stays a name."""
    spelled = ""
    for _ in range(4):
        number, place = divmod(number, 26)
        spelled += string.ascii_lowercase[place]
    return spelled


def iban(number: int) -> str:
    """Make a German IBAN (ISO 13616)."""
    account = f"37040044{532_013_000 + number * 7:010d}"
    return f"DE{98 - int(account + '131400') % 97:02d}{account}"


def card(number: int) -> str:
    """Make a card number with its check digit (ISO/IEC 7812)."""
    digits = [int(digit) for digit in f"42424242{number * 31:07d}"]
    doubled = sum(sum(divmod(2 * digit, 10)) if place % 2 == 0 else digit for place, digit in enumerate(digits))
    return "".join(map(str, digits)) + str(-doubled % 10)


def write_planted(folder: Path, values: Planted, *, payments: int, seed: int = 3) -> None:
    """Write a company with the values planted in all three records."""
    write_company(simulate_company(SimulationOptions(seed=seed, payments=payments, months=1, posting_style="gross_per_payment")), folder)
    _plant_charges(folder / "stripe" / "charges.jsonl", values)
    [ledger] = (folder / "deliveries" / MONTH / "ledger").glob("*.csv")
    _plant_ledger(ledger, values)
    _plant_bank(folder / "deliveries" / MONTH / "bank" / f"{MONTH}.xml", values)


def _told(values: Planted, number: int, *, grouped: bool = False) -> tuple[str, str]:
    """Return the name of a row and what is told of its person."""
    name, email, bank, card_number = (kind[number % len(kind)] for kind in (values.names, values.emails, values.ibans, values.cards))
    # People write these numbers in groups of four as often as in one.
    if grouped and number % 2:
        bank, card_number = (" ".join(re.findall(".{1,4}", text)) for text in (bank, card_number))
    return name, f"{name} {email} {bank} card {card_number}"


def _plant_charges(path: Path, values: Planted) -> None:
    lines = []
    for number, line in enumerate(path.read_bytes().splitlines()):
        row = orjson.loads(line)
        name, told = _told(values, number, grouped=True)
        row["billing_details"] = {"name": name, "email": values.emails[number % len(values.emails)], "phone": None}
        row["receipt_email"] = values.emails[number % len(values.emails)]
        row["description"] = f"{row.get('description', '')} for {told}"
        row["metadata"] = {**row.get("metadata", {}), "buyer": told}
        lines.append(orjson.dumps(row))
    path.write_bytes(b"\n".join(lines) + b"\n")


def _plant_ledger(path: Path, values: Planted) -> None:
    rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))
    for number, row in enumerate(rows):
        row["Name"], told = _told(values, number)
        row["Memo"] = f"{row['Memo']} {told}".strip()
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, rows[0].keys(), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    path.write_text(buffer.getvalue(), encoding="utf-8")


def _plant_bank(path: Path, values: Planted) -> None:
    counter = iter(range(10**6))
    text = path.read_text(encoding="utf-8")
    path.write_text(re.sub("</Ustrd>", lambda _: f" {_told(values, next(counter))[1]}</Ustrd>", text), encoding="utf-8")


MARKS = {"names": rb"zeph[a-z]{4}(?!\d)", "emails": rb"zeph[a-z]{4}(?:19|20)\d\d", "ibans": rb"37040044\d{10}", "cards": rb"42424242\d{8}"}
"""What every value of a kind has in common, however it is spelled; nothing else has it."""


def personal_hits(content: bytes, *, kinds: tuple[str, ...] = tuple(MARKS)) -> dict[str, int]:
    """Count personal values in a content by kind, in any spelling: in capitals, in groups, with anything but letters and digits left out."""
    squeezed = re.sub(rb"[ \t\-_]", b"", content.lower())
    counted = {kind: len(re.findall(MARKS[kind], squeezed)) for kind in kinds}
    return {kind: count for kind, count in counted.items() if count}


def secret_hits(content: bytes, secrets: tuple[str, ...]) -> list[str]:
    """Return the secrets that a content holds."""
    return [secret for secret in secrets if secret.encode() in content]
