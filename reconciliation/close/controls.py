"""What is known of a month -> its controls, each with expected, actual and result (`controls.csv`).

A control passes exactly if actual is expected. `not performed` says that what it needs was not there, and why; an auditor reads that first.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import polars as pl

from reconciliation.money import format_minor

if TYPE_CHECKING:
    from reconciliation.close.package import BookState

COLUMNS = ["control", "book", "currency", "scope", "expected", "actual", "result", "evidence"]
PASSED, FAILED, NOT_PERFORMED = "passed", "failed", "not performed"


def list_controls(state: "BookState") -> pl.DataFrame:
    """List the controls of a month of a book, failed ones included; ordered by what they are about."""
    book = str(state.facts["book"])
    rows = [*_statement_controls(state), *_balance_controls(state), *_item_controls(state), *_proofs(state.facts), *_inputs(state.facts)]
    return pl.DataFrame([{**row, "book": book} for row in rows], schema=dict.fromkeys(COLUMNS, pl.String))


def _control(control: str, *, expected: object, actual: object, evidence: str, currency: str = "", scope: str = "") -> dict[str, str]:
    result = PASSED if str(expected) == str(actual) else FAILED
    return {"control": control, "currency": currency, "scope": scope, "expected": str(expected), "actual": str(actual), "result": result, "evidence": evidence}


def _money(control: str, currency: str, expected: int, actual: int, evidence: str) -> dict[str, str]:
    return _control(control, expected=format_minor(expected, currency), actual=format_minor(actual, currency), evidence=evidence, currency=currency)


def _statement_controls(state: "BookState") -> Iterator[dict[str, str]]:
    for (currency,), part in state.statement.partition_by("currency", as_dict=True, maintain_order=True).items():
        code = str(currency)
        books, bridge, cash = (part.filter(pl.col("section") == name) for name in ("books", "bridge", "cash"))
        closing = books.filter(pl.col("line") == "closing")
        for column in ("stripe", "ledger", "difference"):
            lines = int(books.filter(pl.col("line") != "closing")[column].sum())
            yield _money(f"books_foot_{column}", code, int(closing[column].item()), lines, "statement.csv: the lines of the books section against closing")
        total = int(bridge.filter(pl.col("line") != "total")["difference"].sum())
        yield _money("bridge_equals_difference", code, int(closing["difference"].item()), total, "statement.csv: the lines of the bridge against closing")
        unexplained = int(bridge.filter(pl.col("line") == "unexplained")["difference"].item())
        yield _money("nothing_unexplained", code, 0, unexplained, "statement.csv: a balance that moved without a line")
        left = int(cash.filter(pl.col("line") == "in_transit_closing")["difference"].item())
        moved = int(cash.filter(pl.col("line") != "in_transit_closing")["difference"].sum())
        yield _money("cash_foots", code, left, moved, "statement.csv: opening, paid out, returned and arrived against in transit")


def _balance_controls(state: "BookState") -> Iterator[dict[str, str]]:
    shown = state.statement["currency"].unique().to_list()
    for row in state.balances.filter(pl.col("currency").is_in(shown)).sort("currency").to_dicts():
        code = row["currency"]
        stripe, ledger = row["stripe_closing_minor"], row["ledger_closing_minor"]
        lines = stripe - row["stripe_without_lines_minor"]
        yield _money("stripe_lines_lead_to_balance", code, stripe, lines, "the balance read from Stripe against opening + transactions")
        if row["ledger_source"] == "trial balance":
            lines = ledger - row["ledger_without_lines_minor"]
            yield _money("ledger_lines_lead_to_trial_balance", code, ledger, lines, "the trial balance against opening + lines")
            continue
        why = "no trial balance of this month was delivered: the ledger closes at opening + lines"
        missing = _control("ledger_lines_lead_to_trial_balance", expected="", actual=format_minor(ledger, code), evidence=why, currency=code)
        yield {**missing, "result": NOT_PERFORMED}


def _item_controls(state: "BookState") -> Iterator[dict[str, str]]:
    key = ["leg", "item_id"]
    items, matched, still_open = state.items, state.members.select(key), state.open_items.select(key)
    placed = matched.height + still_open.height
    yield _control("each_item_matched_or_open", expected=items.height, actual=placed, evidence="matches.csv and open_items.csv against all items of the month")
    twice = placed - pl.concat([matched, still_open]).unique().height
    yield _control("no_item_twice", expected=0, actual=twice, evidence="matches.csv and open_items.csv")
    brought = state.carried_items.join(items, on=key, how="semi").height
    yield _control("carried_in_is_here", expected=state.carried_items.height, actual=brought, evidence="open items of the month before, item by item")
    named = int(state.open_items["break_id"].is_in(state.breaks["break_id"].implode()).sum())
    yield _control(
        "each_open_item_in_a_break", expected=still_open.height, actual=named, evidence="open_items.csv against exceptions.csv and expected_variances.csv"
    )
    sums = state.journals.group_by("currency").agg(pl.col("debit_minor").sum(), pl.col("credit_minor").sum()).sort("currency")
    for currency, debit, credit in sums.iter_rows():
        yield _money("entries_balance", currency, debit, credit, "journal_entries.csv: debits against credits")


def _proofs(facts: dict[str, Any]) -> Iterator[dict[str, str]]:
    """Turn the proofs of the pull into controls; what Stripe cannot show is not performed, with the reason."""
    checks = set()
    for proof in facts["completeness"]:
        checks.add(proof["check"])
        scope = f"{proof['stripe_account']} {proof['balance_type']}".strip()
        row = _control(f"pull_{proof['check']}", expected="proven", actual=proof["result"], evidence=proof["reason"], currency=proof["currency"], scope=scope)
        yield {**row, "result": NOT_PERFORMED} if proof["result"] == "unproven" else row
    if not any("report" in check for check in checks):
        row = _control("stripe_reports_agree", expected="proven", actual="", evidence="no itemized report of Stripe was delivered")
        yield {**row, "result": NOT_PERFORMED}


def _inputs(facts: dict[str, Any]) -> Iterator[dict[str, str]]:
    for entry in facts["inputs"]:
        placed = entry["rows_used"] + entry["rows_set_aside"] + entry["rows_retired"]
        yield _control("rows_read_are_accounted_for", expected=entry["rows"], actual=placed, evidence="used + set aside + retired", scope=entry["path"])
