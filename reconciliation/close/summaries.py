"""Tables of a month -> small facts for people: money by currency, the statement as text, the first rows of a list.

Everything is text with the currency's own decimals; nothing here is read back by a machine.
"""

from collections.abc import Sequence
from typing import TypeAlias

import polars as pl

from reconciliation.close.csv_file import money_text
from reconciliation.money import format_minor

Frame: TypeAlias = pl.DataFrame

HEADLINES = {
    "closing": "difference, Stripe less ledger",
    "total": "explained by cause",
    "undetermined": "of it without a known cause",
    "unexplained": "not explained by any line",
    "in_transit_closing": "paid out, not yet arrived",
}


def total_by_currency(frame: pl.DataFrame, column: str = "amount_minor") -> dict[str, str]:
    """Add up a money column by currency; the order is the alphabet's."""
    sums = frame.group_by("currency").agg(pl.col(column).cast(pl.Int64).sum()).sort("currency")
    return {currency: format_minor(total, currency) for currency, total in sums.iter_rows()}


def count_rows(files: pl.DataFrame, *, kind: str) -> tuple[int, int]:
    """Count the rows read from files of a kind, and those of them that were set aside or retired (`SourceFile`)."""
    of_kind = files.filter(pl.col("kind").cast(pl.String) == kind)
    return int(of_kind["rows_in"].sum()), int(of_kind["rows_set_aside"].sum()) + int(of_kind["rows_retired"].sum())


def first_rows(frame: pl.DataFrame, columns: Sequence[str], *, money: Sequence[str] = (), limit: int) -> list[dict[str, str]]:
    """Return the first rows as text, money with the decimals of the row's currency.

    Args:
        frame: with `currency` where money columns are named.
        columns: what to show; a money column is named without `_minor`.
        money: which of them are money.
        limit: how many rows at most.
    """
    amounts = [money_text(pl.col(f"{name}_minor"), pl.col("currency")).alias(name) for name in money]
    shown = frame.head(limit).with_columns(amounts).select(pl.col(name).cast(pl.String).fill_null("") for name in columns)
    return [{name: str(value) for name, value in row.items()} for row in shown.to_dicts()]


def riskiest_breaks(breaks: pl.DataFrame) -> pl.DataFrame:
    """Order breaks by what is at stake, most money first."""
    return breaks.sort("currency", "money_at_risk_minor", "break_id", descending=[False, True, False])


def statement_text(statement: pl.DataFrame) -> list[str]:
    """Write the closing lines of a statement, one text line a currency and line: `main GBP closing …`."""
    rows = statement.filter(pl.col("line").is_in(list(HEADLINES)) & pl.col("difference").is_not_null())
    return [
        f"{book} {currency}: {HEADLINES[line]} {format_minor(difference, currency)}"
        for book, currency, line, difference in rows.select("book", "currency", "line", "difference").iter_rows()
    ]


def headline_figures(statement: pl.DataFrame) -> list[tuple[str, str, str, str, str]]:
    """Return `currency, stripe, ledger, difference, unexplained` of each currency of a statement, as text."""
    closing = statement.filter((pl.col("section") == "books") & (pl.col("line") == "closing"))
    left = statement.filter((pl.col("section") == "bridge") & (pl.col("line") == "unexplained")).select("currency", left="difference")
    rows = closing.join(left, on="currency", how="left").select("currency", "stripe", "ledger", "difference", pl.col("left").fill_null(0)).sort("currency")
    return [(row[0], *(format_minor(amount, row[0]) for amount in row[1:])) for row in rows.iter_rows()]


def bridge_lines(statement: pl.DataFrame) -> pl.DataFrame:
    """Return `currency, cause, difference` of the bridge's lines that are not zero, totals left out."""
    is_line = (pl.col("section") == "bridge") & ~pl.col("line").is_in(["total"]) & (pl.col("difference").fill_null(0) != 0)
    return statement.filter(is_line).select("currency", cause="line", difference="difference")
