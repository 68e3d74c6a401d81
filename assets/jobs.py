"""Assets -> the three jobs, called in order by the night and by `reconcile run`: one job cannot hold two partitionings."""

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from assets import close, explain, match, read
from assets import pull as pull_assets
from assets.partitions import Partitions

PULL, RECONCILE, CLOSE = "pull", "reconcile", "close"


def build(partitions: Partitions) -> list[UnresolvedAssetJobDefinition]:
    """Assemble the jobs."""
    package = dg.AssetSelection.assets("close_package")
    months = dg.AssetSelection.groups(read.GROUP, match.GROUP, explain.GROUP, close.GROUP) - package
    return [
        dg.define_asset_job(
            PULL,
            dg.AssetSelection.groups(pull_assets.GROUP),
            partitions_def=partitions.days_by_account,
            executor_def=dg.in_process_executor,
            description="Read Stripe for a range of days of one account.",
        ),
        dg.define_asset_job(
            RECONCILE, months, partitions_def=partitions.months_by_book, executor_def=dg.in_process_executor, description="Reconcile one month of one book."
        ),
        dg.define_asset_job(
            CLOSE, package, partitions_def=partitions.months, executor_def=dg.in_process_executor, description="Write the close package of one month."
        ),
    ]
