"""A reconciled month in the lake -> what a reviewer sees and what a decision is checked against.

A view of a break is its items with their amounts, its kind, its causes and the last decision about it. Its digest goes with the form, the
spreadsheet or the command, and a decision on anything else than what stands there now is refused.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import polars as pl

from reconciliation.config import Settings
from reconciliation.errors import InputsMissingError, StaleViewError
from reconciliation.lake import Lake, locked_through, month_scope
from reconciliation.money import currency_exponent, parse_minor
from reconciliation.rates import Rates, read_rates
from reconciliation.review.log import Entry, canonical
from reconciliation.review.standing import find_standings
from reconciliation.review.vocabulary import BREAK_DECISIONS

Shown = dict[str, Any]
"""What was shown of a break, as plain values for the log."""
ItemKey = tuple[str, str]
"""Leg and item id."""


@dataclass(frozen=True)
class Limits:
    """Amounts in minor units by currency; a currency without a known rate has none, and everything in it takes two people.

    Attributes:
        four_eyes_minor: above it a decision takes a second person.
        materiality_minor: from it on a write-off does.
    """

    four_eyes_minor: Mapping[str, int]
    materiality_minor: Mapping[str, int]


@dataclass(frozen=True)
class Situation:
    """A month as the last run left it, all books together.

    Attributes:
        period: which month.
        breaks: `Break`.
        items: `leg, item_id, side, amount_minor, currency, book` of every item.
        open_items: `leg, item_id, cause, nature, journal_id` of those open.
        members: `leg, item_id, match_id, strategy`.
        locked_through: the last locked month, or empty.
        package_hash: of the month's newest package, for certifying; empty where there is none.
        limits: from when on two people decide.
        versions: of model and settings, for the entry.
    """

    period: str
    breaks: pl.DataFrame
    items: pl.DataFrame
    open_items: pl.DataFrame
    members: pl.DataFrame
    locked_through: str
    package_hash: str
    limits: Limits
    versions: Mapping[str, str]


def read_situation(lake: Lake, settings: Settings, period: str) -> Situation:
    """Read a month as the last run left it.

    Args:
        lake: the lake.
        settings: with the controls in force (`controls.settings_in_force`).
        period: which month.

    Raises:
        InputsMissingError: the month was never reconciled.
    """
    frames: dict[str, list[pl.DataFrame]] = {name: [] for name in ("breaks", "items", "open_items", "members")}
    facts: dict[str, Any] = {}
    for book in settings.books:
        tables = lake.tables(month_scope(book.name, period))
        if tables is None:
            raise InputsMissingError(f"{period} was not reconciled for book {book.name}; run: reconcile run --period {period}")
        facts = facts or lake.facts(month_scope(book.name, period))
        for name, found in frames.items():
            found.append(lake.load(tables[name]))
    whole = {name: pl.concat(found, how="diagonal_relaxed") for name, found in frames.items()}
    currencies = whole["items"]["currency"].unique().sort().to_list()
    limits = find_limits(settings, currencies, on=date.fromisoformat(facts["cut_off_on"]), rates=read_rates(settings.path(settings.fx.rates)))
    return Situation(
        period=period,
        breaks=whole["breaks"],
        items=whole["items"].select("leg", "item_id", "side", "amount_minor", "currency", "book"),
        open_items=whole["open_items"].select("leg", "item_id", "cause", "nature", "journal_id"),
        members=whole["members"].select("leg", "item_id", "match_id", "strategy"),
        locked_through=locked_through(lake),
        package_hash=package_hash(settings, period),
        limits=limits,
        versions={"model": str(facts.get("model", "")), "settings_sha256": str(facts.get("settings_sha256", ""))},
    )


def find_limits(settings: Settings, currencies: Iterable[str], *, on: date, rates: Rates) -> Limits:
    """Translate the limits into every currency at the rates of a day."""
    base = settings.entity.currency
    four_eyes, materiality = parse_minor(settings.review.four_eyes_above, base), parse_minor(settings.close.materiality, base)
    shares = {currency: 1.0 if currency == base else rates.rate(base, currency, on) for currency in currencies}
    scales = {currency: share * 10.0 ** (currency_exponent(currency) - currency_exponent(base)) for currency, share in shares.items() if share is not None}
    return Limits(
        {currency: int(four_eyes * scale) for currency, scale in scales.items()}, {currency: int(materiality * scale) for currency, scale in scales.items()}
    )


def package_hash(settings: Settings, period: str) -> str:
    """Return the hash that is signed of a month's newest package, or an empty text; it covers every figure and input, and not who signed."""
    path = settings.path(settings.close.folder) / period / "latest" / "manifest.json"
    return str(json.loads(path.read_bytes()).get("package_sha256", "")) if path.exists() else ""


