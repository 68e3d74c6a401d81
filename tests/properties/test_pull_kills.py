"""A pull that is killed and repeated ends with the same bytes, and reads no finished part again.

The child is a process of its own and is killed by signal 9 while the server answers its Nth request. A few kills every day, a hundred
by `make hard`.
"""

import multiprocessing
import os
import random
import signal
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs

import orjson
import pytest

from reconciliation.connectors.stripe.client import StripeReader
from reconciliation.connectors.stripe.pull import pull_balance_transactions, pull_payout_members, pull_payouts, pull_sources
from reconciliation.lake import Lake
from reconciliation.simulation.faults import Answer
from reconciliation.simulation.sandbox import Sandbox, index_account
from reconciliation.simulation.sandbox_server import SandboxServer
from reconciliation.simulation.stripe_objects import StripeObjects

START = int(datetime(2026, 10, 1, tzinfo=UTC).timestamp())
DAYS = 20
ROWS = 2600
NOW = START + DAYS * 86_400
KILLED = -signal.SIGKILL
# The fork server has imported everything and runs no thread; a plain fork would copy locks that nobody opens any more.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["reconciliation.connectors.stripe.pull"])


def make_objects() -> StripeObjects:
    chance = random.Random(5)
    # Bursts: two thirds of the rows lie on two days, so that some slices are cut again and again.
    moments = sorted(START + int(86_400 * (chance.choice([3, 11]) + chance.random() if n % 3 else chance.random() * DAYS)) for n in range(ROWS))
    rows = [
        {
            "id": f"txn_{n}", "object": "balance_transaction", "amount": 100 + n, "fee": 3, "net": 97 + n, "fee_details": [{"amount": 3, "type": "stripe_fee"}],
            "created": at, "available_on": at, "currency": "gbp", "type": "charge", "reporting_category": "charge", "balance_type": "payments",
            "status": "available", "source": f"ch_{n}",
        }
        for n, at in enumerate(moments)
    ]  # fmt: skip
    charges = [
        {"id": f"ch_{n}", "object": "charge", "amount": 100 + n, "currency": "gbp", "created": at, "status": "succeeded"} for n, at in enumerate(moments)
    ]
    payouts = [
        {
            "id": f"po_{day}", "object": "payout", "amount": 1, "currency": "gbp", "created": START + day * 86_400 + 7, "arrival_date": START + day * 86_400,
            "automatic": True, "status": "paid", "reconciliation_status": "completed", "balance_transaction": None,
        }
        for day in range(1, DAYS)
    ]  # fmt: skip
    lines = {f"po_{day}": [row["id"] for row in rows if (int(str(row["created"])) - START) // 86_400 == day - 1] for day in range(1, DAYS)}
    lists = {name: [] for name in ("refunds", "disputes", "transfers", "application_fees", "topups", "events")}
    return StripeObjects(
        "acct_1", {**lists, "balance_transactions": rows, "charges": charges, "payouts": payouts}, {"object": "balance"}, lines, {"id": "acct_1"}
    )


@dataclass
class Counting:
    """A sandbox that notes what it is asked, and at a given request kills the one who asks."""

    inner: Sandbox
    kill_at: int = 0
    victim: int = 0
    asked: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def now(self) -> int:
        return self.inner.now

    def answer(self, *, method: str, path: str, query: str, headers: Mapping[str, str]) -> Answer:
        with self.lock:
            self.asked.append(f"{path}?{query}")
            if self.victim and len(self.asked) == self.kill_at:
                os.kill(self.victim, signal.SIGKILL)
                self.victim = 0
        return self.inner.answer(method=method, path=path, query=query, headers=headers)


def pull(url: str, folder: Path) -> None:
    """Pull everything into a lake, as the assets do."""
    reader = StripeReader(key="rk_test_1", api_base=url)
    lake = Lake(folder)
    window = {
        "account": "self",
        "start": datetime.fromtimestamp(START, UTC),
        "end": datetime.fromtimestamp(NOW + 86_400, UTC),
        "partial": lake.partial_pull("self"),
    }
    pulled = {"balance_transactions": pull_balance_transactions(reader, **window), "payouts": pull_payouts(reader, **window)}
    pulled["payout_members"] = pull_payout_members(reader, account="self", payouts=pulled["payouts"].frame, partial=window["partial"])
    pulled["stripe_sources"] = pull_sources(reader, **window)
    day = datetime.fromtimestamp(START, UTC).date()
    for table, one in pulled.items():
        lake.write_days(table, account="self", frame=one.frame, day_column="day", days=[day], raw=one.raw)
    lake.forget_partial_pull("self")


def published(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def windows(asked: list[str]) -> Counter[tuple[str, str, str]]:
    """Count how often the first page of each slice was asked for."""
    found: Counter[tuple[str, str, str]] = Counter()
    for request in asked:
        path, _, query = request.partition("?")
        given = parse_qs(query)
        if "starting_after" not in given and ("created[gte]" in given or "payout" in given):
            found[path, *(given.get(name, [""])[0] for name in ("created[gte]", "payout"))] += 1
    return found


@pytest.fixture(scope="module")
def sandbox() -> Sandbox:
    return Sandbox(index_account(make_objects()), {}, NOW)


@pytest.fixture(scope="module")
def unbroken(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, bytes], list[str]]:
    folder, counting = tmp_path_factory.mktemp("unbroken"), Counting(sandbox)
    with SandboxServer(counting) as server:
        pull(server.url, folder)
    return published(folder), counting.asked


def kill_and_repeat(sandbox: Sandbox, unbroken: tuple[dict[str, bytes], list[str]], seed: int, folder: Path) -> None:
    whole, asked = unbroken
    counting = Counting(sandbox, kill_at=random.Random(seed).randint(1, len(asked)))
    with SandboxServer(counting) as server:
        child = PROCESSES.Process(target=pull, args=(server.url, folder))
        # The child asks for nothing before it is known whom to kill.
        counting.lock.acquire()
        child.start()
        counting.victim = child.pid or 0
        counting.lock.release()
        child.join()
        assert child.exitcode == KILLED
        partial = Lake(folder).partial_pull("self")
        kept = {path.as_posix() for path in partial.rglob("*") if path.is_file() and not path.name.startswith(".")}
        before = len(counting.asked)
        repeat = PROCESSES.Process(target=pull, args=(server.url, folder))
        repeat.start()
        repeat.join()
        assert repeat.exitcode == 0
    assert published(folder) == whole
    # Each finished part saves the requests for it: what is asked again is what was not finished, and the minutes before the pull.
    again = windows(counting.asked[before:])
    finished = len(kept) - 1
    everything = windows(asked)
    assert again.total() <= everything.total() - max(0, finished)
    assert all(again[window] <= everything[window] for window in again)


@pytest.mark.parametrize("seed", range(4))
def test_a_killed_pull_is_taken_up_where_it_was(sandbox, unbroken, seed, tmp_path):
    kill_and_repeat(sandbox, unbroken, seed, tmp_path / "lake")


@pytest.mark.hard
def test_a_hundred_killed_pulls_are_taken_up_where_they_were(sandbox, unbroken, tmp_path):
    for seed in range(100):
        kill_and_repeat(sandbox, unbroken, seed, tmp_path / str(seed))


def test_the_parts_are_many_enough_to_be_worth_it(unbroken):
    assert len(windows(unbroken[1])) > 30


def test_another_window_or_an_old_beginning_is_read_anew(sandbox, tmp_path):
    plan = tmp_path / "partial" / "self" / "pull.json"
    plan.parent.mkdir(parents=True)
    window = [START, NOW + 86_400]
    for noted in ({"window": [START, NOW], "begun": NOW, "settled": NOW}, {"window": window, "begun": NOW - 86_400, "settled": NOW - 86_400}):
        plan.write_bytes(orjson.dumps(noted))
        (plan.parent / "left").write_bytes(b"x")
        with SandboxServer(sandbox) as server:
            reader = StripeReader(key="rk_test_1", api_base=server.url)
            start, end = (datetime.fromtimestamp(moment, UTC) for moment in window)
            pull_payouts(reader, account="self", start=start, end=end, partial=plan.parent)
        assert not (plan.parent / "left").exists()
        assert orjson.loads(plan.read_bytes())["begun"] == NOW
