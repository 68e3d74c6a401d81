"""A schedule of faults is its seed's, passes on the way, and keeps back what it should; a server can be slow and strict."""

import time
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path

import orjson
import pytest

from reconciliation.simulation.faults import REPEATS_MAX, Answer, Fault, FaultPlan, Faulty, draw_plan
from reconciliation.simulation.sandbox import read_sandbox
from reconciliation.simulation.sandbox_server import Manner, SandboxServer
from reconciliation.simulation.stripe_objects import read_objects, rewind

HEADERS = {"authorization": "Bearer rk_test_1"}
LIST = "/v1/balance_transactions"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("stripe")
    rows = [
        {"id": f"txn_{n}", "object": "balance_transaction", "created": 1000 + n, "available_on": 1000 + n, "status": "available", "net": 10, "currency": "gbp"}
        for n in range(250)
    ]
    payout = {
        "id": "po_1",
        "object": "payout",
        "created": 1100,
        "arrival_date": 87_500,
        "status": "failed",
        "automatic": True,
        "reconciliation_status": "completed",
    }
    payout |= {"balance_transaction": "txn_100", "failure_balance_transaction": "txn_240", "failure_code": "account_closed"}
    (made / "balance_transactions.jsonl").write_bytes(b"\n".join(map(orjson.dumps, rows)))
    (made / "payouts.jsonl").write_bytes(orjson.dumps(payout))
    (made / "payout_balance_transactions.json").write_bytes(orjson.dumps({"po_1": [f"txn_{n}" for n in range(90, 101)]}))
    (made / "balance.json").write_bytes(orjson.dumps({"object": "balance", "available": [{"amount": 2500, "currency": "gbp"}], "pending": []}))
    return made


def ask(faulty: Faulty, query: str = "limit=100", path: str = LIST) -> Answer:
    return faulty.answer(method="GET", path=path, query=query, headers=HEADERS)


def rows(answer: Answer) -> list[str]:
    return [row["id"] for row in orjson.loads(answer.body)["data"]]


def test_a_seed_is_a_schedule_and_another_seed_another():
    transactions, others = [f"txn_{n}" for n in range(50)], [f"po_{n}" for n in range(50)]
    plans = [draw_plan(seed, transactions=transactions, others=others) for seed in range(200)]
    assert plans == [draw_plan(seed, transactions=transactions[::-1], others=others) for seed in range(200)]
    assert len({plan.hidden for plan in plans}) > 20
    assert any(plan.outage_after for plan in plans)
    assert {fault for plan in plans for fault in plan.kinds} == set(Fault)


def test_a_broken_answer_is_whole_after_some_repeats(folder):
    faulty = Faulty(read_sandbox(folder), FaultPlan(seed=1, rate=1.0, kinds=(Fault.SERVER_ERROR,)))
    assert [ask(faulty).status for _ in range(REPEATS_MAX + 1)] == [500] * REPEATS_MAX + [200]


def test_what_an_answer_meets_does_not_depend_on_the_order_of_requests(folder):
    plan = FaultPlan(seed=9, rate=0.5)
    queries = [f"limit={n}" for n in range(1, 60)]
    forwards, backwards = Faulty(read_sandbox(folder), plan), Faulty(read_sandbox(folder), plan)
    assert [ask(forwards, query) for query in queries] == [ask(backwards, query) for query in reversed(queries)][::-1]


def test_an_outage_ends_everything(folder):
    faulty = Faulty(read_sandbox(folder), FaultPlan(seed=1, rate=0.0, outage_after=2))
    assert [ask(faulty).status for _ in range(5)] == [200, 200, 503, 503, 503]


def test_what_is_hidden_shows_later_and_is_missing_in_the_lines_of_its_payout_too(folder):
    faulty = Faulty(read_sandbox(folder), FaultPlan(seed=1, rate=0.0, hidden=frozenset({"txn_95"}), until=2))
    assert "txn_95" not in rows(ask(faulty, "payout=po_1&limit=100"))
    assert "txn_95" not in rows(ask(faulty, "created[gte]=1090&created[lte]=1100"))
    assert "txn_95" in rows(ask(faulty, "payout=po_1&limit=100"))


def test_what_is_behind_has_the_state_of_before(folder):
    faulty = Faulty(read_sandbox(folder), FaultPlan(seed=1, rate=0.0, behind=frozenset({"txn_249", "po_1"})))
    assert orjson.loads(ask(faulty).body)["data"][0]["status"] == "pending"
    [payout] = orjson.loads(ask(faulty, path="/v1/payouts").body)["data"]
    assert (payout["status"], payout["reconciliation_status"]) == ("in_transit", "in_progress")


@pytest.mark.parametrize(
    ("fault", "holds"),
    [
        (Fault.EMPTY_PAGE, lambda whole, page: page["data"] == [] and page["has_more"]),
        (Fault.SHUFFLED, lambda whole, page: page["data"] != whole and sorted(row["id"] for row in page["data"]) == sorted(row["id"] for row in whole)),
        (Fault.TWICE, lambda whole, page: len(page["data"]) == 103 and page["data"][-1] in whole[:99]),
    ],
)
def test_pages_are_spoilt_as_the_fault_says(folder, fault, holds):
    sandbox = read_sandbox(folder)
    whole = orjson.loads(ask(Faulty(sandbox, FaultPlan(seed=4, rate=0.0))).body)["data"]
    assert holds(whole, orjson.loads(ask(Faulty(sandbox, FaultPlan(seed=4, rate=1.0, kinds=(fault,)))).body))


def test_an_account_is_wound_back_to_an_earlier_instant(folder):
    objects = rewind(read_objects(folder), 1150)
    assert len(objects.lists["balance_transactions"]) == 151
    assert objects.balance["available"] == [{"amount": 2500 - 99 * 10, "currency": "gbp"}]
    [payout] = objects.lists["payouts"]
    assert (payout["status"], payout["reconciliation_status"], payout["failure_balance_transaction"]) == ("in_transit", "in_progress", None)
    [later] = rewind(read_objects(folder), 1240).lists["payouts"]
    assert (later["status"], later["failure_code"]) == ("failed", "account_closed")


def fetch(url: str) -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers={"Authorization": "Bearer rk_test_1"})) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_a_strict_server_turns_away_what_is_beyond_its_limit(folder):
    with SandboxServer(folder, Manner(requests_per_second=5)) as server:
        answered = Counter(fetch(f"{server.url}{LIST}?limit=1") for _ in range(8))
        assert fetch(f"{server.url}/v1/payouts") == 200
    assert answered == {200: 5, 429: 3}


def test_a_slow_server_takes_its_time(folder):
    with SandboxServer(folder, Manner(latency_seconds=0.05)) as server:
        began = time.monotonic()
        fetch(f"{server.url}{LIST}?limit=1")
        assert time.monotonic() - began >= 0.05
