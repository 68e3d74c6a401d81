"""Answers of the sandbox -> the same answers, late, broken, twice or short: what a night with Stripe may bring.

One seed is one schedule. Faults on the way pass when the request is repeated (429 with and without `Retry-After`, 409, 500, 502,
503, a body cut off or broken off, no answer in time, a page without rows that promises more, rows twice or out of order), unless
the schedule is an outage. Faults of the data do not pass by repeating: rows that are listed late or never, states that are
behind. Which fault an answer has depends on the seed, the request and how often it was sent, not on the order of threads.
"""

import hashlib
import random
import threading
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Protocol
from urllib.parse import parse_qsl

import orjson

REPEATS_MAX = 3
"""After so many broken answers the same request is answered."""


class Fault(StrEnum):
    """What may happen to an answer."""

    RATE_LIMIT = "429"
    RATE_LIMIT_WITH_WAIT = "429 with Retry-After"
    CONFLICT = "409"
    SERVER_ERROR = "500"
    BAD_GATEWAY = "502 without JSON"
    UNAVAILABLE = "503"
    CUT_OFF = "body cut off"
    BROKEN_OFF = "connection broken off"
    LATE = "no answer in time"
    EMPTY_PAGE = "page without rows that promises more"
    TWICE = "rows again on the next page"
    SHUFFLED = "rows out of order"


ON_THE_WAY = tuple(Fault)
LIST_ONLY = frozenset({Fault.EMPTY_PAGE, Fault.TWICE, Fault.SHUFFLED})
_STATUS = {
    Fault.RATE_LIMIT: 429,
    Fault.RATE_LIMIT_WITH_WAIT: 429,
    Fault.CONFLICT: 409,
    Fault.SERVER_ERROR: 500,
    Fault.BAD_GATEWAY: 502,
    Fault.UNAVAILABLE: 503,
}


@dataclass(frozen=True)
class Answer:
    """Status and JSON body, and how they are sent.

    Attributes:
        status: the HTTP status.
        body: the body.
        retry_after: seconds that a header asks to wait, or an empty text.
        is_broken_off: the connection ends in the middle of the body.
        delay_seconds: how late it comes.
    """

    status: int
    body: bytes
    retry_after: str = ""
    is_broken_off: bool = False
    delay_seconds: float = 0.0


class Answering(Protocol):
    """What answers requests: a sandbox, or one that misbehaves."""

    @property
    def now(self) -> int:
        """The server's clock."""

    def answer(self, *, method: str, path: str, query: str, headers: Mapping[str, str]) -> Answer:
        """Answer a request."""


@dataclass(frozen=True)
class FaultPlan:
    """A schedule of faults.

    Attributes:
        seed: decides everything else that is not given.
        rate: share of requests whose first answer is broken.
        kinds: which faults on the way there are.
        outage_after: number of requests after which nothing is answered any more; None is never.
        hidden: ids that lists leave out; the lines of a payout too.
        behind: ids whose state is that of before: a transaction pending, a payout in transit and not itemised.
        until: number of requests after which what is hidden or behind shows; None is never.
        late_seconds: how late an answer in time is no more.
    """

    seed: int
    rate: float = 0.2
    kinds: tuple[Fault, ...] = ON_THE_WAY
    outage_after: int | None = None
    hidden: frozenset[str] = frozenset()
    behind: frozenset[str] = frozenset()
    until: int | None = None
    late_seconds: float = 0.5


def draw_plan(seed: int, *, transactions: Collection[str], others: Collection[str], late_seconds: float = 0.5) -> FaultPlan:
    """Draw a schedule.

    Args:
        seed: same seed, same schedule.
        transactions: ids of balance transactions that may come late, never, or be behind.
        others: ids of payouts, charges and the like that may.
        late_seconds: how late an answer in time is no more.
    """
    chance = random.Random(seed)
    some = sorted(transactions)
    hidden = set(chance.sample(some, min(len(some), chance.choice([0, 0, 1, 2, 7])))) | set(
        chance.sample(sorted(others), min(len(others), chance.choice([0, 0, 0, 1, 3])))
    )
    behind = chance.sample(sorted({*transactions, *others}), min(len(some), chance.choice([0, 0, 5, 25])))
    return FaultPlan(
        seed=seed,
        rate=chance.choice([0.0, 0.1, 0.3, 0.6]),
        kinds=tuple(chance.sample(ON_THE_WAY, chance.randint(1, len(ON_THE_WAY)))),
        outage_after=chance.randint(1, 60) if chance.random() < 0.1 else None,
        hidden=frozenset(hidden),
        behind=frozenset(behind),
        until=chance.choice([None, 5, 20, 40]),
        late_seconds=late_seconds,
    )


