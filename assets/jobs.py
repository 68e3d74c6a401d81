"""Assets -> the three jobs, called in order by the night and by `reconcile run`: one job cannot hold two partitionings."""

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from assets import close, explain, match, pull, read
from assets.resources import CLOSE as CLOSE
from assets.resources import PULL as PULL
from assets.resources import RECONCILE as RECONCILE

AGAIN_AS_A_WHOLE = {"dagster/retry_strategy": "ALL_STEPS"}
"""A run that crashed is repeated from its start: since then another one may have begun the same month anew."""


def build() -> list[UnresolvedAssetJobDefinition]:
    """Assemble the jobs; each takes the partitions of its assets."""
    package = dg.AssetSelection.assets("close_package")
    months = dg.AssetSelection.groups(read.GROUP, match.GROUP, explain.GROUP, close.GROUP) - package
    return [
        _job(PULL, dg.AssetSelection.groups(pull.GROUP), "Read Stripe for a range of days of one account."),
        _job(RECONCILE, months, "Reconcile one month of one book."),
        _job(CLOSE, package, "Write the close package of one month."),
    ]


def _job(name: str, selection: dg.AssetSelection, description: str) -> UnresolvedAssetJobDefinition:
    return dg.define_asset_job(name, selection, executor_def=dg.in_process_executor, description=description, tags=AGAIN_AS_A_WHOLE)
