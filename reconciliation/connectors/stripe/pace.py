"""Requests of several threads -> requests spaced so that no limit of Stripe is run into.

Stripe answers 25 requests a second for one endpoint, and 100 in all with a live key, 25 with a test key
(https://docs.stripe.com/rate-limits). Requests are spaced evenly: then no second holds more, wherever Stripe begins to count.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

ENDPOINT_PER_SECOND = 25.0
LIVE_PER_SECOND = 100.0
TEST_PER_SECOND = 25.0

EVERYTHING = ""


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
    _free_at: dict[str, float] = field(default_factory=dict)
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
        limits = {_endpoint(path): self.per_endpoint, EVERYTHING: self.overall}
        with self._lock:
            now = self.clock()
            turn = max([now, *(self._free_at.get(name, now) for name in limits)])
            for name, rate in limits.items():
                if rate is not None:
                    self._free_at[name] = turn + 1.0 / rate
        if turn > now:
            self.sleep(turn - now)


def _endpoint(path: str) -> str:
    return "/".join(path.split("/")[:3])
