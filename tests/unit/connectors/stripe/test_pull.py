"""Windows become frames: half-open, whole, the same every time, over the official client and the loopback."""

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from reconciliation.connectors.stripe.client import PAGE_ROWS, StripeReader, StripeRefusedError
from reconciliation.connectors.stripe.pull import pull_balance, pull_balance_transactions, pull_payout_members, pull_payouts, pull_sources
from reconciliation.errors import StripeAccessError
from reconciliation.simulation.sandbox import SandboxServer

START = datetime(2026, 10, 1, tzinfo=UTC)
GOLDEN = Path(__file__).parents[5] / "shared" / "golden" / "three_months" / "stripe"


def transaction(number: int, created: int) -> dict[str, object]:
    return {
        "id": f"txn_{number}", "object": "balance_transaction", "amount": number, "fee": 0, "net": number, "fee_details": [], "created": created, "available_on": created,
        "currency": "gbp", "type": "charge", "reporting_category": "charge", "balance_type": "payments", "status": "available", "source": f"ch_{number}", "description": None,
    }  # fmt: skip


class CannedReader:
    """Stands in for Stripe: pages of lists held in memory, refusals by status."""

    def __init__(self, rows: list[dict[str, object]], *, refused: dict[str, int] | None = None, page_rows: int = PAGE_ROWS, heeds_window: bool = True) -> None:
        self.rows = sorted(rows, key=lambda row: -int(str(row["created"])))
        self.refused, self.page_rows, self.heeds_window = refused or {}, page_rows, heeds_window
        self.walks: list[dict[str, int]] = []

    def list_pages(self, path: str, *, account: str, created: dict[str, int]) -> Iterator[bytes]:
        if path in self.refused:
            raise StripeRefusedError(f"{path}: refused", status=self.refused[path])
        self.walks.append(created)
        rows = [row for row in self.rows if not self.heeds_window or created["gte"] <= int(str(row["created"])) < created["lt"]] if path == "/v1/balance_transactions" else []
        for begin in range(0, max(1, len(rows)), self.page_rows):
            yield orjson.dumps({"object": "list", "data": rows[begin : begin + self.page_rows], "has_more": begin + self.page_rows < len(rows)})


def pull(reader: object, *, days: float = 31) -> pl.DataFrame:
    return pull_balance_transactions(reader, account="self", start=START, end=START + timedelta(days=days)).frame  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def golden() -> Iterator[StripeReader]:
    if not GOLDEN.is_dir():
        pytest.skip(f"{GOLDEN} is not there")
    with SandboxServer(GOLDEN) as server:
        yield StripeReader(key="rk_test_1", api_base=server.url)


def test_a_window_begins_with_its_start_and_ends_before_its_end():
    first, last = int(START.timestamp()), int((START + timedelta(days=1)).timestamp())
    reader = CannedReader([transaction(1, first - 1), transaction(2, first), transaction(3, last - 1), transaction(4, last)])
    assert set(pull(reader, days=1)["balance_transaction_id"]) == {"txn_2", "txn_3"}


def test_an_empty_window_asks_nothing():
    reader = CannedReader([transaction(1, int(START.timestamp()))])
    assert pull(reader, days=0).is_empty()
    assert reader.walks == []


def test_a_short_window_is_one_walk():
    reader = CannedReader([transaction(n, int(START.timestamp()) + n) for n in range(50)])
    assert pull(reader).height == 50
    assert len(reader.walks) == 1


