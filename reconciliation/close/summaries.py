"""Tables of a month -> small facts for people: money by currency, a few lines of a list, how much was matched by what.

Everything is text as people write it (`1,234.50`, words without underscores); nothing here is read back by a machine.
"""

from collections.abc import Mapping
from typing import TypeAlias

import polars as pl

from reconciliation.close.cause_words import say_cause, say_line
from reconciliation.money import readable_money as readable_money

Frame: TypeAlias = pl.DataFrame
Rows: TypeAlias = list[dict[str, str]]

# Columns whose values are words of our own vocabulary; a reference or a name keeps its underscores.
VOCABULARY = frozenset({"kind", "nature", "leg", "side", "strategy", "disposition", "balance_type", "check", "result", "type", "status", "line"})


def total_by_currency(frame: pl.DataFrame, column: str = "amount_minor") -> dict[str, str]:
    """Add up a money column by currency; the order is the alphabet's."""
    sums = frame.group_by("currency").agg(pl.col(column).cast(pl.Int64).sum()).sort("currency")
    return {currency: readable_money(total, currency) for currency, total in sums.iter_rows()}


def count_rows(files: pl.DataFrame, *, kind: str) -> tuple[int, int]:
    """Count the rows read from files of a kind, and those of them that were set aside or retired (`SourceFile`)."""
    of_kind = files.filter(pl.col("kind").cast(pl.String) == kind)
    return int(of_kind["rows_in"].sum()), int(of_kind["rows_set_aside"].sum()) + int(of_kind["rows_retired"].sum())


def first_rows(frame: pl.DataFrame, columns: Mapping[str, str], *, limit: int) -> Rows:
    """Return the first rows as text.

    Args:
        frame: with `currency`, where a money column is shown.
        columns: heading -> column; one that ends in `_minor` is money of the row's currency.
        limit: how many rows at most.
    """
    return [{heading: _text(row, column) for heading, column in columns.items()} for row in frame.head(limit).to_dicts()]


def riskiest_breaks(breaks: pl.DataFrame) -> pl.DataFrame:
    """Order breaks by what is at stake, most money first."""
    return breaks.sort("currency", "money_at_risk_minor", "break_id", descending=[False, True, False])


def count_matches(members: pl.DataFrame) -> pl.DataFrame:
    """Return `leg, strategy, matches, items`: what each strategy found, most items first."""
    counted = members.group_by("leg", pl.col("strategy").cast(pl.String)).agg(matches=pl.col("match_id").n_unique(), items=pl.len())
    return counted.sort("leg", "items", "strategy", descending=[False, True, False])


def count_open_items(items: pl.DataFrame) -> pl.DataFrame:
    """Return `leg, side, kind, currency, items, amount_minor, oldest_on` of open items, most money first."""
    counted = items.group_by("leg", "side", "kind", "currency").agg(items=pl.len(), amount_minor=pl.col("amount_minor").sum(), oldest_on=pl.col("date").min())
    return counted.sort("leg", pl.col("amount_minor").abs(), "side", "kind", "currency", descending=[False, True, False, False, False])


def headline_figures(statement: pl.DataFrame) -> list[tuple[str, str, str, str, str]]:
    """Return `currency, stripe, ledger, difference, unexplained` of each currency of a statement, as text."""
    closing = statement.filter((pl.col("section") == "books") & (pl.col("line") == "closing"))
    left = statement.filter((pl.col("section") == "bridge") & (pl.col("line") == "unexplained")).select("currency", left="difference")
    rows = closing.join(left, on="currency", how="left").select("currency", "stripe", "ledger", "difference", pl.col("left").fill_null(0)).sort("currency")
    return [(row[0], *(readable_money(amount, row[0]) for amount in row[1:])) for row in rows.iter_rows()]


def bridge_lines(statement: pl.DataFrame) -> pl.DataFrame:
    """Return `currency, nature, cause, label, items, difference_minor` of the bridge's lines that are not zero, in the statement's order; totals left out."""
    is_line = (pl.col("section") == "bridge") & ~pl.col("line").is_in(["total"]) & (pl.col("difference").fill_null(0) != 0)
    cause = pl.when(pl.col("cause").fill_null("") == "").then("line").otherwise("cause")
    lines = statement.filter(is_line).select("currency", "nature", "items", cause=cause, difference_minor="difference")
    return lines.with_columns(
        label=pl.Series([say_line(nature or "", cause) for nature, cause in lines.select("nature", "cause").iter_rows()], dtype=pl.String)
    )


def _text(row: Mapping[str, object], column: str) -> str:
    value = row[column]
    if value is None:
        return ""
    if column.endswith("_minor") and isinstance(value, int):
        return readable_money(value, str(row["currency"]))
    if column == "cause":
        return say_cause(str(value))
    if column in VOCABULARY:
        return str(value).replace("_", " ")
    return f"{value:,}" if isinstance(value, int) else str(value)
