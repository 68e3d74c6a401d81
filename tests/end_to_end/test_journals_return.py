"""Entries go out in an ERP's import layout, are posted there, and come back in its next export: they settle exactly what they were made for.

Example Ltd's October and November (tests/golden/three_months). The test stands for the reviewer (it approves every entry) and for the ERP.
"""

import csv
import io
import shutil
import sys
from pathlib import Path

import polars as pl
import pytest

from reconciliation.close.import_files import write_import_files
from reconciliation.config import read_settings
from reconciliation.connectors.stripe.completeness import prove_complete
from reconciliation.lake import Lake
from reconciliation.months import carry_in, complete_book, define_month, lock_month, store_month, write_package
from reconciliation.opening import record_opening
from reconciliation.pipeline import reconcile_month
from reconciliation.rates import Rates
from reconciliation.simulation.dry_run import read_stripe_folder
from reconciliation.sources import assemble_sources, read_files, register_deliveries

sys.path.insert(0, str(Path(__file__).parent))
from erp_systems import CLEARING, INTACCT_CLEARING, SYSTEMS, golden_postings
from package_laws import check_package

GOLDEN = Path(__file__).parents[1] / "golden" / "three_months"
JOURNALS = """
[journals]
post_timing_above = "100.00"
[journals.accounts]
dispute_fees = "6220"
disputes_receivable = "1053"
fx_gain_loss = "7700"
rounding = "6990"
payouts_in_transit = "1052"
unapplied_receipts = "1100"
write_off = "6999"
[journals.columns]
"""
CONSTANTS = {"xero": '"*TaxRate" = "No VAT"\n', "sap": '"Company Code" = "1000"\n', "sage_intacct": f'[journals.clearing]\n"{INTACCT_CLEARING}" = "1050"\n'}
OPENING = 131_200


def risky(features):
    """Stand in for the model: every difference is a true exception once it could be one."""
    return features.select("break_id", probability_true_exception=pl.lit(0.1), reasons=pl.lit(["a stand-in"]))


class Company:
    """Example Ltd with an ERP of choice; October's and November's ledger as postings."""

    def __init__(self, folder, layout):
        self.layout, self.folder = layout, folder
        self.export, self.post = SYSTEMS[layout]
        self.account = INTACCT_CLEARING if layout == "sage_intacct" else CLEARING
        text = (GOLDEN / "reconciliation.toml").read_text().replace(f'"{CLEARING}"', f'"{self.account}"')
        (folder / "reconciliation.toml").write_text(text + JOURNALS + CONSTANTS.get(layout, ""))
        for kind in ("ledger", "bank", "balances"):
            (folder / "inbox" / kind).mkdir(parents=True)
        self.settings = read_settings(folder / "reconciliation.toml")
        self.lake = Lake(self.settings.path(self.settings.storage.lake))
        self.stripe, self.clock = read_stripe_folder(GOLDEN / "stripe")
        self.exports = 0
        ledger = [f"{self.account}=1312.00"]
        record_opening(self.lake, self.settings, period="2026-10", ledger=ledger, items=GOLDEN / "opening_items.csv")

    def run(self, period, *exports):
        """Deliver exports (month's postings, opening), the bank statement, and the trial balance they come to; reconcile."""
        balance = OPENING
        for postings, opening in exports:
            self.exports += 1
            (self.folder / "inbox" / "ledger" / f"export_{self.exports:02}.csv").write_bytes(self.export(sorted(postings, key=lambda p: p["date"]), opening))
            balance = opening + sum(p["pence"] for p in postings)
        shutil.copy(GOLDEN / "bank" / f"{period}.csv", self.folder / "inbox" / "bank")
        trial = f"account,currency,period,closing_balance\n{self.account},GBP,{period},{balance / 100:.2f}\n"
        (self.folder / "inbox" / "balances" / "balances.csv").write_text(trial)
        files = read_files(self.settings, register_deliveries(self.lake, self.settings))
        book = complete_book(self.settings.books[0], files["ledger_lines"])
        sources = assemble_sources(self.stripe, files, book, complete_through=self.clock)
        month = define_month(self.lake, self.settings, book, period, complete_through=self.clock)
        proofs = prove_complete(
            transactions=sources.transactions, payouts=sources.payouts, members=sources.members, sources=sources.stripe_sources, snapshots=sources.snapshots,
            complete_through=self.clock,
        )  # fmt: skip
        result = reconcile_month(sources, month, carry_in(self.lake, sources, month), score=risky, rates=Rates())
        store_month(self.lake, result, sources, proofs=proofs, model="stand-in", accept_incomplete=False)
        package = write_package(self.lake, self.settings, period)
        assert check_package(package, before=None) == []
        return result

    def import_file(self, result):
        """Approve everything and render it."""
        approved = result.journals.with_columns(status=pl.when(pl.col("status") == "proposed").then(pl.lit("approved")).otherwise("status"))
        made = write_import_files(approved, self.settings, layout=self.layout, date_order="day_first")
        assert not made.reasons
        return made


