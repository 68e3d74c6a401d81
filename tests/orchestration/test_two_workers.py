"""A night on several machines: a daemon, a broker, two workers, PostgreSQL and a bucket. Two workers are killed, and the bytes are those of one process."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from assets import jobs
from assets.partitions import ACCOUNT_TAG, PARTITION_TAG, book_month
from assets.planning import pulled_through
from assets.worker import WORKER_TAG
from reconciliation.config import Settings, read_settings
from reconciliation.lake import Lake, month_scope, open_lake
from reconciliation.simulation.faults import Answer, Answering
from reconciliation.simulation.sandbox import read_sandbox
from reconciliation.simulation.sandbox_server import SandboxServer
from tests.packages import package_bytes
from tests.servers import find_postgres, find_redis, object_store, postgres_server, redis_server
from tests.two_books import CLOCK, environment, make_office, write_two_books

ROOT = Path(__file__).parents[2]
MONTHS = ("2026-08", "2026-09", "2026-10")
WAIT_SECONDS = 600.0
BEHIND_SECONDS = 60.0
WORKSPACE = "load_from: [{python_module: {module_name: tests.orchestration.cluster_night, location_name: reconciliation, attribute: defs}}]\n"


@dataclass
class Slow:
    """A sandbox that is slow to list the first account's transactions while it is told to."""

    sandbox: Answering
    is_slow: bool = False
    reached: int = 0

    @property
    def now(self) -> int:
        return self.sandbox.now

    def answer(self, *, method: str, path: str, query: str, headers: Mapping[str, str]) -> Answer:
        given = self.sandbox.answer(method=method, path=path, query=query, headers=headers)
        if not self.is_slow or path != "/v1/balance_transactions" or "stripe-account" in headers:
            return given
        self.reached += 1
        return replace(given, delay_seconds=BEHIND_SECONDS)


@dataclass
class Machines:
    """The processes of a night, each in a group of its own, so that a whole one can be killed as a machine is."""

    folder: Path
    variables: dict[str, str]
    running: list[subprocess.Popen] = field(default_factory=list)

    def start(self, *module: str) -> subprocess.Popen:
        with (self.folder / f"{len(self.running)}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", *module], cwd=self.folder, env=self.variables, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        self.running.append(process)
        return process

    def kill(self, worker: str) -> None:
        """Kill the machine of a worker as a run's tag names it, with everything on it, and put another in its place."""
        group = os.getpgid(int(worker.rpartition("/")[2]))
        assert group in [process.pid for process in self.running]
        os.killpg(group, signal.SIGKILL)
        self.start("assets.worker", "--name", f"after-{group}")

    def stop(self) -> None:
        for process in self.running:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def said(self) -> str:
        return "\n".join(f"== {path.name}\n{path.read_text()[-3000:]}" for path in sorted(self.folder.glob("*.log")))


def wait(attempt: Callable[[], object], machines: Machines, what: str, *, every: float = 0.1) -> None:
    end = time.monotonic() + WAIT_SECONDS
    while not attempt():
        if time.monotonic() > end:
            pytest.fail(f"{what} did not come about in {WAIT_SECONDS:g} s\n{machines.said()}")
        time.sleep(every)


@contextmanager
def night(folder: Path, config: Path, variables: dict[str, str]) -> Iterator[tuple[Machines, dg.DagsterInstance]]:
    """Start the daemon and two workers by the files of deploy/; only how often they look is changed."""
    home = folder / "dagster_home"
    home.mkdir()
    text = (ROOT / "deploy" / "dagster-cluster.yaml").read_text()
    assert "poll_interval_seconds: 15" in text
    (home / "dagster.yaml").write_text(text.replace("poll_interval_seconds: 15", "poll_interval_seconds: 1"))
    (home / "workspace.yaml").write_text(WORKSPACE)
    known = environment(config, DAGSTER_HOME=str(home), PYTHONPATH=str(ROOT), **variables)
    machines = Machines(home, known)
    try:
        with dg.DagsterInstance.from_config(str(home)) as instance:
            machines.start("assets.worker", "--name", "first")
            machines.start("assets.worker", "--name", "second")
            machines.start("dagster._daemon", "run", "--workspace", str(home / "workspace.yaml"))
            yield machines, instance
            instance.dispose()
    finally:
        machines.stop()


