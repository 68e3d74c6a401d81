"""Pages that are read: the queue, a case, the log, help. Each is a function from a visit to an answer."""

from typing import Any

import polars as pl
from starlette.responses import Response

from reconciliation.errors import InputsMissingError
from reconciliation.review.case import OWN, Case, describe_case
from reconciliation.review.desk import View
from reconciliation.review.filters import ROWS_A_PAGE, TABS, Filters, filter_cases, read_filters
from reconciliation.review.page import words
from reconciliation.review.page.actions import ACTIONS, SECOND
from reconciliation.review.page.owed import count_owed
from reconciliation.review.page.rendering import ROOT, show_case, show_entry, show_item, show_reasons, show_root, show_sides, show_sums, show_timeline
from reconciliation.review.page.strip import describe_strip
from reconciliation.review.page.telling import about_case, tell_entry, tell_notice
from reconciliation.review.page.visit import Visit
from reconciliation.review.queue import AGE_BUCKETS, OLDEST, ROOT_CAUSES_FROM, MonthTables, add_up, list_root_causes
from reconciliation.review.reviewers import SESSION_MINUTES
from reconciliation.schemas.breaks import CAUSES

TAB_NAMES = {"mine": "Mine", "second": "Second pair of eyes", "root": "Root causes", "all": "All", "decided": "Decided", "sample": "Audit sample"}
NOTHING = {
    "second": "Nothing waits for a second person.",
    "decided": "Nothing was decided yet.",
    "sample": "Nothing was accepted by policy this month, so there is nothing to draw a sample from.",
}
KEYS = [
    ("j / k", "next and previous row, or case"), ("Enter", "open the case"), ("x", "tick the row"), ("a", "accept the explanation"), ("c", "change the cause"),
    ("w", "write off"), ("n", "note"), ("/", "search"), ("?", "this page"),
]  # fmt: skip
LOG_ROWS = 300


def queue_page(visit: Visit) -> Response:
    """Show the queue of a month: root causes, or cases, as the address asks."""
    query = visit.request.query_params
    asked = read_filters(query)
    view = visit.desk.view(query.get("month", "") or visit.desk.current_period(), visit.entries)
    counts = {tab: _kept(visit, view, Filters(tab=tab)).height for tab in TABS}
    if not asked.tab:
        asked = read_filters({**query, "tab": "root" if counts["root"] >= ROOT_CAUSES_FROM and not asked.is_narrow else "all"})
    cases = _kept(visit, view, asked)
    tabs = [
        {"name": name, "count": counts[tab], "is_here": tab == asked.tab, "href": f"{ROOT}/?month={view.period}&tab={tab}"} for tab, name in TAB_NAMES.items()
    ]
    values = {
        **describe_strip(visit.desk, view, here="queue", owed=count_owed(view)),
        "tabs": tabs,
        "filters": asked,
        "choices": _choices(view.cases),
        "more_open": any(
            getattr(asked, name)
            for name in ("book", "currency", "age", "origin", "side", "material", "mine", "journal", "counterparty", "payout", "account", "poster")
        ),
        "materiality": f"{visit.desk.settings.close.materiality} {visit.desk.settings.entity.currency}",
        "view": f"month={view.period}&{asked.address()}",
        "notice": tell_notice(visit.entries, query),
        "empty": NOTHING.get(asked.tab, "Nothing fits this filter." if asked.is_narrow else "Nothing needs a decision."),
        "sums": show_sums(add_up(cases)),
    }
    if asked.tab == "root":
        return visit.page("roots.html", {**values, "roots": _roots(view, cases, asked)})
    can_pick = not view.is_locked and asked.tab != "decided"
    listed = cases.head(ROWS_A_PAGE)
    digests = view.digests(listed["break_id"]) if can_pick else {}
    rows = [show_case(row, href=case_address(view, row["break_id"], asked), digest=digests.get(row["break_id"], "")) for row in listed.to_dicts()]
    return visit.page("cases.html", {**values, "cases": rows, "left_out": max(0, cases.height - ROWS_A_PAGE), "can_pick": can_pick})


