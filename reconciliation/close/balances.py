"""Balances of a month from their own sources -> opening, closing and what no line explains.

Stripe's come from the balance snapshots, the ledger's from the trial balance; where there is no trial balance the ledger
closes at opening + movements, and `ledger_source` says so. `unexplained` is never computed from the other lines of the
statement (law 4).
"""

import polars as pl

from reconciliation.population import CarriedIn, Month, Population, balances_by_currency, ledger_closing
from reconciliation.sources import Sources


def close_balances(sources: Sources, month: Month, carried: CarriedIn, population: Population) -> pl.DataFrame:
    """Compute opening and closing by currency.

    Returns:
        `currency, stripe_opening_minor, ledger_opening_minor, stripe_closing_minor, ledger_closing_minor, stripe_new_minor,
        ledger_new_minor, unexplained_opening_minor, unexplained_minor, stripe_without_lines_minor, ledger_without_lines_minor, ledger_source`.
    """
    books = population.items.filter((pl.col("leg") == "books") & (pl.col("population") != "carried"))
    moved = books.group_by("currency").agg(
        stripe_new_minor=pl.col("amount_minor").filter(pl.col("side") == "stripe").sum(),
        ledger_new_minor=pl.col("amount_minor").filter(pl.col("side") == "ledger").sum(),
    )
    currencies = pl.concat([
        pl.DataFrame({"currency": [account.currency for account in month.book.ledger_accounts]}, schema={"currency": pl.String}),
        moved.select("currency"),
        carried.balances.select("currency"),
        population.items.select("currency"),
    ]).unique()  # fmt: skip
    opening = carried.balances.rename({"stripe_minor": "stripe_opening_minor", "ledger_minor": "ledger_opening_minor"})
    joined = (
        currencies.join(opening, on="currency", how="left")
        .join(moved, on="currency", how="left")
        .join(balances_by_currency(sources, month, month.cut_off), on="currency", how="left")
    )
    counts = [name for name in joined.columns if name != "currency"]
    filled = joined.with_columns(pl.col(counts).fill_null(0)).rename({"stripe_minor": "stripe_closing_minor"})
    tied = filled.join(_ledger_by_currency(sources, month), on="currency", how="left")
    closed = tied.with_columns(
        ledger_source=pl.when(pl.col("ledger_minor").is_not_null()).then(pl.lit("trial balance")).otherwise(pl.lit("opening + movements")),
        ledger_closing_minor=pl.coalesce("ledger_minor", pl.col("ledger_opening_minor") + pl.col("ledger_new_minor")),
    ).with_columns(
        stripe_without_lines_minor=pl.col("stripe_closing_minor") - pl.col("stripe_opening_minor") - pl.col("stripe_new_minor"),
        ledger_without_lines_minor=pl.col("ledger_closing_minor") - pl.col("ledger_opening_minor") - pl.col("ledger_new_minor"),
    )
    before = _unexplained_before(carried)
    return (
        closed.join(before, on="currency", how="left")
        .with_columns(unexplained_opening_minor=pl.col("unexplained_opening_minor").fill_null(0))
        .with_columns(unexplained_minor=pl.col("unexplained_opening_minor") + pl.col("stripe_without_lines_minor") - pl.col("ledger_without_lines_minor"))
        .drop("ledger_minor")
        .sort("currency")
    )


def _unexplained_before(carried: CarriedIn) -> pl.DataFrame:
    """What opening items do not explain of the opening difference was unexplained before (zero where all is well)."""
    effect = pl.when(pl.col("side") == "ledger").then(-pl.col("amount_minor")).otherwise(pl.col("amount_minor"))
    explained = carried.items.filter(pl.col("leg") == "books").group_by("currency").agg(explained=effect.sum())
    return carried.balances.join(explained, on="currency", how="left").select(
        "currency", unexplained_opening_minor=pl.col("stripe_minor") - pl.col("ledger_minor") - pl.col("explained").fill_null(0)
    )


def _ledger_by_currency(sources: Sources, month: Month) -> pl.DataFrame:
    """Sum the trial balance over the accounts of a currency; one account without a row leaves the currency without a total."""
    needed = pl.DataFrame([(a.account, a.currency) for a in month.book.ledger_accounts], schema={"account": pl.String, "currency": pl.String}, orient="row")
    shown = needed.join(ledger_closing(sources, month.period), on=["account", "currency"], how="left")
    ended = month.cut_off_on >= month.calendar.last_day(month.period)
    complete = shown.group_by("currency").agg(pl.col("ledger_minor").sum(), is_complete=pl.col("ledger_minor").is_not_null().all())
    return complete.filter(pl.col("is_complete") & pl.lit(ended)).select("currency", "ledger_minor")
