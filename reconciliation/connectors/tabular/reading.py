"""What reading files comes to, whatever their kind."""

from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

from reconciliation.money import format_minor


@dataclass(frozen=True)
class FileReading:
    """Rows of files, each in exactly one place.

    Attributes:
        lines: rows that are reconciled.
        set_aside: rows that are not (`SetAsideRow`), each with its rule. `superseded`: the same row stands in a newer file; `retired`: the
            newer file that covers its date no longer has it.
        files: one row a file (`SourceFile`); rows in = used + set aside + retired, where superseded rows count as retired.
    """

    lines: pl.DataFrame
    set_aside: pl.DataFrame
    files: pl.DataFrame


def add_outcome(files: pl.DataFrame, *, lines: pl.DataFrame, set_aside: pl.DataFrame) -> pl.DataFrame:
    """Add what became of each file's rows: `totals` by currency of those used, `rows_by_rule` of the others.

    Args:
        files: with `source_file`.
        lines: rows used: `source_file`, `currency`, `amount_minor`.
        set_aside: rows not used: `source_file`, `rule`.
    """
    sums = lines.group_by("source_file", "currency").agg(pl.col("amount_minor").cast(pl.Int128).sum()).sort("source_file", "currency")
    totals = [(file, f"{currency}={format_minor(int(total), currency)}") for file, currency, total in sums.iter_rows()]
    counts = set_aside.group_by("source_file", "rule").len().sort("source_file", "rule")
    rules = [(file, f"{rule}={count}") for file, rule, count in counts.iter_rows()]
    return (
        files.join(_joined(totals, "totals"), on="source_file", how="left")
        .join(_joined(rules, "rows_by_rule"), on="source_file", how="left")
        .with_columns(pl.col("totals", "rows_by_rule").fill_null(""))
    )


def _joined(pairs: list[tuple[str, str]], name: str) -> pl.DataFrame:
    frame = pl.DataFrame(pairs, schema={"source_file": pl.String, name: pl.String}, orient="row")
    return frame.group_by("source_file", maintain_order=True).agg(pl.col(name).str.join(";"))


def list_proofs(proofs: Iterable[tuple[str, bool]]) -> str:
    """Write the proofs that hold as one cell."""
    return ";".join(dict.fromkeys(name for name, holds in proofs if holds))
