"""What starts by itself: a pull is followed by the months it changes, a month by its package, a new file by its months.

Requests are named after what caused them, so that a restarted daemon asks for nothing twice. Runs that a command holds in its
own hands (`HEADLESS_TAG`) are followed by nothing: the command does that itself.
"""

import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from typing import TypeAlias

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from assets import jobs
from assets.partitions import PARTITION_TAG, RANGE_START_TAG, book_month, register, split_book_month
from assets.planning import last_known_clock
from assets.resources import SettingsResource, open_lake
from reconciliation.config import Settings
from reconciliation.lake import Lake
from reconciliation.months import month_scope, months_to_compute

INTERVAL_SECONDS = 30
HEADLESS_TAG = "reconciliation/headless"
JobDefinition: TypeAlias = UnresolvedAssetJobDefinition
TEMPORARY_SUFFIXES = (".tmp", ".part")


def build(made: dict[str, JobDefinition]) -> list[dg.SensorDefinition]:
    """Assemble the sensors over the jobs."""
    return [_after_pull(made), _after_month(made), _inbox(made), _alert()]


def open_months(lake: Lake, settings: Settings) -> list[str]:
    """Return the months to recompute tonight, oldest first: the current one and earlier ones that are not locked."""
    clock = last_known_clock(lake, settings) or datetime.now(UTC)
    current = settings.calendar.period_of(settings.calendar.local_day(clock))
    return months_to_compute(lake, settings, max(current, settings.start.period))


def inbox_state(settings: Settings) -> dict[str, str]:
    """Return size and time of change of every file in the inboxes; a copy still under way is passed over."""
    folders = [settings.path(folder) for folder in (settings.ledger.inbox, settings.ledger.balances, settings.bank.inbox)]
    files = sorted({path for folder in folders for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")})
    return {str(path): f"{path.stat().st_size}:{path.stat().st_mtime_ns}" for path in files if path.suffix not in TEMPORARY_SUFFIXES}


def follow_pull(lake: Lake, settings: Settings, run: dg.DagsterRun) -> Iterator[dg.RunRequest]:
    """Request the first open month of every book that the pulled account belongs to."""
    account = run.tags.get(RANGE_START_TAG, run.tags.get(PARTITION_TAG, "")).rpartition("|")[0]
    for book in settings.books:
        if account in book.stripe_accounts:
            yield dg.RunRequest(
                run_key=f"{run.run_id}/{book.name}", partition_key=book_month(book.name, open_months(lake, settings)[0]), job_name=jobs.RECONCILE
            )


def follow_month(lake: Lake, settings: Settings, run: dg.DagsterRun) -> Iterator[dg.RunRequest]:
    """Request the month's package once every book has the month, and the book's next open month."""
    book, period = split_book_month(run.tags[PARTITION_TAG])
    if all(lake.tables(month_scope(each.name, period)) is not None for each in settings.books):
        yield dg.RunRequest(run_key=f"{run.run_id}/{period}", partition_key=period, job_name=jobs.CLOSE)
    following = [later for earlier, later in pairwise(open_months(lake, settings)) if earlier == period]
    for later in following:
        yield dg.RunRequest(run_key=f"{run.run_id}/{book}/{later}", partition_key=book_month(book, later), job_name=jobs.RECONCILE)


def _after_pull(made: dict[str, JobDefinition]) -> dg.SensorDefinition:
    @dg.run_status_sensor(
        name="after_pull",
        run_status=dg.DagsterRunStatus.SUCCESS,
        monitored_jobs=[made[jobs.PULL]],
        request_jobs=[made[jobs.RECONCILE]],
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Reconcile what a pull may have changed.",
    )
    def after_pull(context: dg.RunStatusSensorContext, settings: SettingsResource) -> Iterator[dg.RunRequest]:
        if HEADLESS_TAG not in context.dagster_run.tags:
            known = settings.read()
            yield from follow_pull(open_lake(known), known, context.dagster_run)

    return after_pull


def _after_month(made: dict[str, JobDefinition]) -> dg.SensorDefinition:
    @dg.run_status_sensor(
        name="after_month",
        run_status=dg.DagsterRunStatus.SUCCESS,
        monitored_jobs=[made[jobs.RECONCILE]],
        request_jobs=[made[jobs.RECONCILE], made[jobs.CLOSE]],
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Write the package of a reconciled month and go on to the next one.",
    )
    def after_month(context: dg.RunStatusSensorContext, settings: SettingsResource) -> Iterator[dg.RunRequest]:
        if HEADLESS_TAG not in context.dagster_run.tags:
            known = settings.read()
            yield from follow_month(open_lake(known), known, context.dagster_run)

    return after_month


def _inbox(made: dict[str, JobDefinition]) -> dg.SensorDefinition:
    @dg.sensor(
        name="inbox",
        job=made[jobs.RECONCILE],
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Reconcile again when a file was added, changed or taken away.",
    )
    def inbox(context: dg.SensorEvaluationContext, settings: SettingsResource) -> dg.SensorResult | dg.SkipReason:
        known = settings.read()
        lake, state = open_lake(known), inbox_state(known)
        cursor = json.dumps(state, sort_keys=True)
        if cursor == (context.cursor or "{}"):
            return dg.SkipReason("No file was added or changed.")
        if last_known_clock(lake, known) is None:
            return dg.SkipReason("Stripe was not pulled yet; the files wait for the first night, or for `reconcile run`.")
        register(context.instance, known)
        first = open_months(lake, known)[0]
        requests = [dg.RunRequest(run_key=f"{book.name}/{first}/{_digest(cursor)}", partition_key=book_month(book.name, first)) for book in known.books]
        return dg.SensorResult(run_requests=requests, cursor=cursor)

    return inbox


def _alert() -> dg.SensorDefinition:
    @dg.run_failure_sensor(
        name="alert",
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Write a line for every run that failed.",
    )
    def alert(context: dg.RunFailureSensorContext, settings: SettingsResource) -> None:
        write_alert(settings.read(), context.dagster_run, at=datetime.now(UTC))

    return alert


def write_alert(settings: Settings, run: dg.DagsterRun, *, at: datetime) -> None:
    """Append a line to `alerts.log` beside the lake: when, which job and partition, where to look. No message, since one may quote a row."""
    path = open_lake(settings).root.parent / "alerts.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    partition = run.tags.get(PARTITION_TAG) or run.tags.get(RANGE_START_TAG, "-")
    with path.open("a", encoding="utf-8") as handle:
        handle.write(f"{at:%Y-%m-%dT%H:%M:%SZ} {run.job_name} {partition} failed; see run {run.run_id} in Dagster, or repeat it with reconcile run\n")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
