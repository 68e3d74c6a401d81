"""The three-month fixture's files, read step by step, come to the rows its README says."""

import csv
import hashlib
from pathlib import Path

import polars as pl
import pytest

from reconciliation.config import read_settings
from reconciliation.connectors.bank.reader import read_bank
from reconciliation.connectors.inbox import InboxFile
from reconciliation.connectors.ledger.balances import read_balances
from reconciliation.connectors.ledger.reader import read_ledger

FOLDER = Path(__file__).parents[3] / "shared" / "golden" / "three_months"
STEPS = {
    "october_first": (["2026-10_first"], ["2026-10"]),
    "october_after_entries": (["2026-10_final"], []),
    "november": (["2026-10_late", "2026-11"], ["2026-11"]),
    "december": (["2026-12", "2026-12_1051"], ["2026-12"]),
}

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"{FOLDER} is absent: the shared fixture is not part of the project")


def inbox(kind, names, delivery):
    contents = {name: (FOLDER / kind / f"{name}.csv").read_bytes() for name in names}
    return [InboxFile(f"{kind}/{name}.csv", content, hashlib.sha256(content).hexdigest(), delivery) for name, content in contents.items()]


@pytest.fixture(scope="module")
def settings():
    return read_settings(FOLDER / "reconciliation.toml")


def until(step, *, one_delivery=False):
    ledger, bank = [], []
    for delivery, (name, (exports, statements)) in enumerate(STEPS.items(), start=1):
        ledger += inbox("ledger", exports, 1 if one_delivery else delivery)
        bank += inbox("bank", statements, 1 if one_delivery else delivery)
        if name == step:
            break
    return ledger, bank


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("one_delivery", [False, True], ids=["month by month", "all at once"])
def test_the_rows_set_aside_are_those_of_the_fixture(settings, step, one_delivery):
    ledger, bank = until(step, one_delivery=one_delivery)
    aside = pl.concat([read_ledger(ledger, settings=settings).set_aside, read_bank(bank, settings=settings).set_aside])
    aside = aside.filter(~pl.col("rule").is_in(["superseded"]))

    months = {"october_first": "2026-10", "october_after_entries": "2026-10", "november": "2026-11", "december": "2026-12"}
    with (FOLDER / "expected" / step / "set_aside.csv").open(encoding="utf-8-sig", newline="") as handle:
        expected = {(row["source_file"], row["source_row"], row["rule"], row["date"], row["description"]) for row in csv.DictReader(handle)}

    found = aside.filter(pl.col("month") == months[step]).select("source_file", "source_row", "rule", pl.col("date").cast(pl.String), "description")
    assert set(found.rows()) == expected


@pytest.mark.parametrize(("step", "closing"), [("october_first", 202_220), ("october_after_entries", 21_591), ("november", 30_600), ("december", 57_170)])
def test_opening_and_lines_lead_to_the_closing_of_the_trial_balance(settings, step, closing):
    lines = read_ledger(until(step)[0], settings=settings).lines.filter(pl.col("account") == "1050 Stripe Clearing")
    balances, _ = read_balances(inbox("balances", [step], 1), settings=settings)

    assert 131_200 + lines["amount_minor"].sum() == closing
    assert balances.filter(pl.col("account") == "1050 Stripe Clearing").sort("period")["closing_balance_minor"][-1] == closing
