"""The graph as the processes of several machines load it in a test: sensors look often, and a night begins at once instead of at a quarter past one."""

import os
from collections.abc import Iterator
from datetime import datetime

import dagster as dg

from assets import jobs, sensors
from assets.definitions import Overrides, build_defs
from assets.partitions import range_tags, register
from assets.planning import days_to_pull
from assets.resources import SettingsResource, open_lake
from tests.two_books import CLOCK

sensors.INTERVAL_SECONDS = 1
clock = datetime.fromisoformat(os.environ[CLOCK])
made = build_defs(Overrides(clock=clock))


@dg.sensor(name="night_at_once", job_name=jobs.PULL, minimum_interval_seconds=1, default_status=dg.DefaultSensorStatus.RUNNING)
def night_at_once(context: dg.SensorEvaluationContext, settings: SettingsResource) -> Iterator[dg.RunRequest]:
    """Request what the schedule requests, once."""
    known = settings.read()
    register(context.instance, known)
    for account in (account for book in known.books for account in book.stripe_accounts):
        days = days_to_pull(open_lake(known), known, account, clock=clock)
        if days is not None:
            yield dg.RunRequest(run_key=f"night/{account}", tags=range_tags(account, first=days.first, last=days.last))


defs = dg.Definitions.merge(made, dg.Definitions(sensors=[night_at_once]))
