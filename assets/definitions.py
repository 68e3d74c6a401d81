"""Settings -> everything Dagster runs: assets, checks, jobs, the night's schedule, sensors, resources.

Start here for the graph; `reconciliation/pipeline.py` is the same in one function. Definitions are made afresh at every
call and nothing is read at import, since time zone, calendar and accounts come from the settings.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg

from assets import close, explain, jobs, match, pull, read, review, schedules, sensors
from assets.core import Core, StripeAccess
from assets.logs import configure_logs
from assets.partitions import build_partitions
from assets.planning import last_known_clock
from assets.resources import WAIT_SECONDS, LakeResource, SettingsResource, open_lake
from reconciliation.config import read_settings


@dataclass(frozen=True)
class Overrides:
    """What a caller may put in the place of the default.

    Attributes:
        settings_file: None is the default one.
        core: the functions that read from outside.
        stripe: the way to Stripe.
        clock: an instant that partitions must reach; None: as far as the lake was pulled.
        is_lake_held: the caller holds the lake's lock around the runs.
        wait_seconds: how long a run waits for that lock.
        now: this machine's clock.
    """

    settings_file: Path | None = None
    core: Core = field(default_factory=Core)
    stripe: StripeAccess | None = None
    clock: datetime | None = None
    is_lake_held: bool = False
    wait_seconds: float = WAIT_SECONDS
    now: Callable[[], datetime] = lambda: datetime.now(UTC)


def build_defs(overrides: Overrides | None = None) -> dg.Definitions:
    """Make the definitions.

    Raises:
        SettingsError: the settings cannot be read.
    """
    given = overrides or Overrides()
    settings = read_settings(given.settings_file)
    now = given.now()
    partitions = build_partitions(settings, now=now, clock=given.clock or last_known_clock(open_lake(settings), settings) or now)
    file = str(given.settings_file or "")
    with warnings.catch_warnings():
        # What is used and still marked as beta is listed in this project's dependencies: the minor version is pinned.
        warnings.simplefilter("ignore", dg.BetaWarning)
        months = [*read.build(partitions), *match.build(partitions), *explain.build(partitions), *close.build(partitions, zone=settings.entity.timezone)]
        made = jobs.build()
        return dg.Definitions(
            assets=[*pull.build(partitions, zone=settings.entity.timezone, retries=not given.is_lake_held), *months],
            jobs=[*made, review.build_job()],
            schedules=[schedules.build(settings.entity.timezone, {job.name: job for job in made}[jobs.PULL], now=given.now)],
            sensors=[*sensors.build({job.name: job for job in made}), *review.build_sensors({job.name: job for job in made})],
            resources={
                "settings": SettingsResource(file=file),
                "lake": LakeResource(file=file, is_held=given.is_lake_held, wait_seconds=given.wait_seconds),
                "core": given.core,
                "stripe": replace(given.stripe or StripeAccess(), settings_file=given.settings_file),
            },
            executor=dg.in_process_executor,
        )


@dg.definitions
def defs() -> dg.Definitions:
    """Make the definitions of the settings that the environment names, for Dagster's own processes."""
    configure_logs()
    return build_defs()
