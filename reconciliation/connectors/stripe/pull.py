"""A window of time -> frames and raw pages, read from one Stripe account.

Windows are half-open instants `[start, end)`. The end is sent as `created[lt]`, so that a walk is not moved by what arrives
meanwhile. A window is cut into slices of about equal numbers of rows, which a few threads walk at once: one cursor reaches a
quarter of Stripe's 25 requests a second and endpoint, four in flight reach it at 150 ms, ten at 400 ms. A slice that turns out too
dense finishes its newer part and hands the rest on (`partial` keeps finished parts for the repeat of a killed pull).
A window of millions of rows is held as compressed pages and, once, in columns.
"""

import logging
import math
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import polars as pl

from reconciliation.connectors.stripe import parse
from reconciliation.connectors.stripe.client import OWN_ACCOUNT, Page, StripeReader, StripeRefusedError
from reconciliation.connectors.stripe.partial import Part, PartialPull
from reconciliation.connectors.stripe.types import undocumented_types
from reconciliation.errors import IncompletePullError, StripeAccessError
from reconciliation.lake import pack_pages, unpack_pages

logger = logging.getLogger(__name__)

READERS = 8
"""Requests in flight. The pace keeps them under the limit; more would only wait for their turn."""

SLICE_PAGES = 10
"""A slice that is not through after so many pages hands the rest on: enough to make uneven slices even, and to lose little in a kill."""

SLICES_MAX = 64
LOOKS_MAX = 4
WALKS_MAX = 3
"""How often a slice is begun again when the object it should go on after has vanished."""

TRANSACTIONS, PAYOUTS = "/v1/balance_transactions", "/v1/payouts"
SOURCE_LISTS = ("/v1/charges", "/v1/refunds", "/v1/disputes")
OPTIONAL_LISTS = ("/v1/transfers", "/v1/application_fees", "/v1/topups")
"""Lists that an account without Connect, or of a country without top-ups, may not have at all."""

BATCH_ROWS = 20_000
"""Rows made a table at once: enough for the columns to pay, few enough to hold twice."""

