"""Frames from the core -> what finance reads on an asset's page.

Dagster shows Markdown inline only below 1,000 characters, draws numbers as plots by itself and grows slow with long tables,
so the headline is short, tables have 50 rows, and the picture stays under 50 kB.
"""

import base64
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import dagster as dg

from reconciliation.close.charts import draw_bridge
from reconciliation.close.summaries import Frame, first_rows, headline_figures, riskiest_breaks, total_by_currency

ROWS_MAX = 50
INLINE_CHARACTERS_MAX = 999
PICTURE_BYTES_MAX = 50_000
Metadata: TypeAlias = dict[str, dg.MetadataValue]

# Dagster reads annotations at run time and knows the bare class only; the type checker wants its parameter.
if TYPE_CHECKING:
    Materialized: TypeAlias = dg.MaterializeResult[Any]
else:
    Materialized = dg.MaterializeResult

BREAK_COLUMNS = ["kind", "cause", "nature", "leg", "amount", "currency", "date", "age_days", "counterparty", "reference", "money_at_risk", "suggested_action"]


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


def describe_breaks(breaks: Frame) -> Metadata:
    """Describe the breaks: counts, money, and the first ones by money at risk."""
    rows = first_rows(riskiest_breaks(breaks), BREAK_COLUMNS, money=["amount", "money_at_risk"], limit=ROWS_MAX)
    return {**describe_rows(breaks), "most_at_risk": _table(rows, BREAK_COLUMNS), **_sums("at_risk", total_by_currency(breaks, "money_at_risk_minor"))}


def describe_statement(statement: Frame) -> Metadata:
    """Describe the statement: closing figures as a short table, and the bridge as a picture."""
    lines = ["| currency | Stripe | ledger | difference | unexplained |", "|---|---:|---:|---:|---:|"]
    lines += [f"| {' | '.join(figures)} |" for figures in headline_figures(statement)]
    described: Metadata = {"dagster/row_count": dg.MetadataValue.int(statement.height), "statement": dg.MetadataValue.md(_short(lines))}
    picture = draw_bridge(statement)
    if picture is not None and len(picture) < PICTURE_BYTES_MAX:
        encoded = base64.b64encode(picture.encode()).decode()
        described["bridge"] = dg.MetadataValue.md(f"![difference by cause](data:image/svg+xml;base64,{encoded})")
    return described


def _sums(prefix: str, totals: Mapping[str, str]) -> Metadata:
    return {f"{prefix}_{currency}": dg.MetadataValue.text(total) for currency, total in totals.items()}


def _table(rows: Sequence[Mapping[str, str]], columns: Sequence[str]) -> dg.MetadataValue:
    schema = dg.TableSchema(columns=[dg.TableColumn(name, type="string") for name in columns])
    return dg.MetadataValue.table([dg.TableRecord(dict(row)) for row in rows], schema=schema)


def _short(lines: Sequence[str]) -> str:
    shown = list(lines)
    while len("\n".join(shown)) > INLINE_CHARACTERS_MAX:
        shown.pop()
    return "\n".join(shown)
