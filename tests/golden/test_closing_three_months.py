"""The three worked months as a team closes them: certified by two, locked, a line back-dated, re-opened, restated, replayed.

The figures are those of `three_months/README.md`. Dagster and the network are left out; everything else is the product.
"""

import csv
import shutil
import sys
from pathlib import Path

import orjson
import pytest

from reconciliation.classifier.verdicts import make_judge
from reconciliation.classifier.versions import load_version
from reconciliation.close.audit import audit_package
from reconciliation.config import read_settings
from reconciliation.errors import DecisionRefusedError, LockedPeriodError, StaleViewError
from reconciliation.lake import Lake, locked_through
from reconciliation.months import lock_month, unlock_month, write_package
from reconciliation.opening import record_opening
from reconciliation.rates import read_rates
from reconciliation.review.situation import package_hash, read_situation
from reconciliation.simulation.dry_run import dry_month, read_stripe_folder

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "end_to_end"))
from office import KEY, Office
from package_laws import check_package

GOLDEN = Path(__file__).parent / "three_months"
LATE = "gl_PYMT-2009/1"


class Company:
    """The company with its lake and its close folder."""

    def __init__(self, folder: Path) -> None:
        shutil.copyfile(GOLDEN / "reconciliation.toml", folder / "reconciliation.toml")
        self.settings = read_settings(folder / "reconciliation.toml")
        self.lake = Lake(self.settings.path(self.settings.storage.lake))
        self.stripe, self.clock = read_stripe_folder(GOLDEN / "stripe")
        self.score = make_judge(load_version("latest"))
        record_opening(self.lake, self.settings, period="2026-10", ledger=["1050 Stripe Clearing GBP=1312.00"], items=GOLDEN / "opening_items.csv")
        self.office: Office | None = None

    def deliver(self, *files: str) -> None:
        for name in files:
            kind, _, file = name.partition("/")
            target = self.settings.folder / "inbox" / kind / ("balances.csv" if kind == "balances" else file)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(GOLDEN / name, target)

    def run(self, period: str) -> Path:
        rates = read_rates(self.settings.path(self.settings.fx.rates))
        return dry_month(self.lake, self.settings, period, stripe=self.stripe, clock=self.clock, score=self.score, rates=rates).package

    def package(self, period: str, version: str) -> Path:
        return self.settings.path(self.settings.close.folder) / period / version

    def decide(self, kind: str, by: str, period: str, **fields):
        return self.office.decide(kind, by, read_situation(self.lake, self.settings, period), **fields)

    def certify(self, period: str) -> None:
        for by, role in (("anna", "preparer"), ("ben", "reviewer")):
            self.decide("certify", by, period, role=role, package_hash=package_hash(self.settings, period))

    def lock(self, period: str) -> Path:
        lock_month(self.lake, self.settings, period)
        return write_package(self.lake, self.settings, period, as_version=True)

    def reopen(self, period: str, reason: str) -> None:
        asked = self.decide("unlock", "anna", period, reason=reason)
        self.decide("approve", "ben", period, targets=(asked.number,))
        unlock_month(self.lake, self.settings, period)


def table(package: Path, name: str) -> list[dict[str, str]]:
    with (package / name).open(encoding="utf-8-sig", newline="") as handle:
        return list(csv.DictReader(handle))


def totals(package: Path) -> tuple[str, ...]:
    lines = {(row["section"], row["line"]): row for row in table(package, "statement.csv") if row["currency"] == "GBP"}
    closing = lines["books", "closing"]
    transit = lines["cash", "in_transit_closing"]["difference"]
    return closing["stripe"], closing["ledger"], closing["difference"], lines["books", "posted_into_locked_month"]["ledger"], transit


def require_held(package: Path, *, before: Path | None = None) -> None:
    assert [text for check in audit_package(package) for text in check.found] == []
    if before is not None or package.parent.name == "2026-10":
        assert check_package(package, before=before) == []


def content(package: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in package.iterdir()}


@pytest.fixture
def company(tmp_path, monkeypatch) -> Company:
    monkeypatch.setenv("RECONCILIATION_REVIEW_KEY", KEY)
    return Company(tmp_path)


