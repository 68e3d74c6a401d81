"""What a reviewer wants to see <-> the address of the page: a saved view is a bookmark.

An unknown word in an address filters nothing and is dropped; an amount that is none is refused in words, since a filter that silently does
nothing shows too much money.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from urllib.parse import urlencode

import polars as pl

from reconciliation.errors import ReconciliationError
from reconciliation.money import currency_exponent, parse_minor

TABS = ("mine", "second", "root", "all", "decided", "sample")
WAITING = ["needs_review", "reopened", "confirmed_exception", "proposed_clear"]
SECOND = ["awaiting_second"]
DECIDED = ["cleared_by_reviewer", "written_off", "settled", "auto_cleared"]
ROWS_A_PAGE = 200
MILLI = 1000


class FilterRefusedError(ReconciliationError):
    """A filter in the address does not say what it should."""


@dataclass(frozen=True)
class Filters:
    """A view of the queue; every field is text as it stands in the address, empty where nothing is asked.

    Attributes:
        tab: which of `TABS`; empty lets the number of cases decide.
        low, high: bounds of the absolute amount.
        material: `above` or `below` materiality.
        origin: month an item comes from.
        mine: `me` for what the reader was assigned or prepared, `nobody` for what nobody was.
        journal: `yes` where an entry is proposed.
        q: free text over reference, memo, customer, ids and amount.
    """

    tab: str = ""
    book: str = ""
    nature: str = ""
    cause: str = ""
    kind: str = ""
    currency: str = ""
    account: str = ""
    low: str = ""
    high: str = ""
    material: str = ""
    age: str = ""
    origin: str = ""
    payout: str = ""
    poster: str = ""
    counterparty: str = ""
    side: str = ""
    mine: str = ""
    journal: str = ""
    q: str = ""

    @property
    def is_narrow(self) -> bool:
        """Whether anything but the tab is asked for."""
        return any(getattr(self, field.name) for field in fields(self) if field.name != "tab")

    def address(self, **changed: str) -> str:
        """Return the query of this view, with some fields changed.

        >>> Filters(tab="all", cause="fx").address(cause="", q="INV-1 & Co")
        'tab=all&q=INV-1+%26+Co'
        """
        wanted = replace(self, **changed)
        return urlencode({field.name: getattr(wanted, field.name) for field in fields(wanted) if getattr(wanted, field.name)})


def read_filters(query: Mapping[str, str]) -> Filters:
    """Read a view from an address.

    Raises:
        FilterRefusedError: a bound is no amount.
    """
    asked = Filters(**{field.name: query.get(field.name, "").strip()[:200] for field in fields(Filters)})
    for name, words in (("low", "The smallest amount"), ("high", "The largest amount")):
        _bound(getattr(asked, name), words)
    return replace(asked, tab=asked.tab if asked.tab in TABS else "")


def filter_cases(cases: pl.DataFrame, asked: Filters, *, reviewer: str, materiality_minor: int) -> pl.DataFrame:
    """Keep the cases a view asks for, in their order.

    Args:
        cases: `QueueCase`.
        asked: the view.
        reviewer: who is looking.
        materiality_minor: of the entity's currency, taken for every currency.
    """
    kept = cases.filter(_of_tab(asked.tab, reviewer))
    for name in ("book", "nature", "cause", "kind", "currency", "side"):
        if value := getattr(asked, name):
            kept = kept.filter(pl.col(name) == ("" if value == "none" and name == "nature" else value))
    for name, column in (("account", "account"), ("payout", "payout_id"), ("poster", "poster"), ("counterparty", "counterparty")):
        if value := getattr(asked, name):
            kept = kept.filter(pl.col(column).str.to_lowercase().str.contains(value.lower(), literal=True))
    for name, column in (("age", "age_bucket"), ("origin", "origin_period")):
        if value := getattr(asked, name):
            kept = kept.filter(pl.col(column) == value)
    kept = kept.filter(*_bounds(kept, asked))
    if asked.material in ("above", "below"):
        is_material = pl.col("amount_minor").abs() >= materiality_minor
        kept = kept.filter(is_material if asked.material == "above" else ~is_material)
    if asked.mine in ("me", "nobody"):
        kept = kept.filter(pl.col("prepared_by") == (reviewer if asked.mine == "me" else ""))
    if asked.journal == "yes":
        kept = kept.filter(pl.col("journal_id") != "")
    for word in asked.q.lower().replace(",", "").split():
        kept = kept.filter(pl.col("search").str.contains(word, literal=True))
    return kept


def _of_tab(tab: str, reviewer: str) -> pl.Expr:
    status = pl.col("disposition")
    waiting = status.is_in(WAITING)
    if tab == "second":
        return status.is_in(SECOND)
    if tab == "decided":
        return status.is_in(DECIDED)
    if tab == "mine":
        return (waiting & pl.col("prepared_by").is_in(["", reviewer])) | (status.is_in(SECOND) & (pl.col("prepared_by") != reviewer))
    if tab == "sample":
        return pl.col("is_sampled")
    return waiting if tab == "root" else waiting | status.is_in(SECOND)


def _bounds(cases: pl.DataFrame, asked: Filters) -> list[pl.Expr]:
    """Compare absolute amounts with the bounds, each currency in its own minor units."""
    limits: list[pl.Expr] = []
    for text, is_low in ((asked.low, True), (asked.high, False)):
        if not text:
            continue
        holds = pl.lit(value=False)
        for currency in sorted(set(cases["currency"])):
            size, bound = pl.col("amount_minor").abs() * MILLI, _bound(text, "The bound") * 10 ** currency_exponent(currency)
            holds = holds | ((pl.col("currency") == currency) & (size >= bound if is_low else size <= bound))
        limits.append(holds)
    return limits


def _bound(text: str, words: str) -> int:
    """Read a bound in thousandths, which every currency's minor unit divides."""
    try:
        return parse_minor(text.replace(",", "") or "0", "KWD")
    except ValueError as error:
        raise FilterRefusedError(f"{words} {text!r} is not an amount; write it as 1040.50") from error
