"""A stored month -> what a reviewer sees: the queue, its root causes and subtotals.

The columns are those of an accountant's list (`QueueCase`), ordered by money at risk, then age, then id, so that the order is the same
tomorrow. What was decided since the month was computed is applied by the caller before (`review.effects`): a case leaves the queue with its
decision, not with the next run.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from reconciliation.lake import Lake
from reconciliation.money import currency_exponent
from reconciliation.schemas.queue import QueueCase, RootCause, Subtotal

CONFIDENCE_HIGH, CONFIDENCE_MEDIUM = 0.95, 0.80
"""Bounds of the words, on the larger of the probability and its complement: below 0.8 every fifth such case is otherwise."""
AGE_BUCKETS = [(3, "0-3"), (7, "4-7"), (30, "8-30"), (60, "31-60"), (90, "61-90")]
OLDEST = "91+"
DECISION_COLUMNS = ("prepared_by", "approved_by", "decision_reason")
TABLES = ("items", "references", "members", "open_items", "breaks", "journals", "statement", "audit_sample")
ROOT_CAUSE = ["book", "currency", "nature", "cause", "kind"]
ROOT_CAUSES_FROM = 31
"""With more cases than thirty the page opens on root causes: nobody decides four hundred rows one by one."""
BLANK = pl.lit("")
EVERYWHERE = pl.lit(value=True)


@dataclass(frozen=True)
class MonthTables:
    """A stored month of a book, as far as a reviewer needs it.

    Attributes:
        book: which book.
        period: which month.
        items: every item (`Item`).
        references: their references (`ItemReference`).
        members: `MatchMember`.
        open_items: `OpenItem`.
        breaks: `Break`, with the columns of decisions where there are any.
        journals: lines of proposed entries.
        statement: lines of the statement.
        audit_sample: breaks accepted without a person and drawn for a person's audit; of them `break_id` alone is used.
        facts: cut-off, how far sources are complete, versions.
    """

    book: str
    period: str
    items: pl.DataFrame
    references: pl.DataFrame
    members: pl.DataFrame
    open_items: pl.DataFrame
    breaks: pl.DataFrame
    journals: pl.DataFrame
    statement: pl.DataFrame
    audit_sample: pl.DataFrame
    facts: Mapping[str, Any]


def read_month(lake: Lake, scope: str, *, book: str, period: str) -> MonthTables | None:
    """Read a stored month of a book, or None where it was never reconciled."""
    tables = lake.tables(scope)
    if tables is None:
        return None
    return MonthTables(book, period, **{name: lake.load(tables[name]) for name in TABLES}, facts=lake.facts(scope))


def list_cases(month: MonthTables) -> pl.DataFrame:
    """List the breaks of a month as cases (`QueueCase`), most money at risk first."""
    breaks = month.breaks.with_columns(BLANK.alias(name) for name in DECISION_COLUMNS if name not in month.breaks.columns)
    listed = breaks.join(_evidence(month, breaks), on="break_id", how="left")
    text = ["counterparty", "reference", "document", "origin_period", "stripe_id", "account", "poster", "payout_id", "journal_id", "memo"]
    certainty = pl.max_horizontal("probability_true_exception", 1 - pl.col("probability_true_exception"))
    described = listed.with_columns(pl.col(name).fill_null("") for name in [*text, *DECISION_COLUMNS]).with_columns(
        confidence=pl.when((pl.col("cause") == "undetermined") | (certainty < CONFIDENCE_MEDIUM))
        .then(pl.lit("Low"))
        .when(certainty < CONFIDENCE_HIGH)
        .then(pl.lit("Medium"))
        .otherwise(pl.lit("High")),
        age_bucket=age_bucket(pl.col("age_days")),
        is_sampled=pl.col("break_id").is_in(month.audit_sample["break_id"].implode()),
        search=_search_text(sorted(set(listed["currency"]))),
    )
    return QueueCase.validate(order_cases(described).select(QueueCase.column_names()), cast=True)


def order_cases(cases: pl.DataFrame) -> pl.DataFrame:
    """Order cases: most money at risk first, then the oldest, then by id."""
    return cases.sort("money_at_risk_minor", "age_days", "break_id", descending=[True, True, False])


def age_bucket(days: pl.Expr) -> pl.Expr:
    """Name the bucket of an age in days, as in `open_items.csv`."""
    bucket = pl.lit(OLDEST)
    for last, name in reversed(AGE_BUCKETS):
        bucket = pl.when(days <= last).then(pl.lit(name)).otherwise(bucket)
    return bucket


def list_root_causes(cases: pl.DataFrame) -> pl.DataFrame:
    """Group cases by what one decision can settle (`RootCause`), most money at risk first."""
    grouped = cases.group_by(ROOT_CAUSE).agg(*_sums(), oldest_days=pl.col("age_days").max())
    ordered = grouped.sort("money_at_risk_minor", "gross_minor", *ROOT_CAUSE, descending=[True, True, *[False] * len(ROOT_CAUSE)])
    return RootCause.validate(ordered.select(RootCause.column_names()), cast=True)


def add_up(cases: pl.DataFrame) -> pl.DataFrame:
    """Add up cases by currency (`Subtotal`): how many, net, gross, at risk."""
    return Subtotal.validate(cases.group_by("currency").agg(*_sums()).sort("currency").select(Subtotal.column_names()), cast=True)


def _sums() -> list[pl.Expr]:
    amount = pl.col("amount_minor")
    return [
        pl.len().cast(pl.Int64).alias("cases"),
        amount.sum().alias("net_minor"),
        amount.abs().sum().alias("gross_minor"),
        pl.col("money_at_risk_minor").sum(),
    ]


def _evidence(month: MonthTables, breaks: pl.DataFrame) -> pl.DataFrame:
    """Gather per break what its items say; a residual speaks through the members of the match that left it."""
    own = breaks.select("break_id", "leg", item_id="item_ids").explode("item_id", empty_as_null=False)
    through = breaks.filter(pl.col("match_id") != "").select("break_id", "leg", "match_id").join(month.members, on=["leg", "match_id"])
    journal = month.open_items.select("leg", "item_id", "journal_id")
    both = pl.concat([own.with_columns(is_own=pl.lit(value=True)), through.select("break_id", "leg", "item_id", is_own=pl.lit(value=False))])
    joined = both.unique(["break_id", "leg", "item_id"], keep="first", maintain_order=True).join(month.items, on=["leg", "item_id"])
    known = joined.join(journal, on=["leg", "item_id"], how="left").sort("break_id", "leg", "item_id")
    side = pl.col("side")
    return known.group_by("break_id", maintain_order=True).agg(
        stripe_on=pl.col("date").filter(side == "stripe").min(),
        ledger_on=pl.col("date").filter(side == "ledger").min(),
        bank_on=pl.col("date").filter(side == "bank").min(),
        document=_listed("document"),
        origin_period=pl.col("origin_period").filter("is_own").min(),
        stripe_id=_listed("balance_transaction_id"),
        account=_listed("account", pl.col("side") == "ledger"),
        poster=_listed("poster"),
        payout_id=_listed("payout_id"),
        journal_id=_listed("journal_id"),
        memo=_listed("description"),
    )


def _listed(column: str, where: pl.Expr = EVERYWHERE) -> pl.Expr:
    """Join the different values of a column that say something; a break seldom has more than one."""
    value = pl.col(column).filter((pl.col(column).fill_null("") != "") & where)
    return value.unique(maintain_order=True).head(3).str.join("; ")


def _search_text(currencies: list[str]) -> pl.Expr:
    """Make what the free-text filter looks through; the amount stands there as people type it, without separators."""
    size, decimal = pl.col("amount_minor").abs().cast(pl.String).str.zfill(4), BLANK
    for currency in currencies:
        places = currency_exponent(currency)
        written = size.str.head(-places) + "." + size.str.tail(places) if places else size
        decimal = pl.when(pl.col("currency") == currency).then(written.str.replace(r"^0+(\d)", "$1")).otherwise(decimal)
    parts = ["reference", "memo", "counterparty", "document", "stripe_id", "payout_id", "journal_id", "break_id"]
    return pl.concat_str(*parts, decimal, separator=" ").str.to_lowercase()
