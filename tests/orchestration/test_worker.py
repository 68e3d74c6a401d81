"""A worker takes only what it can do at once: a run that would wait for another one goes back to the broker."""

from contextlib import nullcontext

import dagster as dg
import pytest
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
from dagster._grpc.types import ExecuteRunArgs
from dagster._serdes import pack_value
from dagster_celery.config import TASK_EXECUTE_JOB_NAME

from assets import jobs, worker
from assets.partitions import ACCOUNT_TAG, PARTITION_TAG, RANGE_START_TAG
from reconciliation.config import read_settings
from reconciliation.lake import open_lake

TOML = """
[entity]
name = "E"
timezone = "Europe/London"
currency = "GBP"
[start]
period = "2026-08"
[[books]]
name = "main"
stripe_accounts = ["large"]
bank_match = ["STRIPE"]
[[books.ledger_accounts]]
account = "1050"
role = "clearing"
currency = "GBP"
"""
OF_LARGE = {RANGE_START_TAG: "large|2026-08-01", ACCOUNT_TAG: "large"}
OF_SMALL = {RANGE_START_TAG: "small|2026-08-01", ACCOUNT_TAG: "small"}


@pytest.fixture
def lake(tmp_path, monkeypatch):
    file = tmp_path / "reconciliation.toml"
    file.write_text(TOML)
    monkeypatch.setenv("RECONCILIATION_CONFIG", str(file))
    return open_lake(read_settings())


@pytest.mark.parametrize(
    ("job", "tags", "waits"),
    [
        (jobs.PULL, OF_LARGE, True),
        (jobs.PULL, OF_SMALL, False),
        (jobs.RECONCILE, {PARTITION_TAG: "main|2026-08"}, True),
        (jobs.CLOSE, {PARTITION_TAG: "2026-08"}, False),
        ("by_hand", {}, True),
    ],
)
def test_what_needs_a_held_account_waits_and_nothing_else(job, tags, waits, lake):
    with dg.DagsterInstance.ephemeral() as instance, lake.writer(wait_seconds=0, part="account/large"):
        run = instance.add_run(dg.DagsterRun(job_name=job, tags=tags))
        assert worker.must_wait(instance, run.run_id) is waits
    with dg.DagsterInstance.ephemeral() as instance:
        run = instance.add_run(dg.DagsterRun(job_name=job, tags=tags))
        assert not worker.must_wait(instance, run.run_id)


def test_a_run_that_must_wait_goes_back_to_the_broker_and_is_not_begun(lake, monkeypatch):
    with dg.DagsterInstance.ephemeral() as instance, lake.writer(wait_seconds=0, part="account/large"):
        run = instance.add_run(dg.DagsterRun(job_name=jobs.PULL, tags=OF_LARGE))
        origin = JobPythonOrigin(jobs.PULL, RepositoryPythonOrigin("python", dg._core.code_pointer.ModuleCodePointer("assets.definitions", "defs")))
        packed = pack_value(ExecuteRunArgs(job_origin=origin, run_id=run.run_id, instance_ref=None))
        task = worker.make_worker_app("memory://").tasks[TASK_EXECUTE_JOB_NAME]
        sent = []
        monkeypatch.setattr(task, "apply_async", lambda **given: sent.append(given))
        monkeypatch.setattr(worker, "PUT_BACK_SECONDS", 0.0)
        monkeypatch.setattr(dg.DagsterInstance, "get", lambda: nullcontext(instance))
        assert task.run(execute_job_args_packed=packed) == 0
        assert sent == [{"kwargs": {"execute_job_args_packed": packed}, "queue": "dagster"}]
        assert instance.get_run_by_id(run.run_id).status is dg.DagsterRunStatus.NOT_STARTED
