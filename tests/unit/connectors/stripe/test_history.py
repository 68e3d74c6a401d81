"""Whole reports fill the lake with what the lists would have, and are refused where they are not whole."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from reconciliation.connectors.stripe.client import StripeReader
from reconciliation.connectors.stripe.completeness import prove_complete
from reconciliation.connectors.stripe.history import read_history
from reconciliation.connectors.stripe.pull import Pulled, pull_balance, pull_balance_transactions, pull_payout_members, pull_payouts, pull_sources
from reconciliation.connectors.stripe.types import PAYOUT_TYPES
from reconciliation.errors import FileRefusedError
from reconciliation.money import format_minor
from reconciliation.simulation.company import simulate_company
from reconciliation.simulation.faults import Answer
from reconciliation.simulation.options import SimulationOptions
from reconciliation.simulation.sandbox import Sandbox, read_sandbox
from reconciliation.simulation.sandbox_server import SandboxServer
from reconciliation.simulation.writer import write_company

COLUMNS = "balance_transaction_id,created_utc,available_on_utc,currency,gross,fee,net,reporting_category,source_id,description"
START, KEY = datetime(2020, 1, 1, tzinfo=UTC), "balance_transaction_id"
# What a report does not say: parts of a fee, and other balance types.
SAID = [
    KEY,
    "created_at",
    "amount_minor",
    "fee_minor",
    "net_minor",
    "currency",
    "reporting_category",
    "source_id",
    "description",
    "stripe_account",
    "available_at",
]


@dataclass
class Counting:
    """A sandbox that counts what it is asked for."""

    inner: Sandbox
    asked: Counter[str] = field(default_factory=Counter)

    @property
    def now(self) -> int:
        return self.inner.now

    def answer(self, *, method: str, path: str, query: str, headers: Mapping[str, str]) -> Answer:
        given = parse_qs(query)
        self.asked[f"{path} {given.get('type', ['by payout' if 'payout' in given else 'all'])[0]}"] += 1
        return self.inner.answer(method=method, path=path, query=query, headers=headers)


@dataclass(frozen=True)
class Company:
    """A company's server, and what its lists give."""

    server: Counting
    url: str
    lists: dict[str, Pulled]

    @property
    def end(self) -> datetime:
        return datetime.fromtimestamp(self.server.now + 1, UTC)


def pull(url: str, end: datetime, folder: Path | None = None, **others: object) -> dict[str, Pulled]:
    reader = StripeReader(key="rk_test_1", api_base=url)
    history = None if folder is None else read_history(folder, account="self", time_zone="UTC")
    window = {"account": "self", "start": START, "end": end}
    payouts = pull_payouts(reader, **window)
    return {
        "transactions": pull_balance_transactions(reader, **window, history=history, **others),
        "payouts": payouts,
        "members": pull_payout_members(reader, account="self", payouts=payouts.frame, history=history),
    }


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    folder = tmp_path_factory.mktemp("company")
    write_company(simulate_company(SimulationOptions(seed=3, payments=900, months=2)), folder)
    server = Counting(read_sandbox(folder / "stripe"))
    with SandboxServer(server) as served:
        yield Company(server, served.url, pull(served.url, datetime.fromtimestamp(server.now + 1, UTC)))


def report(path: Path, rows: pl.DataFrame, members: pl.DataFrame | None = None) -> None:
    """Write rows as Stripe's itemised reports are written: major units, no types, the payout beside each row where it is asked for."""
    lines = [COLUMNS + ("" if members is None else ",automatic_payout_id")]
    listed = rows if members is None else rows.join(members.select(KEY, "payout_id"), on=KEY, how="left")
    for row in listed.sort("created_at", descending=True).iter_rows(named=True):
        money = [format_minor(row[f"{name}_minor"], row["currency"]) for name in ("amount", "fee", "net")]
        times = [row[name].strftime("%Y-%m-%d %H:%M:%S") for name in ("created_at", "available_at")]
        text = row["description"].replace('"', '""')
        cells = [row[KEY], *times, row["currency"].lower(), *money, row["reporting_category"], row["source_id"] or "", f'"{text}"']
        lines.append(",".join([*cells, *([] if members is None else [row["payout_id"] or ""])]))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def activity(company: Company) -> pl.DataFrame:
    """Return what a report of activity has: everything but the way to the bank."""
    return company.lists["transactions"].frame.filter(~pl.col("type").is_in(PAYOUT_TYPES))