def test_three_months_are_closed_reopened_and_restated(company):
    # October as first exported, then with the team's entries posted and recognized.
    company.deliver("ledger/2026-10_first.csv", "bank/2026-10.csv", "balances/october_first.csv")
    assert totals(company.run("2026-10")) == ("203.91", "2022.20", "-1818.29", "0.00", "736.00")
    company.office = Office(company.lake.root, "anna", "ben")
    company.decide("certify", "anna", "2026-10", role="preparer", package_hash=package_hash(company.settings, "2026-10"))
    company.deliver("ledger/2026-10_final.csv", "balances/october_after_entries.csv")
    draft = company.run("2026-10")
    assert totals(draft) == ("203.91", "215.91", "-12.00", "0.00", "736.00")
    require_held(draft)

    # What anna signed was the package before the entries: changed inputs have undone it.
    with pytest.raises(LockedPeriodError, match="not certified by preparer and reviewer"):
        company.lock("2026-10")
    with pytest.raises(DecisionRefusedError, match="preparer certifies first"):
        company.decide("certify", "ben", "2026-10", role="reviewer", package_hash=package_hash(company.settings, "2026-10"))
    with pytest.raises(StaleViewError):
        company.decide("certify", "ben", "2026-10", role="preparer", package_hash="0" * 64)
    company.certify("2026-10")
    october = company.lock("2026-10")
    assert october.name == "v1"
    require_held(october)
    signed = [(row["role"], row["by"]) for row in table(october, "signoffs.csv") if row["package_sha256"] == package_hash(company.settings, "2026-10")]
    assert signed == [("preparer", "anna"), ("reviewer", "ben")]
    assert [row["kind"] for row in table(october, "decisions.csv")] == ["enroll", "enroll", "certify", "certify", "certify"]
    assert orjson.loads((october / "manifest.json").read_bytes())["decision_log"]["head"] == company.office.log.head()

    # November: a line dated 28 October has arrived since.
    company.deliver("ledger/2026-10_late.csv", "ledger/2026-11.csv", "bank/2026-11.csv", "balances/november.csv")
    draft = company.run("2026-11")
    assert totals(draft) == ("494.02", "306.00", "188.02", "120.00", "0.00")
    changes = [(row["period"], row["change"], row["item_id"], row["difference"], row["posted_into"]) for row in table(draft, "restatement.csv")]
    assert changes == [("2026-10", "appeared", LATE, "120.00", "2026-11")]
    company.certify("2026-11")
    november = company.lock("2026-11")
    require_held(november, before=october)
    frozen = content(october), content(november)

    # December.
    company.deliver("ledger/2026-12.csv", "ledger/2026-12_1051.csv", "bank/2026-12.csv", "balances/december.csv")
    december = company.run("2026-12")
    assert totals(december) == ("100.00", "571.70", "-471.70", "0.00", "471.70")
    require_held(december, before=november)
    assert table(december, "restatement.csv") == []

    # October is re-opened, from the last locked month back, by two.
    with pytest.raises(LockedPeriodError, match="from the last one back"):
        company.decide("unlock", "anna", "2026-10", reason="the late sale belongs to October")
    with pytest.raises(LockedPeriodError, match="a reason and a second person"):
        unlock_month(company.lake, company.settings, "2026-11")
    company.reopen("2026-11", "October is restated")
    company.reopen("2026-10", "the late sale belongs to October")
    assert locked_through(company.lake) == ""
    draft = company.run("2026-10")
    assert totals(draft)[:4] == ("203.91", "335.91", "-132.00", "0.00")
    changes = [(row["change"], row["item_id"], row["difference"], row["status_now"]) for row in table(draft, "restatement.csv")]
    assert changes == [("appeared", LATE, "120.00", "open as timing timing")]
    assert (content(october), content(november)) == frozen
    company.certify("2026-10")
    october_again = company.lock("2026-10")
    assert october_again.name == "v2"
    require_held(october_again)

    # November follows from the restated October, and its own diff says what that changed.
    draft = company.run("2026-11")
    assert totals(draft) == ("494.02", "306.00", "188.02", "0.00", "0.00")
    moved = {(row["change"], row["item_id"], row["what"]) for row in table(draft, "restatement.csv") if row["item_id"] == LATE}
    assert moved == set()
    company.certify("2026-11")
    november_again = company.lock("2026-11")
    require_held(november_again, before=october_again)
    december = company.run("2026-12")
    assert totals(december) == ("100.00", "571.70", "-471.70", "0.00", "471.70")
    require_held(december, before=november_again)
    assert (content(october), content(november)) == frozen
    # Each version still finds the one it was carried from.
    require_held(november, before=october)

    # An approved re-opening is used once.
    with pytest.raises(LockedPeriodError, match="a reason and a second person"):
        unlock_month(company.lake, company.settings, "2026-11")


def test_a_locked_line_that_is_changed_or_removed_is_counted_where_it_was_found(company):
    company.deliver("ledger/2026-10_final.csv", "bank/2026-10.csv", "balances/october_after_entries.csv")
    company.run("2026-10")
    october = company.lock("2026-10")
    company.deliver("ledger/2026-10_final.csv", "ledger/2026-11.csv", "bank/2026-11.csv", "balances/november.csv")
    folder = company.settings.folder / "inbox"
    spoil(folder)
    package = company.run("2026-11")
    rows = {row["item_id"]: row for row in table(package, "restatement.csv")}
    found = {(row["change"], row["amount_before"], row["amount_now"], row["difference"]) for row in rows.values()}
    assert found == {("changed", "100.00", "130.00", "30.00"), ("vanished", "60.00", "0.00", "-60.00")}
    assert all(row["period"] == "2026-10" and row["posted_into"] == "2026-11" for row in rows.values())
    still_open = {row["item_id"]: (row["cause"], row["nature"]) for row in table(package, "open_items.csv")}
    assert {still_open.get(item) for item in rows if item in still_open} <= {("changed_after_close", "restatement")}
    statement = {(row["section"], row["line"]): row for row in table(package, "statement.csv") if row["currency"] == "GBP"}
    assert statement["books", "posted_into_locked_month"]["ledger"] == "-30.00"
    assert statement["bridge", "unexplained"]["difference"] == "0.00"
    require_held(package, before=october)


def spoil(inbox: Path) -> None:
    """Change one line of October's export from 100.00 to 130.00 and take one of 60.00 out, as if exported again; trial balance accordingly."""
    path = inbox / "ledger" / "2026-10_again.csv"
    lines = (GOLDEN / "ledger" / "2026-10_final.csv").read_text(encoding="utf-8-sig").splitlines()
    kept = [line for line in lines if "60.00" not in line or "PYMT" not in line]
    assert len(kept) == len(lines) - 1
    place = next(number for number, line in enumerate(kept) if "100.00" in line and "PYMT" in line)
    kept[place] = kept[place].replace("100.00", "130.00")
    path.write_text("\r\n".join(kept) + "\r\n", encoding="utf-8")
    balances = inbox / "balances" / "balances.csv"
    text = balances.read_text(encoding="utf-8").replace("2026-10,335.91", "2026-10,185.91").replace("2026-11,306.00", "2026-11,156.00")
    balances.write_text(text, encoding="utf-8")
