"""Event log + records -> the truth: what is open at each month's end and why, and what belongs together.

An oracle: it sees everything, the future included. A posting that will come by itself is timing and one that never comes
is missing, though at the cut-off nobody could tell them apart. Nothing here is read by a recorder.
"""

from dataclasses import dataclass

import polars as pl

from reconciliation.simulation import stories
from reconciliation.simulation.bank_recorder import BankRecord
from reconciliation.simulation.decidable import with_decidable
from reconciliation.simulation.events import EventLog, story_transactions
from reconciliation.simulation.horizon import local_day
from reconciliation.simulation.ledger_recorder import CLEARING, LedgerRecord, opening_payouts

ITEM_COLUMNS = ("period", "leg", "item", "cause", "nature", "is_true_exception", "story", "side", "amount_minor")
NATURES = {
    "timing": "timing",
    "payout_in_transit": "timing",
    "payout_returned": "timing",
    "accrual_release": "timing",
    "reserve": "timing",
    "dispute_held": "reclass",
    "dispute_won": "reclass",
    "wrong_account": "reclass",
    "dispute_fee": "entry",
    "fx": "entry",
    "rounding": "entry",
    "missing_posting": "entry",
    "unrecorded_refund": "entry",
    "unrecorded_dispute": "entry",
    "duplicate_posting": "correction",
    "wrong_amount": "correction",
    "reversed_sign": "correction",
    "unknown_entry": "correction",
    "wrong_period": "correction",
    "double_charge": "claim",
    "missing_settlement": "claim",
    "opening_difference": "",
}
TRUE_EXCEPTIONS = frozenset(
    (
        "missing_posting",
        "unrecorded_refund",
        "unrecorded_dispute",
        "wrong_account",
        "duplicate_posting",
        "wrong_amount",
        "reversed_sign",
        "unknown_entry",
        "wrong_period",
        "double_charge",
        "missing_settlement",
    )
)


@dataclass(frozen=True)
class Truth:
    """The truth.

    Attributes:
        items: one row an item that is not plainly matched at the end of `period` (ITEM_COLUMNS).
        matches: leg, stripe_item, other_item, period, decidable: an edge that is true; period: the first month in which all of the match is there.
        pairs: leg, first_item, second_item, period: members of one side that belong together.
        story_items: story, leg, item, description: where each story is found.
    """

    items: pl.DataFrame
    matches: pl.DataFrame
    pairs: pl.DataFrame
    story_items: pl.DataFrame


def tell_truth(log: EventLog, ledger: LedgerRecord, bank: BankRecord) -> Truth:
    """Say what is true of every item, month by month."""
    components = with_story(log, _components(log)).join(ledger.claims.select("item", "group", "slip"), on="item", how="left", maintain_order="left")
    lines = ledger.lines.filter((pl.col("account") == CLEARING) & pl.col("delivered").is_not_null())
    groups = _groups(components, lines, ledger)
    members = _members(log, components, lines)
    periods = log.horizon.periods
    items = [table for period in periods for table in (_open_books(log, members, groups, period), _opening_item(log, ledger, period), _open_cash(log, period))]
    matches, pairs = _edges(groups)
    matches = with_decidable(log, ledger, matches)
    cash_matches, cash_pairs = _cash_edges(log, bank)
    every = pl.concat(items).sort("period", "leg", "item")
    return Truth(every, pl.concat([matches, cash_matches]), pl.concat([pairs, cash_pairs]), _story_items(log, members, bank))


def _components(log: EventLog) -> pl.DataFrame:
    """Split the months' transactions (and payouts under way at go-live) into components."""
    under_way = opening_payouts(log).filter("is_open_in_books")["transaction_id"].implode()
    in_months = (pl.col("created") >= log.horizon.start) & (pl.col("local_on") <= log.horizon.last_on)
    rows = log.transactions.filter(in_months | pl.col("transaction_id").is_in(under_way))
    period = pl.max_horizontal(log.horizon.calendar.period_of_day("local_on"), pl.lit(log.horizon.periods[0]))
    shared = {
        "transaction_id": pl.col("transaction_id"),
        "kind": pl.col("kind"),
        "period": period,
        "source_id": pl.col("source_id"),
        "local_on": pl.col("local_on"),
    }
    gross = rows.filter((pl.col("amount_minor") != 0) | (pl.col("fee_minor") == 0)).select(
        item=pl.col("transaction_id") + "/gross", component=pl.lit("gross"), amount_minor="amount_minor", **shared
    )
    fee = rows.filter(pl.col("fee_minor") != 0).select(
        item=pl.col("transaction_id") + "/fee", component=pl.lit("fee"), amount_minor=-pl.col("fee_minor"), **shared
    )
    return pl.concat([gross, fee])


