"""Stripe's report CSVs become the API's tables, exactly; what they have must have been pulled."""

import doctest
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from reconciliation.connectors.stripe import reports
from reconciliation.connectors.stripe.completeness import prove_complete
from reconciliation.connectors.stripe.reports import read_report, read_reports
from reconciliation.errors import FileRefusedError
from reconciliation.money import format_minor
from reconciliation.schemas.stripe import BalanceSnapshot, Payout, PayoutMember, StripeSource
from reconciliation.simulation.company import simulate_company
from reconciliation.simulation.dry_run import read_stripe_folder
from reconciliation.simulation.options import SimulationOptions
from reconciliation.simulation.writer import write_company

HEADER = "balance_transaction_id,created_utc,available_on_utc,currency,gross,fee,net,reporting_category,source_id,description,automatic_payout_id"
ROW = "txn_1,2026-10-01 12:00:00,2026-10-03 00:00:00,usd,10.00,0.59,9.41,charge,ch_1,plain,po_1"


def written(tmp_path, *rows, header=HEADER, ends="\n", bom=False, name="report.csv"):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes((b"\xef\xbb\xbf" if bom else b"") + (ends.join([header, *rows]) + ends).encode())
    return path


def read(path, **others):
    return read_report(path, account="self", time_zone="UTC", **others)


def test_the_examples_in_docstrings_hold():
    assert doctest.testmod(reports).failed == 0


def test_a_row_becomes_the_row_of_the_api(tmp_path):
    report = read(written(tmp_path, ROW))
    row = report.transactions.row(0, named=True)
    assert (row["amount_minor"], row["fee_minor"], row["net_minor"], row["currency"], row["source_id"]) == (1000, 59, 941, "USD", "ch_1")
    assert row["created_at"] == datetime(2026, 10, 1, 12, tzinfo=UTC)
    assert report.members.rows() == [("self", "po_1", "txn_1")]


@pytest.mark.parametrize(
    ("currency", "cell", "minor"),
    [
        ("jpy", "5000", 5000), ("jpy", "5000.00", 5000), ("kwd", "1.234", 1234), ("usd", "12", 1200), ("usd", "-0.05", -5), ("usd", "12.5", 1250),
        ("eur", '"12,50"', 1250), ("isk", "500", 50_000), ("usd", "9007199254740.93", 900_719_925_474_093),
    ],
)  # fmt: skip
def test_major_units_become_minor_units_by_their_digits(tmp_path, currency, cell, minor):
    row = f"txn_1,2026-10-01 12:00:00,,{currency},{cell},0,{cell},charge,,,"
    assert read(written(tmp_path, row)).transactions["amount_minor"].item() == minor


@pytest.mark.parametrize(
    ("cell", "column", "told"),
    [
        ("10.005", "gross", "more decimals"), ("1,000.00", "gross", "plain decimal"), ("1e3", "gross", "plain decimal"), ("", "gross", "plain decimal"), ("ten", "net", "plain decimal"),
        ("01/10/2026", "created_utc", "a time such as"), ("2026-02-30 10:00:00", "created_utc", "a time such as"), ("99999999999999999999", "gross", "plain decimal"),
    ],
)  # fmt: skip
def test_a_cell_that_is_not_what_its_column_holds_is_refused_with_its_place(tmp_path, cell, column, told):
    cells = dict(zip(HEADER.split(","), ROW.split(","), strict=True)) | {column: f'"{cell}"' if cell else ""}
    with pytest.raises(FileRefusedError, match=told) as refused:
        read(written(tmp_path, ROW, ",".join(cells.values())))
    assert (refused.value.row, refused.value.column) == (3, column)


def test_a_row_that_breaks_stripes_own_laws_is_refused_with_its_id(tmp_path):
    with pytest.raises(FileRefusedError, match=r"net_is_amount_minus_fee \(1\): txn_1") as refused:
        read(written(tmp_path, ROW.replace("9.41", "9.40")))
    assert refused.value.row == 2


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"category,count\ncharge,3\n", "no itemised report"), (b"\x1f\x8b\x08", "compressed"), ("täxt".encode("latin-1"), "not UTF-8"), (b"", "no CSV"),
        (f"{HEADER}\n{ROW},one,more\n".encode(), ":2: 13 cells where the header has 11"),
    ],
)  # fmt: skip
def test_what_is_no_itemised_report_is_refused(tmp_path, content, told):
    (tmp_path / "odd.csv").write_bytes(content)
    with pytest.raises(FileRefusedError, match=told):
        read(tmp_path / "odd.csv")


def test_a_byte_order_mark_line_ends_and_quotes_are_read(tmp_path):
    row = 'txn_1,2026-10-01 12:00:00,,jpy,5000,150,4850,charge,,"Acme, Inc. ""monthly"" plan",'
    report = read(written(tmp_path, row, ends="\r\n", bom=True))
    assert report.transactions["description"].item() == 'Acme, Inc. "monthly" plan'
    assert report.members.is_empty()


