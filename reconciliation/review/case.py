"""A case -> its evidence side by side: Stripe, ledger, bank; what happened around it; the entry it would create.

Neighbors are what an accountant would look up by hand: items that share a reference, the payout, or the customer, in this month and in the ones
before it, where the first of two postings or the match that left a difference stands. Lists are cut at `ROWS_MAX`, the nearest dates first, and say
how many there are.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from reconciliation.review.queue import MonthTables
from reconciliation.schemas.items import EFFECT

ROWS_MAX = 40
SIDES = ("stripe", "ledger", "bank")
OWN, REFERENCE, PAYOUT, CUSTOMER = "this case", "same reference", "same payout", "same customer"
RELATIONS = [OWN, REFERENCE, PAYOUT, CUSTOMER]
SPEAKING = ["stripe_id", "document", "invoice", "trace"]
"""Kinds of references that name one thing; a bare number or a journal's id ties too much together."""
SHOWN = [
    "leg", "item_id", "side", "relation", "date", "amount_minor", "currency", "account", "component", "category", "type", "source_id", "charge_id",
    "payout_id", "document", "source_file", "source_row", "counterparty", "reference", "description", "poster", "origin_period", "balance_transaction_id",
    "match_id", "strategy", "evidence", "presentment_amount_minor", "presentment_currency",
]  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One break with everything around it.

    Attributes:
        evidence: its own items and its neighbors: the columns of `SHOWN`; `relation` says why an item is here.
        left_out: how many neighbors are not listed.
        entry: lines of the entry it would create, for this case alone: `journal_id, account, account_role, debit_minor, credit_minor, currency, status`.
        shared_by: how many cases share that entry.
        earlier: what the same break, or one of its cause and customer, was in earlier months: `period, break_id, cause, amount_minor, currency, disposition`.
    """

    evidence: pl.DataFrame
    left_out: int
    entry: pl.DataFrame
    shared_by: int
    earlier: pl.DataFrame


def describe_case(month: MonthTables, break_id: str, earlier: list[MonthTables]) -> Case | None:
    """Describe a break of a month, or return None where the month has none of that id.

    Args:
        month: the month.
        break_id: which break.
        earlier: the months before it, the latest first.
    """
    found = month.breaks.filter(pl.col("break_id") == break_id)
    if found.is_empty():
        return None
    evidence = gather_evidence([month, *earlier], found)
    around = evidence.filter(pl.col("relation") != OWN)
    listed = pl.concat([evidence.filter(pl.col("relation") == OWN), around.head(ROWS_MAX)])
    entry, shared_by = draft_entry(month, found)
    return Case(listed, max(0, around.height - ROWS_MAX), entry, shared_by, look_back(found, earlier))


def gather_evidence(months: Sequence[MonthTables], found: pl.DataFrame) -> pl.DataFrame:
    """Gather a break's items, those of the match it comes from, and their neighbors, nearest first.

    Args:
        months: the break's month and the ones before it, the latest first; an item stands as its latest month has it.
        found: the break.
    """
    leg, day = found["leg"].item(), found["date"].item()
    own = _latest([_own_items(month, found) for month in months])
    of_own = [own.join(month.references.filter(pl.col("kind").is_in(SPEAKING)), on=["leg", "item_id"]).select("leg", "value") for month in months]
    values = pl.concat(of_own).unique()
    placed = _latest([_neighbors(month, own, values, leg) for month in months])
    order = pl.col("relation").replace_strict(RELATIONS, list(range(len(RELATIONS))), return_dtype=pl.Int64)
    distance = (pl.col("date") - pl.lit(day)).dt.total_days().abs()
    return placed.sort(order, distance, "side", "item_id").select(SHOWN)


def _neighbors(month: MonthTables, own: pl.DataFrame, values: pl.DataFrame, leg: str) -> pl.DataFrame:
    """Find what one month knows of the own items and their neighbors, each with the match that month gave it."""
    in_leg = month.items.filter(pl.col("leg") == leg)
    sharing = month.references.filter(pl.col("kind").is_in(SPEAKING)).join(values, on=["leg", "value"], how="semi").select("leg", "item_id").unique()
    by_name = pl.col("counterparty").is_in(_speaking(own, "counterparty"))
    by_charge = pl.col("charge_id").is_in(_speaking(own, "charge_id"))
    by_payout = pl.col("source_id").is_in(_speaking(own, "payout_id")) | pl.col("payout_id").is_in(_speaking(own, "source_id"))
    related = [
        month.items.join(own, on=["leg", "item_id"], how="semi").with_columns(relation=pl.lit(OWN)),
        in_leg.join(sharing, on=["leg", "item_id"], how="semi").with_columns(relation=pl.lit(REFERENCE)),
        in_leg.filter(by_charge).with_columns(relation=pl.lit(REFERENCE)),
        in_leg.filter(by_payout).with_columns(relation=pl.lit(PAYOUT)),
        _bank_lines(month, own).with_columns(relation=pl.lit(PAYOUT)),
        in_leg.filter(by_name).with_columns(relation=pl.lit(CUSTOMER)),
    ]
    first = pl.concat(related).unique(["leg", "item_id"], keep="first", maintain_order=True)
    return first.join(month.members.select("leg", "item_id", "match_id", "strategy", "evidence"), on=["leg", "item_id"], how="left")


def tell_timeline(evidence: pl.DataFrame) -> pl.DataFrame:
    """Order what happened: one row an event of the evidence, oldest first, customers' other business left out."""
    told = evidence.filter((pl.col("relation") != CUSTOMER) & pl.col("side").is_in(SIDES))
    return told.sort("date", pl.col("side").replace_strict(list(SIDES), [0, 1, 2], return_dtype=pl.Int64), "item_id")


