"""What stays open -> breaks with kind, cause, probability and reasons."""

import dagster as dg

from assets.checks import check_specs, check_table
from assets.core import Core
from assets.links import link_review
from assets.metadata import Materialized, describe_breaks, describe_open_items
from assets.partitions import Partitions
from assets.resources import LakeResource
from reconciliation.breaks.clearing import apply_clearing, draw_audit_sample, list_for_policy
from reconciliation.breaks.explain import Explained, explain_breaks, score_breaks
from reconciliation.matching.cascade import Matching
from reconciliation.pipeline import list_breaks
from reconciliation.population import CarriedIn, Population
from reconciliation.rates import read_rates
from reconciliation.review.effects import apply_decisions

GROUP = "explain"


def build(partitions: Partitions) -> list[dg.AssetsDefinition]:
    """Assemble what explains open items."""

    @dg.asset(group_name=GROUP, kinds={"polars", "parquet"}, partitions_def=partitions.months_by_book, deps=["matches"])
    def open_items(context: dg.AssetExecutionContext, lake: LakeResource) -> Materialized:
        """One row is an item not matched at the cut-off, with its kind and what could have caused it; the classifier's features come from it."""
        work = lake.month(context.partition_key)
        population, matching, carried = work.recall("population", Population), work.recall("matching", Matching), work.recall("carried", CarriedIn)
        explained = explain_breaks(population, matching, carried, work.month(), read_rates(work.settings.path(work.settings.fx.rates)))
        work.keep("explained", explained)
        return dg.MaterializeResult(metadata=describe_open_items(explained.open_facts, rows_in=explained.items.height))

    @dg.asset(
        group_name=GROUP, kinds={"scikitlearn", "parquet"}, partitions_def=partitions.months_by_book, deps=["open_items"], check_specs=check_specs("breaks")
    )
    def breaks(context: dg.AssetExecutionContext, lake: LakeResource, core: dg.ResourceParam[Core]) -> Materialized:
        """One row needs an explanation: how likely it is a true exception, why, and how much money that puts at risk."""
        work = lake.month(context.partition_key)
        explained, carried, month = work.recall("explained", Explained), work.recall("carried", CarriedIn), work.month()
        model = core.load_model(work.settings, work.lake)
        judged = score_breaks(explained, model.score(explained.features))
        clearing = model.policy(list_for_policy(judged), explained.features, month)
        scored = apply_decisions(apply_clearing(judged, clearing), carried.decided, period=work.period)
        listed = list_breaks(scored, explained, carried, month)
        work.keep("scored", scored, model=model.label, clearing=clearing.to_json())
        work.keep("breaks", listed)
        work.keep("audit_sample", draw_audit_sample(listed, clearing, month))
        return dg.MaterializeResult(
            metadata={**link_review(listed, work.period), **describe_breaks(listed), "model": model.label, "clearing": clearing.statement},
            check_results=check_table("breaks", listed),
        )

    return [open_items, breaks]