def test_times_without_utc_are_of_the_zone_the_report_was_run_in(tmp_path):
    path = written(tmp_path, ROW, header=HEADER.replace("_utc", ""))
    assert read_report(path, account="self", time_zone="America/New_York").transactions["created_at"].item() == datetime(2026, 10, 1, 16, tzinfo=UTC)


def test_reports_of_a_folder_are_joined_and_contradictions_refused(tmp_path):
    written(tmp_path, ROW)
    written(tmp_path, ROW, ROW.replace("txn_1", "txn_2"), name="again.csv")
    written(tmp_path, ROW.replace("txn_1", "txn_3"), name="acct_9/own.csv")
    both = read_reports(tmp_path, accounts=["self", "acct_9"], time_zone="UTC")
    assert set(both.select("stripe_account", "balance_transaction_id").rows()) == {("self", "txn_1"), ("self", "txn_2"), ("acct_9", "txn_3")}
    written(tmp_path, ROW.replace("10.00", "11.00").replace("9.41", "10.41"), name="wrong.csv")
    with pytest.raises(FileRefusedError, match="different amounts for txn_1"):
        read_reports(tmp_path, accounts=["self"], time_zone="UTC")
    assert read_reports(tmp_path / "nowhere", accounts=["self"], time_zone="UTC").is_empty()


@pytest.fixture(scope="module")
def company(tmp_path_factory):
    folder = tmp_path_factory.mktemp("company")
    write_company(simulate_company(SimulationOptions(seed=3, payments=120, months=2)), folder)
    return read_stripe_folder(folder / "stripe")


def as_report(transactions, members):
    """Write transactions as Stripe's report does: major units, UTC, the payout beside them."""
    listed = transactions.join(members, on=["stripe_account", "balance_transaction_id"], how="left")
    for row in listed.iter_rows(named=True):
        gross, fee, net = (format_minor(row[f"{name}_minor"], row["currency"]) for name in ("amount", "fee", "net"))
        times = (row["created_at"].strftime("%Y-%m-%d %H:%M:%S"), row["available_at"].strftime("%Y-%m-%d %H:%M:%S"))
        text = row["description"].replace('"', '""')
        yield ",".join(
            [
                row["balance_transaction_id"],
                *times,
                row["currency"].lower(),
                gross,
                fee,
                net,
                row["reporting_category"],
                row["source_id"] or "",
                f'"{text}"',
                row["payout_id"] or "",
            ]
        )


def test_a_report_gives_the_same_tables_as_the_api(tmp_path, company):
    tables, _ = company
    report = read(written(tmp_path, *as_report(tables["balance_transactions"], tables["payout_members"])))
    same = [
        "balance_transaction_id",
        "created_at",
        "available_at",
        "amount_minor",
        "fee_minor",
        "net_minor",
        "currency",
        "reporting_category",
        "source_id",
        "description",
    ]
    assert_frame_equal(report.transactions.select(same), tables["balance_transactions"].select(same), check_row_order=False)
    assert_frame_equal(report.members, tables["payout_members"], check_row_order=False)


def prove(pulled, reports, through):
    nothing = {
        "payouts": Payout.create_empty(),
        "members": PayoutMember.create_empty(),
        "sources": StripeSource.create_empty(),
        "snapshots": BalanceSnapshot.create_empty(),
    }
    proofs = prove_complete(transactions=pulled, **nothing, complete_through=through, reports=reports)
    return {(row["balance_type"], row["currency"]): (row["result"], row["reason"]) for row in proofs.filter(check="reports_agree").to_dicts()}


def test_a_report_is_a_control_total_of_the_pull(tmp_path, company):
    tables, clock = company
    pulled = tables["balance_transactions"]
    reports = read(written(tmp_path, *as_report(pulled, tables["payout_members"]))).transactions
    through = clock + timedelta(seconds=1)
    result, reason = prove(pulled, reports, through)["payments", "GBP"]
    assert (result, reason) == ("proven", f"transactions of reports checked: {pulled.filter(balance_type='payments').height}")
    lost = pulled["balance_transaction_id"][20]
    result, reason = prove(pulled.filter(pl.col("balance_transaction_id") != lost), reports, through)["payments", "GBP"]
    assert (result, f"were not pulled (1): {lost}" in reason) == ("failed", True)
    other = reports.with_columns(net_minor=pl.when(pl.col("balance_transaction_id") == lost).then(pl.col("net_minor") + 1).otherwise("net_minor"))
    result, reason = prove(pulled, other, through)["payments", "GBP"]
    assert (result, f"with other money in Stripe's reports (1): {lost}" in reason) == ("failed", True)
    # A filtered report proves what it has and says what it lacks.
    result, reason = prove(pulled, reports.filter(pl.col("reporting_category") == "charge"), through)["payments", "GBP"]
    assert (result, "that the reports do not have" in reason) == ("proven", True)


def test_without_reports_there_is_no_such_check(company):
    tables, clock = company
    assert prove(tables["balance_transactions"], None, clock) == {}