def case_page(visit: Visit) -> Response:
    """Show one case with its evidence side by side."""
    query = visit.request.query_params
    break_id = str(visit.request.path_params["break_id"])
    asked = read_filters(query)
    view = visit.desk.view(query.get("month", "") or visit.desk.current_period(), visit.entries)
    found = view.cases.filter(pl.col("break_id") == break_id)
    if found.is_empty():
        raise InputsMissingError(f"{words.month(view.period)} has no case {break_id} any more: what it was about has changed. Look for it in the queue.")
    row = found.row(0, named=True)
    month = view.months[row["book"]]
    case = describe_case(month, break_id, visit.desk.earlier(row["book"], view.period, origin=row["origin_period"]))
    if case is None:
        raise InputsMissingError(f"{words.month(view.period)} has no case {break_id}")
    is_waiting = row["disposition"] == "awaiting_second"
    shown = show_case(row, digest="" if view.is_locked else view.digests([break_id]).get(break_id, ""))
    steps = _steps(visit, view, asked, break_id)
    here_path = f"{ROOT}/case/{break_id}"
    values = {
        **describe_strip(visit.desk, view, here="queue", owed=count_owed(view)),
        **steps,
        "row": shown,
        "sides": show_sides(case),
        "timeline": show_timeline(case),
        "left_out": case.left_out,
        "entry": show_entry(case),
        "entry_note": _entry_note(case),
        "no_entry": row["suggested_action"] or "nothing clears it by an entry.",
        "reasons": show_reasons(row["reasons"]),
        "earlier": [
            {
                "month": words.month(one["period"]),
                "cause": words.cause(one["cause"]),
                "amount": words.money(one["amount_minor"], one["currency"]),
                "status": words.status(one["disposition"]),
            }
            for one in case.earlier.to_dicts()
        ],
        "decisions": [tell_entry(entry, visit.entries) for entry in about_case(visit.entries, break_id, row["item_ids"])],
        "waits_for": f"{row['prepared_by']} prepared this; somebody else approves it." if is_waiting else "",
        "can_approve": is_waiting and row["prepared_by"] != visit.reviewer,
        "actions": ACTIONS,
        "action": None,
        "preset": "accept",
        "causes": [(name, words.cause(name)) for name in CAUSES if name != "undetermined"],
        "picks": [shown["pick"]],
        "view": f"month={view.period}&{asked.address()}",
        "reason": "",
        "needs_reason": False,
        "total_line": "",
        "notice": tell_notice(visit.entries, query),
        "here_path": here_path,
        "here_address": f"{here_path}?month={view.period}&{asked.address()}",
        "carried": [(name, value) for name, value in vars(asked).items() if value],
        "find": query.get("find", ""),
        "match_rows": _match_rows(view, case, row, query.get("find", "")),
        "unmatchable": _unmatchable(month, case),
    }
    return visit.page("case.html", values)


def log_page(visit: Visit) -> Response:
    """Show the log, the latest entry first."""
    view = visit.desk.view(visit.request.query_params.get("month", "") or visit.desk.current_period(), visit.entries)
    told = [entry for entry in reversed(visit.entries) if entry.kind not in ("session", "sign_out")]
    values = {
        **describe_strip(visit.desk, view, here="log", owed=count_owed(view)),
        "count": f"{len(visit.entries):,}",
        "head": visit.entries[-1].digest if visit.entries else "",
        "entries": [tell_entry(entry, visit.entries) for entry in told[:LOG_ROWS]],
        "notice": tell_notice(visit.entries, visit.request.query_params),
    }
    return visit.page("log.html", values)


def help_page(visit: Visit) -> Response:
    """Show the keys, the decisions and the words."""
    view = visit.desk.view(visit.request.query_params.get("month", "") or visit.desk.current_period(), visit.entries)
    settings = visit.desk.settings
    values = {
        **describe_strip(visit.desk, view, here="help", owed=count_owed(view)),
        "keys": KEYS,
        "actions": (*ACTIONS, *SECOND),
        "natures": [pair for word, pair in words.NATURES.items() if word],
        "minutes": SESSION_MINUTES,
        "limit": f"{settings.review.four_eyes_above} {settings.entity.currency}",
    }
    return visit.page("help.html", values)


def case_address(view: View, break_id: str, asked: Filters) -> str:
    """Return the address of a case that remembers the view it was opened from."""
    return f"{ROOT}/case/{break_id}?month={view.period}&{asked.address()}"


def _kept(visit: Visit, view: View, asked: Filters) -> pl.DataFrame:
    return filter_cases(view.cases, asked, reviewer=visit.reviewer, materiality_minor=visit.desk.settings.materiality_minor)