@dataclass
class Faulty:
    """A sandbox that answers by a schedule of faults; it counts requests, so one is for one run."""

    inner: Answering
    plan: FaultPlan
    sent: Counter[str] = field(default_factory=Counter)
    met: Counter[Fault] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def now(self) -> int:
        """The sandbox's clock."""
        return self.inner.now

    def answer(self, *, method: str, path: str, query: str, headers: Mapping[str, str]) -> Answer:
        """Answer a request, or spoil the answer."""
        request = f"{path}?{query} {headers.get('stripe-account', '')}"
        with self._lock:
            self.sent[request] += 1
            repeat, total = self.sent[request], self.sent.total()
        if self.plan.outage_after is not None and total > self.plan.outage_after:
            return _error(Fault.UNAVAILABLE)
        answer = self.inner.answer(method=method, path=path, query=query, headers=headers)
        if answer.status != 200:
            return answer
        if self.plan.until is None or total <= self.plan.until:
            answer = self._hold_back(answer)
        fault = self._draw(request, repeat)
        if fault is None or (fault in LIST_ONLY and b'"object":"list"' not in answer.body):
            return answer
        with self._lock:
            self.met[fault] += 1
        return self._spoil(answer, fault, request)

    def _draw(self, request: str, repeat: int) -> Fault | None:
        chance = _chance(self.plan.seed, request, repeat)
        if repeat > REPEATS_MAX or chance.random() >= self.plan.rate:
            return None
        return chance.choice(self.plan.kinds)

    def _hold_back(self, answer: Answer) -> Answer:
        """Leave out what is listed late, and show states as they were."""
        content = orjson.loads(answer.body)
        if content.get("object") != "list":
            return answer
        rows = [self._as_before(row) for row in content["data"] if row["id"] not in self.plan.hidden]
        return replace(answer, body=orjson.dumps({**content, "data": rows}))

    def _as_before(self, row: dict[str, Any]) -> dict[str, Any]:
        if row["id"] not in self.plan.behind:
            return row
        if row.get("object") == "payout":
            return {**row, "status": "in_transit", **({"reconciliation_status": "in_progress"} if row.get("automatic") else {})}
        return {**row, "status": "pending"} if row.get("object") == "balance_transaction" else row

    def _spoil(self, answer: Answer, fault: Fault, request: str) -> Answer:
        if fault in _STATUS:
            return _error(fault)
        if fault is Fault.CUT_OFF:
            return replace(answer, body=answer.body[: len(answer.body) * 2 // 3])
        if fault is Fault.BROKEN_OFF:
            return replace(answer, is_broken_off=True)
        if fault is Fault.LATE:
            return replace(answer, delay_seconds=self.plan.late_seconds)
        content = orjson.loads(answer.body)
        rows = content["data"]
        if fault is Fault.EMPTY_PAGE:
            content |= {"data": [], "has_more": True}
        elif fault is Fault.SHUFFLED:
            _chance(self.plan.seed, request, 0).shuffle(rows)
        elif dict(parse_qsl(request.partition("?")[2])).get("limit") != "1":
            # Some rows stand at the end again, so that the cursor steps back and the next page holds rows of this one.
            content["data"] = rows + rows[len(rows) // 2 : len(rows) // 2 + 3]
        return replace(answer, body=orjson.dumps(content))


def _error(fault: Fault) -> Answer:
    status = _STATUS[fault]
    if fault is Fault.BAD_GATEWAY:
        return Answer(status, b"<html><body>Bad Gateway</body></html>")
    body = orjson.dumps({"error": {"message": f"The sandbox answers {fault}, as its schedule says.", "type": "api_error"}})
    return Answer(status, body, retry_after="1" if fault is Fault.RATE_LIMIT_WITH_WAIT else "")


def _chance(seed: int, request: str, repeat: int) -> random.Random:
    return random.Random(hashlib.sha256(f"{seed} {repeat} {request}".encode()).digest())
