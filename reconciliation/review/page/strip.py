"""A month as it stands -> the strip on top of every page: what differs, what waits, what was read until when."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from reconciliation.review.desk import Desk, View, is_locked
from reconciliation.review.filters import SECOND, WAITING
from reconciliation.review.page import words
from reconciliation.review.page.rendering import ROOT
from reconciliation.review.queue import add_up

ACCEPTED = ["auto_cleared", "cleared_by_reviewer", "written_off", "settled"]


def describe_strip(desk: Desk, view: View, *, here: str, owed: int) -> dict[str, Any]:
    """Return what the strip shows of a month."""
    periods = [{"period": one, "name": words.month(one), "is_locked": is_locked(desk.lake, one)} for one in desk.periods()]
    return {
        "period": view.period,
        "month_name": words.month(view.period),
        "periods": periods,
        "here": here,
        "owed": owed,
        "is_locked": view.is_locked,
        "figures": _figures(view),
        "through": _through(view, desk.settings.zone),
    }


def _figures(view: View) -> list[dict[str, Any]]:
    statement = pl.concat([month.statement for month in view.months.values()])
    shown: list[dict[str, Any]] = []
    for currency in sorted(set(statement["currency"])):
        own = statement.filter(pl.col("currency") == currency)
        difference = _sum(own, "books", "closing", "difference")
        unexplained = _sum(own, "bridge", "unexplained", "difference")
        cases = view.cases.filter((pl.col("currency") == currency) & (pl.col("leg") == "books"))
        accepted = int(cases.filter(pl.col("disposition").is_in(ACCEPTED))["amount_minor"].sum())
        suffix = f" {currency}"
        shown += [
            {"name": "Stripe − ledger", "value": words.money(difference, currency) + suffix, "small": "", "tone": "", "href": ""},
            {"name": "accepted", "value": words.money(accepted, currency), "small": "", "tone": "", "href": _address(view, "decided")},
            {"name": "awaiting", "value": words.money(difference - unexplained - accepted, currency), "small": "", "tone": "", "href": _address(view, "all")},
            {"name": "unexplained", "value": words.money(unexplained, currency), "small": "", "tone": "bad" if unexplained else "good", "href": ""},
            {
                "name": "in transit",
                "value": words.money(_sum(own, "cash", "in_transit_closing", "difference"), currency),
                "small": "",
                "tone": "",
                "href": _address(view, "all") + "&cause=payout_in_transit",
            },
        ]
    waiting, second = (view.cases.filter(pl.col("disposition").is_in(names)) for names in (WAITING, SECOND))
    shown += [_count("to decide", waiting, _address(view, "all")), _count("for a second person", second, _address(view, "second"))]
    return [*shown, _failed(view)]


def _sum(statement: pl.DataFrame, section: str, line: str, column: str) -> int:
    return int(statement.filter((pl.col("section") == section) & (pl.col("line") == line))[column].fill_null(0).sum())


def _count(name: str, cases: pl.DataFrame, href: str) -> dict[str, Any]:
    sums = [f"{words.money(row['gross_minor'], row['currency'])} {row['currency']}" for row in add_up(cases).to_dicts()]
    return {"name": name, "value": f"{cases.height:,}", "small": "; ".join(sums), "tone": "", "href": href}


def _failed(view: View) -> dict[str, Any]:
    """Count the proofs of the month that failed, and balances that nothing explains."""
    failed = sum(proof["result"] == "failed" for month in view.months.values() for proof in month.facts.get("completeness", []))
    for month in view.months.values():
        lines = month.statement.filter((pl.col("section") == "bridge") & (pl.col("line") == "unexplained"))
        failed += int((lines["difference"].fill_null(0) != 0).sum())
    return {
        "name": "controls failed",
        "value": str(failed),
        "small": "",
        "tone": "bad" if failed else "good",
        "href": f"{ROOT}/files?month={view.period}" if failed else "",
    }


def _through(view: View, zone: ZoneInfo) -> str:
    facts = next(iter(view.months.values())).facts
    known = facts.get("complete_through", {})
    parts = []
    if known.get("stripe"):
        parts.append(f"Stripe through {words.moment(datetime.fromisoformat(known['stripe']).astimezone(zone))}")
    for name, what in (("ledger", "ledger lines through"), ("bank", "bank lines through")):
        if known.get(name):
            parts.append(f"{what} {words.day(datetime.fromisoformat(known[name]).date())}")
    cut_off = words.day(datetime.fromisoformat(facts["cut_off_on"]).date())
    return f"Cut-off {cut_off}. Last data: " + (", ".join(parts) or "none") + "."


def _address(view: View, tab: str) -> str:
    return f"{ROOT}/?month={view.period}&tab={tab}"