@pytest.mark.parametrize("layout", list(SYSTEMS))
def test_entries_that_come_back_settle_exactly_the_items_they_were_made_for(layout, tmp_path):
    company = Company(tmp_path, layout)
    october = golden_postings((GOLDEN / "ledger" / "2026-10_first.csv").read_bytes())
    first = company.run("2026-10", (october, OPENING))
    clearing = first.journals.filter((pl.col("account_role") == "clearing") & (pl.col("reverses_journal") == ""))
    shown = {row["journal_id"]: row["debit_minor"] - row["credit_minor"] for row in clearing.to_dicts()}
    # The worked month's own entries J1 to J6, in its own order.
    assert shown == {
        "RC-2026-10-0001": -100_000, "RC-2026-10-0002": -29, "RC-2026-10-0003": -2_000, "RC-2026-10-0004": -20_000, "RC-2026-10-0005": 15_000, "RC-2026-10-0006": -73_600,
    }  # fmt: skip
    again = company.run("2026-10", (october, OPENING))
    assert again.journals.equals(first.journals)

    made = company.import_file(first)
    postings = company.post(made.files[f"journal_entries_{layout}.csv"])
    in_october, after = [p for p in postings if p["date"].month == 10], [p for p in postings if p["date"].month == 11]
    assert sorted(p["pence"] for p in in_october) == sorted(shown.values())
    assert sorted(p["pence"] for p in after) == [-15_000, 73_600]
    second = company.run("2026-10", (october + in_october, OPENING))
    difference = second.statement.filter((pl.col("section") == "books") & (pl.col("line") == "closing"))["difference"].item()
    assert difference == -1_200
    before, now = (set(r.open_items.filter(pl.col("leg") == "books")["item_id"]) for r in (first, second))
    permanent = {i for row in clearing.filter(pl.col("type") != "timing").to_dicts() for i in row["items"]}
    assert before - now == permanent
    accruals = now - before
    assert sorted(second.items.filter(pl.col("item_id").is_in(list(accruals)))["amount_minor"]) == [-73_600, 15_000]
    returned = second.members.filter(pl.col("strategy") == "returned_journal")
    assert permanent <= set(returned["item_id"])
    assert set(second.journals.filter(pl.col("status") == "posted")["journal_id"]) == set(shown)
    assert set(second.journals.filter(pl.col("status") != "posted")["journal_id"]) == {"RC-2026-10-0005-R", "RC-2026-10-0006-R"}

    lock_month(company.lake, company.settings, "2026-10")
    november = golden_postings((GOLDEN / "ledger" / "2026-11.csv").read_bytes())
    own = [p for p in november if not p["document"].startswith("RC-")]
    third = company.run("2026-11", (own + after, 21_591))
    # Each accrual and its reversal are a match of their own; what they accrued was settled by what came later.
    pairs = third.members.filter(pl.col("item_id").is_in(list(accruals)))
    assert pairs.height == 2
    assert pairs["match_id"].n_unique() == 2
    assert set(third.open_items.filter(pl.col("leg") == "books")["kind"]) == {"missing_in_ledger", "amount_difference", "opening_difference"}
    assert set(third.journals.filter(pl.col("status") == "posted")["journal_id"]) == {"RC-2026-10-0005-R", "RC-2026-10-0006-R"}
    # Dispute won, rounding, and S14, whose posting was dated into October by mistake and is not in this export.
    proposed = third.journals.filter(pl.col("status") == "proposed")["journal_id"].unique().sort().to_list()
    assert proposed == ["RC-2026-11-0001", "RC-2026-11-0002", "RC-2026-11-0003", "RC-2026-11-0003-R"]


