"""Items of a month -> matches: who belongs together, and what each match leaves."""

import dagster as dg

from assets.checks import check_specs, check_table
from assets.metadata import Materialized, describe_matches, describe_rows
from assets.partitions import Partitions
from assets.resources import LakeResource
from reconciliation.months import carry_in
from reconciliation.pipeline import match_population
from reconciliation.population import CarriedIn, Population, build_population
from reconciliation.rates import read_rates

GROUP = "match"


def build(partitions: Partitions) -> list[dg.AssetsDefinition]:
    """Assemble what lists and matches items."""

    @dg.asset(
        group_name=GROUP,
        kinds={"polars", "parquet"},
        partitions_def=partitions.months_by_book,
        deps=["completeness_proofs", "ledger_lines", "bank_lines"],
        check_specs=check_specs("items"),
    )
    def items(context: dg.AssetExecutionContext, lake: LakeResource) -> Materialized:
        """One row is an item that must end matched or open, once: a Stripe component, a ledger line, a bank line, or one carried in."""
        work = lake.month(context.partition_key)
        sources, month = work.sources(), work.month()
        carried = carry_in(work.lake, sources, month)
        population = build_population(sources, month, carried)
        work.keep("carried", carried)
        work.keep("population", population)
        return dg.MaterializeResult(metadata=describe_rows(population.items), check_results=check_table("items", population.items))

    @dg.asset(group_name=GROUP, kinds={"duckdb", "parquet"}, partitions_def=partitions.months_by_book, deps=["items"])
    def matches(context: dg.AssetExecutionContext, lake: LakeResource) -> Materialized:
        """One row is an item's place in a match, with the strategy that found it; what a match leaves is an item of its own."""
        work = lake.month(context.partition_key)
        population, carried = work.recall("population", Population), work.recall("carried", CarriedIn)
        matching = match_population(population, carried, work.month(), read_rates(work.settings.path(work.settings.fx.rates)))
        work.keep("matching", matching)
        described = describe_matches(matching.members, rows_in=population.items.height)
        return dg.MaterializeResult(metadata={**described, "residuals": matching.residuals.height})

    return [items, matches]
