"""Breaks as the last run left them + the log -> breaks as they stand now, for the queue: decided a minute ago, gone a minute ago.

Only what the next run will find as well is shown: decisions of this month about a break with exactly these members (its id says so) and this amount.
Everything finer, a break that changed under a decision or a match that takes items away, is the run's work (`review.effects`).
"""

from collections.abc import Sequence
from typing import Any

import polars as pl

from reconciliation.review.decide import disposition_of
from reconciliation.review.log import Entry
from reconciliation.review.standing import Standing, find_standings
from reconciliation.review.vocabulary import BREAK_DECISIONS, CHANGE_CAUSE, MATCH

COLUMNS = {
    "break_id": pl.String, "amount_minor": pl.Int64, "disposition": pl.String, "cause": pl.String, "nature": pl.String, "prepared_by": pl.String,
    "prepared_at": pl.String, "approved_by": pl.String, "approved_at": pl.String, "decision_reason": pl.String,
}  # fmt: skip
DECIDED = [name for name in COLUMNS if name not in ("break_id", "amount_minor")]


def apply_since(breaks: pl.DataFrame, entries: Sequence[Entry], *, period: str) -> pl.DataFrame:
    """Give breaks what was decided about them since the month was computed.

    Args:
        breaks: `Break`, with or without the columns of decisions.
        entries: the verified log.
        period: the month.

    Returns:
        The breaks with `prepared_by`, `prepared_at`, `approved_by`, `approved_at`, `decision_reason` and what the last decision makes of the rest.
    """
    known = breaks.with_columns(pl.lit("").alias(name) for name in DECIDED if name not in breaks.columns)
    standings = [one for one in find_standings(entries).values() if one.entry.body.get("period") == period]
    rows = [row for one in standings if one.entry.kind in BREAK_DECISIONS for row in _decided(one)]
    last = pl.DataFrame(rows, schema=COLUMNS, orient="row").unique(["break_id", "amount_minor"], keep="last", maintain_order=True)
    placed = known.join(last, on=["break_id", "amount_minor"], how="left", suffix="_now", maintain_order="left")
    merged = placed.with_columns(pl.coalesce(pl.col(f"{name}_now"), pl.col(name)).alias(name) for name in DECIDED).select(known.columns)
    return _matched(merged, [one for one in standings if one.entry.kind == MATCH and one.ending is None])


def _decided(standing: Standing) -> list[tuple[Any, ...]]:
    """Return a row for each break of a decision; one that was undone or sent back leaves the break to be decided."""
    entry, approval = standing.entry, standing.approval
    who = (entry.by, _moment(entry), approval.by if approval else "", _moment(approval) if approval else "", entry.body["reason"])
    rows: list[tuple[Any, ...]] = []
    for one in entry.body["shown"]:
        cause, nature = (entry.body["cause"], entry.body["nature"]) if entry.kind == CHANGE_CAUSE else (one["cause"], one["nature"])
        key = (one["break_id"], one["amount_minor"])
        if standing.ending is not None:
            rows.append((*key, "needs_review", one["cause"], one["nature"], "", "", "", "", ""))
        elif standing.state == "awaiting":
            rows.append((*key, "awaiting_second", cause, nature, *who))
        else:
            rows.append((*key, disposition_of(entry.kind, kind=one["kind"], cause=cause), cause, nature, *who))
    return rows


def _matched(breaks: pl.DataFrame, matches: Sequence[Standing]) -> pl.DataFrame:
    """Mark breaks all of whose items were matched by hand; the run makes the match, and shows what it leaves over."""
    if not matches:
        return breaks
    rows = [(row[0], row[1], one.state == "awaiting", one.entry.by, one.entry.body["reason"]) for one in matches for row in one.entry.body["members"]]
    members = pl.DataFrame(rows, schema={"leg": pl.String, "item_id": pl.String, "is_waiting": pl.Boolean, "by": pl.String, "why": pl.String}, orient="row")
    items = breaks.select("break_id", "leg", item_id="item_ids").explode("item_id", empty_as_null=False)
    judged = items.join(members.unique(["leg", "item_id"], keep="last"), on=["leg", "item_id"], how="left").group_by("break_id").agg(
        is_whole=pl.col("by").is_not_null().all(), is_waiting=pl.col("is_waiting").any(), by=pl.col("by").max(), why=pl.col("why").max()
    )  # fmt: skip
    whole = judged.filter("is_whole").with_columns(state=pl.when("is_waiting").then(pl.lit("awaiting_second")).otherwise(pl.lit("settled")))
    placed = breaks.join(whole, on="break_id", how="left", maintain_order="left")
    return placed.with_columns(
        disposition=pl.coalesce("state", "disposition"), prepared_by=pl.coalesce("by", "prepared_by"), decision_reason=pl.coalesce("why", "decision_reason")
    ).select(breaks.columns)


def _moment(entry: Entry) -> str:
    return f"{entry.at:%Y-%m-%dT%H:%M:%SZ}"
