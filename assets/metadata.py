"""Frames from the core -> what finance reads on an asset's page.

Dagster shows Markdown inline only below 1,000 characters, draws numbers as plots by itself and grows slow with long tables,
so the headline is short, tables have 50 rows, and the picture stays under 50 kB.
"""

import base64
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import dagster as dg

from reconciliation.close.manifest import summarize_manifest
from reconciliation.close.summaries import (
    Frame,
    bridge_lines,
    count_matches,
    count_open_items,
    first_rows,
    headline_figures,
    riskiest_breaks,
    total_by_currency,
)
from reconciliation.lake import Lake
from reconciliation.months import month_scope
from reconciliation.watch.measures import MonthState, Sample, measure_state

ROWS_MAX = 50
INLINE_CHARACTERS_MAX = 999
PICTURE_BYTES_MAX = 50_000
MOMENT = "_timestamp_seconds"
"""How the name of a metric ends that is seconds since 1970."""
Metadata: TypeAlias = dict[str, dg.MetadataValue]

# Dagster reads annotations at run time and knows the bare class only; the type checker wants its parameter.
if TYPE_CHECKING:
    Materialized: TypeAlias = dg.MaterializeResult[Any]
else:
    Materialized = dg.MaterializeResult

# Heading -> column. The page shows the first few without scrolling, so that what decides stands first. Dagster keeps what it shows, hence
# no names of customers: the break's id leads to them in the close package.
BREAKS = {
    "at risk": "money_at_risk_minor", "amount": "amount_minor", "currency": "currency", "cause": "cause", "reference": "reference",
    "date": "date", "age in days": "age_days", "what to do": "suggested_action", "kind": "kind", "break": "break_id",
}  # fmt: skip
BRIDGE = {"currency": "currency", "cause": "label", "Stripe less ledger": "difference_minor", "items": "items"}
BALANCES = {
    "currency": "currency", "Stripe opening": "stripe_opening_minor", "Stripe closing": "stripe_closing_minor", "ledger opening": "ledger_opening_minor",
    "ledger closing": "ledger_closing_minor", "ledger closing is from": "ledger_source", "unexplained": "unexplained_minor",
}  # fmt: skip
JOURNALS = {
    "journal": "journal_id", "line": "line", "date": "posting_date", "account": "account", "debit": "debit_minor", "credit": "credit_minor", "currency": "currency",
    "memo": "memo", "status": "status",
}  # fmt: skip
MATCHES = {"leg": "leg", "found by": "strategy", "matches": "matches", "items": "items"}
OPEN_ITEMS = {"leg": "leg", "side": "side", "kind": "kind", "currency": "currency", "items": "items", "amount": "amount_minor", "oldest": "oldest_on"}
PROOFS = {"account": "stripe_account", "currency": "currency", "balance": "balance_type", "check": "check", "result": "result", "why": "reason"}
FILES = {
    "file": "source_file", "kind": "kind", "profile": "profile", "confidence": "confidence", "rows in": "rows_in", "used": "rows_used", "set aside": "rows_set_aside",
    "replaced": "rows_retired", "why not used": "rows_by_rule", "totals": "totals", "proved": "proofs", "encoding": "encoding", "separator": "delimiter",
    "decimal mark": "decimal_mark", "dates": "date_order", "told by": "evidence", "same content": "other_names", "from": "covers_from", "to": "covers_to",
}  # fmt: skip


def describe_rows(frame: Frame, *, rows_in: int | None = None, quarantined: int = 0, money: str | None = "amount_minor") -> Metadata:
    """Describe a table: rows in, out and quarantined, and money by currency.

    Args:
        frame: the table.
        rows_in: rows read; default: as many as came out.
        quarantined: rows read and set aside.
        money: the money column to add up by currency, or None.
    """
    totals = total_by_currency(frame, money) if money else {}
    return {
        "dagster/row_count": dg.MetadataValue.int(frame.height),
        "rows_in": dg.MetadataValue.int(frame.height if rows_in is None else rows_in),
        "rows_out": dg.MetadataValue.int(frame.height),
        "rows_quarantined": dg.MetadataValue.int(quarantined),
        **{f"money_{currency}": dg.MetadataValue.text(total) for currency, total in totals.items()},
    }


def show(name: str, frame: Frame, columns: Mapping[str, str]) -> Metadata:
    """Show the first rows of a table under a name.

    Args:
        name: what stands beside the table.
        frame: the rows, the ones to read first on top.
        columns: heading -> column.
    """
    schema = dg.TableSchema(columns=[dg.TableColumn(heading, type="string") for heading in columns])
    return {name: dg.MetadataValue.table([dg.TableRecord(dict(row)) for row in first_rows(frame, columns, limit=ROWS_MAX)], schema=schema)}


