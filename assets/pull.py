"""Stripe -> the lake, by local day and account; a range of days is one run.

The balance is read first: what is created while the rest is read is then known to come after it. The reader is patient by itself; at night a
step that failed all the same is tried again, later and later.
"""

from collections.abc import Callable
from typing import Any

import dagster as dg

from assets.checks import check_specs, check_table
from assets.core import Core, StripeAccess
from assets.freshness import nightly
from assets.metadata import Materialized, describe_rows
from assets.partitions import Partitions
from assets.resources import LakeResource
from reconciliation.connectors.stripe.filing import file_by_moment, file_by_payout
from reconciliation.connectors.stripe.types import undocumented_types

GROUP = "pull"
POOL = "stripe_api"
# After the reader's own patience: 1, 2 and 4 minutes, a little more or less, so that a night outlives an outage of some minutes.
AGAIN = dg.RetryPolicy(max_retries=3, delay=60, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS)


def balance_snapshots(
    context: dg.AssetExecutionContext, lake: LakeResource, core: dg.ResourceParam[Core], stripe: dg.ResourceParam[StripeAccess]
) -> Materialized:
    """One row is Stripe's balance of one currency and balance type when it was read; it proves that nothing is missing."""
    window = lake.run_window(context.run.tags)
    reader = stripe.reader()
    lake.require_mode(is_live=reader.is_live)
    pulled = core.pull_balance(reader, account=window.account)
    filed = file_by_moment(pulled.frame, "taken_at", calendar=lake.calendar())
    lake.write_snapshot("balance_snapshots", window, filed, raw=pulled.raw)
    return dg.MaterializeResult(metadata=describe_rows(pulled.frame))


def balance_transactions(
    context: dg.AssetExecutionContext, lake: LakeResource, core: dg.ResourceParam[Core], stripe: dg.ResourceParam[StripeAccess]
) -> Materialized:
    """One row is one movement of the Stripe balance, the source of all money here; used by every later stage."""
    window = lake.window(context.partition_keys)
    pulled = core.pull_balance_transactions(
        stripe.reader(),
        account=window.account,
        start=window.start,
        end=window.end,
        known=lake.read_known("balance_transactions", window),
        partial=lake.partial_pull(window),
        history=lake.read_history(window),
    )
    filed = file_by_moment(pulled.frame, "created_at", calendar=lake.calendar())
    lake.write_days("balance_transactions", window, filed, raw=pulled.raw, is_ordered=True)
    described = {**describe_rows(pulled.frame, money="net_minor"), "types_not_documented": dg.MetadataValue.json(undocumented_types(pulled.frame))}
    return dg.MaterializeResult(metadata=described, check_results=check_table("balance_transactions", pulled.frame))


def payouts(context: dg.AssetExecutionContext, lake: LakeResource, core: dg.ResourceParam[Core], stripe: dg.ResourceParam[StripeAccess]) -> Materialized:
    """One row is one payout to the bank; what arrives there is matched against it."""
    window = lake.window(context.partition_keys)
    pulled = core.pull_payouts(stripe.reader(), account=window.account, start=window.start, end=window.end, partial=lake.partial_pull(window))
    filed = file_by_moment(pulled.frame, "created_at", calendar=lake.calendar())
    lake.write_days("payouts", window, filed, raw=pulled.raw, is_ordered=True)
    return dg.MaterializeResult(metadata=describe_rows(pulled.frame), check_results=check_table("payouts", pulled.frame))


def payout_members(context: dg.AssetExecutionContext, lake: LakeResource, core: dg.ResourceParam[Core], stripe: dg.ResourceParam[StripeAccess]) -> Materialized:
    """One row says which movement was paid out with which automatic payout; it ties payouts to what they bundle."""
    window = lake.window(context.partition_keys)
    paid = lake.read_days("payouts", window)
    kept, history = lake.partial_pull(window), lake.read_history(window)
    pulled = core.pull_payout_members(stripe.reader(), account=window.account, payouts=paid, partial=kept, history=history)
    filed = file_by_payout(pulled.frame, paid, calendar=lake.calendar())
    lake.write_days("payout_members", window, filed, raw=pulled.raw)
    return dg.MaterializeResult(metadata=describe_rows(pulled.frame, money=None))


def stripe_sources(context: dg.AssetExecutionContext, lake: LakeResource, core: dg.ResourceParam[Core], stripe: dg.ResourceParam[StripeAccess]) -> Materialized:
    """One row is the charge, refund, dispute or transfer behind a movement; references and names come from it, money does not."""
    window, calendar = lake.window(context.partition_keys), lake.calendar()
    known = lake.read_states_before("stripe_sources", window)
    pulled = core.pull_sources(stripe.reader(), account=window.account, start=window.start, end=window.end, partial=lake.partial_pull(window))
    older = core.pull_unsettled_sources(stripe.reader(), account=window.account, known=known, before=window.start)
    lake.write_days("stripe_sources", window, file_by_moment(pulled.frame, "created_at", calendar=calendar), raw=pulled.raw, is_ordered=True)
    again = file_by_moment(older.frame, "created_at", calendar=calendar)
    lake.amend_days("stripe_sources", window, again, key=["stripe_account", "source_id"], raw=older.raw)
    described = {**describe_rows(pulled.frame, money=None), "read_again_of_before": dg.MetadataValue.int(older.frame.height)}
    return dg.MaterializeResult(metadata=described)


def pull_record(context: dg.AssetExecutionContext, lake: LakeResource) -> Materialized:
    """One row says up to which instant an account is pulled without a gap; months are reconciled that far."""
    window = lake.run_window(context.run.tags)
    through = lake.record_pull(window)
    return dg.MaterializeResult(metadata={"account": window.account, "days": len(window.days), "pulled_through": str(through)})


def build(partitions: Partitions, *, zone: str, retries: bool) -> list[dg.AssetsDefinition]:
    """Assemble the assets of the pull.

    Args:
        partitions: the days of the accounts.
        zone: the books' time zone.
        retries: whether a step that failed is tried again; a person who waits at a command line is told at once.
    """
    by_day: dict[str, Any] = {"partitions_def": partitions.days_by_account, "backfill_policy": dg.BackfillPolicy.single_run()}
    policy = AGAIN if retries else None

    def asset(function: Callable[..., Materialized], deps: list[str], *, suite: bool = False, pool: str | None = POOL, **division: Any) -> dg.AssetsDefinition:
        specs = check_specs(function.__name__) if suite else None
        made: dg.AssetsDefinition = dg.asset(
            group_name=GROUP, kinds={"stripe", "parquet"}, deps=deps, check_specs=specs, pool=pool, retry_policy=policy, **division
        )(function)
        return made

    tables = ["balance_transactions", "payouts", "payout_members", "stripe_sources"]
    return [
        asset(balance_snapshots, []),
        asset(balance_transactions, ["balance_snapshots"], suite=True, **by_day),
        asset(payouts, ["balance_snapshots"], suite=True, **by_day),
        asset(payout_members, ["payouts"], **by_day),
        asset(stripe_sources, ["balance_snapshots"], **by_day),
        asset(pull_record, tables, pool=None, freshness_policy=nightly(zone, by_hour=3, hours=2)),
    ]