def test_reports_and_lists_fill_the_lake_with_the_same_rows(company, tmp_path):
    rows, members = activity(company), company.lists["members"].frame
    for currency in rows["currency"].unique().sort():
        report(tmp_path / f"activity_{currency}.csv", rows.filter(currency=currency), members)
    company.server.asked.clear()
    pulled = pull(company.url, company.end, tmp_path)
    listed = company.lists["transactions"].frame
    assert pulled["transactions"].frame.columns == listed.columns
    assert_frame_equal(pulled["transactions"].frame.select(SAID), listed.select(SAID), check_row_order=False)
    assert_frame_equal(pulled["members"].frame, members, check_row_order=False)
    # The types are those of the API, which the report does not name.
    both = pulled["transactions"].frame.join(listed, on=KEY, suffix="_listed")
    assert both.filter(pl.col("type") != pl.col("type_listed")).is_empty()
    # One page for each check, and hardly a line of a payout: the reports stand for the lists.
    assert company.server.asked["/v1/balance_transactions all"] <= 12
    assert company.server.asked["/v1/balance_transactions by payout"] == 0


def test_parts_of_months_in_reports_beside_lists_is_the_same_account_and_is_proven(company, tmp_path):
    rows = activity(company)
    for month in rows["created_at"].dt.month().unique().sort():
        of_month = (pl.col("created_at").dt.month() == month) & (pl.col("created_at").dt.day() < 20)
        report(tmp_path / f"activity_{month}.csv", rows.filter(of_month & (pl.col("currency") == "GBP")))
    pulled = {name: one.frame for name, one in pull(company.url, company.end, tmp_path).items()}
    assert_frame_equal(pulled["transactions"].select(SAID), company.lists["transactions"].frame.select(SAID), check_row_order=False)
    reader = StripeReader(key="rk_test_1", api_base=company.url)
    sources = pull_sources(reader, account="self", start=START, end=company.end).frame
    proofs = prove_complete(**pulled, sources=sources, snapshots=pull_balance(reader, account="self").frame, complete_through=company.end)
    checked = proofs.filter(pl.col("check") != "balance_rolls_forward")
    assert set(checked["result"].cast(pl.String)) == {"proven"}, checked.to_dicts()


def test_a_row_that_was_listed_before_keeps_what_the_list_said_of_it(company, tmp_path):
    report(tmp_path / "activity.csv", activity(company).filter(currency="GBP"))
    listed = company.lists["transactions"].frame
    again = pull(company.url, company.end, tmp_path, known=listed)["transactions"].frame
    # A charge that was pending when it was listed is available to the report.
    assert_frame_equal(again.drop("status"), listed.drop("status"), check_row_order=False)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda rows: rows.filter(pl.col("reporting_category") != "refund"), "lacks transactions that Stripe lists: txn_"),
        (lambda rows: rows.with_columns(pl.col("amount_minor") + 1, pl.col("net_minor") + 1), "has other money than Stripe lists for txn_"),
        (lambda rows: rows.gather_every(2), "lacks transactions that Stripe lists: txn_"),
    ],
    ids=["filtered", "other money", "every second row"],
)  # fmt: skip
def test_a_report_that_is_not_whole_is_refused(company, tmp_path, spoil, told):
    report(tmp_path / "activity.csv", spoil(activity(company).filter(currency="GBP")))
    with pytest.raises(FileRefusedError, match=told):
        pull(company.url, company.end, tmp_path)


def test_a_payout_whose_reported_lines_do_not_come_to_its_amount_is_listed(company, tmp_path):
    rows, members = activity(company).filter(currency="GBP"), company.lists["members"].frame
    payouts = company.lists["payouts"].frame.filter(pl.col("is_automatic") & (pl.col("reconciliation_status") == "completed") & (pl.col("currency") == "GBP"))
    short = payouts["payout_id"].sort()[2]
    line = members.filter(payout_id=short)[KEY].sort()[0]
    report(tmp_path / "activity.csv", rows, members.filter(pl.col(KEY) != line))
    company.server.asked.clear()
    pulled = pull(company.url, company.end, tmp_path)
    assert_frame_equal(pulled["members"].frame.filter(payout_id=short), members.filter(payout_id=short), check_row_order=False)
    assert 1 <= company.server.asked["/v1/balance_transactions by payout"] <= 3


def test_without_reports_nothing_changes(tmp_path):
    assert read_history(tmp_path, account="self", time_zone="UTC") is None
