"""A run's id -> its whole story, from what Dagster noted of that very run: steps, what each made, checks, inputs, package, decisions.

What a later run changed does not change the story of an earlier one.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import dagster as dg
from dagster._core.execution.plan.objects import StepFailureData
from dagster._core.storage.dagster_run import RunRecord

from assets import jobs
from assets.partitions import PARTITION_TAG, RANGE_END_TAG, RANGE_START_TAG, split_book_month
from reconciliation.errors import InputsMissingError

IDENTITY = ("package_sha256", "settings_sha256", "code_version", "model", "decision_log", "inputs")
"""What the close package's metadata say of a package (`summarize_manifest`)."""
RUNS_LOOKED_AT = 500


def tell_story(instance: dg.DagsterInstance, run_id: str) -> dict[str, Any]:
    """Return the story of a run.

    Args:
        instance: where runs are noted.
        run_id: a run's id, or enough of its beginning.

    Returns:
        `run` (job, partition, status, times, process), `steps`, `made` (asset, partitions, rows, money), `checks`, `package` (of a run that wrote
        one), `errors` (names only) and `belongs_to` (the runs of the same month before and after it).

    Raises:
        InputsMissingError: no run, or several, are named so.
    """
    record = _find(instance, run_id)
    run = record.dagster_run
    events = [entry.dagster_event for entry in instance.all_logs(run.run_id) if entry.dagster_event is not None]
    made = list(_made(events))
    return {
        "run": {
            "run_id": run.run_id, "job": run.job_name, "partition": _partition(run), "status": run.status.value.lower(), "began_at": _at(record.start_time),
            "ended_at": _at(record.end_time), "process": run.tags.get("reconciliation/process"), "retry_of": run.tags.get("dagster/parent_run_id"),
        },
        "steps": [
            {"step": step.step_key, "status": step.status.value.lower() if step.status else None, "seconds": round(step.end_time - step.start_time, 3) if step.end_time and step.start_time else None, "attempts": step.attempts}
            for step in sorted(instance.get_run_step_stats(run.run_id), key=lambda step: step.start_time or 0.0)
        ],
        "made": [{name: value for name, value in one.items() if name != "identity"} for one in made],
        "checks": [
            {"asset": check.asset_key.to_user_string(), "check": check.check_name, "passed": check.passed, "broken": check.description}
            for check in (event.asset_check_evaluation_data for event in events if event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION)
        ],
        "package": next((one["identity"] for one in made if one["identity"]), None),
        "errors": sorted({name for event in events for name in _error_names(event)}),
        "belongs_to": _related(instance, run),
    }  # fmt: skip


def _find(instance: dg.DagsterInstance, run_id: str) -> RunRecord:
    exact = instance.get_run_record_by_id(run_id)
    if exact is not None:
        return exact
    found = [record for record in instance.get_run_records(limit=RUNS_LOOKED_AT) if record.dagster_run.run_id.startswith(run_id)]
    if len(found) != 1:
        raise InputsMissingError(
            f"{len(found) or 'no'} run(s) begin with {run_id!r} among the last {RUNS_LOOKED_AT}; give the whole id, as Dagster and the alerts print it"
        )
    return found[0]


def _made(events: Sequence[dg.DagsterEvent]) -> Iterator[dict[str, Any]]:
    """Yield what each asset left; a range of days is one row with their number."""
    by_asset: dict[str, list[Any]] = {}
    for event in events:
        if event.event_type == dg.DagsterEventType.ASSET_MATERIALIZATION:
            materialization = event.step_materialization_data.materialization
            by_asset.setdefault(materialization.asset_key.to_user_string(), []).append(materialization)
    for asset, some in by_asset.items():
        metadata = {name: entry.value for name, entry in some[-1].metadata.items()}
        shown = {
            name: value
            for name, value in metadata.items()
            if name.startswith(("rows_", "money_", "watch/")) or name in ("complete_through", "pulled_through", "model")
        }
        identity = {name: metadata[name] for name in IDENTITY if name in metadata} if "package_sha256" in metadata else None
        yield {"asset": asset, "partitions": len(some), **shown, "identity": identity}


def _error_names(event: dg.DagsterEvent) -> Iterator[str]:
    data = event.event_specific_data
    link = data.error if isinstance(data, StepFailureData) else None
    while link is not None:
        if link.cls_name:
            yield link.cls_name
        link = link.cause


def _related(instance: dg.DagsterInstance, run: dg.DagsterRun) -> list[dict[str, Any]]:
    """List the runs of the same month, oldest first: what the package was made from, or which package came of it."""
    period = split_book_month(run.tags.get(PARTITION_TAG, ""))[1] if run.job_name in (jobs.RECONCILE, jobs.CLOSE) else ""
    if not period:
        return []
    records = [record for job in (jobs.RECONCILE, jobs.CLOSE) for record in instance.get_run_records(dg.RunsFilter(job_name=job), limit=RUNS_LOOKED_AT)]
    same = [
        record
        for record in records
        if record.dagster_run.run_id != run.run_id and split_book_month(record.dagster_run.tags.get(PARTITION_TAG, ""))[1] == period
    ]
    return [
        {
            "run_id": record.dagster_run.run_id,
            "job": record.dagster_run.job_name,
            "status": record.dagster_run.status.value.lower(),
            "began_at": _at(record.start_time),
        }
        for record in sorted(same, key=lambda record: record.start_time or 0.0)
    ]


def _partition(run: dg.DagsterRun) -> str:
    if RANGE_START_TAG in run.tags:
        return f"{run.tags[RANGE_START_TAG]} to {run.tags.get(RANGE_END_TAG, '')}"
    return run.tags.get(PARTITION_TAG, "")


def _at(timestamp: float | None) -> str | None:
    return None if timestamp is None else datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
