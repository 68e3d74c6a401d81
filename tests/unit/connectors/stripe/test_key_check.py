"""A key is tried, not believed: what it may not read is named, what it may write is warned of, and kinds of money are kept apart."""

import orjson
import pytest
from starlette.requests import Request
from starlette.responses import Response

from reconciliation.connectors.stripe.client import StripeReader
from reconciliation.connectors.stripe.key_check import READS, examine_key
from reconciliation.errors import SettingsError, StripeAccessError

KEY = "rk_test_CanaryCanary"


class Desk:
    """A server that lets a key do what it is told."""

    def __init__(self, *, forbidden: dict[str, int] | None = None, writable: tuple[str, ...] = (), live: bool = False) -> None:
        self.forbidden, self.writable, self.live = forbidden or {}, writable, live
        self.written: list[str] = []

    def __call__(self, request: Request) -> Response:
        path, account = request.url.path, request.headers.get("stripe-account", "")
        if request.method == "POST":
            self.written.append(path)
            return self.error(404 if path.split("/")[2] in self.writable else 403)
        status = self.forbidden.get(path) or self.forbidden.get(f"{account}{path}")
        if status:
            return self.error(status)
        body = {"object": "balance", "livemode": self.live} if path == "/v1/balance" else {"object": "list", "data": [], "has_more": False}
        return Response(orjson.dumps(body), headers={"Date": "Fri, 02 Oct 2026 10:00:00 GMT"})

    @staticmethod
    def error(status: int) -> Response:
        return Response(orjson.dumps({"error": {"message": f"no, {KEY}", "type": "invalid_request_error"}}), status_code=status)


def examine(url: str, accounts: tuple[str, ...] = ("self",)):
    return examine_key(StripeReader(key=KEY, api_base=url, sleep=lambda _: None), accounts=accounts)


def test_a_key_that_reads_and_no_more_is_right(serve):
    desk = Desk()
    with serve(desk) as url:
        power = examine(url)
    assert power.missing == power.writes == ()
    assert all(path.endswith("_0") for path in desk.written)


def test_each_missing_permission_is_named_at_once(serve):
    with serve(Desk(forbidden={"/v1/disputes": 403, "/v1/payouts": 403, "/v1/transfers": 403})) as url:
        power = examine(url)
    assert [name for gap in power.missing for name in ("Disputes", "Payouts", "Transfers") if f"read access to '{name}'" in gap] == [
        "Payouts",
        "Disputes",
        "Transfers",
    ]
    assert KEY not in "".join(power.missing)


def test_each_account_is_tried(serve):
    with serve(Desk(forbidden={f"acct_9{path}": 403 for path in READS})) as url:
        power = examine(url, ("self", "acct_9"))
    assert len(power.missing) == len(READS)
    assert all("may not read account acct_9" in gap for gap in power.missing)


def test_lists_an_account_does_not_have_are_no_missing_permission(serve):
    with serve(Desk(forbidden={"/v1/transfers": 404, "/v1/topups": 404})) as url:
        assert examine(url).missing == ()


def test_a_key_that_could_write_is_found_out(serve):
    with serve(Desk(writable=("payouts", "refunds"))) as url:
        assert examine(url).writes == ("Charges and Refunds", "Payouts")


def test_a_key_that_is_not_accepted_is_refused(serve):
    with serve(Desk(forbidden={"/v1/balance": 401})) as url, pytest.raises(StripeAccessError, match="not accepted"):
        examine(url)


def test_a_test_key_is_refused_by_a_server_with_live_data(serve):
    with serve(Desk(live=True)) as url, pytest.raises(SettingsError, match=r"is a test key, but .* answers with live data"):
        StripeReader(key=KEY, api_base=url).clock()


def test_a_live_key_is_refused_where_the_answers_are_test_data(monkeypatch):
    answer = (b'{"object":"balance","livemode":false}', 200, {"Date": "Fri, 02 Oct 2026 10:00:00 GMT"})
    monkeypatch.setattr("stripe.RequestsClient.request", lambda self, method, url, headers, post_data=None: answer)
    with pytest.raises(SettingsError, match=r"is a live key, but .* answers with test data"):
        StripeReader(key="rk_live_1", api_base="https://api.stripe.com").clock()
