"""Whole itemised reports -> the same tables as the lists give, in their place: for history, and for accounts too large for lists.

Who drops a report into `[stripe] history` says that it is whole: `balance_change_from_activity.itemized`, one a currency, run without a
filter. Between the first and the last row of such a file the API is asked only for what these reports leave out: movements between the
balance and the bank, and currencies that no file covers. A filtered report looks like a whole one, so pages of the API are held against
it at several instants of each file, and one that lacks a row is refused; the completeness proof judges what is left.

The lines of a payout are taken from reports (`payout_reconciliation.itemized` may lie there as well, for a time that another file covers) when
they come to the payout's amount, else from its list. Charges, refunds and the like, for names and references, are listed as ever.

Left out: parts of fees, which reports do not name: their fee is one. A row that was pulled before keeps what the API said of it.
Alone: `read_history(Path("data/inbox/stripe_history"), account="self", time_zone="UTC")`.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import dataframely as dy
import orjson
import polars as pl

from reconciliation.connectors.stripe import parse
from reconciliation.connectors.stripe.client import StripeReader
from reconciliation.connectors.stripe.reports import join_reports, list_reports, read_report
from reconciliation.connectors.stripe.slices import TRANSACTIONS, Slice
from reconciliation.connectors.stripe.types import PAYOUT_TYPES
from reconciliation.errors import FileRefusedError
from reconciliation.schemas.stripe import BalanceTransaction, PayoutMember

CHECKS_A_FILE = 4
"""Instants of each file at which a page of the API is held against it: its quarters."""

_KEY = "balance_transaction_id"
_MONEY = ("amount_minor", "fee_minor", "net_minor", "currency")


@dataclass(frozen=True)
class Covered:
    """A file holds every transaction of a currency created from `begin` on and before `end` (seconds since 1970)."""

    file: str
    currency: str
    begin: int
    end: int


@dataclass(frozen=True)
class History:
    """The whole reports of an account.

    Attributes:
        folder: where they lie.
        transactions: `BalanceTransaction`.
        members: `PayoutMember`, where they name automatic payouts.
        covered: what the lists need not give.
        notes: name, digest and rows of each file, to be kept as raw pages are.
    """

    folder: str
    transactions: pl.DataFrame
    members: pl.DataFrame
    covered: tuple[Covered, ...]
    notes: tuple[bytes, ...]


def read_history(folder: Path, *, account: str, time_zone: str) -> History | None:
    """Read the whole reports of an account; None where there are none.

    Args:
        folder: those of the key's own account at its top, those of a connected account in a folder named after it.
        account: the Stripe account.
        time_zone: of columns that do not say `_utc`.

    Raises:
        FileRefusedError: see `reports.read_report`; or two reports contradict each other.
    """
    paths = list_reports(folder, account=account)
    if not paths:
        return None
    reports = [read_report(path, account=account, time_zone=time_zone) for path in paths]
    covered = [span for path, report in zip(paths, reports, strict=True) for span in _spans(report.transactions, file=str(path))]
    notes = [
        orjson.dumps({"object": "report", "file": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "rows": report.transactions.height})
        for path, report in zip(paths, reports, strict=True)
    ]
    members = pl.concat([report.members for report in reports]).unique(maintain_order=True)
    return History(str(folder), join_reports([report.transactions for report in reports], folder), members, tuple(covered), tuple(notes))


def plan_lists(history: History, *, first: int, last: int, currencies: Iterable[str]) -> list[Slice]:
    """Return what has to be listed all the same.

    Args:
        history: the reports.
        first: first second of the window.
        last: the second after its last.
        currencies: of the account's balance.
    """
    spans = [span for span in history.covered if span.begin < last and span.end > first]
    edges = sorted({first, last, *(min(max(edge, first), last) for span in spans for edge in (span.begin, span.end))})
    lists = []
    for begin, end in pairwise(edges):
        known = {span.currency for span in spans if span.begin <= begin and end <= span.end}
        narrowed: list[tuple[tuple[str, str], ...]] = [()]
        if known:
            others = [(("currency", currency.lower()),) for currency in sorted(set(currencies) - known)]
            narrowed = [*others, *((("currency", currency.lower()), ("type", kind)) for currency in sorted(known) for kind in PAYOUT_TYPES)]
        lists += [Slice(TRANSACTIONS, begin, end, narrowed=filters) for filters in narrowed]
    return lists


def check_history(reader: StripeReader, history: History, *, account: str, first: int, last: int) -> None:
    """Hold pages of the API against the reports.

    Raises:
        FileRefusedError: a report lacks what the API lists, or has other money for it.
        StripeAccessError: the key, the way to Stripe, or what Stripe answered.
    """
    for span in history.covered:
        begin, end = max(span.begin, first), min(span.end, last)
        seconds = _inside(history.transactions, span.currency, begin, end)["created_at"].dt.epoch("s").sort()
        instants = {int(seconds[(seconds.len() - 1) * quarter // CHECKS_A_FILE]) + 1 for quarter in range(1, CHECKS_A_FILE + 1)} if seconds.len() else set()
        for instant in sorted(instants):
            filters = Slice(TRANSACTIONS, begin, min(instant, end), narrowed=(("currency", span.currency.lower()),)).filters
            page = next(reader.list_pages(TRANSACTIONS, account=account, **filters))
            listed = parse.parse_balance_transactions([page.body], account=account).filter(~pl.col("type").is_in(PAYOUT_TYPES))
            _require_reported(listed, history.transactions, file=span.file)


def merge_history(listed: pl.DataFrame, history: History, *, known: pl.DataFrame | None, first: int, last: int) -> dy.DataFrame[BalanceTransaction]:
    """Put what reports hold of a window beside what was listed.

    Args:
        listed: `BalanceTransaction` rows that were listed all the same.
        history: the reports.
        known: rows that an earlier pull read; they say more of a fee than a report does, and are taken in its place.
        first: first second of the window.
        last: the second after its last.

    Raises:
        FileRefusedError: a report gives other money for a transaction than the API does, or did.
    """
    inside = [_inside(history.transactions, span.currency, max(span.begin, first), min(span.end, last)) for span in history.covered]
    reported = pl.concat([history.transactions.clear(), *inside]).unique(_KEY, maintain_order=True)
    told = pl.concat([listed, *([] if known is None else [known.join(listed, on=_KEY, how="anti").select(listed.columns)])])
    # What is listed was read within these very seconds; what the reports have of other seconds is not taken at all.
    _require_reported(told.join(history.transactions, on=_KEY, how="semi"), history.transactions, file=history.folder)
    fresh = reported.select(_KEY, "status")
    kept = told.join(listed, on=_KEY, how="anti").drop("status").join(fresh, on=_KEY).select(listed.columns)
    rest = reported.join(pl.concat([listed, kept]), on=_KEY, how="anti").select(listed.columns)
    return BalanceTransaction.validate(pl.concat([listed, kept, rest]).sort("created_at", _KEY), cast=True)


def reported_members(history: History, payouts: pl.DataFrame) -> dy.DataFrame[PayoutMember]:
    """Return the lines of those payouts whose reported lines come to their amount, with each payout's own transaction.

    Args:
        history: the reports.
        payouts: `Payout` rows, itemised ones.
    """
    nets = history.transactions.filter(pl.col("type") != "payout").select(_KEY, "net_minor")
    totals = history.members.join(nets, on=_KEY).group_by("payout_id").agg(net=pl.col("net_minor").sum())
    whole = payouts.join(totals, on="payout_id").filter(pl.col("net") == pl.col("amount_minor")).select("stripe_account", "payout_id", "balance_transaction_id")
    lines = history.members.join(whole.select("payout_id"), on="payout_id", how="semi")
    own = whole.filter(pl.col(_KEY).is_not_null()).select(lines.columns)
    both = pl.concat([lines, own]).unique(maintain_order=True)
    twice = both.filter(pl.col(_KEY).is_duplicated())
    if twice.height:
        raise FileRefusedError(
            file=history.folder, message=f"reports list under more than one payout: {parse.name_ids(twice[_KEY].unique().sort())}; take the wrong one out"
        )
    return PayoutMember.validate(both.sort("payout_id", _KEY), cast=True)


def _spans(transactions: pl.DataFrame, *, file: str) -> list[Covered]:
    """Return what a file covers: of the very seconds of its first and last row it may hold a part only."""
    seconds = pl.col("created_at").dt.epoch("s")
    ends = transactions.group_by("currency").agg(first=seconds.min(), last=seconds.max()).sort("currency")
    return [Covered(file, currency, first + 1, last) for currency, first, last in ends.iter_rows() if first + 1 < last]


def _inside(transactions: pl.DataFrame, currency: str, begin: int, end: int) -> pl.DataFrame:
    seconds = pl.col("created_at").dt.epoch("s")
    return transactions.filter((pl.col("currency") == currency) & (seconds >= begin) & (seconds < end))


def _require_reported(listed: pl.DataFrame, reported: pl.DataFrame, *, file: str) -> None:
    """Check that a report has every transaction that the API lists, with the same money."""
    compared = listed.select(_KEY, *_MONEY).join(reported.select(_KEY, *_MONEY), on=_KEY, how="left", suffix="_reported")
    is_missing = pl.col("net_minor_reported").is_null()
    missing = compared.filter(is_missing)[_KEY].sort()
    other = compared.filter(~is_missing & pl.any_horizontal(pl.col(name) != pl.col(f"{name}_reported") for name in _MONEY))[_KEY].sort()
    faults = [f"lacks transactions that Stripe lists: {parse.name_ids(missing)}"] if missing.len() else []
    faults += [f"has other money than Stripe lists for {parse.name_ids(other)}"] if other.len() else []
    if faults:
        raise FileRefusedError(
            file=file,
            message=f"{'; '.join(faults)}. A report here stands for the lists: run balance_change_from_activity.itemized again, without filters and for all days, or take it out",
        )