def describe_files(files: Frame) -> Metadata:
    """Describe what was read: a row a file, and rows in, used and set aside in all."""
    counts = {name: sum(files[name].to_list()) for name in ("rows_in", "rows_used", "rows_set_aside", "rows_retired")}
    return {
        "dagster/row_count": dg.MetadataValue.int(files.height),
        **{name: dg.MetadataValue.int(count) for name, count in counts.items()},
        **show("files", files, FILES),
    }


def describe_breaks(breaks: Frame) -> Metadata:
    """Describe the breaks: counts, money, and the first ones by money at risk."""
    at_risk = _sums("at_risk", total_by_currency(breaks, "money_at_risk_minor"))
    return {**describe_rows(breaks), **at_risk, **show("most_at_risk", riskiest_breaks(breaks), BREAKS)}


def describe_balances(balances: Frame) -> Metadata:
    """Describe the balances: each currency's, as a table."""
    return {**describe_rows(balances, money="stripe_closing_minor"), **show("balances", balances, BALANCES)}


def describe_journals(lines: Frame) -> Metadata:
    """Describe the proposed entries: debits by currency, and the first lines."""
    return {**describe_rows(lines, money="debit_minor"), **show("proposed", lines, JOURNALS)}


def describe_matches(members: Frame, *, rows_in: int) -> Metadata:
    """Describe the matches: how many items went in and were placed, and what each strategy found."""
    return {**describe_rows(members, rows_in=rows_in, money=None), **show("found_by", count_matches(members), MATCHES)}


def describe_open_items(items: Frame, *, rows_in: int) -> Metadata:
    """Describe what stays open: how much of it on which side, and why it may be."""
    return {**describe_rows(items, rows_in=rows_in), **show("open", count_open_items(items), OPEN_ITEMS)}


def describe_proofs(proofs: Frame, *, complete_through: datetime) -> Metadata:
    """Describe how far the pull is proven complete, check by check."""
    return {
        **describe_rows(proofs, money=None),
        "complete_through": dg.MetadataValue.text(f"{complete_through:%Y-%m-%d %H:%M} UTC"),
        **show("proofs", proofs, PROOFS),
    }


def describe_statement(statement: Frame, *, picture: str | None) -> Metadata:
    """Describe the statement: closing figures as a short table, the bridge by cause, and the same as a picture."""
    lines = ["| currency | Stripe | ledger | difference | unexplained |", "|---|---:|---:|---:|---:|"]
    lines += [f"| {' | '.join(figures)} |" for figures in headline_figures(statement)]
    described: Metadata = {"dagster/row_count": dg.MetadataValue.int(statement.height), "statement": dg.MetadataValue.md(_short(lines))}
    described |= show("difference_by_cause", bridge_lines(statement), BRIDGE)
    if picture is not None and len(picture) < PICTURE_BYTES_MAX:
        encoded = base64.b64encode(picture.encode()).decode()
        described["bridge"] = dg.MetadataValue.md(f"![difference by cause](data:image/svg+xml;base64,{encoded})")
    return described


def describe_package(folder: Path) -> Metadata:
    """Describe a package: what is signed of it, what it was made from, and the decisions it shows."""
    told = summarize_manifest(folder)
    return {name: dg.MetadataValue.json(value) if isinstance(value, list | dict) else dg.MetadataValue.text(str(value)) for name, value in told.items()}


def _sums(prefix: str, totals: Mapping[str, str]) -> Metadata:
    return {f"{prefix}_{currency}": dg.MetadataValue.text(total) for currency, total in totals.items()}


def _short(lines: Sequence[str]) -> str:
    shown = list(lines)
    while len("\n".join(shown)) > INLINE_CHARACTERS_MAX:
        shown.pop()
    return "\n".join(shown)


def describe_published(lake: Lake, book: str, period: str) -> Metadata:
    """Describe a month as it was just published."""
    scope = month_scope(book, period)
    return describe_samples(measure_state(lake, MonthState(book, period, lake.tables(scope) or {}, lake.facts(scope))))


def describe_samples(samples: Sequence[Sample]) -> Metadata:
    """Show a month's numbers as metadata, which Dagster plots over the months, and moments as such; labels but book and period become part of the name."""
    shown: Metadata = {}
    for sample in samples:
        labels = [value for name, value in sample.labels if name not in ("book", "period")]
        name, value = "_".join([sample.name.removesuffix(MOMENT), *labels]), float(sample.value)
        shown[f"watch/{name}"] = dg.MetadataValue.timestamp(value) if sample.name.endswith(MOMENT) else dg.MetadataValue.float(value)
    return shown
