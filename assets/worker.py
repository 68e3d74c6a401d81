"""Runs on several machines: a broker hands each run to one of the workers, which execute it as a single machine does.

    RECONCILIATION_BROKER=redis://… DAGSTER_POSTGRES_URL=… python -m assets.worker --name first

A worker holds a lock in the shared database for as long as it executes a run. When it dies, or its machine does, the database frees the lock, and the
daemon's monitoring (`WorkerLauncher`) sees that nobody executes the run: it is marked as failed and started again elsewhere. What was published before
stays as it was, so the repeat does what was left. Celery's own state says nothing of a machine that vanished: a task it once began is "started" forever.

A run that would have to wait for another one's account or book goes back to the broker, so that a worker never waits while there is something to do.
"""

import argparse
import os
import socket
import time
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
from celery import Celery, Task
from dagster._cli.api import _execute_run_command_body
from dagster._core.launcher import CheckRunHealthResult, WorkerStatus
from dagster._grpc.types import ExecuteRunArgs
from dagster._serdes import unpack_value
from dagster_celery.config import TASK_EXECUTE_JOB_NAME
from dagster_celery.defaults import task_default_queue
from dagster_celery.launcher import CeleryRunLauncher
from dagster_celery.make_app import make_app

from assets.logs import configure_logs
from assets.resources import open_lake, what_is_written
from assets.sensors import HEADLESS_TAG
from reconciliation.config import broker_url, read_settings
from reconciliation.errors import BusyError
from reconciliation.lake_store import Hold, hold_in_database

RUNS = "dagster runs"
LOCK_SECONDS = 30.0
PUT_BACK_SECONDS = 2.0
"""A worker that found a run to wait for another one takes the next only then; it may be the same."""
WORKER_TAG = "reconciliation/worker"


def make_worker_app(broker: str) -> Celery:
    """Make the Celery application of a worker: one task, which executes a run while it holds the run's lock.

    Args:
        broker: address of the broker, which keeps the results too.
    """
    # A run that a worker had taken beforehand would wait for the one it executes, and be lost for long with it.
    settings = {"worker_prefetch_multiplier": 1, "worker_disable_prefetch": True, "broker_connection_retry_on_startup": True}
    app: Celery = make_app({"broker": broker, "backend": broker, "config_source": settings})  # type: ignore[no-untyped-call]

    @app.task(name=TASK_EXECUTE_JOB_NAME, track_started=True, bind=True)  # type: ignore[untyped-decorator]
    def execute(task: Task, execute_job_args_packed: Mapping[str, Any]) -> int:
        run_id = unpack_value(execute_job_args_packed, as_type=ExecuteRunArgs).run_id
        with dg.DagsterInstance.get() as instance:
            if must_wait(instance, run_id):
                task.apply_async(kwargs={"execute_job_args_packed": execute_job_args_packed}, queue=task_default_queue)
                time.sleep(PUT_BACK_SECONDS)
                return 0
            with hold_in_database(RUNS, [Hold(run_id, is_alone=True)], wait_seconds=LOCK_SECONDS):
                instance.add_run_tags(run_id, {WORKER_TAG: f"{socket.gethostname()}/{os.getpid()}"})
                return _execute_run_command_body(run_id, instance, write_stream_fn=lambda _: None, set_exit_code_on_failure=True)

    return app


def must_wait(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Tell whether somebody else holds a part of the lake that a run needs."""
    run = instance.get_run_by_id(run_id)
    if run is None or run.is_finished:
        return False
    settings = read_settings()
    part, read = what_is_written(run.job_name, run.tags, settings)
    return not open_lake(settings).is_free(part=part, read=read)


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
