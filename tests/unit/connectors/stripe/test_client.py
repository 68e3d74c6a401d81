"""The reader is patient with what passes, plain about what does not, and never shows the key."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import orjson
import pytest
from starlette.responses import Response

from reconciliation.connectors.stripe.client import BackOff, StripeReader, StripeRefusedError, check_key
from reconciliation.errors import SettingsError, StripeAccessError

KEY = "rk_test_51CanaryCanaryCanary"
PAGE = {"object": "list", "data": [{"id": "txn_1", "created": 1}], "has_more": False}


@contextmanager
def speaking(*replies: bytes) -> Iterator[str]:
    """Answer each connection with raw bytes, then hang up."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def speak() -> None:
            for reply in replies:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(reply)

        thread = threading.Thread(target=speak)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join()


def answer(content: object, status: int = 200, **headers: str) -> Response:
    body = content if isinstance(content, bytes) else orjson.dumps(content)
    return Response(
        body, status_code=status, headers={"Date": "Fri, 02 Oct 2026 10:00:00 GMT", **{name.replace("_", "-"): value for name, value in headers.items()}}
    )


def error(status: int, message: str = "no", **headers: str) -> Response:
    return answer({"error": {"message": message, "type": "invalid_request_error"}}, status, **headers)


def reader(url: str, waits: list[float], **patience: float) -> StripeReader:
    return StripeReader(key=KEY, api_base=url, back_off=BackOff(**patience), sleep=waits.append)  # type: ignore[arg-type]


def read(url: str, waits: list[float], **patience: float) -> list[bytes]:
    return [page.body for page in reader(url, waits, **patience).list_pages("/v1/balance_transactions", account="self")]


def test_a_rate_limit_is_waited_out_for_as_long_as_the_server_asks(serving):
    waits: list[float] = []
    with serving(error(429, Retry_After="17"), answer(PAGE)) as (url, _):
        assert len(read(url, waits)) == 1
    assert waits == [17.0]


def test_a_rate_limit_that_is_no_json_is_waited_out_too(serving):
    waits: list[float] = []
    with serving(answer(b"<html>slow down</html>", 429, Retry_After="9"), answer(PAGE)) as (url, _):
        assert len(read(url, waits)) == 1
    assert waits == [9.0]


def test_a_date_in_retry_after_is_read_against_the_servers_clock(serving):
    waits: list[float] = []
    with serving(error(429, Retry_After="Fri, 02 Oct 2026 10:00:21 GMT"), answer(PAGE)) as (url, _):
        read(url, waits)
    assert waits == [21.0]


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(lambda: error(500), id="server error"),
        pytest.param(lambda: answer(b"<html>bad gateway</html>", 502), id="gateway without json"),
        pytest.param(lambda: error(409), id="lock timeout"),
        pytest.param(lambda: answer(b'{"object":"list","data":[{"id":"txn_'), id="body cut off"),
        pytest.param(lambda: answer({"object": "list", "data": [], "has_more": True}), id="more promised without rows"),
        pytest.param(lambda: answer({"hello": "world"}), id="no list"),
    ],
)
def test_what_may_pass_is_repeated(serving, fault):
    waits: list[float] = []
    with serving(fault(), fault(), answer(PAGE)) as (url, requests):
        assert [orjson.loads(page) for page in read(url, waits)] == [PAGE]
        assert len(requests) == 3
    assert 0.25 <= waits[0] <= 0.5 <= waits[1] <= 1.0


def test_a_connection_that_breaks_off_in_the_body_is_repeated():
    waits: list[float] = []
    whole = orjson.dumps(PAGE)
    cut = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n" + whole
    good = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(whole) + whole
    with speaking(b"", cut, good) as url:
        assert read(url, waits) == [whole]
    assert len(waits) == 2


def test_patience_ends_after_the_attempts_and_says_what_was_seen(serving):
    waits: list[float] = []
    with serving(error(503)) as (url, requests):
        with pytest.raises(StripeAccessError, match=r"/v1/balance_transactions: answered 503, after 4 attempts"):
            read(url, waits, attempts_max=4)
        assert len(requests) == 4
    assert len(waits) == 3


def test_patience_ends_when_the_server_asks_for_more_than_a_night_has(serving):
    waits: list[float] = []
    with serving(error(429, Retry_After="3600")) as (url, requests):
        with pytest.raises(StripeAccessError, match="asks to wait 3600 s"):
            read(url, waits)
        assert len(requests) == 1
    assert waits == []


def test_an_unreachable_server_is_named():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with pytest.raises(StripeAccessError, match="no whole answer"):
        read(url, [], attempts_max=2)


