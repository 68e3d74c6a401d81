"""Entries -> their lines, as in `journal_entries.csv`, money in minor units.

An entry is two lines: the clearing account and its counter account. An accrual's reversal is an entry of its own, `<journal_id>-R`, dated the
first day of the next period.
"""

from collections.abc import Mapping

import polars as pl

_COLUMNS: dict[str, pl.DataType | type[pl.DataType]] = {
    **dict.fromkeys(["journal_id"], pl.String),
    "line": pl.Int64,
    **dict.fromkeys(["type", "status"], pl.String),
    "posting_date": pl.Date,
    "period": pl.String,
    "reverses_on": pl.Date,
    **dict.fromkeys(["reverses_journal", "entity", "account", "account_role"], pl.String),
    **dict.fromkeys(["debit_minor", "credit_minor"], pl.Int64),
    **dict.fromkeys(["currency", "memo"], pl.String),
    **dict.fromkeys(["break_ids", "items"], pl.List(pl.String)),
    **dict.fromkeys(["prepared_by", "approved_by"], pl.String),
}
LINE_SCHEMA = pl.Schema(_COLUMNS)


def make_lines(*, live: pl.DataFrame, posted: pl.DataFrame, reversals: pl.DataFrame, entity: str, accounts: Mapping[str, str]) -> pl.DataFrame:
    """Write the lines of entries.

    Args:
        live: entries to post (`ProposedEntry`, and `reversal_period`: the period in which an accrual is reversed).
        posted: entries that came back in this month, likewise.
        reversals: accruals to reverse, likewise, with `line` (the accrual's ledger line) and `is_posted`.
        entity: the company.
        accounts: role -> ledger account; a role without one prints its name.
    """
    status = pl.when("is_approved").then(pl.lit("approved")).otherwise(pl.lit("proposed"))
    words = pl.concat_str([pl.col("cause").str.replace_all("_", " "), pl.col("references").list.join(" ")], separator=" ").str.strip_chars_end()
    parts = [
        live.with_columns(status=status, reverses_journal=pl.lit("")),
        posted.with_columns(status=pl.lit("posted"), reverses_journal=pl.lit("")),
    ]
    own = [_describe(part.with_columns(memo=pl.format("{} {}{}", "journal_id", words, _reversing()))) for part in parts]
    is_planned = pl.col("reverses_on").is_not_null()
    planned = pl.concat([_as_reversal(part.filter(is_planned), status=pl.col("status"), items=pl.col("items")) for part in parts])
    due = _as_reversal(reversals, status=pl.when("is_posted").then(pl.lit("posted")).otherwise(status), items=pl.concat_list("line"))
    to_come = planned.with_columns(status=pl.when(pl.col("status") == "posted").then(status).otherwise("status")).join(due, on="journal_id", how="anti")
    back = [_describe(frame.with_columns(memo=pl.format("{} Reversal of {} {}", "journal_id", "reverses_journal", words))) for frame in (to_come, due)]
    described = pl.concat([*own, *back])
    signed = [
        described.with_columns(line=pl.lit(1), account_role=pl.lit("clearing"), signed=pl.col("effect_minor")),
        described.with_columns(
            line=pl.lit(2),
            account=pl.col("role").replace_strict(accounts, default=pl.col("role"), return_dtype=pl.String) if accounts else pl.col("role"),
            account_role="role",
            signed=-pl.col("effect_minor"),
        ),
    ]
    return (
        pl.concat(signed)
        .with_columns(entity=pl.lit(entity), debit_minor=pl.max_horizontal("signed", pl.lit(0)), credit_minor=pl.max_horizontal(-pl.col("signed"), pl.lit(0)))
        .sort("journal_id", "line")
        .select(pl.col(name).cast(dtype) for name, dtype in LINE_SCHEMA.items())
    )


def _reversing() -> pl.Expr:
    return pl.when(pl.col("reverses_on").is_not_null()).then(pl.format(", reverses {}", pl.col("reverses_on").cast(pl.String))).otherwise(pl.lit(""))


def _as_reversal(entries: pl.DataFrame, *, status: pl.Expr, items: pl.Expr) -> pl.DataFrame:
    """Turn an accrual into its reversal: the other way round, on the day it is due."""
    return entries.with_columns(
        journal_id=pl.format("{}-R", "journal_id"),
        reverses_journal="journal_id",
        status=status,
        items=items,
        effect_minor=-pl.col("effect_minor"),
        posting_on="reverses_on",
        period="reversal_period",
        reverses_on=pl.lit(None, dtype=pl.Date),
    )


def _describe(entries: pl.DataFrame) -> pl.DataFrame:
    reversal = pl.col("reverses_journal") != ""
    return entries.select(
        "journal_id", "status", "period", "reverses_on", "reverses_journal", "account", "role", "effect_minor", "currency", "memo", "break_ids", "items",
        "prepared_by", "approved_by",
        type=pl.when(reversal).then(pl.lit("reversal")).otherwise("nature"),
        posting_date="posting_on",
    )  # fmt: skip
