"""Windows become frames: half-open, whole, the same every time, over the official client and the loopback."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import orjson
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from starlette.requests import Request
from starlette.responses import Response

from reconciliation.connectors.stripe.client import StripeReader, StripeRefusedError
from reconciliation.connectors.stripe.pull import Pulled, pull_balance, pull_balance_transactions, pull_payout_members, pull_payouts, pull_sources
from reconciliation.errors import IncompletePullError, StripeAccessError
from reconciliation.lake import unpack_pages
from reconciliation.simulation.sandbox_server import SandboxServer

START = datetime(2026, 10, 1, tzinfo=UTC)
GOLDEN = Path(__file__).parents[5] / "shared" / "golden" / "three_months" / "stripe"


def transaction(number: int, created: int) -> dict[str, object]:
    return {
        "id": f"txn_{number}",
        "object": "balance_transaction",
        "amount": number,
        "fee": 0,
        "net": number,
        "fee_details": [],
        "created": created,
        "available_on": created,
        "currency": "gbp",
        "type": "charge",
        "reporting_category": "charge",
        "balance_type": "payments",
        "status": "available",
        "source": f"ch_{number}",
        "description": None,
    }


@dataclass
class Canned:
    """A server that holds transactions in memory, refuses some lists, and may misbehave."""

    rows: list[dict[str, object]]
    refused: dict[str, int] = field(default_factory=dict)
    heeds_window: bool = True
    fails_at: int | None = None
    windows: list[tuple[int, int]] = field(default_factory=list)

    def __call__(self, request: Request) -> Response:
        asked, path = request.query_params, request.url.path
        gte, lt = int(asked["created[gte]"]), int(asked["created[lt]"])
        if "starting_after" not in asked:
            self.windows.append((gte, lt))
        if path in self.refused or len(self.windows) == self.fails_at:
            return Response(orjson.dumps({"error": {"message": "no", "type": "invalid_request_error"}}), status_code=self.refused.get(path, 400))
        rows = sorted((row for row in self.rows if path == "/v1/balance_transactions"), key=created, reverse=True)
        rows = [row for row in rows if not self.heeds_window or gte <= created(row) < lt]
        begin = 1 + [row["id"] for row in rows].index(asked["starting_after"]) if "starting_after" in asked else 0
        page = {"object": "list", "data": rows[begin : begin + 100], "has_more": begin + 100 < len(rows)}
        return Response(orjson.dumps(page))


def created(row: dict[str, object]) -> int:
    return int(str(row["created"]))


def read_sources(url: str) -> Pulled:
    return pull_sources(StripeReader(key="rk_test_1", api_base=url), account="self", start=START, end=START + timedelta(days=1))


def pull(url: str, *, days: float = 31) -> pl.DataFrame:
    reader = StripeReader(key="rk_test_1", api_base=url)
    return pull_balance_transactions(reader, account="self", start=START, end=START + timedelta(days=days)).frame


@pytest.fixture(scope="module")
def golden() -> Iterator[StripeReader]:
    if not GOLDEN.is_dir():
        pytest.skip(f"{GOLDEN} is not there")
    with SandboxServer(GOLDEN) as server:
        yield StripeReader(key="rk_test_1", api_base=server.url)


def test_a_window_begins_with_its_start_and_ends_before_its_end(serve):
    first, last = int(START.timestamp()), int((START + timedelta(days=1)).timestamp())
    with serve(Canned([transaction(1, first - 1), transaction(2, first), transaction(3, last - 1), transaction(4, last)])) as url:
        assert set(pull(url, days=1)["balance_transaction_id"]) == {"txn_2", "txn_3"}


def test_an_empty_window_asks_nothing(serve):
    server = Canned([transaction(1, int(START.timestamp()))])
    with serve(server) as url:
        assert pull(url, days=0).is_empty()
    assert server.windows == []


def test_a_short_window_is_one_walk(serve):
    server = Canned([transaction(n, int(START.timestamp()) + n) for n in range(50)])
    with serve(server) as url:
        assert pull(url).height == 50
    assert len(server.windows) == 1


@pytest.mark.parametrize("spread", [1, 7, 600], ids=["dense", "loose", "sparse"])
def test_a_long_window_is_sliced_and_comes_to_the_same_rows(serve, spread):
    first = int(START.timestamp())
    # Many rows share a second, so that slices meet within one.
    server = Canned([transaction(n, first + n // 5 * spread) for n in range(4000)])
    with serve(server) as url:
        frame = pull(url)
    assert frame.height == 4000
    assert frame["amount_minor"].sum() == sum(range(4000))
    # What the first page left was cut into slices that meet, and dense ones were cut again.
    assert len(server.windows) > 3
    assert min(begin for begin, _ in server.windows[1:]) == first
    reached = first
    for begin, end in sorted(server.windows[1:]):
        assert begin <= reached
        reached = max(reached, end)
    assert reached == first + 3999 // 5 * spread - 19 * spread + 1


def test_thousands_of_rows_in_one_second_are_all_read(serve):
    with serve(Canned([transaction(n, int(START.timestamp()) + 5) for n in range(1500)])) as url:
        assert pull(url).height == 1500


def test_a_server_that_ignores_the_window_is_refused(serve):
    with (
        serve(Canned([transaction(1, int(START.timestamp()) - 5)], heeds_window=False)) as url,
        pytest.raises(StripeAccessError, match=r"1 of 1 rows were created outside the window"),
    ):
        pull(url)


def test_a_failure_in_one_slice_fails_the_pull(serve):
    server = Canned([transaction(n, int(START.timestamp()) + n * 60) for n in range(5000)], fails_at=4)
    with serve(server) as url, pytest.raises(StripeRefusedError):
        pull(url)


def test_an_account_without_connect_has_no_transfers_and_fees(serve):
    with serve(Canned([], refused={"/v1/transfers": 404, "/v1/application_fees": 404, "/v1/topups": 404})) as url:
        assert read_sources(url).frame.is_empty()


@pytest.mark.parametrize(("path", "status"), [("/v1/transfers", 403), ("/v1/charges", 404), ("/v1/disputes", 403)])
def test_any_other_refusal_of_a_source_stops_the_pull(serve, path, status):
    with serve(Canned([], refused={path: status})) as url, pytest.raises(StripeRefusedError):
        read_sources(url)


def test_a_balance_is_read_until_nothing_moves_around_it(serve):
    moves = iter([(100, "txn_1"), (100, "txn_2"), (250, "txn_2"), (250, "txn_2"), (999, "txn_9")])
    now = {"row": ("", "")}

    def respond(request: Request) -> Response:
        if request.url.path == "/v1/balance":
            now["row"] = next(moves)
            body = {"object": "balance", "available": [{"amount": now["row"][0], "currency": "gbp"}], "pending": []}
            return Response(orjson.dumps(body), headers={"Date": "Fri, 02 Oct 2026 10:00:00 GMT"})
        return Response(orjson.dumps({"object": "list", "data": [{"id": now["row"][1]}], "has_more": False}))

    with serve(respond) as url:
        assert pull_balance(StripeReader(key="rk_test_1", api_base=url), account="self").frame["amount_minor"].to_list() == [250]


def test_a_cursor_that_has_vanished_begins_the_slice_again(serve):
    rows = [transaction(n, int(START.timestamp()) + n) for n in range(250)]
    server = Canned(rows)
    gone = []

    def respond(request: Request) -> Response:
        if "starting_after" in request.query_params and not gone:
            gone.append(True)
            error = {"message": "No such balance_transaction", "param": "starting_after", "type": "invalid_request_error"}
            return Response(orjson.dumps({"error": error}), status_code=400)
        return server(request)

    with serve(respond) as url:
        assert pull(url).height == 250


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
    assert sum(len(orjson.loads(page)["data"]) for pack in transactions.raw for page in unpack_pages(pack)) == 27


def test_a_month_pulled_in_days_is_the_month_pulled_at_once(golden):
    days = [START + timedelta(days=n) for n in range(32)]
    whole = pull_balance_transactions(golden, account="self", start=days[0], end=days[-1]).frame
    parts = [pull_balance_transactions(golden, account="self", start=begin, end=end).frame for begin, end in pairwise(days)]
    assert_frame_equal(pl.concat(parts), whole, check_row_order=False)
    assert whole.height > 10


def test_a_connected_account_is_read_apart_from_the_keys_own(tmp_path):
    first = math.ceil(START.timestamp())
    other = tmp_path / "accounts" / "acct_9"
    other.mkdir(parents=True)
    for folder, numbers in ((tmp_path, range(3)), (other, range(10, 15))):
        (folder / "balance_transactions.jsonl").write_bytes(b"\n".join(orjson.dumps(transaction(n, first + n)) for n in numbers))
    window = {"start": START, "end": START + timedelta(days=1)}
    with SandboxServer(tmp_path) as server:
        reader = StripeReader(key="rk_test_1", api_base=server.url)
        own, connected = (pull_balance_transactions(reader, account=account, **window).frame for account in ("self", "acct_9"))
        with pytest.raises(StripeRefusedError, match="may not read account acct_8"):
            pull_balance_transactions(reader, account="acct_8", **window)
    assert own.select("stripe_account", "amount_minor").rows() == [("self", n) for n in range(3)]
    assert connected.select("stripe_account", "amount_minor").rows() == [("acct_9", n) for n in range(10, 15)]


def test_what_cannot_be_parsed_or_relied_on_is_not_taken_up_again(serve, tmp_path):
    rows = [transaction(n, int(START.timestamp()) + n) for n in range(150)]
    server = Canned([*rows, {**transaction(999, int(START.timestamp()) + 5), "net": 12}])
    dated = {"Date": "Fri, 30 Oct 2026 10:00:00 GMT"}

    def respond(request: Request) -> Response:
        return Response(b'{"object":"balance"}', headers=dated) if request.url.path == "/v1/balance" else server(request)

    with serve(respond) as url:
        reader = StripeReader(key="rk_test_1", api_base=url)
        window = {"account": "self", "start": START, "end": START + timedelta(days=1), "partial": tmp_path / "left"}
        with pytest.raises(StripeAccessError, match="net_is_amount_minus_fee"):
            pull_balance_transactions(reader, **window)
        assert not (tmp_path / "left").exists()
        server.rows = rows
        whole = pull_balance_transactions(reader, **window).frame
        assert whole.height == 150
        assert (tmp_path / "left").exists()
        server.rows = rows[:100]
        forgotten = {**window, "partial": tmp_path / "other"}
        with pytest.raises(IncompletePullError, match="50 balance transactions that an earlier pull read are not listed any more"):
            pull_balance_transactions(reader, **forgotten, known=whole)
        assert not (tmp_path / "other").exists()


def test_large_lists_are_walked_through_the_server(tmp_path):
    first = math.ceil(START.timestamp())
    (tmp_path / "balance_transactions.jsonl").write_bytes(b"\n".join(orjson.dumps(transaction(n, first + n * 11)) for n in range(3000)))
    with SandboxServer(tmp_path) as server:
        frame = pull(server.url)
    assert frame["amount_minor"].sum() == sum(range(3000))