@pytest.mark.parametrize(
    ("status", "account", "told"),
    [
        pytest.param(401, "self", "STRIPE_API_KEY is not accepted", id="wrong key"),
        pytest.param(403, "self", "read access to 'Balance transaction sources'", id="missing permission"),
        pytest.param(403, "acct_9", "may not read account acct_9", id="foreign account"),
        pytest.param(404, "self", "not found", id="unknown address"),
        pytest.param(400, "self", "refused", id="unknown parameter"),
    ],
)
def test_a_refusal_is_final_and_names_the_next_step_without_the_key(serving, status, account, told):
    waits: list[float] = []
    with serving(error(status, f"Invalid API Key provided: {KEY} or sk_live_4eC39HqLyjWDarjtT1")) as (url, requests):
        with pytest.raises(StripeRefusedError, match=told) as caught:
            list(reader(url, waits).list_pages("/v1/balance_transactions", account=account))
        assert len(requests) == 1
        assert caught.value.status == status
        assert "Canary" not in str(caught.value)
        assert "4eC39" not in str(caught.value)
        assert caught.value.__suppress_context__
    assert waits == []


def test_pages_are_walked_by_cursor_with_the_filters_kept(serving):
    first = {"object": "list", "data": [{"id": "txn_9"}, {"id": "txn_8"}], "has_more": True}
    with serving(answer(first), answer(PAGE)) as (url, requests):
        pages = list(reader(url, []).list_pages("/v1/balance_transactions", account="acct_1", created={"gte": 5, "lt": 9}))
        asked = [dict(request.query_params) for request in requests]
        sent = requests[1].headers
    assert len(pages) == 2
    assert asked == [
        {"created[gte]": "5", "created[lt]": "9", "limit": "100"},
        {"created[gte]": "5", "created[lt]": "9", "limit": "100", "starting_after": "txn_8"},
    ]
    assert sent["stripe-account"] == "acct_1"
    assert "x-stripe-client-telemetry" not in sent


def test_a_server_that_pages_in_circles_is_refused(serving):
    page = {"object": "list", "data": [{"id": "txn_9"}], "has_more": True}
    with serving(answer(page)) as (url, _), pytest.raises(StripeAccessError, match="does not page as Stripe does"):
        read(url, [])


def test_a_proxy_of_the_environment_is_not_used_for_the_loopback(serving, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "")
    with serving(answer(PAGE)) as (url, _):
        assert len(read(url, [], attempts_max=1)) == 1


def test_the_clock_is_the_servers(serving):
    with serving(answer({"object": "balance"})) as (url, _):
        assert reader(url, []).clock() == datetime(2026, 10, 2, 10, tzinfo=UTC)


def test_a_server_without_a_clock_is_refused(serving):
    with serving(Response(b"{}")) as (url, _), pytest.raises(StripeAccessError, match="no readable Date header"):
        reader(url, []).clock()


@pytest.mark.parametrize(
    ("key", "base", "warnings"),
    [
        pytest.param("rk_live_abc", "https://api.stripe.com", 0, id="restricted live key"),
        pytest.param("sk_live_abc", "https://api.stripe.com/", 1, id="full live key"),
        pytest.param("rk_test_abc", "https://api.stripe.com", 0, id="restricted test key"),
        pytest.param("rk_test_abc", "http://127.0.0.1:12111", 0, id="test key to the sandbox"),
        pytest.param("sk_test_abc", "http://127.0.0.1:12111", 1, id="full test key to the sandbox"),
        pytest.param("rk_test_abc", "http://stripe.example", 1, id="test key unencrypted"),
    ],
)
def test_keys_that_may_be_sent_are_sent_with_warnings_that_do_not_show_them(key, base, warnings):
    told = check_key(key, base)
    assert len(told) == warnings
    assert not any(key in warning for warning in told)


@pytest.mark.parametrize(
    ("key", "base", "told"),
    [
        pytest.param("rk_live_abc", "http://127.0.0.1:12111", "not a test key", id="live key to the loopback"),
        pytest.param("sk_live_abc", "https://stripe.com.example", "not a test key", id="live key to a look-alike"),
        pytest.param("sk_live_abc", "https://notstripe.com", "not a test key", id="live key to a longer name"),
        pytest.param("sk_org_live_abc", "https://127.0.0.1", "not a test key", id="organisation key elsewhere"),
        pytest.param("rk_live_abc", "http://api.stripe.com", "unencrypted", id="stripe without encryption"),
        pytest.param("pk_test_abc", "https://api.stripe.com", "publishable key", id="publishable key"),
        pytest.param("whsec_abc", "https://api.stripe.com", "webhook secret", id="webhook secret"),
        pytest.param("", "https://api.stripe.com", "empty", id="no key"),
        pytest.param("rk_test_abc\n", "https://api.stripe.com", "characters", id="line end"),
        pytest.param("rk_test_abc", "api.stripe.com", "no web address", id="no scheme"),
        pytest.param("rk_test_abc", "https://user:rk_live_abc@api.stripe.com", "no web address", id="key in the address"),
    ],
)
def test_keys_that_must_not_be_sent_are_refused_without_showing_them(key, base, told):
    with pytest.raises(SettingsError, match=told) as caught:
        StripeReader(key=key, api_base=base)
    assert "_abc" not in str(caught.value)
