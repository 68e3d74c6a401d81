"""One accounting month, headless: the same graph as every night, run in this process, in order, under one lock.

The server's clock is asked first; then each account is pulled for the days that need it, as one run; then every open month up
to the one asked for is reconciled book by book and its package written, since a month starts from the one before.
"""

import logging
import os
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import dagster as dg
from dagster._core.errors import DagsterAssetCheckFailedError

from assets import jobs
from assets.core import Core, StripeAccess
from assets.definitions import Overrides, build_defs
from assets.instance import told_of_database
from assets.partitions import RANGE_START_TAG, book_month, range_tags, register
from assets.planning import Days, days_to_pull, last_known_clock
from assets.resources import WAIT_SECONDS, open_lake
from assets.sensors import HEADLESS_TAG
from reconciliation.config import Settings, read_settings
from reconciliation.errors import DefectError, InputsMissingError, SettingsError
from reconciliation.lake import Lake
from reconciliation.months import months_to_compute

logger = logging.getLogger(__name__)
Tell = Callable[[str], None]
UNFINISHED = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True)
class Outcome:
    """What a run came to.

    Attributes:
        period: the month asked for.
        package: its close package.
        months: every month that was computed, in order.
    """

    period: str
    package: Path
    months: tuple[str, ...]


def run_month(
    settings_file: Path | None,
    period: str,
    *,
    instance: dg.DagsterInstance,
    as_of: date | None = None,
    pull: bool = True,
    accept_incomplete: bool = False,
    stripe: StripeAccess | None = None,
    core: Core | None = None,
    wait_seconds: float = WAIT_SECONDS,
    tell: Tell = lambda _: None,
) -> Outcome:
    """Run the main job for a month.

    Args:
        settings_file: None is the default one.
        period: the accounting month.
        instance: where Dagster notes what was run.
        as_of: last day counted, for a month still under way.
        pull: False works from what the lake holds.
        accept_incomplete: go on although Stripe's data is not complete.
        stripe: another way to Stripe than the settings' and the environment's.
        core: other functions at the edge of the world.
        wait_seconds: how long another run may hold the lake.
        tell: takes a line of progress.

    Raises:
        ReconciliationError: whatever the core refused, as it said it; a broken rule of a table; a lake in use; a full disk.
    """
    settings = read_settings(settings_file)
    lake, access = open_lake(settings), stripe or StripeAccess()
    months_to_compute(lake, settings, period)
    with told_of_database(), lake.writer(wait_seconds=wait_seconds):
        lake.prepare(time_zone=settings.entity.timezone)
        free_dead_runs(instance, lake)
        clock = StripeAccess(settings_file, access.key, access.api_base).reader().clock() if pull else _clock_of(lake, settings)
        if settings.calendar.first_day(period) > settings.calendar.local_day(clock):
            raise SettingsError(f"period {period} has not begun: Stripe's data ends on {settings.calendar.local_day(clock)}; name a month that has begun")
        reach = max(clock, settings.calendar.day_start(settings.calendar.first_day(period)))
        definitions = build_defs(Overrides(settings_file, core or Core(), access, reach, is_lake_held=True))
        register(instance, settings)
        execute = Executor(definitions, instance, lake)
        if pull:
            for account in (account for book in settings.books for account in book.stripe_accounts):
                _pull(execute, account, days_to_pull(lake, settings, account, clock=clock), tell)
        months = months_to_compute(lake, settings, period)
        for month in months:
            options = _options(as_of if month == period else None, accept_incomplete=accept_incomplete)
            for book in settings.books:
                tell(f"reconcile {month} of book {book.name}")
                execute(jobs.RECONCILE, partition=book_month(book.name, month), config=options)
            tell(f"write the package of {month}")
            execute(jobs.CLOSE, partition=month)
    return Outcome(period, settings.path(settings.close.folder) / period / "draft", tuple(months))


@dataclass(frozen=True)
class Executor:
    """Runs jobs in this process and lets errors of the core through as they are."""

    definitions: dg.Definitions
    instance: dg.DagsterInstance
    lake: Lake

    def __call__(self, job: str, *, partition: str | None = None, tags: Mapping[str, str] | None = None, config: Mapping[str, object] | None = None) -> None:
        """Run a job to its end.

        Raises:
            ReconciliationError: from the core, unchanged.
            DefectError: a table broke a rule that must hold.
        """
        run_id = str(uuid.uuid4())
        marks = {**(tags or {}), HEADLESS_TAG: self.lake.place, "reconciliation/process": str(os.getpid())}
        definition, began = self.definitions.resolve_job_def(job), time.monotonic()
        try:
            definition.execute_in_process(run_config={**QUIET, **(config or {})}, instance=self.instance, partition_key=partition, tags=marks, run_id=run_id)
        except DagsterAssetCheckFailedError as error:
            raise DefectError(self._broken_rules(run_id)) from error
        finally:
            facts = {"run_id": run_id, "job": job, "partition": partition or marks.get(RANGE_START_TAG, ""), "seconds": round(time.monotonic() - began, 3)}
            logger.info("run of %s ended", job, extra={"facts": facts})

    def _broken_rules(self, run_id: str) -> str:
        records = self.instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
        checks = [record.dagster_event.asset_check_evaluation_data for record in records if record.dagster_event]
        broken = [check for check in checks if not check.passed and check.severity == dg.AssetCheckSeverity.ERROR]
        lines = [f"{check.asset_key.to_user_string()}: {check.description}" for check in broken]
        return "\n".join(
            ["A table broke a rule that must hold, so nothing was published:", *lines, "Look at its source; if that is right, please report this."]
        )


def free_dead_runs(instance: dg.DagsterInstance, lake: Lake) -> int:
    """Close runs that a killed command left open, and free what they hold; returns how many.

    The caller holds the lake's lock, so that no command's run on this lake can be alive.
    """
    left = instance.get_runs(filters=dg.RunsFilter(statuses=UNFINISHED, tags={HEADLESS_TAG: lake.place}))
    for run in left:
        instance.report_run_failed(run, "The process that ran it was killed.")
        if instance.event_log_storage.supports_global_concurrency_limits:
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
    return len(left)


def _pull(execute: Executor, account: str, days: Days | None, tell: Tell) -> None:
    if days is None:
        tell(f"pull {account}: the server's clock stands where it stood, nothing to read")
        return
    tell(f"pull {account}: {days.first} to {days.last} ({days.count} days)")
    execute(jobs.PULL, tags=range_tags(account, first=days.first, last=days.last))


def _options(as_of: date | None, *, accept_incomplete: bool) -> dict[str, object]:
    return {
        "ops": {
            "files": {"config": {"as_of": as_of.isoformat() if as_of else ""}},
            "completeness_proofs": {"config": {"accept_incomplete": accept_incomplete}},
        }
    }


def _clock_of(lake: Lake, settings: Settings) -> datetime:
    clock = last_known_clock(lake, settings)
    if clock is None:
        raise InputsMissingError(f"{lake.place}: nothing was pulled from Stripe yet; run without --no-pull")
    return clock
