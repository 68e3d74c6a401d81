"""Inboxes -> ledger lines and bank lines; the pull -> the proof that it is complete. Nothing is matched before that proof."""

from collections.abc import Iterator

import dagster as dg

from assets.checks import check_specs, check_table
from assets.core import Core
from assets.metadata import Materialized, describe_files, describe_proofs, describe_rows
from assets.partitions import Partitions
from assets.resources import LakeResource
from reconciliation.close.summaries import count_rows
from reconciliation.connectors.stripe.completeness import prove_complete, require_complete

GROUP = "read"


class ReadOptions(dg.Config):
    """How a month is read.

    Attributes:
        as_of: last day counted (2026-10-15), for a month still under way; empty: its last day, or the last whole day of data.
    """

    as_of: str = ""


class ProofOptions(dg.Config):
    """What is required of the pull.

    Attributes:
        accept_incomplete: go on although Stripe's data is not complete; the package says so.
    """

    accept_incomplete: bool = False


LEDGER_LINES = "One row is a line of the general ledger on a mapped account, within what the newest exports cover; matched against Stripe."
SOURCE_FILES = (
    "One row is a file of the inboxes: how it was recognized and read, its rows used and set aside with the reason, its totals; shown to the controller."
)
BANK_LINES = "One row is a line of a bank statement that looks like a payout; matched against Stripe's payouts."
PROOFS = "One row says how far the pull is proven complete for one account, currency and balance type; a failed one stops the month."


def build(partitions: Partitions) -> list[dg.AssetsDefinition]:
    """Assemble what reads files and proves the pull complete."""

    @dg.multi_asset(
        name="files",
        specs=[
            dg.AssetSpec("ledger_lines", description=LEDGER_LINES, group_name=GROUP, kinds={"csv", "parquet"}),
            dg.AssetSpec("bank_lines", description=BANK_LINES, group_name=GROUP, kinds={"xml", "parquet"}),
            dg.AssetSpec("source_files", description=SOURCE_FILES, group_name=GROUP, kinds={"csv", "xml"}),
        ],
        check_specs=[*check_specs("ledger_lines"), *check_specs("bank_lines")],
        partitions_def=partitions.months_by_book,
    )
    def files(context: dg.AssetExecutionContext, config: ReadOptions, lake: LakeResource, core: dg.ResourceParam[Core]) -> Iterator[Materialized]:
        work = lake.month(context.partition_key)
        frames = core.read_inboxes(work.lake, work.settings)
        work.begin(frames, as_of=config.as_of)
        for table, kind in (("ledger_lines", "ledger"), ("bank_lines", "bank")):
            rows_in, quarantined = count_rows(frames["files"], kind=kind)
            described = describe_rows(frames[table], rows_in=rows_in, quarantined=quarantined)
            yield dg.MaterializeResult(asset_key=table, metadata=described, check_results=check_table(table, frames[table]))
        yield dg.MaterializeResult(asset_key="source_files", metadata=describe_files(frames["files"]))

    @dg.asset(
        name="completeness_proofs",
        description=PROOFS,
        group_name=GROUP,
        kinds={"polars"},
        partitions_def=partitions.months_by_book,
        deps=["ledger_lines", "pull_record"],
    )
    def completeness_proofs(context: dg.AssetExecutionContext, config: ProofOptions, lake: LakeResource) -> Materialized:
        work = lake.month(context.partition_key)
        work.note_pull()
        sources = work.sources()
        proofs = prove_complete(
            transactions=sources.transactions,
            payouts=sources.payouts,
            members=sources.members,
            sources=sources.stripe_sources,
            snapshots=sources.snapshots,
            complete_through=sources.complete_through,
            reports=work.reports(),
        )
        require_complete(proofs, accept_incomplete=config.accept_incomplete)
        work.keep("completeness_proofs", proofs, accept_incomplete=config.accept_incomplete)
        return dg.MaterializeResult(metadata=describe_proofs(proofs, complete_through=sources.complete_through))

    return [files, completeness_proofs]
