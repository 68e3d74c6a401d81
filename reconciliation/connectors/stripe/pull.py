"""A window of time -> frames and raw pages, read from one Stripe account.

Windows are half-open instants `[start, end)`. The end is sent as `created[lt]`, so that a walk is not moved by what arrives
meanwhile. How the pages of a window are read side by side is told in `slices`; finished parts are kept for the repeat of a killed pull
(`partial`). A window of millions of rows is held as compressed pages and, once, in columns.
"""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import polars as pl

from reconciliation.connectors.stripe import parse
from reconciliation.connectors.stripe.client import StripeReader
from reconciliation.connectors.stripe.history import History, check_history, merge_history, plan_lists, reported_members
from reconciliation.connectors.stripe.partial import PartialPull
from reconciliation.connectors.stripe.slices import OPTIONAL_LISTS, TRANSACTIONS, ReadPart, Slice, read_slices
from reconciliation.connectors.stripe.types import undocumented_types
from reconciliation.errors import IncompletePullError, StripeAccessError
from reconciliation.lake import pack_pages, unpack_pages
from reconciliation.schemas.stripe import PayoutMember

logger = logging.getLogger(__name__)

LOOKS_MAX = 4
PAYOUTS = "/v1/payouts"
SOURCE_LISTS = ("/v1/charges", "/v1/refunds", "/v1/disputes")

UNSETTLED_LISTS = {"dispute": "/v1/disputes", "refund": "/v1/refunds"}
"""What can change long after it was made, and stands in a list short enough to be read again from its oldest open case on."""

FINAL_STATES = ("won", "lost", "prevented", "warning_closed", "charge_refunded", "succeeded", "failed", "canceled")

DISPUTE_LIFE = timedelta(days=270)
"""A dispute is decided about three months after it was made; an appeal, and then arbitration, take as long again each."""

BATCH_ROWS = 20_000
"""Rows made a table at once: enough for the columns to pay, few enough to hold twice."""

FOREVER = 2**40
"""After every second that Stripe can name."""


@dataclass(frozen=True)
class Pulled:
    """What was read.

    Attributes:
        frame: a typed frame.
        raw: the raw pages it was made from, as `lake.pack_pages` packs them.
    """

    frame: pl.DataFrame
    raw: tuple[bytes, ...]


def pull_balance_transactions(
    reader: StripeReader,
    *,
    account: str,
    start: datetime,
    end: datetime,
    known: pl.DataFrame | None = None,
    partial: Path | None = None,
    history: History | None = None,
) -> Pulled:
    """Read the balance transactions created in a window.

    Args:
        reader: the reader.
        account: the Stripe account.
        start: first instant.
        end: the instant after the last.
        known: `BalanceTransaction` rows that an earlier pull read in this window. Stripe never takes one back, so each of them
            must come again with the same money.
        partial: folder that keeps what was read until all is published; None keeps nothing.
        history: whole reports, which stand for the lists where they cover the window.

    Raises:
        StripeAccessError: the key, the way to Stripe, or what Stripe answered.
        IncompletePullError: transactions that were known do not come any more, or changed.
        FileRefusedError: a report that should be whole is not, or contradicts Stripe's lists.
    """
    window = _seconds(start, end)
    before = None if known is None else known.filter((pl.col("created_at") >= start) & (pl.col("created_at") < end))
    lists = [Slice(TRANSACTIONS, *window)] if history is None else _lists_beside(reader, history, account=account, window=window)
    pulled = _pull(reader, lists, account=account, window=window, partial=partial, parser=parse.TRANSACTIONS)
    if history is not None:
        merged = merge_history(pulled.frame, history, known=before, first=window[0], last=window[1])
        pulled = Pulled(merged, (*pulled.raw, pack_pages(history.notes)))
    unknown = undocumented_types(pulled.frame)
    if unknown:
        logger.warning("types that Stripe's reference does not name, kept as they are: %s", ", ".join(f"{kind} ({count})" for kind, count in unknown.items()))
    if before is not None:
        try:
            _require_known(pulled.frame, before, account=account)
        except IncompletePullError:
            # A repeat must read them again.
            PartialPull.join(partial).forget()
            raise
    return pulled


def _lists_beside(reader: StripeReader, history: History, *, account: str, window: tuple[int, int]) -> list[Slice]:
    """Check the reports and return what has to be listed beside them."""
    first, last = window
    check_history(reader, history, account=account, first=first, last=last)
    currencies = parse.parse_balance(reader.retrieve("/v1/balance", account=account), account=account, taken_at=datetime.fromtimestamp(0, UTC))["currency"]
    return plan_lists(history, first=first, last=last, currencies=currencies)


