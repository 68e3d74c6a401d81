"""When a table is expected: every night, by an hour in the books' zone. Dagster's daemon watches it and shows what is late."""

from datetime import timedelta

import dagster as dg


def nightly(zone: str, *, by_hour: int, hours: int) -> dg.FreshnessPolicy:
    """Expect something every night.

    Args:
        zone: the books' time zone.
        by_hour: the hour by which it is there.
        hours: how old it is then at most.
    """
    return dg.FreshnessPolicy.cron(deadline_cron=f"0 {by_hour} * * *", lower_bound_delta=timedelta(hours=hours), timezone=zone)
