"""No second holds more requests than Stripe allows, whoever asks."""

import threading
from itertools import pairwise

from reconciliation.connectors.stripe.pace import Pace


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0
        self.lock = threading.Lock()

    def sleep(self, seconds: float) -> None:
        with self.lock:
            self.now += seconds

    def read(self) -> float:
        return self.now


def sent(pace: Pace, clock: Clock, paths: list[str]) -> list[float]:
    times = []
    for path in paths:
        pace.wait_turn(path)
        times.append(clock.now)
    return times


def busiest(times: list[float]) -> int:
    return max(sum(start <= time < start + 1.0 - 1e-9 for time in times) for start in times)


def test_one_endpoint_gets_its_limit_and_no_more():
    clock = Clock()
    times = sent(Pace(25.0, None, clock.sleep, clock.read), clock, ["/v1/charges", "/v1/charges/ch_1"] * 60)
    assert busiest(times) == 25
    assert times[-1] - times[0] <= 120 / 25


def test_endpoints_do_not_wait_for_each_other_but_for_all_of_them():
    clock = Clock()
    paths = [f"/v1/{name}" for name in ("charges", "refunds", "payouts", "disputes", "transfers", "topups")] * 40
    times = sent(Pace(25.0, 100.0, clock.sleep, clock.read), clock, paths)
    assert busiest(times) == 100
    assert all(busiest([time for time, path in zip(times, paths, strict=True) if path == one]) <= 25 for one in set(paths))


def test_a_turn_that_nobody_was_ready_for_is_made_up_for_within_its_second():
    clock = Clock()
    pace = Pace(25.0, None, clock.sleep, clock.read)
    sent(pace, clock, ["/v1/charges"] * 30)
    begin = clock.now
    clock.now += 0.2
    times = sent(pace, clock, ["/v1/charges"] * 50)
    # Five turns went by; a second later as many were sent as if they had not.
    assert len([time for time in times if time <= begin + 1.02]) >= 24
    assert busiest(times) <= 25


def test_a_second_is_a_little_longer_than_one_since_requests_travel():
    clock = Clock()
    times = sent(Pace(25.0, None, clock.sleep, clock.read), clock, ["/v1/charges"] * 101)
    assert all(later - earlier >= 1.005 for earlier, later in zip(times, times[25:], strict=False))
    assert times[-1] - times[0] <= 4.1


def test_a_rate_below_one_a_second_is_kept():
    clock = Clock()
    times = sent(Pace(0.5, None, clock.sleep, clock.read), clock, ["/v1/charges"] * 4)
    assert all(later - earlier >= 2.0 for earlier, later in pairwise(times))


def test_a_pause_is_not_made_up_for():
    clock = Clock()
    pace = Pace(10.0, None, clock.sleep, clock.read)
    sent(pace, clock, ["/v1/charges"])
    clock.now += 60
    assert busiest(sent(pace, clock, ["/v1/charges"] * 30)) == 10


def test_stripe_has_its_own_limits_and_another_server_only_those_it_is_given():
    live, test = (Pace.of_stripe(per_endpoint=None, is_stripe=True, is_test=is_test, sleep=lambda _: None) for is_test in (False, True))
    assert (live.per_endpoint, live.overall, test.overall) == (25.0, 100.0, 25.0)
    assert Pace.of_stripe(per_endpoint=None, is_stripe=False, is_test=True, sleep=lambda _: None).per_endpoint is None
    assert Pace.of_stripe(per_endpoint=5.0, is_stripe=False, is_test=True, sleep=lambda _: None).per_endpoint == 5.0