def pull_payouts(reader: StripeReader, *, account: str, start: datetime, end: datetime, partial: Path | None = None) -> Pulled:
    """Read the payouts created in a window, as they stand now.

    Raises:
        StripeAccessError: the key, the way to Stripe, or what Stripe answered.
    """
    window = _seconds(start, end)
    return _pull(reader, [Slice(PAYOUTS, *window)], account=account, window=window, partial=partial, parser=parse.PAYOUTS)


def pull_sources(reader: StripeReader, *, account: str, start: datetime, end: datetime, partial: Path | None = None) -> Pulled:
    """Read the charges, refunds, disputes, transfers, application fees and top-ups created in a window.

    Raises:
        StripeAccessError: the key, the way to Stripe, or what Stripe answered. An account without Connect or top-ups may
            answer 404 for those; that is none.
    """
    window = _seconds(start, end)
    lists = [Slice(path, *window) for path in (*SOURCE_LISTS, *OPTIONAL_LISTS)]
    return _pull(reader, lists, account=account, window=window, partial=partial, parser=parse.SOURCES)


def pull_unsettled_sources(reader: StripeReader, *, account: str, known: pl.DataFrame | None, before: datetime) -> Pulled:
    """Read again, as they stand now, disputes and refunds that were made before a window and can still change.

    A dispute is won or lost, and a refund fails, months after it was made, long before the nightly window.

    Args:
        reader: the reader.
        account: the Stripe account.
        known: `StripeSource` rows (`object, status, created_at`) of before the window; None where there never was a pull before it: then every
            dispute that may still be open is read.
        before: where the window begins.

    Returns:
        `StripeSource` rows created before the window: the unsettled ones and what was made since the oldest of them.

    Raises:
        StripeAccessError: the key, the way to Stripe, or what Stripe answered.
    """
    if known is None:
        since = {"dispute": before - DISPUTE_LIFE}
    else:
        is_open = pl.col("object").is_in(list(UNSETTLED_LISTS)) & ~pl.col("status").is_in(FINAL_STATES) & (pl.col("created_at") < before)
        since = dict(known.filter(is_open).group_by("object").agg(pl.col("created_at").min()).iter_rows())
    windows = {kind: _seconds(since[kind], before) for kind in sorted(since)}
    read = [
        _pull(reader, [Slice(UNSETTLED_LISTS[kind], *window)], account=account, window=window, partial=None, parser=parse.SOURCES)
        for kind, window in windows.items()
    ]
    return Pulled(pl.concat([parse.SOURCES.finish(parse.SOURCES.read([]), account), *(pulled.frame for pulled in read)]), tuple(p for r in read for p in r.raw))


def pull_payout_members(reader: StripeReader, *, account: str, payouts: pl.DataFrame, partial: Path | None = None, history: History | None = None) -> Pulled:
    """Read which balance transactions each completed automatic payout lists.

    Stripe itemises no others: manual and instant payouts have no lines, and an automatic one has all of them only when
    its reconciliation is completed (https://docs.stripe.com/payouts/reconciliation).

    Args:
        reader: the reader.
        account: the Stripe account.
        payouts: `Payout` rows, of any account and state; the others are passed over.
        partial: folder that keeps what was read until all is published, as begun by the list of payouts; None keeps nothing.
        history: whole reports; the lines they name are taken where they come to the payout's amount.

    Raises:
        StripeAccessError: the key, the way to Stripe, or what Stripe answered.
    """
    itemised = payouts.filter((pl.col("stripe_account") == account) & pl.col("is_automatic") & (pl.col("reconciliation_status") == "completed"))
    reported = PayoutMember.create_empty() if history is None else reported_members(history, itemised)
    ids: list[str] = itemised.join(reported, on="payout_id", how="anti")["payout_id"].unique().sort().to_list()
    # The list of a payout has no window: nothing is older than the epoch, and nothing comes after what no clock shows.
    roots = [Slice(TRANSACTIONS, 0, FOREVER, narrowed=(("payout", payout_id),)) for payout_id in ids]
    parts = read_slices(reader, roots, account=account, kept=PartialPull.join(partial))
    packs: dict[str, list[bytes]] = {payout_id: [] for payout_id in ids}
    for part in parts:
        packs[part.of.payout].append(part.pack)
    frame = parse.parse_payout_members({payout_id: unpack_pages(b"".join(listed)) for payout_id, listed in packs.items()}, account=account)
    logger.info("%s payouts, %s lines; of reports: %s lines", len(ids), frame.height, reported.height)
    return Pulled(PayoutMember.validate(pl.concat([frame, reported])), tuple(part.pack for part in parts))