def with_story(log: EventLog, components: pl.DataFrame) -> pl.DataFrame:
    """Add the story of each component's transaction; the fee of a gross-posted charge has none, its journal pays it."""
    told = components.join(story_transactions(log), on="transaction_id", how="left", maintain_order="left").with_columns(pl.col("story").fill_null(""))
    in_journal = (pl.col("kind") == "charge") & (pl.col("component") == "fee") & (pl.col("story") != stories.NET_CHANNEL)
    return told.with_columns(story=pl.when(in_journal).then(pl.lit("")).otherwise("story"))


def _members(log: EventLog, components: pl.DataFrame, lines: pl.DataFrame) -> pl.DataFrame:
    """Put both sides in one table: side, item, group, period (when the item is there), dated (its own month), amount, open_cause, story."""
    stripe = (
        components.with_columns(open_cause=_component_cause())
        .with_columns(_second_charges(log))
        .select(
            pl.lit("stripe").alias("side"),
            "item",
            "group",
            "period",
            pl.col("period").alias("dated"),
            "amount_minor",
            "open_cause",
            "story",
            "kind",
            "source_id",
            "transaction_id",
        )
    )
    cause = (
        pl.when(pl.col("role") == "duplicate")
        .then(pl.lit("duplicate_posting"))
        .when(pl.col("kind") == "accrual")
        .then(pl.lit("accrual_release"))
        .when(pl.col("kind") == "unknown")
        .then(pl.lit("unknown_entry"))
        .when(pl.col("group").is_null())
        .then(pl.lit("reversed_sign"))
        .otherwise(pl.lit("timing"))
    )
    ledger = lines.select(
        pl.lit("ledger").alias("side"),
        pl.col("document").alias("item"),
        "group",
        pl.col("delivered").alias("period"),
        pl.col("period").alias("dated"),
        "amount_minor",
        cause.alias("open_cause"),
        "story",
        "kind",
        pl.lit(None, pl.String).alias("source_id"),
        pl.lit(None, pl.String).alias("transaction_id"),
    )
    return pl.concat([stripe, ledger])


def _component_cause() -> pl.Expr:
    """Name why a component is open while its group is not complete; disputes and payouts are told by the day (`_as_of`)."""
    kind, alone = pl.col("kind"), pl.col("group").is_null()
    return (
        pl.when(pl.col("slip").is_in(["wrong_account", "reversed_sign"]))
        .then("slip")
        .when((kind == "charge") & alone)
        .then(pl.lit("missing_posting"))
        .when((kind == "refund") & alone)
        .then(pl.lit("unrecorded_refund"))
        .when(kind == "dispute")
        .then(pl.when(pl.col("component") == "fee").then(pl.lit("dispute_fee")).otherwise(pl.lit("dispute_held")))
        .when(kind == "dispute_won")
        .then(pl.lit("dispute_won"))
        .when(kind == "payout")
        .then(pl.lit("payout_in_transit"))
        .when(kind == "payout_failure")
        .then(pl.lit("payout_returned"))
        .when(kind == "reserve")
        .then(pl.lit("reserve"))
        .otherwise(pl.lit("timing"))
    )


def _second_charges(log: EventLog) -> pl.Expr:
    seconds = log.charges.filter("is_second")["transaction_id"].implode()
    in_journal = pl.col("group").str.starts_with("jnl|").fill_null(value=False)
    return pl.when(pl.col("transaction_id").is_in(seconds) & ~in_journal).then(pl.lit("double_charge")).otherwise("open_cause").alias("open_cause")


def _groups(components: pl.DataFrame, lines: pl.DataFrame, ledger: LedgerRecord) -> pl.DataFrame:
    """Say of each group: the month in which it is complete (null while a line is yet to come), its difference and why it has one."""
    stripe = (
        components.filter(pl.col("group").is_not_null())
        .group_by("group")
        .agg(stripe=pl.col("amount_minor").sum(), stripe_items=pl.col("item").sort(), stripe_period=pl.col("period").max())
    )
    books = (
        lines.filter(pl.col("group").is_not_null())
        .group_by("group")
        .agg(
            ledger=pl.col("amount_minor").sum(),
            documents=pl.col("document").sort(),
            ledger_period=pl.col("delivered").max(),
            dated=pl.col("period").min(),
            has_reference=pl.col("has_reference").all(),
        )
    )
    wanted_lines = ledger.lines.filter(pl.col("group").is_not_null() & (pl.col("account") == CLEARING)).group_by("group").agg(lines_wanted=pl.len())
    wanted_items = ledger.claims.filter(pl.col("group").is_not_null()).group_by("group").agg(items_wanted=pl.len(), slip=pl.col("slip").first())
    groups = wanted_lines.join(wanted_items, on="group", how="full", coalesce=True).join(stripe, on="group", how="left").join(books, on="group", how="left")
    empty = pl.lit([], dtype=pl.List(pl.String))
    groups = groups.with_columns(
        pl.col("lines_wanted", "items_wanted", "stripe", "ledger").fill_null(0),
        pl.col("slip").fill_null(""),
        pl.col("stripe_items").fill_null(empty),
        pl.col("documents").fill_null(empty),
    )
    all_there = (pl.col("documents").list.len() == pl.col("lines_wanted")) & (pl.col("stripe_items").list.len() == pl.col("items_wanted"))
    complete = pl.when(all_there).then(pl.max_horizontal("stripe_period", "ledger_period"))
    two_sided = (pl.col("lines_wanted") > 0) & (pl.col("items_wanted") > 0)
    return groups.with_columns(
        complete=complete, two_sided=two_sided, difference=pl.when(two_sided).then(pl.col("stripe") - pl.col("ledger")).otherwise(0)
    ).sort("group")


