"""Exports of real systems, re-keyed by others: each is read to its true totals, or refused for what is wrong in it."""

import hashlib
from pathlib import Path

import polars as pl
import pytest

from reconciliation.config import Settings
from reconciliation.connectors.inbox import InboxFile
from reconciliation.connectors.ledger.reader import ledger_profiles, read_export, read_ledger
from reconciliation.errors import FileRefusedError
from reconciliation.money import format_minor

MATERIAL = Path(__file__).parents[3] / "shared" / "material"

pytestmark = pytest.mark.skipif(not MATERIAL.is_dir(), reason=f"{MATERIAL} is absent: real exports are not part of the project")


def settings_for(account, currency, **ledger):
    return Settings.model_validate(
        {
            "entity": {"name": "Example Ltd", "timezone": "UTC", "currency": currency},
            "start": {"period": "2026-10"},
            "ledger": ledger,
            "books": [{"ledger_accounts": [{"account": account, "currency": currency}]}],
        }
    )


def inbox_file(name):
    content = (MATERIAL / name).read_bytes()
    return InboxFile(name, content, hashlib.sha256(content).hexdigest(), 1)


READ = {
    "erp_layouts/d365bc_general_journal.csv": ("business_central_journal", "11310", "USD", {}, 3, ["16853.62"], []),
    "erp_layouts/datev_extf_buchungsstapel_cp1252.csv": ("datev", "1800", "EUR", {}, 2, ["119.00", "-238.00"], []),
    "erp_layouts/qbo_general_ledger_report.csv": (
        "quickbooks_general_ledger", "1010 Huntington - Operating Account", "USD", {}, 6, ["-420.81"], ["total_rows_equal_their_lines", "running_balance"],
    ),
    "erp_layouts/qbo_journal_report.csv": (
        "quickbooks_journal", "Accounts Receivable (A/R)", "USD", {}, 2, ["1250.00"], ["total_rows_equal_their_lines", "debits_equal_credits"],
    ),
    "erp_layouts/qbo_transaction_detail_by_account.csv": (
        "quickbooks_transaction_detail", "Job Materials", "USD", {"day_first": False}, 4, ["12000.00", "1000.00", "500.00"], [],
    ),
    "erp_layouts/sage50_audit_header.csv": ("sage50", "1200", "GBP", {}, 0, [], []),
    "erp_layouts/xero_journal_report.csv": ("xero_journal", "610 - Accounts Receivable", "AUD", {}, 1, ["1000.00"], []),
    "erp_gl_csv/smartrecon_general_ledger.csv": ("plain", "2000-726", "USD", {}, 176, ["-1158.39", "-1060.43", "-1669.56"], []),
}  # fmt: skip


@pytest.mark.parametrize("name", READ)
def test_an_export_is_read_to_its_true_totals(name):
    profile, account, currency, ledger, rows_in, amounts, proofs = READ[name]
    settings = settings_for(account, currency, **ledger)

    (export,) = read_export(inbox_file(name), ledger_profiles(settings), settings=settings)
    reading = read_ledger([inbox_file(name)], settings=settings)

    assert reading.files.select("profile", "rows_in").rows() == [(profile, rows_in)]
    assert [
        format_minor(amount, currency) for amount in reading.lines.sort(pl.col("source_row").str.extract("([0-9]+)").cast(pl.Int64))["amount_minor"]
    ] == amounts
    assert [name for name, holds in export.proofs if holds] == proofs


def test_the_general_ledger_with_one_side_adds_to_what_a_spreadsheet_shows():
    reading = read_ledger([inbox_file("erp_gl_csv/smartrecon_general_ledger.csv")], settings=settings_for("2000-726", "USD"))
    total = reading.lines["amount_minor"].sum() + reading.set_aside["amount_minor"].sum()
    lines = (MATERIAL / "erp_gl_csv/smartrecon_general_ledger.csv").read_text().splitlines()[1:]
    cents = sum((1 if line.endswith("Debit") else -1) * round(float(line.rsplit(",", 2)[1]) * 100) for line in lines)

    assert total == cents


REFUSED = {
    "erp_layouts/d365bc_gl_entries.csv": (3, "Posting Date", "no day of the calendar"),
    "erp_layouts/xero_manual_journal.csv": (4, "*Date", "another way"),
    "erp_layouts/qbo_transaction_detail_by_account.csv": (4, "Date", "day_first"),
    "erp_layouts/erp_table_layouts_datasynth.txt": (5, None, "12 cells"),
    "erp_gl_csv/smartrecon_invoices.csv": (1, None, "no column for account"),
    "erp_gl_csv/smartrecon_purchase_orders.csv": (1, None, "no column for account"),
    "erp_gl_csv/smartrecon_bank_statements.csv": (1, None, "no column for account"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_export_that_cannot_be_read_is_refused_with_its_place(name):
    row, column, said = REFUSED[name]

    with pytest.raises(FileRefusedError, match=said) as caught:
        read_ledger([inbox_file(name)], settings=settings_for("1010", "USD"))

    assert (caught.value.row, caught.value.column) == (row, column)


def test_the_second_fault_of_a_file_is_named_too():
    with pytest.raises(FileRefusedError, match=r":4 \[Amount\]: 'ten' is not an amount"):
        read_ledger([inbox_file("erp_layouts/d365bc_gl_entries.csv")], settings=settings_for("40356", "USD"))


def test_every_export_of_the_material_has_its_test():
    there = {f"{path.parent.name}/{path.name}" for folder in ("erp_layouts", "erp_gl_csv") for path in (MATERIAL / folder).iterdir() if path.suffix != ".md"}

    assert there == {*READ, *REFUSED}
