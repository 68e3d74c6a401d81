"""The sandbox answers the official client as Stripe does, from the folder alone."""

import base64
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
import stripe

from reconciliation.errors import FileRefusedError, SettingsError
from reconciliation.simulation.faults import Answer
from reconciliation.simulation.sandbox import Sandbox, read_sandbox
from reconciliation.simulation.sandbox_server import SandboxProcess, SandboxServer

START = 1_790_000_000


def write_lines(path: Path, rows: list[dict[str, object]]) -> None:
    path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))


def transaction(number: int, created: int, **changes: object) -> dict[str, object]:
    row = {"id": f"txn_{number}", "object": "balance_transaction", "created": created, "available_on": created, "status": "pending"}
    return {**row, "currency": "gbp", "type": "charge", "source": f"ch_{number}", "amount": 100, "fee": 0, "net": 100, **changes}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """250 transactions, three in a second, newest last in the file; one automatic and one manual payout; a connected account."""
    rows = [transaction(n, START + n // 3, currency="eur" if n % 10 == 0 else "gbp", type="refund" if n % 7 == 0 else "charge") for n in range(250)]
    write_lines(tmp_path / "balance_transactions.jsonl", [*rows, transaction(900, START + 40, type="payout", source="po_1")])
    write_lines(
        tmp_path / "charges.jsonl",
        [{"id": f"ch_{n}", "object": "charge", "created": START + n // 3, "customer": "cus_1", "balance_transaction": f"txn_{n}"} for n in range(5)],
    )
    payout = {"object": "payout", "status": "paid", "destination": "ba_1"}
    write_lines(
        tmp_path / "payouts.jsonl",
        [
            {**payout, "id": "po_1", "created": START + 40, "arrival_date": START + 500, "automatic": True, "balance_transaction": "txn_900"},
            {
                **payout,
                "id": "po_2",
                "created": START + 50,
                "arrival_date": START + 900,
                "automatic": False,
                "balance_transaction": None,
                "status": "in_transit",
            },
        ],
    )
    (tmp_path / "payout_balance_transactions.json").write_bytes(orjson.dumps({"po_1": ["txn_1", "txn_2", "txn_5"]}))
    (tmp_path / "balance.json").write_bytes(orjson.dumps({"object": "balance", "available": [{"amount": 1, "currency": "gbp"}], "pending": []}))
    connected = tmp_path / "accounts" / "acct_9"
    connected.mkdir(parents=True)
    write_lines(connected / "balance_transactions.jsonl", [transaction(7000, START)])
    return tmp_path


@pytest.fixture
def sandbox(folder: Path) -> Sandbox:
    return read_sandbox(folder)


@pytest.fixture
def url(folder: Path) -> Iterator[str]:
    with SandboxServer(folder) as server:
        yield server.url


def ask(sandbox: Sandbox, path: str, query: str = "", *, key: str = "rk_test_1", account: str | None = None, method: str = "GET") -> Answer:
    headers = {"authorization": f"Bearer {key}"} | ({"stripe-account": account} if account else {})
    return sandbox.answer(method=method, path=path, query=query, headers=headers)


def ids(answer: Answer) -> list[str]:
    assert answer.status == 200, answer.body
    return [row["id"] for row in orjson.loads(answer.body)["data"]]


def refusal(answer: Answer) -> tuple[int, str | None, str | None]:
    error = orjson.loads(answer.body)["error"]
    assert error["type"] == "invalid_request_error"
    assert error["message"]
    return answer.status, error.get("code"), error.get("param")


def test_lists_are_newest_first_and_rows_of_a_second_keep_the_order_of_the_file(sandbox):
    assert ids(ask(sandbox, "/v1/balance_transactions", "limit=5")) == ["txn_249", "txn_246", "txn_247", "txn_248", "txn_243"]


def test_a_page_has_ten_rows_unless_asked_otherwise(sandbox):
    assert len(ids(ask(sandbox, "/v1/balance_transactions"))) == 10


def test_a_walk_forwards_sees_every_row_once(sandbox):
    seen, query, pages = [], "limit=100", 0
    while True:
        answer = ask(sandbox, "/v1/balance_transactions", query)
        seen += ids(answer)
        pages += 1
        if not orjson.loads(answer.body)["has_more"]:
            break
        query = f"limit=100&starting_after={seen[-1]}"
    assert pages == 3
    assert len(seen) == len(set(seen)) == 251


def test_a_walk_backwards_returns_the_page_just_before_the_cursor(sandbox):
    forwards = ids(ask(sandbox, "/v1/balance_transactions", "limit=20"))
    back = ask(sandbox, "/v1/balance_transactions", f"limit=5&ending_before={forwards[12]}")
    assert ids(back) == forwards[7:12]
    assert orjson.loads(back.body)["has_more"]
    assert not orjson.loads(ask(sandbox, "/v1/balance_transactions", f"ending_before={forwards[3]}").body)["has_more"]


@pytest.mark.parametrize(
    ("query", "keeps"),
    [
        pytest.param(f"created[gte]={START + 5}&created[lt]={START + 9}", lambda n, t: 5 <= t < 9, id="half-open window"),
        pytest.param(f"created[gt]={START + 5}&created[lte]={START + 9}", lambda n, t: 5 < t <= 9, id="open window"),
        pytest.param(f"created={START + 5}", lambda n, t: t == 5, id="one second"),
        pytest.param(f"created[gte]={START + 9}&created[lt]={START + 9}", lambda n, t: False, id="empty window"),
        pytest.param("currency=EUR", lambda n, t: n % 10 == 0, id="currency in any case"),
        pytest.param(f"currency=eur&type=refund&created[lt]={START + 60}", lambda n, t: n % 70 == 0 and t < 60, id="three filters"),
        pytest.param("source=ch_17", lambda n, t: n == 17, id="source"),
        pytest.param("type=moon_levy", lambda n, t: False, id="unknown type"),
    ],
)
def test_filters_keep_what_they_say(sandbox, query, keeps):
    found = ids(ask(sandbox, "/v1/balance_transactions", f"limit=100&{query}"))
    assert set(found) - {"txn_900"} == {f"txn_{n}" for n in range(250) if keeps(n, n // 3)}


def test_a_cursor_outside_the_filter_still_marks_a_place(sandbox):
    everything = ids(ask(sandbox, "/v1/balance_transactions", "limit=100"))
    cursor = next(name for name in everything if name != "txn_240" and int(name[4:]) % 10)
    euro = ids(ask(sandbox, "/v1/balance_transactions", f"currency=eur&limit=100&starting_after={cursor}"))
    assert euro == ids(ask(sandbox, "/v1/balance_transactions", "currency=eur&limit=100"))


def test_a_payouts_lines_are_listed_with_its_own_transaction(sandbox):
    assert set(ids(ask(sandbox, "/v1/balance_transactions", "payout=po_1"))) == {"txn_1", "txn_2", "txn_5", "txn_900"}


def test_a_payouts_lines_page_like_any_list(sandbox):
    first = ids(ask(sandbox, "/v1/balance_transactions", "payout=po_1&limit=3"))
    rest = ids(ask(sandbox, "/v1/balance_transactions", f"payout=po_1&limit=3&starting_after={first[-1]}"))
    assert sorted(first + rest) == ["txn_1", "txn_2", "txn_5", "txn_900"]


@pytest.mark.parametrize(
    ("path", "query", "expected"),
    [
        pytest.param("/v1/balance_transactions", "payout=po_2", (400, None, "payout"), id="manual payout"),
        pytest.param("/v1/balance_transactions", "payout=po_x", (404, "resource_missing", "payout"), id="unknown payout"),
        pytest.param("/v1/balance_transactions", "starting_after=txn_x", (400, "resource_missing", "starting_after"), id="unknown cursor"),
        pytest.param("/v1/balance_transactions", "ending_before=ch_1", (400, "resource_missing", "ending_before"), id="cursor of another list"),
        pytest.param("/v1/balance_transactions", "starting_after=txn_1&ending_before=txn_2", (400, None, None), id="two cursors"),
        pytest.param("/v1/balance_transactions", "available_on[gte]=1", (400, "parameter_unknown", "available_on[gte]"), id="filter Stripe has not"),
        pytest.param("/v1/charges", "payout=po_1", (400, "parameter_unknown", "payout"), id="filter of another list"),
        pytest.param("/v1/charges", "created[after]=1", (400, "parameter_unknown", "created[after]"), id="unknown bound"),
        pytest.param("/v1/charges", "limit=0", (400, "parameter_invalid_integer", "limit"), id="limit too small"),
        pytest.param("/v1/charges", "limit=101", (400, "parameter_invalid_integer", "limit"), id="limit too large"),
        pytest.param("/v1/charges", "limit=ten", (400, "parameter_invalid_integer", "limit"), id="limit no number"),
        pytest.param("/v1/charges", "created=now", (400, "parameter_invalid_integer", "created"), id="time no number"),
        pytest.param("/v1/charges", "expand[]=data.amount.currency.x", (400, None, "expand"), id="not expandable"),
        pytest.param("/v1/charges/ch_x", "", (404, "resource_missing", "id"), id="unknown object"),
        pytest.param("/v1/charges/ch_1", "limit=3", (400, "parameter_unknown", "limit"), id="list parameter on an object"),
        pytest.param("/v1/nothing", "", (404, None, None), id="unknown list"),
        pytest.param("/", "", (404, None, None), id="root"),
    ],
)
def test_refusals_have_stripes_shape(sandbox, path, query, expected):
    assert refusal(ask(sandbox, path, query)) == expected


@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_nothing_can_be_written(sandbox, method):
    assert refusal(ask(sandbox, "/v1/charges", method=method))[0] == 403
    assert refusal(ask(sandbox, "/v1/charges", method=method, key="sk_test_1"))[0] == 404


@pytest.mark.parametrize("key", ["", "rk_live_1", "sk_live_1", "sk_org_live_1", "pk_test_1", "anything"])
def test_only_test_keys_are_accepted(sandbox, key):
    answer = ask(sandbox, "/v1/balance", key=key)
    assert refusal(answer)[0] == 401
    assert b"live_1" not in answer.body


def test_a_key_may_come_as_a_user_name(sandbox):
    header = "Basic " + base64.b64encode(b"sk_test_1:").decode()
    assert sandbox.answer(method="GET", path="/v1/balance", query="", headers={"authorization": header}).status == 200
    assert sandbox.answer(method="GET", path="/v1/balance", query="", headers={}).status == 401


def test_a_connected_account_has_its_own_lists(sandbox):
    assert ids(ask(sandbox, "/v1/balance_transactions", account="acct_9")) == ["txn_7000"]
    assert refusal(ask(sandbox, "/v1/balance_transactions", account="acct_8"))[:2] == (403, "account_invalid")
    assert orjson.loads(ask(sandbox, "/v1/account", account="acct_9").body)["id"] == "acct_9"


def test_payouts_are_filtered_by_arrival_destination_and_status(sandbox):
    assert ids(ask(sandbox, "/v1/payouts", f"arrival_date[lte]={START + 600}")) == ["po_1"]
    assert ids(ask(sandbox, "/v1/payouts", "destination=ba_1")) == ["po_2", "po_1"]
    assert ids(ask(sandbox, "/v1/payouts", f"status=in_transit&arrival_date={START + 900}")) == ["po_2"]


def test_lists_without_a_file_are_empty(sandbox):
    for name in ("refunds", "disputes", "transfers", "application_fees", "topups", "events"):
        assert ids(ask(sandbox, f"/v1/{name}")) == []


def test_ids_are_expanded_on_request(sandbox):
    row = orjson.loads(ask(sandbox, "/v1/balance_transactions", "source=ch_4&expand[]=data.source&expand[]=data.source.balance_transaction").body)["data"][0]
    assert row["source"]["id"] == "ch_4"
    assert row["source"]["balance_transaction"]["id"] == "txn_4"
    assert orjson.loads(ask(sandbox, "/v1/balance_transactions/txn_200", "expand[0]=source").body)["source"] == "ch_200"


def test_the_clock_stands_a_minute_after_the_newest_fact(sandbox, folder):
    # The paid payout has arrived; the one in transit has not yet.
    assert sandbox.now == START + 500 + 60
    (folder / "sandbox.json").write_bytes(b'{"now": 1800000000}')
    assert read_sandbox(folder).now == 1_800_000_000


@pytest.mark.parametrize(
    ("name", "content", "place"),
    [
        pytest.param("charges.jsonl", b'{"id": "ch_1", "created": 1}\n\n{"id": ', r"charges\.jsonl:3: no JSON", id="cut line"),
        pytest.param("charges.jsonl", b'{"id": "ch_1"}', r"charges\.jsonl:1: no Stripe object", id="no time"),
        pytest.param("sandbox.json", b'{"now": "noon"}', "now = 'noon'", id="clock"),
        pytest.param("balance.json", b"[]", "expected an object", id="balance"),
        pytest.param("balance.json", b"{", "no JSON", id="broken balance"),
    ],
)
def test_a_malformed_folder_is_refused_with_the_place(folder, name, content, place):
    (folder / name).write_bytes(content)
    with pytest.raises(FileRefusedError, match=place):
        read_sandbox(folder)


def test_a_folder_without_objects_is_refused(tmp_path):
    with pytest.raises(SettingsError, match=r"no balance_transactions\.jsonl"), SandboxServer(tmp_path):
        pass


def test_the_official_client_pages_through_with_typed_objects(url):
    client = stripe.StripeClient("sk_test_1", base_addresses={"api": url}, max_network_retries=0)
    rows = list(client.v1.balance_transactions.list({"limit": 100, "type": "charge", "expand": ["data.source"]}).auto_paging_iter())
    assert len(rows) == 250 - 36
    assert client.v1.balance.retrieve().available[0].amount == 1
    assert client.v1.payouts.retrieve("po_1").arrival_date == START + 500
    with pytest.raises(stripe.InvalidRequestError, match="No such payout: 'po_x'"):
        client.v1.payouts.retrieve("po_x")
    with pytest.raises(stripe.PermissionError):
        client.v1.payouts.list(options={"stripe_account": "acct_8"})


def test_a_wrong_key_is_an_authentication_error_for_the_official_client(url):
    with pytest.raises(stripe.AuthenticationError):
        stripe.StripeClient("sk_live_1", base_addresses={"api": url}, max_network_retries=0).v1.balance.retrieve()


def test_answers_carry_the_frozen_clock_once_and_stripes_headers(url):
    request = urllib.request.Request(f"{url}/v1/balance", headers={"Authorization": "Bearer rk_test_1", "Stripe-Version": "2020-08-27"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request) as answer:
        headers = answer.headers
        assert headers.get_all("Date") == ["Mon, 21 Sep 2026 14:22:40 GMT"]
        assert headers["Request-Id"].startswith("req_")
        assert headers["Stripe-Version"] == "2020-08-27"
        assert headers["Server"] is None
    with pytest.raises(urllib.error.HTTPError) as caught:
        opener.open(f"{url}/v1/balance")
    with caught.value as refused:
        assert refused.status == 401
        assert refused.headers["Content-Type"] == "application/json"


def test_a_sandbox_in_a_process_of_its_own_answers_and_ends_with_its_block(folder):
    with SandboxProcess(folder) as server:
        request = urllib.request.Request(f"{server.url}/v1/balance", headers={"Authorization": "Bearer rk_test_x"})
        with urllib.request.urlopen(request) as answer:
            assert orjson.loads(answer.read())["object"] == "balance"
        url = server.url
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"{url}/v1/balance")


def test_a_sandbox_process_that_cannot_serve_says_why(tmp_path):
    with SandboxProcess(tmp_path) as server, pytest.raises(SettingsError, match="no balance_transactions"):
        _ = server.url