def _explained(items: pl.DataFrame, period: str, leg: str) -> pl.DataFrame:
    nature = pl.col("cause").replace_strict(NATURES, return_dtype=pl.String)
    told = items.with_columns(period=pl.lit(period), leg=pl.lit(leg), nature=nature, is_true_exception=pl.col("cause").is_in(sorted(TRUE_EXCEPTIONS)))
    return told.select(*ITEM_COLUMNS)


def _open_books(log: EventLog, members: pl.DataFrame, groups: pl.DataFrame, period: str) -> pl.DataFrame:
    there = members.filter(pl.col("period") <= period).join(groups.select("group", "complete"), on="group", how="left")
    alone = there.filter(pl.col("complete").is_null() | (pl.col("complete") > period))
    done = groups.filter((pl.col("complete") <= period) & (pl.col("difference") != 0))
    cause = (
        pl.when(pl.col("slip") == "wrong_amount")
        .then(pl.lit("wrong_amount"))
        .when(pl.col("group").is_in(_foreign_groups(log, members).implode()))
        .then(pl.lit("fx"))
        .otherwise(pl.lit("rounding"))
    )
    named = members.filter((pl.col("story") != "") & pl.col("group").is_not_null()).group_by("group").agg(story=pl.col("story").first())
    residual = done.join(named, on="group", how="left").select(
        item="residual:" + pl.col("stripe_items").list.join(";") + ";" + pl.col("documents").list.join(";"),
        cause=cause,
        story=pl.col("story").fill_null(""),
        side=pl.lit("residual"),
        amount_minor="difference",
    )
    across = groups.filter((pl.col("complete") == period) & (pl.col("dated") < pl.col("stripe_period"))).join(named, on="group", how="left")
    early = across.select(
        item=pl.col("documents").list.join(";"),
        cause=pl.lit("wrong_period"),
        story=pl.col("story").fill_null(""),
        side=pl.lit("match"),
        amount_minor=pl.lit(0, pl.Int64),
    )
    columns = ("item", "cause", "story", "side", "amount_minor")
    return _explained(pl.concat([_as_of(log, alone, period).select(*columns), residual, early]), period, "books")


def _opening_item(log: EventLog, ledger: LedgerRecord, period: str) -> pl.DataFrame:
    """Return what the ledger opened with and no open item explains; nothing where it is zero."""
    story = stories.OPENING if log.options.stories else ""
    row = {"item": "opening:1050", "cause": "opening_difference", "story": story, "side": "opening", "amount_minor": -ledger.opening_difference_minor}
    return _explained(
        pl.DataFrame([row] if ledger.opening_difference_minor else [], schema=dict.fromkeys(row, pl.String) | {"amount_minor": pl.Int64}), period, "books"
    )


def _foreign_groups(log: EventLog, members: pl.DataFrame) -> pl.Series:
    """Return the groups that hold a converted charge or refund."""
    foreign = pl.concat([frame.filter(pl.col("presentment_currency") != log.options.currency).select("transaction_id") for frame in (log.charges, log.refunds)])
    return members.join(foreign, on="transaction_id", how="semi")["group"].drop_nulls().unique().sort()


