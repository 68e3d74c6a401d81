"""A list is cut without gaps, large slices first; a payout of many lines is read side by side where Stripe lets it be."""

import doctest
from datetime import UTC, datetime
from itertools import pairwise

import orjson
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import Response

from reconciliation.connectors.stripe import slices
from reconciliation.connectors.stripe.client import StripeReader
from reconciliation.connectors.stripe.pull import pull_payout_members
from reconciliation.connectors.stripe.slices import LIST_PAGES_MAX, READERS, cut
from reconciliation.schemas.stripe import Payout

LINES = 4_500
CUT_AT = int(datetime(2026, 10, 1, tzinfo=UTC).timestamp())


def test_the_example_in_the_docstring_holds():
    assert doctest.testmod(slices).failed == 0


@given(begin=st.integers(0, 10**9), length=st.integers(1, 10**7), pages=st.floats(0, 1e9))
def test_slices_meet_and_are_bounded_in_number(begin, length, pages):
    cuts = cut(begin, begin + length, pages=pages)
    assert (cuts[0][0], cuts[-1][1]) == (begin, begin + length)
    assert all(before[1] == after[0] for before, after in pairwise(cuts))
    assert all(low < high and size >= 1 for low, high, size in cuts)
    assert len(cuts) <= 8 * READERS


@given(pages=st.integers(300, LIST_PAGES_MAX))
def test_large_slices_come_first_and_none_is_left_to_be_walked_alone(pages):
    sizes = [size for *_, size in cut(0, 10**7, pages=pages)]
    assert sizes == sorted(sizes, reverse=True)
    assert abs(sum(sizes) - pages) <= len(sizes)
    # What is last is short beside the whole.
    assert len(sizes) >= 2 * READERS
    assert sizes[-1] <= 33


def lines_of(number: int) -> list[dict[str, object]]:
    """Lines over 40 days, most of them on the last one, and the payout's own."""
    moments = [CUT_AT - 1 - (n // 3 if n < number * 3 // 4 else n * 700) for n in range(number)]
    return [{"id": f"txn_{n}", "object": "balance_transaction", "created": at} for n, at in enumerate(moments)]


class Server:
    """Lists lines of payouts; `manner` says what it makes of `created` beside `payout`."""

    def __init__(self, manner: str) -> None:
        self.manner = manner
        self.lines = {"po_1": lines_of(LINES), "po_2": [{"id": f"txn_other_{n}", "object": "balance_transaction", "created": CUT_AT - n} for n in range(12)]}
        self.asked: list[dict[str, str]] = []

    def __call__(self, request: Request) -> Response:
        asked = dict(request.query_params)
        self.asked.append(asked)
        is_narrowed = "created[lt]" in asked
        if is_narrowed and self.manner == "refuses":
            return Response(orjson.dumps({"error": {"message": "no", "type": "invalid_request_error", "param": "created"}}), status_code=400)
        rows = self.lines[asked["payout"]]
        if is_narrowed and self.manner == "forgets the payout":
            rows = [{"id": f"txn_wrong_{n}", "object": "balance_transaction", "created": CUT_AT - 2000 - n} for n in range(500)]
        rows = sorted(rows, key=lambda row: -int(str(row["created"])))
        if is_narrowed and self.manner != "ignores it":
            rows = [row for row in rows if int(asked["created[gte]"]) <= int(str(row["created"])) < int(asked["created[lt]"])]
        begin = 1 + [row["id"] for row in rows].index(asked["starting_after"]) if "starting_after" in asked else 0
        return Response(orjson.dumps({"object": "list", "data": rows[begin : begin + 100], "has_more": begin + 100 < len(rows)}))


def payouts() -> pl.DataFrame:
    moment = datetime.fromtimestamp(CUT_AT, UTC)
    row = {
        "stripe_account": "self", "amount_minor": 1, "currency": "GBP", "created_at": moment, "arrival_on": moment.date(), "is_automatic": True, "method": "standard", "status": "paid",
        "reconciliation_status": "completed",
    }  # fmt: skip
    names = [name for name in Payout.column_names() if name not in row and name != "payout_id"]
    return Payout.validate(pl.DataFrame([{**row, "payout_id": name, **dict.fromkeys(names)} for name in ("po_1", "po_2")]), cast=True)


@pytest.mark.parametrize(("manner", "is_sliced"), [("narrows", True), ("refuses", False), ("ignores it", False), ("forgets the payout", False)])
def test_a_payout_of_many_lines_is_read_side_by_side_only_where_stripe_lists_it_so(serve, manner, is_sliced):
    server = Server(manner)
    with serve(server) as url:
        members = pull_payout_members(StripeReader(key="rk_test_1", api_base=url), account="self", payouts=payouts()).frame
    assert set(members.filter(payout_id="po_1")["balance_transaction_id"]) == {f"txn_{n}" for n in range(LINES)}
    assert members.filter(payout_id="po_2").height == 12
    assert (sum("created[lt]" in asked for asked in server.asked) > LINES / 200) is is_sliced
    # A payout of few lines costs one request.
    assert sum(asked["payout"] == "po_2" for asked in server.asked) == 1


def test_few_lines_are_read_twice(serve):
    server = Server("narrows")
    with serve(server) as url:
        pull_payout_members(StripeReader(key="rk_test_1", api_base=url), account="self", payouts=payouts())
    assert len(server.asked) <= LINES / 100 * 1.5
