"""The night: at a quarter past one in the books' zone every account is pulled; what follows is started by sensors."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from assets.partitions import range_tags, register
from assets.planning import days_to_pull, last_known_clock
from assets.resources import SettingsResource, open_lake

NIGHT_CRON = "15 1 * * *"
NIGHT_HOURS_MAX = 25
"""From one night to the next, on the day that the clock is put back."""


def build(zone: str, pull: UnresolvedAssetJobDefinition, *, now: Callable[[], datetime]) -> dg.ScheduleDefinition:
    """Assemble the schedule.

    Args:
        zone: the books' time zone.
        pull: the job that reads Stripe.
        now: this machine's clock.
    """

    @dg.schedule(name="night", cron_schedule=NIGHT_CRON, execution_timezone=zone, job=pull, default_status=dg.DefaultScheduleStatus.RUNNING)
    def night(context: dg.ScheduleEvaluationContext, settings: SettingsResource) -> Iterator[dg.RunRequest | dg.SkipReason]:
        """Pull what is new and what can still change, one run an account.

        After an outage Dagster evaluates the nights that were missed; the last one pulls all their days, so the others have nothing to do.
        """
        if now() - context.scheduled_execution_time > timedelta(hours=NIGHT_HOURS_MAX):
            yield dg.SkipReason("A later night is due, and pulls the days of this one too.")
            return
        known = settings.read()
        register(context.instance, known)
        lake = open_lake(known)
        clock = max(context.scheduled_execution_time, last_known_clock(lake, known) or context.scheduled_execution_time)
        for account in (account for book in known.books for account in book.stripe_accounts):
            days = days_to_pull(lake, known, account, clock=clock)
            if days is not None:
                yield dg.RunRequest(
                    run_key=f"{context.scheduled_execution_time:%Y-%m-%d}/{account}", tags=range_tags(account, first=days.first, last=days.last)
                )

    return night