def _roots(view: View, cases: pl.DataFrame, asked: Filters) -> list[dict[str, Any]]:
    shown = []
    for row in list_root_causes(cases).to_dicts():
        narrow = asked.address(tab="all", book=row["book"], currency=row["currency"], nature=row["nature"] or "none", cause=row["cause"], kind=row["kind"])
        address = f"month={view.period}&{narrow}"
        shown.append(show_root(row, href=f"{ROOT}/?{address}", view=address, is_only_book=len(view.months) == 1))
    return shown


def _choices(cases: pl.DataFrame) -> dict[str, Any]:
    def values(column: str) -> list[str]:
        return sorted(set(cases[column]))

    return {
        "nature": [(word, pair[0]) for word, pair in words.NATURES.items() if word in values("nature")],
        "cause": sorted(((word, words.cause(word)) for word in values("cause")), key=lambda pair: pair[1]),
        "kind": sorted(((word, words.kind(word)) for word in values("kind")), key=lambda pair: pair[1]),
        "side": [(word, words.side(word)) for word in values("side")],
        "currency": values("currency"),
        "book": values("book"),
        "origin": [word for word in values("origin_period") if word],
        "age": [*(name for _, name in AGE_BUCKETS), OLDEST],
    }


def _steps(visit: Visit, view: View, asked: Filters, break_id: str) -> dict[str, Any]:
    """Find the neighbors of a case in the view it was opened from; a decision goes on to the next one."""
    order = _kept(visit, view, Filters(**{**vars(asked), "tab": asked.tab if asked.tab and asked.tab != "root" else "all"}))["break_id"].to_list()
    at = order.index(break_id) if break_id in order else -1
    before = case_address(view, order[at - 1], asked) if at > 0 else ""
    behind = case_address(view, order[at + 1], asked) if 0 <= at < len(order) - 1 else ""
    queue = f"{ROOT}/?month={view.period}&{asked.address()}"
    return {"previous": before, "next": behind, "position": f"{at + 1} of {len(order)}" if at >= 0 else "", "back": behind or queue, "after": behind or queue}


def _entry_note(case: Case) -> str:
    if case.entry.is_empty():
        return ""
    first = case.entry.row(0, named=True)
    shared = f", together with {case.shared_by - 1} other cases of this cause" if case.shared_by > 1 else ""
    return f"Part of {first['journal_id']} ({first['status']}){shared}."


def _match_rows(view: View, case: Case, row: dict[str, Any], find: str) -> list[dict[str, Any]]:
    """List what the case may be matched with: its own open items, open neighbors, and what a search finds among open items."""
    month = view.months[row["book"]]
    is_open = (pl.col("match_id").is_null() | (pl.col("relation") == OWN)) & (pl.col("leg") == row["leg"]) & pl.col("side").is_in(["stripe", "ledger", "bank"])
    near = case.evidence.join(month.open_items.select("leg", "item_id"), on=["leg", "item_id"], how="semi").filter(is_open)
    rows = [show_item(one) for one in near.to_dicts()]
    if not find.strip():
        return rows
    hits = filter_cases(view.cases, Filters(q=find, book=row["book"], currency=row["currency"]), reviewer="", materiality_minor=0).head(20)
    wanted = hits.select("leg", item_id="item_ids").explode("item_id", empty_as_null=False).filter(pl.col("leg") == row["leg"])
    found = month.items.join(wanted, on=["leg", "item_id"], how="semi").join(near, on=["leg", "item_id"], how="anti")
    blank = {"relation": "found", "match_id": None, "strategy": None, "evidence": None}
    return rows + [show_item({**one, **blank}) for one in found.filter(pl.col("side").is_in(["stripe", "ledger", "bank"])).sort("date", "item_id").to_dicts()]


def _unmatchable(month: MonthTables, case: Case) -> list[dict[str, str]]:
    """Say which matches of this month's neighborhood can be taken apart: those that share a reference with the case, or made its difference."""
    of_month = case.evidence.join(month.members.select("leg", "match_id").unique(), on=["leg", "match_id"], how="semi")
    near = of_month.filter(pl.col("relation").is_in([OWN, "same reference"]))
    told = near.group_by("match_id", maintain_order=True).agg(pl.col("evidence").first(), items=pl.len())
    return [{"match_id": one["match_id"], "words": f"{one['items']} items here are matched: {one['evidence']}."} for one in told.head(5).to_dicts()]
