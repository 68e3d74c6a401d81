"""What is published in the lake -> numbers with labels: how far, how complete, how much is matched, what is open, what the audit found.

Only what readers see is measured, never a run under way. Tables are named by their content, so that a measured month is kept in memory until it changes,
and asking every few seconds costs nothing. Money is a decimal text, as everywhere where it leaves.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import polars as pl

from reconciliation.breaks.clearing import audit_finding
from reconciliation.close.package import ACCEPTED, AGE_BUCKETS
from reconciliation.config import Settings
from reconciliation.lake import Lake
from reconciliation.money import format_minor
from reconciliation.months import locked_through, month_scope

MEASURED = ("items", "members", "breaks", "statement", "audit_sample")
MONTHS_KEPT = 64
OLDEST = "91+"
Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Sample:
    """One number: the measure's name, its labels, and the value as text."""

    name: str
    labels: Labels
    value: str


@dataclass(frozen=True)
class MonthState:
    """A published month of a book that is not locked.

    Attributes:
        book: its name.
        period: its name.
        tables: table -> stored file.
        facts: what its manifest says.
    """

    book: str
    period: str
    tables: Mapping[str, str]
    facts: Mapping[str, Any]


def open_states(lake: Lake, settings: Settings) -> list[MonthState]:
    """Return the published months that are not locked, by book and period."""
    locked = locked_through(lake)
    found = []
    for book in settings.books:
        for scope in lake.scopes(f"month/{book.name}"):
            period = scope.rsplit("/", 1)[-1]
            tables = lake.tables(scope)
            if period > locked and tables is not None:
                found.append(MonthState(book.name, period, tables, lake.facts(month_scope(book.name, period))))
    return found


def measure(lake: Lake, settings: Settings, *, pulled: Mapping[str, datetime | None], now: datetime) -> list[Sample]:
    """Measure everything that is open.

    Args:
        lake: where the months are.
        settings: books and accounts.
        pulled: Stripe account -> the instant up to which it is pulled; None: never.
        now: the clock that lags are counted to.
    """
    samples = [
        Sample("pull_lag_seconds", (("account", account),), str(int((now - through).total_seconds())))
        for account, through in sorted(pulled.items())
        if through is not None
    ]
    for state in open_states(lake, settings):
        samples += measure_state(lake, state)
    return samples


def measure_state(lake: Lake, state: MonthState) -> list[Sample]:
    """Measure a month of a book: its facts, and its tables unless these very ones were measured before."""
    place = (("book", state.book), ("period", state.period))
    found = [*_completeness(state.facts, place), *_clearing(state.facts, place)]
    if set(MEASURED) <= state.tables.keys():
        found += _measure_tables(lake, tuple(state.tables[name] for name in MEASURED), place)
    return found


@lru_cache(maxsize=MONTHS_KEPT)
def _measure_tables(lake: Lake, files: Sequence[str], place: Labels) -> tuple[Sample, ...]:
    items, members, breaks, statement, audit_sample = (lake.load(file) for file in files)
    return (*_matched(items, members, place), *_exceptions(breaks, place), *_unexplained(statement, place), *_audited(breaks, audit_sample, place))


def _matched(items: pl.DataFrame, members: pl.DataFrame, place: Labels) -> Iterator[Sample]:
    counted = items.filter(pl.col("side") != "residual").join(members.select("leg", "item_id", "match_id"), on=["leg", "item_id"], how="left")
    for leg, everything, matched in counted.group_by("leg").agg(pl.len(), pl.col("match_id").count().alias("matched")).sort("leg").iter_rows():
        labels = (*place, ("leg", leg))
        yield Sample("items", labels, str(everything))
        yield Sample("matched_items", labels, str(matched))
        yield Sample("match_rate", labels, f"{matched / everything:.6f}")


def age_bucket(column: str) -> pl.Expr:
    """Name the span of days that an age lies in, as in `open_items.csv`."""
    bucket = pl.lit(OLDEST)
    for last, name in reversed(AGE_BUCKETS):
        bucket = pl.when(pl.col(column) <= last).then(pl.lit(name)).otherwise(bucket)
    return bucket


def exceptions_of(breaks: pl.DataFrame) -> pl.DataFrame:
    """Return the breaks that a person must look at."""
    return breaks.filter(~pl.col("disposition").is_in(ACCEPTED))


def _exceptions(breaks: pl.DataFrame, place: Labels) -> Iterator[Sample]:
    grouped = exceptions_of(breaks).group_by("currency", age=age_bucket("age_days")).agg(
        count=pl.len(), amount=pl.col("amount_minor").abs().sum(), at_risk=pl.col("money_at_risk_minor").sum()
    )  # fmt: skip
    for row in grouped.sort("currency", "age").to_dicts():
        labels = (*place, ("currency", row["currency"]), ("age_days", row["age"]))
        yield Sample("exceptions", labels, str(row["count"]))
        yield Sample("exceptions_amount", labels, format_minor(row["amount"], row["currency"]))
        yield Sample("exceptions_money_at_risk", labels, format_minor(row["at_risk"], row["currency"]))


def _unexplained(statement: pl.DataFrame, place: Labels) -> Iterator[Sample]:
    lines = statement.filter((pl.col("section") == "bridge") & pl.col("line").is_in(["unexplained", "undetermined", "total"]))
    for row in lines.sort("currency", "line").to_dicts():
        name = "difference_amount" if row["line"] == "total" else f"{row['line']}_amount"
        yield Sample(name, (*place, ("currency", row["currency"])), format_minor(row["difference"] or 0, row["currency"]))


def _audited(breaks: pl.DataFrame, audit_sample: pl.DataFrame, place: Labels) -> Iterator[Sample]:
    drawn = breaks.join(audit_sample.select("break_id"), on="break_id", how="semi").with_columns(finding=audit_finding())
    for finding, name in (("right", "right"), ("wrong", "wrong"), ("", "not_looked_at")):
        yield Sample("auto_clear_sample", (*place, ("finding", name)), str(drawn.filter(pl.col("finding") == finding).height))


def _completeness(facts: Mapping[str, Any], place: Labels) -> Iterator[Sample]:
    results = [str(proof["result"]) for proof in facts.get("completeness", [])]
    for result in ("proven", "unproven", "failed"):
        yield Sample("completeness_proofs", (*place, ("result", result)), str(results.count(result)))
    for source, through in sorted(facts.get("complete_through", {}).items()):
        if through:
            at = datetime.fromisoformat(through)
            moment = at if at.tzinfo else at.replace(tzinfo=UTC)
            yield Sample("complete_through_timestamp_seconds", (*place, ("source", source)), str(int(moment.timestamp())))


def _clearing(facts: Mapping[str, Any], place: Labels) -> Iterator[Sample]:
    clearing = facts.get("clearing", {})
    for disposition, count in sorted(clearing.get("dispositions", {}).items()):
        yield Sample("policy_dispositions", (*place, ("disposition", disposition)), str(count))
    yield Sample("policy_alarms", place, str(len(clearing.get("alarms", []))))
    audit = clearing.get("audit", {})
    for name in ("accepted", "drawn", "looked_at", "wrong"):
        if name in audit:
            yield Sample("auto_clear_audit", (*place, ("count", name)), str(audit[name]))
    if audit.get("wrong_share_at_most") is not None:
        yield Sample("auto_clear_wrong_share_at_most", place, str(audit["wrong_share_at_most"]))
