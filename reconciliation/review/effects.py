"""Verified entries -> what they change in the next run: dispositions, causes, entries approved, matches made and taken apart.

A decision holds for a break whose items, amounts and kind are exactly those that were shown. A break that shares items with a decided one and is not
that break any more is `reopened`: it is shown as decided before and queued again, never silently applied or dropped.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from reconciliation.breaks.explain import PEOPLE
from reconciliation.review.decide import disposition_of
from reconciliation.review.log import Entry
from reconciliation.review.standing import Standing, find_standings
from reconciliation.review.vocabulary import (
    ACCEPT,
    BREAK_DECISIONS,
    CARRY_FORWARD,
    CHANGE_CAUSE,
    CLAIM,
    CORRECT_IN_ERP,
    KINDS,
    MATCH,
    POST_ENTRY,
    UNMATCH,
    WRITE_OFF,
)
from reconciliation.schemas.breaks import EXCEPTION_CAUSES
from reconciliation.schemas.decisions import DecidedItem, HandMatchedItem, KeptApartItem

REOPENED, AWAITING = "reopened", "awaiting_second"
_VERDICT = ["break_id", "number", "shown_id", "is_held", "disposition", *PEOPLE]


@dataclass(frozen=True)
class Decisions:
    """What people's decisions say about items.

    Attributes:
        decided: `DecidedItem`: breaks decided about, in force or not.
        by_hand: `HandMatchedItem`: matches by hand in force.
        apart: `KeptApartItem`: matches taken apart.
    """

    decided: pl.DataFrame
    by_hand: pl.DataFrame
    apart: pl.DataFrame


def decisions_in_force(entries: Sequence[Entry]) -> Decisions:
    """Return what the log says about items; entries are verified by whoever read them."""
    standings = find_standings(entries).values()
    about_breaks = [one for one in standings if one.entry.kind in BREAK_DECISIONS]
    matched = [one for one in standings if one.entry.kind == MATCH]
    apart = [one for one in standings if one.entry.kind == UNMATCH and one.state == "in_force"]
    decided = [row for one in about_breaks for row in _decided_rows(one)] + [row for one in matched if one.ending is None for row in _matched_rows(one)]
    return Decisions(
        _frame(DecidedItem, decided),
        _frame(HandMatchedItem, [row for one in matched if one.state == "in_force" for row in _hand_rows(one)]),
        _frame(KeptApartItem, [row for one in apart for row in _apart_rows(one)]),
    )


def decisive_entries(entries: Sequence[Entry], period: str) -> Sequence[Entry]:
    """Return the entries up to the last one that can change a month's package.

    Sessions, certifications and what is decided about later months come after it without changing a byte.
    """
    relevant = [entry.number for entry in entries if entry.kind in KINDS and entry.kind != "certify" and str(entry.body.get("period", period)) <= period]
    return entries[: max(relevant, default=0)]


def apply_decisions(scored: pl.DataFrame, decided: pl.DataFrame, *, period: str) -> pl.DataFrame:
    """Give open items what people decided about their breaks.

    Args:
        scored: open items with `break_id`, kind, cause, nature, disposition (the policy's) and the blank columns of `score_breaks`.
        decided: `DecidedItem`.
        period: the month; what was carried forward in another one is queued again.

    Returns:
        The same rows; disposition, cause, nature, who decided, and whether an entry is wanted and approved, as decided.
    """
    verdicts = _judge(scored, decided, period=period)
    if verdicts.is_empty():
        return scored
    own = decided.select("number", "shown_id", "leg", "item_id", "decision", decided_cause="cause", decided_nature="nature")
    placed = (
        scored.drop(PEOPLE)
        .join(verdicts.rename({"disposition": "judged"}), on="break_id", how="left", maintain_order="left")
        .join(own, on=["number", "shown_id", "leg", "item_id"], how="left", maintain_order="left")
    )
    is_held = pl.col("is_held").fill_null(value=False)
    return placed.with_columns(
        *(pl.col(name).fill_null("") for name in PEOPLE),
        disposition=pl.coalesce("judged", "disposition"),
        cause=pl.when(is_held).then("decided_cause").otherwise("cause"),
        nature=pl.when(is_held).then("decided_nature").otherwise("nature"),
        is_entry_approved=(is_held & pl.col("decision").is_in([POST_ENTRY, WRITE_OFF])).fill_null(value=False),
        is_entry_wanted=~(is_held & pl.col("decision").is_in([CLAIM, CORRECT_IN_ERP, CARRY_FORWARD])).fill_null(value=False),
    ).select(scored.columns)


def apply_to_matches(breaks: pl.DataFrame, items: pl.DataFrame, decided: pl.DataFrame, *, period: str) -> pl.DataFrame:
    """Give breaks that are matches across months, whose items are not open, what people decided about them.

    Args:
        breaks: `Break`.
        items: `Item`, for the amounts.
        decided: `DecidedItem`.
        period: the month.
    """
    across = breaks.filter(pl.col("kind") == "period_difference")
    rows = across.select("break_id", "leg", "kind", "cause", item_id="item_ids").explode("item_id", empty_as_null=False)
    verdicts = _judge(rows.join(items.select("leg", "item_id", "amount_minor"), on=["leg", "item_id"]), decided, period=period)
    if verdicts.is_empty():
        return breaks
    judged = verdicts.select("break_id", *(pl.col(name).alias(f"{name}_now") for name in ["disposition", *PEOPLE]))
    placed = breaks.join(judged, on="break_id", how="left", maintain_order="left")
    return placed.with_columns(pl.coalesce(f"{name}_now", name).alias(name) for name in ["disposition", *PEOPLE]).select(breaks.columns)


def _judge(rows: pl.DataFrame, decided: pl.DataFrame, *, period: str) -> pl.DataFrame:
    """Find the last decision that touches each break, and what it makes of it.

    Args:
        rows: `break_id, leg, item_id, amount_minor, kind, cause`.
        decided: `DecidedItem`.
        period: the month.

    Returns:
        One row per decided break: `break_id, number, shown_id, is_held, disposition` and who decided.
    """
    sizes = decided.with_columns(shown_size=pl.len().over("number", "shown_id"))
    touched = (
        rows.select("break_id", "leg", "item_id", "amount_minor", "kind", "cause", size=pl.len().over("break_id"), is_exception=_is_exception("cause").any().over("break_id"))
        .join(sizes, on=["leg", "item_id"], suffix="_then")
        .with_columns(is_same=pl.col("amount_minor") == pl.col("amount_minor_then"))
    )  # fmt: skip
    first = ["decision", "state", "kind", "kind_then", "period", "is_exception", *PEOPLE[:4], "reason"]
    grouped = touched.group_by("break_id", "number", "shown_id").agg(
        *(pl.col(name).first() for name in first),
        cause_then=pl.col("cause_then").filter(_is_exception("cause_then") | (pl.col("cause_then") == "undetermined")).first().fill_null(pl.col("cause_then").first()),
        cause=pl.col("cause").filter(_is_exception("cause")).first().fill_null(""),
        is_exact=(pl.col("is_same").sum() == pl.col("size").first()) & (pl.col("is_same").sum() == pl.col("shown_size").first()),
    )  # fmt: skip
    is_live = pl.col("state").is_in(["in_force", "awaiting"])
    last = grouped.filter(pl.col("is_exact") | is_live).sort("break_id", "number", "shown_id").unique("break_id", keep="last", maintain_order=True)
    return _pronounce(last, period=period).select(_VERDICT)


def _is_exception(column: str) -> pl.Expr:
    return pl.col(column).is_in(EXCEPTION_CAUSES)


def _pronounce(last: pl.DataFrame, *, period: str) -> pl.DataFrame:
    """Say what the last decision makes of each break."""
    in_force, is_break = pl.col("state") == "in_force", pl.col("decision") != MATCH
    is_passed = (pl.col("decision") == CARRY_FORWARD) & (pl.col("period") != period)
    has_turned = pl.col("decision").is_in([ACCEPT, CARRY_FORWARD]) & pl.col("is_exception") & ~_is_exception("cause_then")
    is_shown = pl.col("is_exact") & (pl.col("kind") == pl.col("kind_then")) & is_break
    is_held = is_shown & in_force & ~is_passed & ~has_turned
    is_waiting = (pl.col("state") == "awaiting") & (is_shown | ~is_break)
    why = (
        pl.when(pl.col("state").is_in(["sent_back", "undone"]))
        .then(pl.lit(""))
        .when(~is_break)
        .then(pl.lit("an item of the match is gone or has another amount"))
        .when(~is_shown)
        .then(pl.lit("what was shown then has changed"))
        .when(is_passed)
        .then(pl.lit("that was for the month it was decided in"))
        .otherwise(pl.format("it looks like {} now", pl.col("cause").str.replace_all("_", " ")))
    )
    before = pl.format(
        "decided before ({} by {} on {}, entry {}): {}",
        pl.col("decision").str.replace_all("_", " "), "prepared_by", pl.col("prepared_at").str.head(10), "number", "reason",
    )  # fmt: skip
    table = {"|".join(row): disposition_of(row[0], kind=row[1], cause=row[2]) for row in last.select("decision", "kind", "cause_then").unique().iter_rows()}
    held = pl.concat_str(["decision", "kind", "cause_then"], separator="|").replace_strict(
        list(table), list(table.values()), default="", return_dtype=pl.String
    )
    return last.with_columns(
        is_held=is_held,
        disposition=pl.when(is_held).then(held).when(is_waiting).then(pl.lit(AWAITING)).otherwise(pl.lit(REOPENED)),
        decision_reason=pl.when(is_held | is_waiting).then("reason").otherwise(pl.concat_str([before, why], separator="; ").str.strip_chars_end("; ")),
    )


def _decided_rows(standing: Standing) -> Iterable[dict[str, Any]]:
    entry, body = standing.entry, standing.entry.body
    people = _people(standing)
    for shown in body["shown"]:
        for item_id, amount, cause, nature in shown["items"]:
            given = {
                CHANGE_CAUSE: (body.get("cause"), body.get("nature")),
                CLAIM: (cause, "claim"),
                CORRECT_IN_ERP: (cause, "correction"),
            }.get(entry.kind, (cause, nature))
            yield {
                **people, "shown_id": shown["break_id"], "leg": shown["leg"], "item_id": item_id, "amount_minor": amount, "kind": shown["kind"],
                "cause": given[0], "nature": given[1],
            }  # fmt: skip


def _matched_rows(standing: Standing) -> Iterable[dict[str, Any]]:
    people = _people(standing)
    for leg, item_id, amount, _ in standing.entry.body["members"]:
        yield {**people, "shown_id": "", "leg": leg, "item_id": item_id, "amount_minor": amount, "kind": "", "cause": "", "nature": ""}


def _people(standing: Standing) -> dict[str, Any]:
    entry, approval, ending = standing.entry, standing.approval, standing.ending
    reason = f"{ending.kind.replace('_', ' ')} by {ending.by}: {ending.body['reason']}" if ending else entry.body["reason"]
    return {
        "number": entry.number,
        "state": standing.state,
        "decision": entry.kind,
        "period": entry.body["period"],
        "prepared_by": entry.by,
        "prepared_at": _moment(entry),
        "approved_by": approval.by if approval else "",
        "approved_at": _moment(approval) if approval else "",
        "reason": reason,
    }


def _hand_rows(standing: Standing) -> Iterable[dict[str, Any]]:
    entry, approval = standing.entry, standing.approval
    who = entry.by + (f", approved by {approval.by}" if approval else "")
    for leg, item_id, amount, _ in entry.body["members"]:
        evidence = f"matched by hand (entry {entry.number}, {who}): {entry.body['reason']}"
        yield {"number": entry.number, "leg": leg, "item_id": item_id, "amount_minor": amount, "evidence": evidence}


def _apart_rows(standing: Standing) -> Iterable[dict[str, Any]]:
    """Sides are kept apart; where a match lay on one side, every member from every other."""
    members = standing.entry.body["members"]
    is_two_sided = len({side in ("ledger", "bank") for *_, side in members}) > 1
    for leg, item_id, _, side in members:
        part = ("books" if side in ("ledger", "bank") else "stripe") if is_two_sided else item_id
        yield {"number": standing.entry.number, "leg": leg, "item_id": item_id, "part": part}


def _moment(entry: Entry) -> str:
    return entry.at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _frame(schema: Any, rows: Iterable[dict[str, Any]]) -> pl.DataFrame:
    frame: pl.DataFrame = schema.validate(pl.DataFrame(list(rows), schema=schema.create_empty().schema), cast=True)
    return frame