Range = tuple[int, int]


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
    reader: StripeReader, *, account: str, start: datetime, end: datetime, known: pl.DataFrame | None = None, partial: Path | None = None
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

    Raises:
        StripeAccessError: the key, the way to Stripe, or what Stripe answered.
        IncompletePullError: transactions that were known do not come any more, or changed.
    """
    pulled = _pull(reader, [TRANSACTIONS], account=account, start=start, end=end, partial=partial, parser=parse.TRANSACTIONS)
    unknown = undocumented_types(pulled.frame)
    if unknown:
        logger.warning("types that Stripe's reference does not name, kept as they are: %s", ", ".join(f"{kind} ({count})" for kind, count in unknown.items()))
    if known is not None:
        try:
            _require_known(pulled.frame, known.filter((pl.col("created_at") >= start) & (pl.col("created_at") < end)), account=account)
        except IncompletePullError:
            # A repeat must read them again.
            PartialPull.join(partial).forget()
            raise
    return pulled


def pull_payouts(reader: StripeReader, *, account: str, start: datetime, end: datetime, partial: Path | None = None) -> Pulled:
    """Read the payouts created in a window, as they stand now.

    Raises:
        StripeAccessError: the key, the way to Stripe, or what Stripe answered.
    """
    return _pull(reader, [PAYOUTS], account=account, start=start, end=end, partial=partial, parser=parse.PAYOUTS)


def pull_sources(reader: StripeReader, *, account: str, start: datetime, end: datetime, partial: Path | None = None) -> Pulled:
    """Read the charges, refunds, disputes, transfers, application fees and top-ups created in a window.

    Raises:
        StripeAccessError: the key, the way to Stripe, or what Stripe answered. An account without Connect or top-ups may
            answer 404 for those; that is none.
    """
    lists = [*SOURCE_LISTS, *OPTIONAL_LISTS]
    return _pull(reader, lists, account=account, start=start, end=end, partial=partial, parser=parse.SOURCES)


def pull_payout_members(reader: StripeReader, *, account: str, payouts: pl.DataFrame, partial: Path | None = None) -> Pulled:
    """Read which balance transactions each completed automatic payout lists.

    Stripe itemises no others: manual and instant payouts have no lines, and an automatic one has all of them only when
    its reconciliation is completed (https://docs.stripe.com/payouts/reconciliation).

    Args:
        reader: the reader.
        account: the Stripe account.
        payouts: `Payout` rows, of any account and state; the others are passed over.
        partial: folder that keeps what was read until all is published, as begun by the list of payouts; None keeps nothing.

    Raises:
        StripeAccessError: the key, the way to Stripe, or what Stripe answered.
    """
    itemised = payouts.filter((pl.col("stripe_account") == account) & pl.col("is_automatic") & (pl.col("reconciliation_status") == "completed"))
    ids: list[str] = itemised["payout_id"].unique().sort().to_list()
    kept = PartialPull.join(partial)

    def read(payout_id: str) -> bytes:
        found = kept.find("lines", [payout_id])
        if found is None:
            found = Part(0, (), pack_pages(page.body for page in reader.list_pages(TRANSACTIONS, account=account, payout=payout_id)))
            kept.keep("lines", [payout_id], found)
        return found.pack

    with ThreadPoolExecutor(max_workers=READERS, thread_name_prefix="stripe") as pool:
        futures = [pool.submit(read, payout_id) for payout_id in ids]
        try:
            packs = tuple(future.result() for future in futures)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
    frame = parse.parse_payout_members({payout_id: unpack_pages(pack) for payout_id, pack in zip(ids, packs, strict=True)}, account=account)
    logger.info("%s payouts, %s lines", len(ids), frame.height)
    return Pulled(frame, packs)


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


# --- a window as a tree of slices ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Slice:
    """A slice of a list to read: from this second on, before that one."""

    path: str
    begin: int
    end: int
    is_first: bool = False


def _pull(
    reader: StripeReader, paths: Sequence[str], *, account: str, start: datetime, end: datetime, partial: Path | None, parser: parse.ListParser
) -> Pulled:
    """Read the rows of some lists created in a window."""
    # `created` has whole seconds: created >= start is the same as created >= start rounded up.
    first, last = math.ceil(start.timestamp()), math.ceil(end.timestamp())
    if first >= last:
        return Pulled(parser.finish(parser.read([]), account), ())
    kept = PartialPull.resume(partial, window=(first, last), clock=reader.clock() if partial else datetime.fromtimestamp(0, UTC))
    settled = min(max(first, kept.settled), last)
    slices = [_Slice(path, *part, is_first=True) for path in paths for part in pairwise(sorted({first, settled, last}))]
    parts: dict[tuple[str, int], bytes] = {}

    def read(slice_: _Slice) -> tuple[_Slice, Part]:
        key = [slice_.begin, slice_.end]
        part = kept.find(slice_.path, key)
        if part is None:
            part = _read_slice(reader, slice_, account=account)
            if slice_.end <= kept.settled:
                kept.keep(slice_.path, key, part)
        return slice_, part

    with ThreadPoolExecutor(max_workers=READERS, thread_name_prefix="stripe") as pool:
        running: set[Future[tuple[_Slice, Part]]] = {pool.submit(read, slice_) for slice_ in slices}
        try:
            while running:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    slice_, part = future.result()
                    parts[slice_.path, part.begins] = part.pack
                    running |= {pool.submit(read, _Slice(slice_.path, *rest)) for rest in part.rest}
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
    try:
        frame = _parse(parser, parts, account=account)
    except StripeAccessError:
        # What cannot be read must not be taken up again.
        kept.forget()
        raise
    logger.info("%s: %s rows in %s parts", ", ".join(paths), frame.height, len(parts))
    return Pulled(frame, tuple(parts[key] for key in sorted(parts)))


def _parse(parser: parse.ListParser, parts: Mapping[tuple[str, int], bytes], *, account: str) -> pl.DataFrame:
    """Make the typed table in batches, in order of list and time, whichever thread was first.

    Until then only compressed pages are held: rows in columns take ten times as much.
    """
    finished, batch = [parser.finish(parser.read([]), account)], []
    last = max(parts)
    for path, begins in sorted(parts):
        # Rows of the second at which a part breaks off stand in the rest, where that second is read whole.
        batch.append(parser.read(unpack_pages(parts[path, begins])).filter(pl.col("created") >= begins))
        if sum(frame.height for frame in batch) >= BATCH_ROWS or (path, begins) == last:
            finished.append(parser.finish(pl.concat(batch).sort("created", "id"), account))
            batch = []
    return pl.concat(finished, rechunk=False)


def _read_slice(reader: StripeReader, slice_: _Slice, *, account: str) -> Part:
    """Walk a slice to its end, or as far as a part should reach."""
    for walk in range(1, WALKS_MAX + 1):
        try:
            return _walk(reader, slice_, account=account)
        except StripeRefusedError as error:
            if error.status == 404 and slice_.path in OPTIONAL_LISTS:
                logger.info("%s: not found; the account has none", slice_.path)
                return Part(slice_.begin, (), pack_pages([]))
            if error.parameter != "starting_after" or walk == WALKS_MAX:
                raise
            logger.info("%s: the list changed under the walk; it begins again", slice_.path)
    raise StripeAccessError(f"{slice_.path}: no walk is allowed at all")


def _walk(reader: StripeReader, slice_: _Slice, *, account: str) -> Part:
    bodies: list[bytes] = []
    oldest, newest = slice_.end, slice_.begin
    # The first page of all only tells how dense the rows lie.
    pages_max = 1 if slice_.is_first else SLICE_PAGES
    for page in reader.list_pages(slice_.path, account=account, created={"gte": slice_.begin, "lt": slice_.end}):
        bodies.append(page.body)
        if page.rows:
            low, high = _span(page, slice_, account=account)
            oldest, newest = min(oldest, low), max(newest, high)
        # A part is one whole second at least: the rows of that second may fill any number of pages.
        if page.has_more and len(bodies) >= pages_max and oldest + 1 < slice_.end:
            seconds = max(1, newest - oldest) * SLICE_PAGES // len(bodies)
            return Part(oldest + 1, tuple(_cut(slice_.begin, oldest + 1, seconds=seconds)), pack_pages(bodies))
    return Part(slice_.begin, (), pack_pages(bodies))


def _span(page: Page, slice_: _Slice, *, account: str) -> Range:
    """Return the oldest and newest second of a page; a server that ignores the window would fill days it was not asked for."""
    moments = [row.get("created") for row in page.rows if isinstance(row, Mapping)]
    whole = [moment for moment in moments if isinstance(moment, int)]
    if len(whole) < len(page.rows):
        raise StripeAccessError(f"{slice_.path}: rows without `created`; the server does not answer as Stripe does. Check [stripe] api_base")
    outside = sum(not slice_.begin <= moment < slice_.end for moment in whole)
    if outside:
        whose = "" if account == OWN_ACCOUNT else f" of {account}"
        raise StripeAccessError(
            f"{slice_.path}{whose}: {outside} of {len(whole)} rows were created outside the window asked for ({_instant(slice_.begin)} to {_instant(slice_.end)}); "
            "the server ignores created[gte] or created[lt]. Check [stripe] api_base"
        )
    return min(whole), max(whole)


def _cut(begin: int, end: int, *, seconds: int) -> list[Range]:
    """Cut a range into slices of about so many seconds."""
    count = min(SLICES_MAX, max(1, math.ceil((end - begin) / max(1, seconds))))
    edges = [begin + (end - begin) * number // count for number in range(count + 1)]
    return [edge for edge in pairwise(edges) if edge[0] < edge[1]]


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


def _instant(second: int) -> str:
    return f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%SZ}"
