"""Results and progress as people read them: results to stdout, progress to stderr."""

import json
import logging
import sys
from typing import Any

import polars as pl

from reconciliation.close.cause_words import say_line
from reconciliation.close.content import INCOMPLETE_NOTICE
from reconciliation.config import logs_as_json
from reconciliation.money import format_minor, readable_money

logger = logging.getLogger(__name__)

SECTIONS = {"books": "Books", "bridge": "Bridge: why Stripe and the ledger differ", "cash": "Cash: what is on its way to the bank"}
NAMES = {
    "opening": "opening balance",
    "posted_into_locked_month": "posted into a locked month since",
    "without_lines": "balance changed without a line",
    "ledger_only": "ledger only",
    "closing": "closing balance",
    "unexplained": "unexplained",
    "undetermined": "undetermined",
    "total": "total = closing difference",
    "in_transit_opening": "in transit, opening",
    "paid_out": "paid out",
    "returned": "returned",
    "arrived": "arrived at the bank",
    "in_transit_closing": "in transit, closing",
}
AMOUNTS = ["stripe", "ledger", "bank", "difference"]
WIDTH = 15


def tell(text: str) -> None:
    """Print a line of progress; as a JSON object where the environment asks for that."""
    if logs_as_json():
        logger.info("%s", text)
        return
    print(text, file=sys.stderr, flush=True)


def say(text: str) -> None:
    """Print a line of the result."""
    print(text, flush=True)


def say_json(value: Any) -> None:
    """Print a result for a machine, on one line."""
    print(json.dumps(value, ensure_ascii=False, sort_keys=True, default=str), flush=True)


def statement_text(statement: pl.DataFrame, *, period: str, entity: str, is_incomplete: bool = False) -> str:
    """Lay out a statement: one block per book and currency; one over an incomplete pull says so in its head."""
    blocks = []
    for (book, currency), part in statement.partition_by("book", "currency", maintain_order=True, as_dict=True).items():
        width = max(44, *(len(_name(row)) + 2 for row in part.to_dicts()))
        head = f"{entity} · {period} · book {book} · {currency}" + (f" · {INCOMPLETE_NOTICE}" if is_incomplete else "")
        lines = [head, "=" * len(head)]
        for section, rows in part.partition_by("section", maintain_order=True, as_dict=True).items():
            lines += ["", f"{SECTIONS[str(section[0])]:<{width}}" + f"{'items':>7}" + "".join(f"{name:>{WIDTH}}" for name in AMOUNTS)]
            for row in rows.to_dicts():
                last = row["line"] in ("closing", "total", "in_transit_closing")
                if last:
                    lines.append("-" * (width + 7 + WIDTH * len(AMOUNTS)))
                count = "" if row["items"] is None else f"{row['items']:,}"
                lines.append(f"{_name(row):<{width}}{count:>7}" + "".join(f"{_money(row[name], str(currency)):>{WIDTH}}" for name in AMOUNTS))
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def statement_rows(statement: pl.DataFrame) -> list[dict[str, Any]]:
    """Return the statement's lines with money as plain decimal strings."""
    money = [*AMOUNTS, "accepted", "awaiting"]
    return [{**row, **{name: None if row[name] is None else format_minor(row[name], row["currency"]) for name in money}} for row in statement.to_dicts()]


def _name(row: dict[str, Any]) -> str:
    if row["line"] in NAMES:
        return NAMES[row["line"]]
    if row["section"] == "bridge":
        return say_line(str(row["nature"] or ""), str(row["cause"]))
    return str(row["line"])


def _money(amount: int | None, currency: str) -> str:
    return "" if amount is None else readable_money(amount, currency)