@pytest.mark.parametrize("spread", [1, 7, 600], ids=["one second for many", "dense", "sparse"])
def test_a_long_window_is_sliced_and_comes_to_the_same_rows(spread):
    first = int(START.timestamp())
    # Many rows share a second, so that slices meet within one.
    rows = [transaction(n, first + n // 5 * spread) for n in range(4000)]
    reader = CannedReader(rows)
    frame = pull(reader)
    assert frame.height == 4000
    assert frame["amount_minor"].sum() == sum(range(4000))
    assert len(reader.walks) > 2
    covered = sorted((walk["gte"], walk["lt"]) for walk in reader.walks[1:])
    assert all(earlier[1] == later[0] for earlier, later in zip(covered, covered[1:], strict=False))
    assert covered[0][0] == first


def test_thousands_of_rows_in_one_second_are_all_read():
    reader = CannedReader([transaction(n, int(START.timestamp()) + 5) for n in range(1500)])
    assert pull(reader).height == 1500


def test_a_server_that_ignores_the_window_is_refused():
    reader = CannedReader([transaction(1, int(START.timestamp()) - 5)], heeds_window=False)
    with pytest.raises(StripeAccessError, match=r"1 of 1 rows were created outside the window"):
        pull(reader)


def test_an_account_without_connect_has_no_transfers_and_fees():
    reader = CannedReader([], refused={"/v1/transfers": 404, "/v1/application_fees": 404})
    assert pull_sources(reader, account="self", start=START, end=START + timedelta(days=1)).frame.is_empty()  # type: ignore[arg-type]


@pytest.mark.parametrize(("path", "status"), [("/v1/transfers", 403), ("/v1/charges", 404), ("/v1/disputes", 403)])
def test_any_other_refusal_of_a_source_stops_the_pull(path, status):
    reader = CannedReader([], refused={path: status})
    with pytest.raises(StripeRefusedError):
        pull_sources(reader, account="self", start=START, end=START + timedelta(days=1))  # type: ignore[arg-type]


def test_a_failure_in_one_slice_fails_the_pull():
    class FailingReader(CannedReader):
        def list_pages(self, path: str, *, account: str, created: dict[str, int]) -> Iterator[bytes]:
            if len(self.walks) == 3:
                raise StripeAccessError("gone")
            return super().list_pages(path, account=account, created=created)

    reader = FailingReader([transaction(n, int(START.timestamp()) + n * 60) for n in range(5000)])
    with pytest.raises(StripeAccessError, match="gone"):
        pull(reader)


def test_the_three_months_come_whole(golden):
    window = {"account": "self", "start": datetime(2026, 9, 1, tzinfo=UTC), "end": golden.clock()}
    transactions = pull_balance_transactions(golden, **window)
    payouts = pull_payouts(golden, **window)
    members = pull_payout_members(golden, account="self", payouts=payouts.frame)
    sources = pull_sources(golden, **window)
    balance = pull_balance(golden, account="self")
    assert (transactions.frame.height, payouts.frame.height, members.frame.height, sources.frame.height) == (27, 7, 17, 14)
    assert set(members.frame["payout_id"]) == {"po_0", "po_1", "po_2", "po_3", "po_4"}
    assert balance.frame["taken_at"].unique().to_list() == [golden.clock()]
    paid = balance.frame.filter(balance_type="payments").select("currency", "amount_minor")
    booked = transactions.frame.filter(balance_type="payments").group_by("currency").agg(amount_minor=pl.col("net_minor").sum())
    assert_frame_equal(paid, booked, check_row_order=False)
    assert sum(len(orjson.loads(page)["data"]) for page in transactions.pages) == 27


def test_a_month_pulled_in_days_is_the_month_pulled_at_once(golden):
    days = [START + timedelta(days=n) for n in range(32)]
    whole = pull_balance_transactions(golden, account="self", start=days[0], end=days[-1]).frame
    parts = [pull_balance_transactions(golden, account="self", start=begin, end=end).frame for begin, end in zip(days, days[1:], strict=False)]
    assert_frame_equal(pl.concat(parts), whole, check_row_order=False)
    assert whole.height > 10


def test_large_lists_are_walked_through_the_server(tmp_path):
    first = math.ceil(START.timestamp())
    (tmp_path / "balance_transactions.jsonl").write_bytes(b"\n".join(orjson.dumps(transaction(n, first + n * 11)) for n in range(3000)))
    with SandboxServer(tmp_path) as server:
        frame = pull(StripeReader(key="rk_test_1", api_base=server.url))
    assert frame["amount_minor"].sum() == sum(range(3000))
