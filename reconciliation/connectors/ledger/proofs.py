"""Lines of one export -> proof of what it says about itself: running balances, and entries that balance."""

import polars as pl

from reconciliation.connectors.tabular.faults import FAULTS_SHOWN_MAX, Faults
from reconciliation.connectors.tabular.table import Table, signed_balance
from reconciliation.connectors.tabular.totals import Proofs, show_thousandths


def prove_export(lines: pl.DataFrame, table: Table, faults: Faults) -> Proofs:
    """Prove what an export says about itself.

    Args:
        lines: `row`, `account_key`, `document`, `base` (thousandths, debit positive) and the balance columns.
        table: its layout and the balances that accounts begin with.
        faults: takes contradictions.
    """
    return (*_prove_running_balance(lines, table, faults), *_prove_balanced(lines, table, faults))


def _prove_running_balance(lines: pl.DataFrame, table: Table, faults: Faults) -> Proofs:
    """Check that each balance is the one before plus the line, account by account, downwards or upwards, in either sign.

    Reports show a liability's balance with the sign of a credit, and some list the latest line first. One reading has to hold
    for all lines of an account; a contradiction of all of them refuses the file. Accounts of which some lines have no balance prove nothing.
    """
    if "balance" not in table.layout.fields:
        return ()
    stated = lines.select("row", "account_key", "base", balance=signed_balance())
    openings = table.openings.filter(pl.col("thousandths").is_not_null() & (pl.col("section") != ""))
    if table.layout.profile.sections:
        starts = openings.select("row", account_key=pl.col("section").str.replace_all(r"\s+", " "), base=pl.lit(None, dtype=pl.Int64), balance="thousandths")
        stated = pl.concat([stated, starts])
    known = stated.filter(pl.col("balance").is_not_null().all().over("account_key")).sort("row")
    if known.is_empty():
        return ()
    before, after = (pl.col("balance").shift(step).over("account_key") for step in (1, -1))
    steps = known.with_columns(
        down=before + pl.col("base"), up=after + pl.col("base"), down_credit=before - pl.col("base"), up_credit=after - pl.col("base")
    ).with_columns((pl.col(way) != pl.col("balance")).fill_null(value=False).alias(f"{way}_wrong") for way in _WAYS)
    wrong = (
        steps.group_by("account_key").agg(pl.col(f"{way}_wrong").sum() for way in _WAYS).with_columns(least=pl.min_horizontal(f"{way}_wrong" for way in _WAYS))
    )
    if (wrong["least"] == 0).all():
        return (("running_balance", True),)
    for account in wrong.filter(pl.col("least") > 0).sort("account_key").iter_rows(named=True):
        way = min(_WAYS, key=lambda name: account[f"{name}_wrong"])
        rows = steps.filter((pl.col("account_key") == account["account_key"]) & pl.col(f"{way}_wrong")).head(FAULTS_SHOWN_MAX)
        for row, balance, expected in rows.select("row", "balance", way).iter_rows():
            message = f"the running balance is {show_thousandths(balance)}, but the line next to it and this amount make {show_thousandths(expected)}"
            faults.add(row=row, column=table.layout.header("balance"), message=f"{message}; a line is missing or altered: export it again")
    return ()


_WAYS = ("down", "up", "down_credit", "up_credit")


def _prove_balanced(lines: pl.DataFrame, table: Table, faults: Faults) -> Proofs:
    """Check that debits equal credits, by document or in all, unless the export is of one account alone."""
    by = table.layout.profile.balanced
    if not by or lines["account_key"].n_unique() < 2:
        return ()
    sums = lines.group_by("document" if by == "document" else pl.lit("").alias("document")).agg(
        pl.col("base").fill_null(0).cast(pl.Int128).sum(), pl.col("row").max(), pl.len()
    )
    off = sums.filter(pl.col("base") != 0).sort("row")
    for document, base, row, count in off.head(FAULTS_SHOWN_MAX).select("document", "base", "row", "len").iter_rows():
        what = f"the entry {document[:40]!r}" if by == "document" else "the file"
        message = f"debits less credits of {what} are {show_thousandths(int(base))}, not zero ({count} lines); a line is missing or altered: export it again"
        faults.add(row=row, column=table.layout.header("debit" if "debit" in table.layout.fields else "amount"), message=message)
    return () if off.height else (("debits_equal_credits" if by == "file" else "entries_balance", True),)
