"""Rows of frames -> what templates show: text, escaped by the template engine, nothing computed there.

Every value of a template is text or a number that was written here; templates escape all of it.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import polars as pl

from reconciliation.money import currency_exponent
from reconciliation.review.case import OWN, SIDES, Case, net_by_side, tell_timeline
from reconciliation.review.page import words

HERE = Path(__file__).parent
ROOT = "/review"
"""Where the page is mounted; its addresses begin with it."""
Row = Mapping[str, Any]
DASHBOARD = "https://dashboard.stripe.com/balance/history?search="
EMPTY_SIDE = {"stripe": "Nothing at Stripe.", "ledger": "No posting.", "bank": "No bank line."}
NATURE_DEFAULT = ("", "")


@cache
def templates() -> jinja2.Environment:
    """Return the template engine: everything is escaped, and a name that does not exist is an error."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )


def render(template: str, values: Row) -> str:
    """Render a template."""
    return templates().get_template(template).render({"root": ROOT, **values})


def show_case(row: Row, *, href: str = "", digest: str = "") -> dict[str, Any]:
    """Write a case (`QueueCase`) as the queue shows it; with the digest of what is shown it can be decided."""
    nature = _nature(row)
    share = round(row["probability_true_exception"] * 100, 1)
    return {
        "break_id": row["break_id"], "pick": f"{row['break_id']}:{digest}" if digest else "", "href": href,
        "at_risk": words.money(row["money_at_risk_minor"], row["currency"]), "amount": words.money(row["amount_minor"], row["currency"]),
        "net_minor": row["amount_minor"], "places": currency_exponent(row["currency"]), "currency": row["currency"], "kind": words.kind(row["kind"]),
        "cause": words.cause(row["cause"]), "nature": words.nature(nature), "nature_code": nature or "unknown", "nature_why": words.NATURES.get(nature, NATURE_DEFAULT)[1],
        "confidence": row["confidence"], "confidence_why": f"{share:.1f} of 100 cases like this one are true exceptions", "age": row["age_days"],
        "counterparty": row["counterparty"], "reference": row["reference"] or row["memo"], "stripe_on": words.day(row["stripe_on"]),
        "ledger_on": words.day(row["ledger_on"]), "document": row["document"], "origin": row["origin_period"], "prepared_by": row["prepared_by"],
        "status": words.status(row["disposition"]), "suggested": row["suggested_action"], "decision_reason": row["decision_reason"],
        "stripe_ids": [{"id": one, "href": DASHBOARD + one} for one in row["stripe_id"].split("; ") if one],
    }  # fmt: skip


def show_sums(sums: pl.DataFrame) -> list[dict[str, Any]]:
    """Write subtotals (`Subtotal`) by currency."""
    return [
        {
            "currency": row["currency"],
            "cases": row["cases"],
            **{
                name: words.money(row[column], row["currency"])
                for name, column in (("net", "net_minor"), ("gross", "gross_minor"), ("at_risk", "money_at_risk_minor"))
            },
        }
        for row in sums.to_dicts()
    ]


def show_root(row: Row, *, href: str, view: str, is_only_book: bool) -> dict[str, Any]:
    """Write a root cause (`RootCause`)."""
    return {
        "href": href, "view": view, "cases": row["cases"], "currency": row["currency"], "book": "" if is_only_book else row["book"],
        "at_risk": words.money(row["money_at_risk_minor"], row["currency"]), "net": words.money(row["net_minor"], row["currency"]),
        "gross": words.money(row["gross_minor"], row["currency"]), "kind": words.kind(row["kind"]), "cause": words.cause(row["cause"]),
        "nature": words.nature(_nature(row)), "nature_code": _nature(row) or "unknown", "nature_why": words.NATURES.get(_nature(row), NATURE_DEFAULT)[1],
        "oldest": row["oldest_days"],
    }  # fmt: skip


def show_sides(case: Case) -> list[dict[str, Any]]:
    """Write the evidence of a case side by side."""
    sums, shown = net_by_side(case.evidence), []
    for side in SIDES:
        rows = case.evidence.filter(pl.col("side") == side).to_dicts()
        own = [row for row in rows if row["relation"] == OWN]
        total = words.money(sums[side], own[0]["currency"]) + f" {own[0]['currency']}" if own else ""
        shown.append({"name": words.side(side), "rows": [show_item(row) for row in rows], "sum": total, "nothing": EMPTY_SIDE[side]})
    return shown


def show_item(row: Row) -> dict[str, Any]:
    """Write an item: what it is in words, where it was read, what it is matched with."""
    detail = [row["counterparty"], row["reference"], row["document"], row["description"] if row["side"] != "stripe" else "", _place(row), row["poster"]]
    is_other = row["presentment_currency"] not in (None, "", row["currency"])
    other = words.money(row["presentment_amount_minor"], row["presentment_currency"]) if is_other else ""
    return {
        "item_id": row["item_id"], "date": words.day(row["date"]), "what": _what(row), "detail": " · ".join(dict.fromkeys(part for part in detail if part)),
        "is_own": row["relation"] == OWN, "relation": row["relation"], "match": "matched" if row["match_id"] else "open", "why": row["evidence"] or "",
        "amount": words.money(row["amount_minor"], row["currency"]), "other": f"{other} {row['presentment_currency']}" if other else "",
        "side": words.side(row["side"]), "side_code": row["side"], "counterparty": row["counterparty"], "reference": row["reference"] or row["document"],
    }  # fmt: skip


def show_timeline(case: Case) -> list[dict[str, Any]]:
    """Write what happened, oldest first."""
    return [show_item(row) for row in tell_timeline(case.evidence).to_dicts()]


def show_entry(case: Case) -> list[dict[str, str]]:
    """Write the entry a case would create as T-lines."""
    return [
        {
            "account": row["account"] if row["account"] != row["account_role"] else words.plain(row["account_role"]).capitalize(),
            "role": "no account set" if row["account"] == row["account_role"] else "",
            "debit": words.money(row["debit_minor"], row["currency"]) if row["debit_minor"] else "",
            "credit": words.money(row["credit_minor"], row["currency"]) if row["credit_minor"] else "",
        }
        for row in case.entry.to_dicts()
    ]


def show_reasons(reasons: list[str]) -> list[dict[str, str]]:
    """Write the reasons of a case, each with which way it pulls."""
    return [
        {"text": words.reason(one), "tone": "up" if one.endswith("(raises the risk)") else "down" if one.endswith("(lowers the risk)") else ""}
        for one in reasons[:3]
    ]


def _nature(row: Row) -> str:
    """Return the nature to show; an opening difference is one by its cause, whatever is done about it."""
    return str(row["nature"] or ("opening_difference" if row["cause"] == "opening_difference" else ""))


def _what(row: Row) -> str:
    if row["side"] == "stripe":
        part = f", {words.plain(row['component'])}" if row["component"] not in ("", "gross") else ""
        return words.plain(row["type"] or row["category"] or "payout").capitalize() + part
    kind = {"ledger": "Posting", "bank": "Bank line", "residual": "What a match left over", "opening": "Opening difference"}
    return f"{kind.get(row['side'], 'Item')} {row['document']}".strip()


def _place(row: Row) -> str:
    return f"{row['source_file'].rsplit('/', 1)[-1]} row {row['source_row']}" if row["source_file"] and row["side"] != "stripe" else ""