def test_an_entry_posted_twice_and_one_posted_with_another_amount_are_exceptions(tmp_path):
    company = Company(tmp_path, "netsuite")
    october = golden_postings((GOLDEN / "ledger" / "2026-10_first.csv").read_bytes())
    first = company.run("2026-10", (october, OPENING))
    lines = {p["document"]: p for p in company.post(company.import_file(first).files["journal_entries_netsuite.csv"]) if p["date"].month == 10}
    twice = {**lines["RC-2026-10-0001"], "document": "JE-9001"}
    changed = {**lines["RC-2026-10-0004"], "pence": -20_100}
    second = company.run("2026-10", ([*october, lines["RC-2026-10-0001"], twice, changed], OPENING))
    by_document = dict(second.items.filter(pl.col("side") == "ledger").select("document", "item_id").iter_rows())
    again = second.open_items.filter(pl.col("item_id") == by_document["JE-9001"]).row(0, named=True)
    assert (again["kind"], again["cause"]) == ("duplicate_in_ledger", "duplicate_posting")
    left = second.items.filter((pl.col("side") == "residual") & (pl.col("amount_minor") == 100))
    assert left.height == 1
    broken = second.open_items.filter(pl.col("item_id") == left["item_id"].item()).row(0, named=True)
    assert (broken["kind"], broken["cause"]) == ("amount_difference", "wrong_amount")
    # What is left of it is proposed under a number of its own: ids are never used twice.
    assert broken["journal_id"] not in lines
    assert broken["journal_id"].startswith("RC-2026-10-")


def test_a_role_without_an_account_prints_its_name_and_no_file_is_written(tmp_path):
    company = Company(tmp_path, "netsuite")
    october = golden_postings((GOLDEN / "ledger" / "2026-10_first.csv").read_bytes())
    result = company.run("2026-10", (october, OPENING))
    poor = company.settings.model_copy(update={"journals": company.settings.journals.model_copy(update={"accounts": {"dispute_fees": "6220"}})})
    made = write_import_files(result.journals.with_columns(status=pl.lit("approved")), poor, layout="netsuite", date_order="day_first")
    assert made.files == {}
    assert made.reasons == ("no account for disputes_receivable, fx_gain_loss, payouts_in_transit, unapplied_receipts; set them in [journals.accounts]",)


def test_files_are_split_between_entries_and_foot_to_the_control_totals(tmp_path, monkeypatch):
    from reconciliation.close import import_files

    company = Company(tmp_path, "quickbooks_online")
    october = golden_postings((GOLDEN / "ledger" / "2026-10_first.csv").read_bytes())
    result = company.run("2026-10", (october, OPENING))
    small = {name: shape.model_copy(update={"rows_max": 5}) for name, shape in import_files.read_layouts().items()}
    monkeypatch.setattr(import_files, "read_layouts", lambda: small)
    made = company.import_file(result)
    parts = {name: list(csv.DictReader(io.StringIO(content.decode("utf-8-sig")))) for name, content in made.files.items() if not name.endswith("_control.csv")}
    assert len(parts) == 4
    seen = [row["*JournalNo"] for name in sorted(parts) for row in parts[name]]
    assert len(seen) == 16
    for name, rows in parts.items():
        assert len(rows) <= 5
        for journal in {row["*JournalNo"] for row in rows}:
            own = [row for row in rows if row["*JournalNo"] == journal]
            assert len(own) == seen.count(journal), f"{journal} is cut in two"
            assert sum(round(float(row["*Debits"] or 0) * 100) for row in own) == sum(round(float(row["*Credits"] or 0) * 100) for row in own)
        control = next(row for row in made.control if row["file"] == name)
        assert round(float(control["debit"]) * 100) == sum(round(float(row["*Debits"] or 0) * 100) for row in rows)
        assert int(control["rows"]) == len(rows)