def worker_of(instance: dg.DagsterInstance, job: str, **tags: str) -> str | None:
    """Return which worker executes a run at this moment."""
    runs = instance.get_runs(filters=dg.RunsFilter(job_name=job, tags=tags, statuses=[dg.DagsterRunStatus.STARTED]))
    return next((run.tags[WORKER_TAG] for run in runs if WORKER_TAG in run.tags), None)


def is_over(instance: dg.DagsterInstance, settings: Settings) -> bool:
    """Tell whether every month of every book and its package were written, and nothing is under way."""
    runs = instance.get_runs()
    done = {(run.job_name, run.tags.get(PARTITION_TAG)) for run in runs if run.status is dg.DagsterRunStatus.SUCCESS}
    wanted = {(jobs.CLOSE, month) for month in MONTHS} | {(jobs.RECONCILE, book_month(book.name, month)) for book in settings.books for month in MONTHS}
    return wanted <= done and all(run.is_finished for run in runs)


def is_in_the_middle(lake: Lake, book: str, period: str) -> bool:
    return len(lake.tables(f"work/{book}/{period}") or {}) > 5 and lake.tables(month_scope(book, period)) is None


@pytest.mark.hard
@pytest.mark.skipif(find_postgres() is None or find_redis() is None, reason="no PostgreSQL or no Redis is installed and the development extra has none here")
def test_two_workers_of_which_two_are_killed_write_the_bytes_of_one_process_and_a_slow_account_holds_up_no_other(tmp_path, monkeypatch):
    company = write_two_books(tmp_path / "company", seed=5, payments=60)
    slow = Slow(read_sandbox(company / "stripe"))
    with SandboxServer(slow) as stripe, object_store() as bucket, postgres_server() as database, redis_server() as broker:
        alone = make_office(company, tmp_path / "one", url=stripe.url, lake="lake")
        command = [str(Path(sys.executable).with_name("reconcile")), "run", "--period", MONTHS[-1]]
        one = subprocess.run(command, cwd=alone.parent, env=environment(alone), capture_output=True, text=True, timeout=WAIT_SECONDS)
        assert one.returncode == 0, one.stderr

        variables = {**bucket, "DAGSTER_POSTGRES_URL": database, "RECONCILIATION_BROKER": broker, CLOCK: datetime.fromtimestamp(slow.now, UTC).isoformat()}
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        config = make_office(company, tmp_path / "several", url=stripe.url, lake="s3://books/lake")
        settings, slow.is_slow = read_settings(config), True
        lake = open_lake(settings)
        monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster_home"))
        with night(tmp_path, config, variables) as (machines, instance):
            wait(lambda: slow.reached, machines, "the pull of the first account")
            wait(lambda: lake.tables(month_scope("second", MONTHS[0])), machines, "the second book's first month beside the first account's pull")
            assert pulled_through(lake, "self") is None
            first = worker_of(instance, jobs.PULL, **{ACCOUNT_TAG: "self"})
            assert first is not None
            machines.kill(first)
            slow.is_slow = False

            wait(lambda: is_in_the_middle(lake, "main", MONTHS[1]), machines, "the first book's second month", every=0.01)
            second = worker_of(instance, jobs.RECONCILE, **{PARTITION_TAG: book_month("main", MONTHS[1])})
            assert second is not None
            machines.kill(second)
            assert is_in_the_middle(lake, "main", MONTHS[1])

            wait(lambda: is_over(instance, settings), machines, "the night's end", every=0.5)
            runs = instance.get_runs()
    assert len({run.tags[WORKER_TAG] for run in runs}) >= 3
    failed = [run for run in runs if run.status is not dg.DagsterRunStatus.SUCCESS]
    assert {(run.job_name, run.tags[WORKER_TAG]) for run in failed} == {(jobs.PULL, first), (jobs.RECONCILE, second)}
    for month in MONTHS:
        assert package_bytes(tmp_path / "several", month) == package_bytes(tmp_path / "one", month)