def pull_balance(reader: StripeReader, *, account: str) -> Pulled:
    """Read the balance now; `taken_at` is the server's clock when it answered.

    A balance that is read while something is being booked may hold it or not, and would not roll forward ever after. So it is read
    around the newest transaction until neither moves; an account that never rests is taken as it was last.

    Raises:
        StripeAccessError: the key, the way to Stripe, or what Stripe answered.
    """

    def look() -> tuple[bytes, datetime, list[dict[str, object]]]:
        body, taken_at = reader.retrieve_dated("/v1/balance", account=account)
        return body, taken_at, next(reader.list_pages(TRANSACTIONS, account=account)).rows[:1]

    body, taken_at, newest = look()
    for _ in range(LOOKS_MAX):
        before, (body, taken_at, newest_now) = (body, newest), look()
        if (body, newest_now) == before:
            break
        newest = newest_now
    else:
        logger.info("the balance did not rest in %s readings; the last one is taken", LOOKS_MAX + 1)
    return Pulled(parse.parse_balance(body, account=account, taken_at=taken_at), (pack_pages([body]),))


# --- windows ---------------------------------------------------------------------------------------------------------


def _pull(reader: StripeReader, lists: Sequence[Slice], *, account: str, window: tuple[int, int], partial: Path | None, parser: parse.ListParser) -> Pulled:
    """Read the rows of some lists, each over the window or a part of it."""
    first, last = window
    if first >= last:
        return Pulled(parser.finish(parser.read([]), account), ())
    kept = PartialPull.resume(partial, window=window, clock=reader.clock() if partial else datetime.fromtimestamp(0, UTC))
    roots = [replace(list_, begin=low, end=high) for list_ in lists for low, high in pairwise(sorted({list_.begin, _within(kept.settled, list_), list_.end}))]
    parts = read_slices(reader, roots, account=account, kept=kept)
    try:
        frame = _parse(parser, parts, account=account)
    except StripeAccessError:
        # What cannot be read must not be taken up again.
        kept.forget()
        raise
    logger.info("%s: %s rows in %s parts", ", ".join(sorted({list_.path for list_ in lists})), frame.height, len(parts))
    return Pulled(frame, tuple(part.pack for part in parts))


def _seconds(start: datetime, end: datetime) -> tuple[int, int]:
    """Return a window in whole seconds, as `created` is: created >= start is the same as created >= start rounded up."""
    return math.ceil(start.timestamp()), math.ceil(end.timestamp())


def _within(second: int, list_: Slice) -> int:
    return min(max(list_.begin, second), list_.end)


def _parse(parser: parse.ListParser, parts: Sequence[ReadPart], *, account: str) -> pl.DataFrame:
    """Make the typed table in batches, in order of list and time, whichever thread was first.

    Until then only compressed pages are held: rows in columns take ten times as much.
    """
    finished, batch = [parser.finish(parser.read([]), account)], []
    for part in parts:
        # Rows of the second at which a part breaks off stand in the rest, where that second is read whole.
        batch.append(parser.read(unpack_pages(part.pack)).filter(pl.col("created") >= part.begins))
        if sum(frame.height for frame in batch) >= BATCH_ROWS or part is parts[-1]:
            finished.append(parser.finish(pl.concat(batch).sort("created", "id"), account))
            batch = []
    return pl.concat(finished, rechunk=False)


def _require_known(frame: pl.DataFrame, known: pl.DataFrame, *, account: str) -> None:
    """Check that everything read before came again, unchanged where it cannot change."""
    key, fixed = "balance_transaction_id", ["amount_minor", "fee_minor", "net_minor", "currency", "balance_type", "created_at"]
    before = known.select(key, *fixed)
    lost = before.join(frame, on=key, how="anti").sort("created_at")
    changed = before.join(frame.select(key, *fixed), on=key, suffix="_now").filter(pl.any_horizontal(pl.col(name) != pl.col(f"{name}_now") for name in fixed))
    gaps = [
        f"account {account}: {rows.height} balance transactions that an earlier pull read {what}, "
        f"created {rows['created_at'].min()!s} to {rows['created_at'].max()!s}: {parse.name_ids(rows[key].sort())}"
        for rows, what in ((lost, "are not listed any more"), (changed, "have another amount, fee, currency, balance type or time now"))
        if rows.height
    ]
    if gaps:
        raise IncompletePullError(
            "\n".join(
                [*gaps, "Stripe never takes a transaction back. Nothing was stored; repeat the run, and if it stays, check the key's account, then ask Stripe"]
            )
        )
