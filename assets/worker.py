"""Runs on several machines: a broker hands each run to one of the workers, which execute it as a single machine does.

    RECONCILIATION_BROKER=redis://… DAGSTER_POSTGRES_URL=… python -m assets.worker --name first

A worker holds a lock in the shared database for as long as it executes a run. When it dies, or its machine does, the database frees the lock, and the
daemon's monitoring (`WorkerLauncher`) sees that nobody executes the run: it is marked as failed and started again elsewhere. What was published before
stays as it was, so the repeat does what was left. Celery's own state says nothing of a machine that vanished: a task it once began is "started" forever.
"""

import argparse
import os
import socket
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
from celery import Celery
from dagster._cli.api import _execute_run_command_body
from dagster._core.launcher import CheckRunHealthResult, WorkerStatus
from dagster._grpc.types import ExecuteRunArgs
from dagster._serdes import unpack_value
from dagster_celery.config import TASK_EXECUTE_JOB_NAME
from dagster_celery.defaults import task_default_queue
from dagster_celery.launcher import CeleryRunLauncher
from dagster_celery.make_app import make_app

from assets.logs import configure_logs
from assets.sensors import HEADLESS_TAG
from reconciliation.config import broker_url
from reconciliation.errors import BusyError
from reconciliation.lake_store import Hold, hold_in_database

RUNS = "dagster runs"
LOCK_SECONDS = 30.0
WORKER_TAG = "reconciliation/worker"


def make_worker_app(broker: str) -> Celery:
    """Make the Celery application of a worker: one task, which executes a run while it holds the run's lock.

    Args:
        broker: address of the broker, which keeps the results too.
    """
    settings = {"worker_prefetch_multiplier": 1, "broker_connection_retry_on_startup": True}
    app: Celery = make_app({"broker": broker, "backend": broker, "config_source": settings})  # type: ignore[no-untyped-call]

    @app.task(name=TASK_EXECUTE_JOB_NAME, track_started=True)  # type: ignore[untyped-decorator]
    def execute(execute_job_args_packed: Mapping[str, Any]) -> int:
        run_id = unpack_value(execute_job_args_packed, as_type=ExecuteRunArgs).run_id
        with dg.DagsterInstance.get() as instance, hold_in_database(RUNS, [Hold(run_id, is_alone=True)], wait_seconds=LOCK_SECONDS):
            instance.add_run_tags(run_id, {WORKER_TAG: f"{socket.gethostname()}/{os.getpid()}"})
            return _execute_run_command_body(run_id, instance, write_stream_fn=lambda _: None, set_exit_code_on_failure=True)

    return app


class WorkerLauncher(CeleryRunLauncher):
    """Dagster's launcher over a broker, which knows a dead worker by the lock it no longer holds."""

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Tell whether somebody executes a run that has begun; what a command executes itself is left to the next command."""
        if HEADLESS_TAG in run.tags:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        try:
            with hold_in_database(RUNS, [Hold(run.run_id, is_alone=True)], wait_seconds=0):
                return CheckRunHealthResult(WorkerStatus.FAILED, "The worker that executed it is gone.")
        except BusyError:
            return CheckRunHealthResult(WorkerStatus.RUNNING)


def main(arguments: Sequence[str] | None = None) -> None:
    """Work until stopped."""
    parser = argparse.ArgumentParser(prog="python -m assets.worker", description="Execute runs that the broker of RECONCILIATION_BROKER hands out.")
    parser.add_argument("--name", default="worker", help="Its name on this machine.")
    parser.add_argument("--runs", type=int, default=1, help="How many runs at once; each uses several cores by itself.")
    given = parser.parse_args(arguments)
    configure_logs()
    options = ["--concurrency", str(given.runs), "--queues", task_default_queue, "--hostname", f"{given.name}@%h", "--loglevel", "warning"]
    make_worker_app(broker_url()).worker_main(["worker", *options, "--without-gossip", "--without-mingle"])


if __name__ == "__main__":
    main()
