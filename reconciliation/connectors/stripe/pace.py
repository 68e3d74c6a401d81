"""Requests of several threads -> requests spaced so that no limit of Stripe is run into.

Stripe answers 25 requests a second for one endpoint, and 100 in all with a live key, 25 with a test key
(https://docs.stripe.com/rate-limits). No second holds more, wherever Stripe begins to count, and a little more than a second at that:
requests do not all take equally long to arrive. A turn that nobody was ready for is made up for within its second and never later.
"""

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

ENDPOINT_PER_SECOND = 25.0
LIVE_PER_SECOND = 100.0
TEST_PER_SECOND = 25.0

EVERYTHING = ""

SECOND = 1.01
"""The second in which no more is sent than Stripe answers in one; what is turned away costs more than the hundredth."""

HURRY = 1.5
"""How much closer than evenly two requests may follow each other, to make up for missed turns."""


@dataclass
class Pace:
    """The turns of one reader's requests.

    Attributes:
        per_endpoint: requests a second to one endpoint; None is no limit.
        overall: requests a second in all; None is no limit.
        sleep: what waits.
        clock: seconds that only grow.
    """

    per_endpoint: float | None
    overall: float | None
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    _turns: dict[str, deque[float]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def of_stripe(cls, *, per_endpoint: float | None, is_stripe: bool, is_test: bool, sleep: Callable[[float], None]) -> "Pace":
        """Return the pace for a server: Stripe's own limits at Stripe, elsewhere only what is asked for."""
        if not is_stripe:
            return cls(per_endpoint, None, sleep)
        return cls(per_endpoint or ENDPOINT_PER_SECOND, TEST_PER_SECOND if is_test else LIVE_PER_SECOND, sleep)

    def wait_turn(self, path: str) -> None:
        """Wait until a request to this endpoint may be sent.

        Args:
            path: `/v1/charges` or `/v1/charges/ch_1`: one endpoint.
        """
        limits = {name: rate for name, rate in ((_endpoint(path), self.per_endpoint), (EVERYTHING, self.overall)) if rate is not None}
        with self._lock:
            now = self.clock()
            turn = max([now, *(self._free_at(name, rate) for name, rate in limits.items())])
            for name in limits:
                self._turns[name].append(turn)
        if turn > now:
            self.sleep(turn - now)

    def _free_at(self, name: str, rate: float) -> float:
        """Return when the next request may be sent: as many as a second allows lie a whole second behind it."""
        # A rate that is no whole number is kept over as many seconds as make it one request.
        count = max(1, math.floor(rate))
        turns = self._turns.setdefault(name, deque(maxlen=count))
        if not turns:
            return -math.inf
        first = turns[0] + SECOND * count / rate if len(turns) == count else -math.inf
        return max(first, turns[-1] + 1.0 / (rate * HURRY))


def _endpoint(path: str) -> str:
    return "/".join(path.split("/")[:3])
