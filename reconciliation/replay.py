"""A closed month under other rules or another model -> what would change; nothing is written.

The month is matched and explained anew from exactly the items it was closed with, so that every difference comes from the rules: with the same
program, settings and model there is none. What people matched stays matched; their decisions about breaks are left out of the replay and then held
against it.
"""

from dataclasses import dataclass, replace
from datetime import date, datetime

import polars as pl

from reconciliation.config import Settings
from reconciliation.errors import InputsMissingError
from reconciliation.lake import Lake, lock_scope, month_scope
from reconciliation.months import carry_in, complete_book
from reconciliation.pipeline import Policy, Reconciliation, Scorer, reconcile_population
from reconciliation.population import Month, Population, list_evidence
from reconciliation.rates import Rates
from reconciliation.schemas.decisions import DecidedItem
from reconciliation.schemas.items import EFFECT
from reconciliation.sources import Sources

KEY = ["leg", "item_id"]
BY_HAND = "matched_by_hand"
MATCHED = "matched"


@dataclass(frozen=True)
class Replay:
    """What would change in one book.

    Attributes:
        book: which book.
        kept: how many matches are the same, member by member.
        matches: matches gained and lost: `change, match_id, leg, strategy, currency, items, amount_minor` (the larger side's).
        causes: money that moves: `leg, currency, before, now, items, effect_minor`, where before and now are `matched` or nature and cause.
        dispositions: the same for who accepts it: `leg, currency, before, now, items, effect_minor`.
        contradicted: items about which people decided otherwise than the replay: `leg, item_id, currency, effect_minor, entry, decided_by, decided, replayed`.
        bridge: by currency and cause: `currency, line, before_minor, now_minor, difference_minor`.
    """

    book: str
    kept: int
    matches: pl.DataFrame
    causes: pl.DataFrame
    dispositions: pl.DataFrame
    contradicted: pl.DataFrame
    bridge: pl.DataFrame


def closed_scope(lake: Lake, book: str, period: str) -> str:
    """Name the scope a month is replayed from: its lock, or the month as the last run left it.

    Raises:
        InputsMissingError: it was never reconciled.
    """
    for scope in (lock_scope(book, period), month_scope(book, period)):
        if lake.tables(scope) is not None:
            return scope
    raise InputsMissingError(f"{period} was not reconciled for book {book}; run: reconcile run --period {period}")


def define_closed_month(lake: Lake, settings: Settings, book: str, period: str, *, lines: pl.DataFrame) -> Month:
    """Return the month with the cut-off it was closed with, under the rules of `settings`."""
    facts = lake.facts(closed_scope(lake, book, period))
    before = settings.calendar.preceding(period)
    through = before if before >= settings.start.period else ""
    cut_off, cut_off_on = datetime.fromisoformat(facts["cut_off"]), date.fromisoformat(facts["cut_off_on"])
    return Month(period, complete_book(settings.book(book), lines), settings, settings.calendar, cut_off, cut_off_on, through)


def take_rules(settings: Settings, other: Settings) -> Settings:
    """Return the settings with everything from `other` that is a rule, and nothing that says where things lie or who is reconciled."""
    close = settings.close.model_copy(update={"materiality": other.close.materiality})
    return settings.model_copy(update={"classifier": other.classifier, "review": other.review, "journals": other.journals, "close": close})


def replay_month(lake: Lake, sources: Sources, month: Month, *, score: Scorer, policy: Policy, rates: Rates, decided: pl.DataFrame) -> Replay:
    """Replay a closed month of a book.

    Args:
        lake: holds the month as it was closed.
        sources: what is read now; serves as evidence only.
        month: from `define_closed_month`.
        score: the other model.
        policy: what may be accepted on its word.
        rates: exchange rates.
        decided: `DecidedItem`: what people decided.
    """
    scope = closed_scope(lake, month.book.name, month.period)
    tables = lake.tables(scope) or {}
    closed = {name: lake.load(tables[name]) for name in ("items", "references", "members", "explained")}
    carried = replace(carry_in(lake, sources, month), decided=DecidedItem.create_empty())
    is_own = (pl.col("side") != "residual") | (pl.col("population") == "carried")
    items = closed["items"].filter(is_own)
    population = Population(items, closed["references"].join(items, on=KEY, how="semi", maintain_order="left"), *list_evidence(sources, month))
    return compare(closed, reconcile_population(population, sources, month, carried, score=score, rates=rates, policy=policy), decided=decided)


