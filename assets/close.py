"""Explained items -> balances, journals, the statement, and the close package. The statement alone publishes the month."""

import dagster as dg

from assets.checks import check_specs, check_table
from assets.freshness import nightly
from assets.metadata import Materialized, describe_balances, describe_journals, describe_package, describe_published, describe_statement
from assets.partitions import Partitions
from assets.resources import LakeResource
from reconciliation.beside import beside
from reconciliation.breaks.explain import Explained
from reconciliation.close.balances import close_balances
from reconciliation.close.charts import draw_bridge
from reconciliation.close.journals import Journals, propose_journals
from reconciliation.close.statement import state_month
from reconciliation.matching.cascade import Matching
from reconciliation.months import store_month, write_package
from reconciliation.pipeline import Reconciliation
from reconciliation.population import CarriedIn, Population
from reconciliation.rates import read_rates

GROUP = "close"


def build(partitions: Partitions, *, zone: str) -> list[dg.AssetsDefinition]:
    """Assemble what states and closes a month."""

    @dg.asset(group_name=GROUP, kinds={"polars", "parquet"}, partitions_def=partitions.months_by_book, deps=["breaks"])
    def journal_entries(context: dg.AssetExecutionContext, lake: LakeResource) -> Materialized:
        """One row is a line of a proposed entry, balanced by cause and period; finance posts it in the ERP."""
        work = lake.month(context.partition_key)
        rates = read_rates(work.settings.path(work.settings.fx.rates))
        journals = propose_journals(work.frame("scored"), work.recall("explained", Explained), work.recall("carried", CarriedIn), work.month(), rates=rates)
        work.keep("journals", journals)
        return dg.MaterializeResult(metadata=describe_journals(journals.lines))

    @dg.asset(group_name=GROUP, kinds={"polars", "parquet"}, partitions_def=partitions.months_by_book, deps=["matches"])
    def balances(context: dg.AssetExecutionContext, lake: LakeResource) -> Materialized:
        """One row is a currency's opening and closing balance at Stripe and in the ledger, each from its own source."""
        work = lake.month(context.partition_key)
        closed = close_balances(work.sources(), work.month(), work.recall("carried", CarriedIn), work.recall("population", Population))
        work.keep("balances", closed)
        return dg.MaterializeResult(metadata=describe_balances(closed))

    @dg.asset(
        group_name=GROUP,
        kinds={"polars", "parquet"},
        partitions_def=partitions.months_by_book,
        deps=["breaks", "journal_entries", "balances"],
        check_specs=check_specs("statement"),
    )
    def statement(context: dg.AssetExecutionContext, lake: LakeResource) -> Materialized:
        """One row is a line of the three-way statement: Stripe, ledger, bank, and the difference by cause to the last cent."""
        work = lake.month(context.partition_key)
        sources, month, carried = work.sources(), work.month(), work.recall("carried", CarriedIn)
        explained, matching, journals = work.recall("explained", Explained), work.recall("matching", Matching), work.recall("journals", Journals)
        scored, closed, proofs, facts = work.frame("scored"), work.frame("balances"), work.frame("completeness_proofs"), work.facts
        lines = state_month(explained.items, matching.members, scored, closed, month)
        picture = beside(draw_bridge, lines)
        result = Reconciliation(
            month=month,
            carried=carried,
            items=explained.items,
            references=explained.references,
            members=matching.members,
            explained=scored,
            open_items=journals.open_items,
            breaks=work.frame("breaks"),
            features=explained.features,
            balances=closed,
            journals=journals.lines,
            journal_register=journals.register,
            statement=lines,
            audit_sample=work.frame("audit_sample"),
            clearing=facts["clearing"],
        )
        store_month(work.lake, result, sources, proofs=proofs, model=facts["model"], accept_incomplete=facts["accept_incomplete"])
        described = {**describe_statement(lines, picture=picture()), **describe_published(work.lake, work.book, work.period)}
        return dg.MaterializeResult(metadata=described, check_results=check_table("statement", lines))

    return [journal_entries, balances, statement, _package(partitions, zone=zone)]


def _package(partitions: Partitions, *, zone: str) -> dg.AssetsDefinition:
    @dg.asset(
        group_name=GROUP,
        kinds={"csv"},
        partitions_def=partitions.months,
        deps=[dg.AssetDep("statement", partition_mapping=dg.MultiToSingleDimensionPartitionMapping("month"))],
        freshness_policy=nightly(zone, by_hour=6, hours=5),
    )
    def close_package(context: dg.AssetExecutionContext, lake: LakeResource) -> Materialized:
        """One folder is a month's close package: statement, matches, open items, exceptions, payouts, journals and the manifest."""
        settings = lake.settings.read()
        folder = write_package(lake.open(), settings, context.partition_key)
        return dg.MaterializeResult(metadata={"package": dg.MetadataValue.path(folder), **describe_package(folder)})

    return close_package
