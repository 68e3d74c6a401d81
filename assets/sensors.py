"""What starts by itself: a pull is followed by the months it changes, a month by its package, a new file by its months.

Requests are named after what caused them, so that a restarted daemon asks for nothing twice. Runs that a command holds in its
own hands (`HEADLESS_TAG`) are followed by nothing: the command does that itself.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import pairwise
from typing import TypeAlias

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition
from dagster._core.execution.plan.objects import StepFailureData
from dagster_shared.error import SerializableErrorInfo

from assets import jobs
from assets.alerts import tell_alerts, watch
from assets.partitions import PARTITION_TAG, RANGE_START_TAG, book_month, register, split_book_month
from assets.planning import last_known_clock, pulled_through
from assets.resources import SettingsResource, open_lake
from reconciliation.config import Settings
from reconciliation.lake import Lake
from reconciliation.months import month_scope, months_to_compute
from reconciliation.watch.alerts import FAILED_PROOF, FAILED_RUN, Alert

INTERVAL_SECONDS = 30
WATCH_SECONDS = 300
HEADLESS_TAG = "reconciliation/headless"
JobDefinition: TypeAlias = UnresolvedAssetJobDefinition
TEMPORARY_SUFFIXES = (".tmp", ".part")


def build(made: dict[str, JobDefinition]) -> list[dg.SensorDefinition]:
    """Assemble the sensors over the jobs."""
    return [_after_pull(made), _after_month(made), _inbox(made), _alert(), _watch()]


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


def follow_people(context: dg.SensorEvaluationContext, settings: Settings, *, state: str, cause: str) -> dg.SensorResult | dg.SkipReason:
    """Request the first open month of every book after somebody brought a file or decided; later months follow it.

    A book whose accounts are still being pulled for the first time is left to the end of that pull.

    Args:
        context: whose cursor becomes `state`.
        settings: of the company.
        state: what the sensor compares next time.
        cause: names the requests.
    """
    lake = open_lake(settings)
    if last_known_clock(lake, settings) is None:
        return dg.SkipReason("Stripe was not pulled yet; this waits for the first night, or for `reconcile run`.")
    register(context.instance, settings)
    first = open_months(lake, settings)[0]
    pulled = [book for book in settings.books if all(pulled_through(lake, account) for account in book.stripe_accounts)]
    requests = [dg.RunRequest(run_key=f"{cause}/{book.name}/{first}", partition_key=book_month(book.name, first)) for book in pulled]
    return dg.SensorResult(run_requests=requests, cursor=state)


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
        state = json.dumps(inbox_state(known), sort_keys=True)
        if state == (context.cursor or "{}"):
            return dg.SkipReason("No file was added or changed.")
        return follow_people(context, known, state=state, cause=f"files/{_digest(state)}")

    return inbox


def _alert() -> dg.SensorDefinition:
    @dg.run_failure_sensor(
        name="alert",
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Tell of every run that failed.",
    )
    def alert(context: dg.RunFailureSensorContext, settings: SettingsResource) -> None:
        failures = [event.event_specific_data for event in context.get_step_failure_events()]
        errors = [data.error for data in failures if isinstance(data, StepFailureData) and data.error is not None]
        tell_alerts(settings.read(), [describe_failure(context.dagster_run, errors)], at=datetime.now(UTC))

    return alert


def describe_failure(run: dg.DagsterRun, errors: Iterable[SerializableErrorInfo]) -> Alert:
    """Say which job and partition failed and where to look. Of an error its name alone, since a message may quote a row."""
    names = sorted({link.cls_name for error in errors for link in _chain(error) if link.cls_name})
    kind = FAILED_PROOF if "IncompletePullError" in names else FAILED_RUN
    partition = run.tags.get(PARTITION_TAG) or run.tags.get(RANGE_START_TAG, "-")
    message = f"{run.job_name} {partition} failed; see: reconcile story {run.run_id}; mend what it names, and repeat it with reconcile run"
    return Alert(kind, f"{kind}/{run.run_id}", message, {"job": run.job_name, "partition": partition, "run_id": run.run_id, "errors": names})


def _chain(error: SerializableErrorInfo) -> Iterator[SerializableErrorInfo]:
    link: SerializableErrorInfo | None = error
    while link is not None:
        yield link
        link = link.cause


def _watch() -> dg.SensorDefinition:
    @dg.sensor(
        name="watch",
        minimum_interval_seconds=WATCH_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Tell of what stands out: a failed proof, a late pull or file, an old or material exception, drift, something unexplained.",
    )
    def look(context: dg.SensorEvaluationContext, settings: SettingsResource) -> dg.SkipReason:  # noqa: ARG001 - Dagster's signature
        known = settings.read()
        new = watch(open_lake(known), known, now=datetime.now(UTC))
        return dg.SkipReason(f"{len(new)} new alert(s): {', '.join(sorted({alert.kind for alert in new}))}." if new else "Nothing new stands out.")

    return look


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