def compare(closed: dict[str, pl.DataFrame], now: Reconciliation, *, decided: pl.DataFrame) -> Replay:
    """Compare a closed month with its replay.

    Args:
        closed: `items`, `members` and `explained` of the month as closed.
        now: the replay.
        decided: `DecidedItem`.
    """
    before, after = _placed(closed["items"], closed["explained"]), _placed(now.items, now.explained)
    both = before.join(after, on=KEY, how="full", coalesce=True, suffix="_now").with_columns(
        pl.coalesce("currency", "currency_now"), effect=pl.coalesce("effect", "effect_now"), gone=pl.lit("")
    )
    old, new = _matches(closed["members"], closed["items"]), _matches(now.members, now.items)
    lost, gained = old.join(new, on=["leg", "match_id"], how="anti"), new.join(old, on=["leg", "match_id"], how="anti")
    # A match made by hand is no rule's; it is lost only if the replay takes its members elsewhere.
    taken = now.members.join(closed["members"].filter(pl.col("strategy") == BY_HAND).select(*KEY, by_hand="match_id"), on=KEY)["by_hand"].unique()
    lost = lost.filter((pl.col("strategy") != BY_HAND) | pl.col("match_id").is_in(taken.implode()))
    changes = pl.concat([gained.with_columns(change=pl.lit("gained")), lost.with_columns(change=pl.lit("lost"))])
    return Replay(
        book=now.month.book.name,
        kept=old.height - old.join(new, on=["leg", "match_id"], how="anti").height,
        matches=changes.select("change", "match_id", "leg", "strategy", "currency", "items", "amount_minor").sort("change", "leg", "match_id"),
        causes=_moved(both, "place"),
        dispositions=_moved(both, "disposition"),
        contradicted=_contradicted(both, decided, period=now.month.period),
        bridge=_bridge(closed["explained"], now.explained),
    )


def _placed(items: pl.DataFrame, explained: pl.DataFrame) -> pl.DataFrame:
    named = explained.select(*KEY, "disposition", "cause", place=pl.concat_str(["nature", "cause"], separator=" ").str.strip_chars())
    placed = items.select(*KEY, "currency", effect=EFFECT).join(named, on=KEY, how="left")
    return placed.with_columns(pl.col("place", "disposition").fill_null(MATCHED), pl.col("cause").fill_null(""))


def _matches(members: pl.DataFrame, items: pl.DataFrame) -> pl.DataFrame:
    described = members.select(*KEY, "match_id", "strategy").join(items.select(*KEY, "currency", effect=EFFECT), on=KEY)
    plus, minus = pl.col("effect").filter(pl.col("effect") > 0).sum(), -pl.col("effect").filter(pl.col("effect") < 0).sum()
    return described.group_by("leg", "match_id").agg(
        pl.col("strategy").cast(pl.String).first(), pl.col("currency").first(), items=pl.len(), amount_minor=pl.max_horizontal(plus, minus)
    )


def _moved(both: pl.DataFrame, column: str) -> pl.DataFrame:
    """Count and add up what stands elsewhere now; an item that only one of the two has (a residual) came from or went to nothing."""
    sides = both.with_columns(before=pl.col(column).fill_null("not there"), now=pl.col(f"{column}_now").fill_null("not there"))
    moved = (
        sides.filter(pl.col("before") != pl.col("now")).group_by("leg", "currency", "before", "now").agg(items=pl.len(), effect_minor=pl.col("effect").sum())
    )
    return moved.sort("leg", "currency", "before", "now")


def _contradicted(both: pl.DataFrame, decided: pl.DataFrame, *, period: str) -> pl.DataFrame:
    """List items whose decision in force names another cause than the replay, or that the replay matches."""
    last = decided.filter((pl.col("state") == "in_force") & (pl.col("period") <= period)).sort("number").unique(KEY, keep="last", maintain_order=True)
    held = both.filter(pl.col("effect_now").is_not_null()).join(last.select(*KEY, "number", "prepared_by", "decision", decided_cause="cause"), on=KEY)
    against = held.filter((pl.col("place_now") == MATCHED) | (pl.col("cause_now") != pl.col("decided_cause")))
    return against.select(
        *KEY, "currency", effect_minor="effect", entry="number", decided_by="prepared_by",
        decided=pl.concat_str(["decision", "decided_cause"], separator=" "), replayed="place_now",
    ).sort(KEY)  # fmt: skip


def _bridge(before: pl.DataFrame, now: pl.DataFrame) -> pl.DataFrame:
    line = pl.concat_str(["nature", "cause"], separator=".").str.strip_chars(".")
    sums = [
        frame.filter(pl.col("leg") == "books").group_by("currency", line=line).agg(EFFECT.sum().alias(name))
        for frame, name in ((before, "before_minor"), (now, "now_minor"))
    ]
    joined = sums[0].join(sums[1], on=["currency", "line"], how="full", coalesce=True).with_columns(pl.col("before_minor", "now_minor").fill_null(0))
    return joined.with_columns(difference_minor=pl.col("now_minor") - pl.col("before_minor")).sort("currency", "line")