def _as_of(log: EventLog, alone: pl.DataFrame, period: str) -> pl.DataFrame:
    """Give open items the cause that holds at the cut-off."""
    last = log.horizon.calendar.last_day(period)
    disputes = log.disputes.with_columns(local_day("closed", log.horizon.calendar).alias("closed_on"))
    lost = disputes.filter(~pl.col("is_won") & (pl.col("closed_on") <= last))["withdrawn_id"].implode()
    never = (pl.col("kind") == "dispute") & pl.col("group").is_null() & pl.col("transaction_id").is_in(lost)
    arrived = log.payouts.filter(pl.col("arrived_on") <= last)["payout_id"].implode()
    lost_payouts = log.payouts.filter("is_lost")["payout_id"].implode()
    payout = (pl.col("side") == "stripe") & (pl.col("kind") == "payout") & (pl.col("open_cause") == "payout_in_transit")
    cause = (
        pl.when(never)
        .then(pl.lit("unrecorded_dispute"))
        .when(payout & pl.col("source_id").is_in(lost_payouts))
        .then(pl.lit("missing_settlement"))
        .when(payout & pl.col("source_id").is_in(arrived))
        .then(pl.lit("timing"))
        .otherwise("open_cause")
    )
    return alone.with_columns(cause=cause)


def _edges(groups: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    complete = groups.filter(pl.col("complete").is_not_null())
    two = complete.filter("two_sided").explode("stripe_items", empty_as_null=True, keep_nulls=True).explode("documents", empty_as_null=True, keep_nulls=True)
    matches = two.select(
        pl.lit("books").alias("leg"),
        pl.col("stripe_items").alias("stripe_item"),
        pl.col("documents").alias("other_item"),
        pl.col("complete").alias("period"),
        "group",
        "slip",
    )
    one = complete.filter(~pl.col("two_sided")).with_columns(both=pl.concat_list("stripe_items", "documents"))
    pairs = one.select(leg=pl.lit("books"), first_item=pl.col("both").list.get(0), second_item=pl.col("both").list.get(1, null_on_oob=True), period="complete")
    return matches.sort("stripe_item", "other_item"), pairs.sort("first_item")


def _open_cash(log: EventLog, period: str) -> pl.DataFrame:
    last = log.horizon.calendar.last_day(period)
    under_way = (pl.col("created") >= log.horizon.start) | (pl.col("arrived_on") >= log.horizon.first_on)
    payouts = log.payouts.filter(under_way & (pl.col("local_on") <= last)).with_columns(local_day("fails_at", log.horizon.calendar).alias("failed_on"))
    waiting = payouts.filter((pl.col("arrived_on").is_null() | (pl.col("arrived_on") > last)) & (pl.col("failed_on").is_null() | (pl.col("failed_on") > last)))
    cause = pl.when("is_lost").then(pl.lit("missing_settlement")).otherwise(pl.lit("payout_in_transit"))
    return _explained(
        waiting.select(item="payout_id", cause=cause, story=pl.col("story").replace(stories.TWO_LEGS, ""), side=pl.lit("stripe"), amount_minor="amount_minor"),
        period,
        "cash",
    )


def _cash_edges(log: EventLog, bank: BankRecord) -> tuple[pl.DataFrame, pl.DataFrame]:
    lines = bank.lines.filter(pl.col("payout_id").is_not_null())
    reference = pl.when(pl.col("end_to_end") == "NOTPROVIDED").then("servicer_reference").otherwise("end_to_end")
    matches = lines.select(leg=pl.lit("cash"), stripe_item="payout_id", other_item=reference, period="period", decidable=pl.lit(value=True)).sort("stripe_item")
    failed = log.payouts.filter(pl.col("fails_at").is_not_null()).with_columns(local_day("fails_at", log.horizon.calendar).alias("failed_on"))
    failed = failed.filter((pl.col("created") >= log.horizon.start) & (pl.col("failed_on") <= log.horizon.last_on)).sort("payout_id")
    pairs = failed.select(
        leg=pl.lit("cash"), first_item="payout_id", second_item=pl.col("payout_id") + "/returned", period=log.horizon.calendar.period_of_day("failed_on")
    )
    return matches, pairs


def _story_items(log: EventLog, members: pl.DataFrame, bank: BankRecord) -> pl.DataFrame:
    books = members.filter(pl.col("story") != "").select("story", pl.lit("books").alias("leg"), "item")
    cash = log.payouts.filter((pl.col("story") != "") & (pl.col("local_on") <= log.horizon.last_on)).select(
        "story", pl.lit("cash").alias("leg"), pl.col("payout_id").alias("item")
    )
    aside = bank.lines.filter(pl.col("story") == stories.SET_ASIDE).select("story", pl.lit("cash").alias("leg"), pl.col("servicer_reference").alias("item"))
    opening = opening_payouts(log) if log.options.stories else opening_payouts(log).clear()
    under_way = opening.select(pl.lit(stories.OPENING).alias("story"), pl.lit("cash").alias("leg"), pl.col("payout_id").alias("item"))
    told = pl.concat([books, cash, aside, under_way]).unique().sort("story", "leg", "item")
    return told.with_columns(description=pl.col("story").replace_strict(stories.STORIES, return_dtype=pl.String))
