"""Measure the pull of balance transactions, side by side with the official client's `auto_paging_iter`.

    python benchmarks/pull.py --rows 50000 --peer-rows 10000 --memory-rows 1000000 --runs 3

One line per way, latency and limit: rows per second, processor time per row (the reader's alone, to the finished table or, for the
peer, to typed objects), peak memory of the reader's process. The server is the sandbox in a process of its own, on rows that it
computes; with a limit it answers 429 beyond 25 requests a second, as Stripe does. Medians of the runs. `--rows 0` leaves the speeds
out, `--memory-rows 0` the large pull.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs

import stripe

from reconciliation.connectors.stripe.client import StripeReader
from reconciliation.connectors.stripe.pull import pull_balance_transactions
from reconciliation.lake import Lake
from reconciliation.simulation.faults import Answer
from reconciliation.simulation.sandbox_server import Manner, SandboxServer

FIRST = int(datetime(2026, 10, 1, tzinfo=UTC).timestamp())
SPAN = 31 * 86_400
KEY = "rk_test_benchmark"
ROW = (
    '{"id":"txn_1PxBench%015d","object":"balance_transaction","amount":%d,"available_on":%d,"balance_type":"payments","created":%d,"currency":"gbp",'
    '"description":"Invoice INV-%d","exchange_rate":null,"fee":86,"fee_details":[{"amount":86,"application":null,"currency":"gbp",'
    '"description":"Stripe processing fees","type":"stripe_fee"}],"net":%d,"reporting_category":"charge","source":"ch_3PxBench%015d","status":"available","type":"charge"}'
)


@dataclass(frozen=True)
class Ruler:
    """Balance transactions at even distances over a month, computed when they are asked for."""

    rows: int
    now: int = FIRST + SPAN

    def answer(self, *, method: str, path: str, query: str, headers: Mapping[str, str]) -> Answer:  # noqa: ARG002 - the sandbox's signature
        if path != "/v1/balance_transactions":
            return Answer(200, b'{"object":"balance","livemode":false,"available":[],"pending":[]}')
        asked = {name: values[0] for name, values in parse_qs(query).items()}
        low = self._place(int(asked.get("created[gte]", FIRST)))
        high = self._place(int(asked.get("created[lt]", FIRST + SPAN)))
        if "starting_after" in asked:
            high = min(high, int(asked["starting_after"][-15:]))
        begin = max(low, high - int(asked.get("limit", 10)))
        listed = ",".join(self._row(number) for number in range(high - 1, begin - 1, -1))
        return Answer(200, f'{{"object":"list","data":[{listed}],"has_more":{"true" if begin > low else "false"},"url":"{path}"}}'.encode())

    def _place(self, second: int) -> int:
        """Return the number of the first row at or after a second."""
        return min(self.rows, max(0, -((FIRST - second) * self.rows // SPAN)))

    def _row(self, number: int) -> str:
        created, amount = FIRST + number * SPAN // self.rows, 1000 + number % 9973
        return ROW % (number, amount, created, created, number, amount - 86, number)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--peer-rows", type=int, default=10_000)
    parser.add_argument("--memory-rows", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    parser.add_argument("--pace", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one == "serve":
        serve(options.rows, latency=options.pace or 0.0, limit=25.0 if options.url == "limited" else None)
    elif options.one:
        print(json.dumps(WAYS[options.one](options.url, options.rows, options.pace)))
    else:
        table(options)


def table(options: argparse.Namespace) -> None:
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python {platform.python_version()}, stripe {stripe.VERSION}")
    print(f"{'way':<18}{'latency':>9}{'limit':>7}{'rows':>10}{'rows/s':>10}{'us CPU/row':>12}{'peak MB':>9}")
    for latency in (0.0, 0.15) if options.rows else ():
        for limit in (None, 25.0):
            for way, rows in (("pull", options.rows), ("auto_paging_iter", options.peer_rows)):
                line(way, rows=rows, latency=latency, limit=limit, runs=options.runs)
    if options.memory_rows:
        line("pull into lake", rows=options.memory_rows, latency=0.0, limit=None, runs=1)


def line(way: str, *, rows: int, latency: float, limit: float | None, runs: int) -> None:
    head = f"{way:<18}{latency * 1000:>6.0f} ms{'25/s' if limit else '-':>7}{rows:>10,}"
    server = start("--one", "serve", "--rows", str(rows), "--pace", str(latency), *(["--url", "limited"] if limit else []))
    try:
        url = server.stdout.readline().strip()
        figures = []
        for _ in range(runs):
            child = start("--one", way, "--rows", str(rows), "--url", url, *(["--pace", str(limit)] if limit else []))
            figures.append(json.loads(child.communicate()[0]))
    finally:
        server.terminate()
        server.wait()
    failed = next((figure["error"] for figure in figures if "error" in figure), None)
    if failed:
        print(f"{head}   {failed}")
        return
    speed, cpu, peak = (statistics.median(figure[name] for figure in figures) for name in ("speed", "cpu", "peak"))
    print(f"{head}{speed:>10,.0f}{cpu:>12.1f}{peak:>9,.0f}", flush=True)


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, __file__, *arguments], stdout=subprocess.PIPE, text=True, env={**os.environ, "POLARS_MAX_THREADS": "1"})


def serve(rows: int, *, latency: float, limit: float | None) -> None:
    with SandboxServer(Ruler(rows), Manner(latency, limit)) as server:
        print(server.url, flush=True)
        time.sleep(36_000)


def measure(read: object, rows: int) -> dict[str, object]:
    wall, cpu = time.monotonic(), time.process_time()
    found = read()  # type: ignore[operator]
    wall, cpu = time.monotonic() - wall, time.process_time() - cpu
    if found != rows:
        raise SystemExit(f"{found} rows were read, there are {rows}")
    return {"speed": rows / wall, "cpu": cpu / rows * 1e6, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def ours(url: str, rows: int, pace: float | None) -> dict[str, object]:
    reader = StripeReader(key=KEY, api_base=url, requests_per_second=pace)
    window = (datetime.fromtimestamp(FIRST, UTC), datetime.fromtimestamp(FIRST + SPAN, UTC))
    return measure(lambda: pull_balance_transactions(reader, account="self", start=window[0], end=window[1]).frame.height, rows)


def ours_into_lake(url: str, rows: int, pace: float | None) -> dict[str, object]:
    """Pull as a night does: finished parts kept on disk, rows and raw pages published."""
    reader = StripeReader(key=KEY, api_base=url, requests_per_second=pace)
    window = (datetime.fromtimestamp(FIRST, UTC), datetime.fromtimestamp(FIRST + SPAN, UTC))

    def read() -> int:
        with tempfile.TemporaryDirectory() as folder:
            lake = Lake(Path(folder))
            pulled = pull_balance_transactions(reader, account="self", start=window[0], end=window[1], partial=lake.partial_pull("self"))
            lake.write_days(
                "balance_transactions", account="self", frame=pulled.frame, day_column="created_at", days=[window[0].date()], raw=pulled.raw, is_ordered=True
            )
            return pulled.frame.height

    return measure(read, rows)


def peer(url: str, rows: int, pace: float | None) -> dict[str, object]:  # noqa: ARG001 - the client has no pace of its own
    stripe.enable_telemetry = False
    client = stripe.StripeClient(KEY, base_addresses={"api": url}, max_network_retries=2)
    try:
        return measure(lambda: sum(1 for _ in client.v1.balance_transactions.list({"limit": 100}).auto_paging_iter()), rows)
    except stripe.StripeError as error:
        return {"error": f"gives up: {type(error).__name__}"}


WAYS = {"pull": ours, "auto_paging_iter": peer, "pull into lake": ours_into_lake}

if __name__ == "__main__":
    main()