def draft_entry(month: MonthTables, found: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    """Draft the entry of one break: the accounts of the proposed entry it is part of, with its own amount.

    Returns:
        The lines, none where no entry is proposed for it, and how many breaks the whole entry is for.
    """
    break_id, amount = found["break_id"].item(), found["amount_minor"].item()
    own = _own_items(month, found).select("leg", "item_id")
    journals = month.open_items.join(own, on=["leg", "item_id"], how="semi").filter(pl.col("journal_id") != "")["journal_id"].unique()
    of_break = month.journals.filter(pl.col("break_ids").list.contains(break_id) | pl.col("journal_id").is_in(journals.implode()))
    first = of_break.sort("journal_id", "line").filter(pl.col("journal_id") == pl.col("journal_id").first())
    signed = pl.when(pl.col("account_role") == "clearing").then(pl.lit(amount)).otherwise(-pl.lit(amount))
    lines = first.with_columns(debit_minor=pl.max_horizontal(signed, pl.lit(0)), credit_minor=pl.max_horizontal(-signed, pl.lit(0)))
    shared_by = len(first["break_ids"].to_list()[0]) if first.height else 0
    return lines.select("journal_id", "account", "account_role", "debit_minor", "credit_minor", "currency", "status", "memo"), shared_by


def look_back(found: pl.DataFrame, earlier: list[MonthTables]) -> pl.DataFrame:
    """List what became of the same break in earlier months, else of breaks of its cause and customer."""
    break_id, cause, name = (found[column].item() for column in ("break_id", "cause", "counterparty"))
    alike = (pl.col("cause") == cause) & (pl.col("counterparty") == name) if name else pl.lit(value=False)
    parts = [
        month.breaks.filter((pl.col("break_id") == break_id) | alike).select(
            pl.lit(month.period).alias("period"), "break_id", "kind", "cause", "amount_minor", "currency", "disposition"
        )
        for month in earlier
    ]
    empty = found.clear().select(pl.lit("").alias("period"), "break_id", "kind", "cause", "amount_minor", "currency", "disposition")
    return pl.concat([empty, *parts]).head(ROWS_MAX)


def net_by_side(evidence: pl.DataFrame) -> dict[str, int]:
    """Add up a case's own items per side, and their effect on the difference as `effect`."""
    own = evidence.filter(pl.col("relation") == OWN)
    sums = {side: int(own.filter(pl.col("side") == side)["amount_minor"].sum()) for side in SIDES}
    return {**sums, "effect": int(own.select(EFFECT.sum()).item() or 0)}


def _own_items(month: MonthTables, found: pl.DataFrame) -> pl.DataFrame:
    """Find a break's items in a month, and the members of the match that left them there (a residual bears its match's id)."""
    own = found.select("leg", item_id="item_ids").explode("item_id", empty_as_null=False)
    matches = pl.concat([found.select("leg", "match_id"), own.select("leg", match_id="item_id")]).filter(pl.col("match_id") != "")
    through = month.members.join(matches, on=["leg", "match_id"], how="semi").select("leg", "item_id")
    return month.items.join(pl.concat([own, through]).unique(), on=["leg", "item_id"], how="semi")


def _latest(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Put months together, the latest first: an item that was carried on is known once, as it stands now."""
    return pl.concat(frames, how="diagonal_relaxed").unique(["leg", "item_id"], keep="first", maintain_order=True)


def _bank_lines(month: MonthTables, own: pl.DataFrame) -> pl.DataFrame:
    """Find the bank lines of the payouts that a case's items are, or are in, through the match of the cash leg."""
    payouts = pl.concat([own["payout_id"], own["source_id"]]).unique()
    paid = month.items.filter((pl.col("leg") == "cash") & (pl.col("side") == "stripe") & pl.col("payout_id").is_in(payouts.filter(payouts != "").implode()))
    matches = month.members.join(paid, on=["leg", "item_id"], how="semi").select("leg", "match_id").unique()
    lines = month.members.join(matches, on=["leg", "match_id"], how="semi").select("leg", "item_id")
    return month.items.filter(pl.col("side") == "bank").join(lines, on=["leg", "item_id"], how="semi")


def _speaking(own: pl.DataFrame, column: str) -> pl.Series:
    return own.filter(pl.col(column) != "")[column].unique().implode()
