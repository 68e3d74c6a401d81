"""The lake and Dagster's runs -> `/metrics`, as Prometheus reads it."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import dagster as dg
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from assets import jobs
from assets.alerts import pulls
from assets.resources import open_lake
from reconciliation.config import Settings
from reconciliation.watch.measures import Sample, measure
from reconciliation.watch.prometheus import CONTENT_TYPE, to_prometheus

PLACE = "/metrics"
STATUSES = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.QUEUED)


def measure_runs(instance: dg.DagsterInstance) -> Iterator[Sample]:
    """Yield how many runs of each job ended how, how long the last one took, and when one last ended well."""
    for job in (jobs.PULL, jobs.RECONCILE, jobs.CLOSE):
        label = (("job", job),)
        for status in STATUSES:
            count = instance.get_runs_count(dg.RunsFilter(job_name=job, statuses=[status]))
            yield Sample("runs", (*label, ("status", status.value.lower())), str(count))
        for record in instance.get_run_records(dg.RunsFilter(job_name=job, statuses=[dg.DagsterRunStatus.SUCCESS]), limit=1):
            if record.start_time is not None and record.end_time is not None:
                yield Sample("run_seconds", label, f"{record.end_time - record.start_time:.3f}")
                yield Sample("last_success_timestamp_seconds", label, f"{record.end_time:.0f}")


def route(instance: dg.DagsterInstance, read: Callable[[], Settings]) -> Route:
    """Return the route of the metrics; settings are read anew for each answer."""

    def answer(request: Request) -> Response:  # noqa: ARG001 - starlette's signature
        settings = read()
        lake = open_lake(settings)
        samples = [*measure(lake, settings, pulled=pulls(lake, settings), now=datetime.now(UTC)), *measure_runs(instance)]
        return PlainTextResponse(to_prometheus(samples), media_type=CONTENT_TYPE)

    return Route(PLACE, answer)