def view_breaks(situation: Situation, entries: Sequence[Entry], break_ids: Iterable[str]) -> dict[str, Shown]:
    """Return what stands there now of some breaks.

    Args:
        situation: the month.
        entries: the verified log.
        break_ids: which; all that exist are returned.

    Returns:
        By break: `break_id, book, leg, kind, cause, nature, amount_minor, currency, match_id, decided` (the last decision about any of its
        items, or 0) and `items`: `[item_id, amount_minor, cause, nature]`.
    """
    columns = ["break_id", "book", "leg", "kind", "cause", "nature", "amount_minor", "currency", "match_id", "item_ids"]
    wanted = situation.breaks.filter(pl.col("break_id").is_in(sorted(set(break_ids)))).select(columns).sort("break_id").to_dicts()
    named = pl.Series([item_id for row in wanted for item_id in row["item_ids"]], dtype=pl.String).unique().implode()
    amounts = {(leg, item_id): amount for leg, item_id, amount in _rows(situation.items, named, "amount_minor")}
    causes = {(leg, item_id): (cause, nature) for leg, item_id, cause, nature in _rows(situation.open_items, named, "cause", "nature")}
    last = _last_decisions(entries)
    views = {}
    for row in wanted:
        keys = [(row["leg"], item_id) for item_id in sorted(row.pop("item_ids"))]
        own = [[key[1], amounts[key], *causes.get(key, (row["cause"], row["nature"]))] for key in keys if key in amounts]
        views[row["break_id"]] = {**row, "items": own, "decided": max((last.get(key, 0) for key in keys), default=0)}
    return views


def _rows(frame: pl.DataFrame, named: pl.Series, *columns: str) -> Iterable[tuple[Any, ...]]:
    return frame.filter(pl.col("item_id").is_in(named)).select("leg", "item_id", *columns).iter_rows()


def view_digest(shown: Shown) -> str:
    """Return the digest of a view, which a form carries."""
    return hashlib.sha256(canonical(shown)).hexdigest()[:16]


def check_views(situation: Situation, entries: Sequence[Entry], seen: Mapping[str, str]) -> list[Shown]:
    """Return what was shown of the breaks a reviewer saw, if it still stands there.

    Args:
        situation: the month.
        entries: the verified log.
        seen: break -> `view_digest` of what the reviewer saw.

    Raises:
        StaleViewError: a break is gone, its items or amounts are others, or somebody decided about it meanwhile; all are named.
    """
    now = view_breaks(situation, entries, seen)
    gone = sorted(set(seen) - set(now))
    changed = sorted(break_id for break_id, shown in now.items() if view_digest(shown) != seen[break_id])
    faults = [f"{break_id}: is not open any more" for break_id in gone] + [f"{break_id}: {_what_changed(now[break_id])}" for break_id in changed]
    if faults:
        raise StaleViewError("\n".join(["what was shown has changed, so nothing was decided; look again:", *faults]))
    return [now[break_id] for break_id in sorted(now)]


def _what_changed(shown: Shown) -> str:
    decided = f"; entry {shown['decided']} of the log decided about it" if shown["decided"] else ""
    return f"its items, amounts or cause are not those that were shown{decided}"


def _last_decisions(entries: Sequence[Entry]) -> dict[ItemKey, int]:
    """Return the last thing that happened to each item's decision: the decision itself, or what answered it."""
    last: dict[ItemKey, int] = {}
    for number, standing in find_standings(entries).items():
        if standing.entry.kind in BREAK_DECISIONS:
            moved = max(number, standing.approval.number if standing.approval else 0, standing.ending.number if standing.ending else 0)
            for shown in standing.entry.body["shown"]:
                for item in shown["items"]:
                    key = (shown["leg"], item[0])
                    last[key] = max(last.get(key, 0), moved)
    return last
