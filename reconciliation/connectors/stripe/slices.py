"""Lists of an account -> their pages, read by a few threads at once as trees of slices of time.

One cursor reaches a quarter of Stripe's 25 requests a second and endpoint at 150 ms, four in flight reach it, ten at 400 ms. So a list
is cut into slices by `created`, which threads walk side by side. Every slice ends with a page that is not full, and a slice that ends
last is walked alone: a list is therefore cut into few, and large ones first. After some pages a slice hands on what is left of it, as
one slice or, where it holds far more than was thought, cut again; so a killed pull loses little (`partial` keeps finished parts).
Which slices there are depends on what Stripe answers, never on which thread was first: the same pull gives the same bytes.

The lines of a payout have no window. That `created` also narrows a list by `payout` is documented nowhere, so it is tried on each
payout of many lines, and where the answer is not what the plain list goes on with, one cursor walks it all.
"""

import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

from reconciliation.connectors.stripe.client import OWN_ACCOUNT, Page, StripeReader, StripeRefusedError
from reconciliation.connectors.stripe.partial import Part, PartialPull, Rest
from reconciliation.errors import StripeAccessError
from reconciliation.lake import pack_pages

logger = logging.getLogger(__name__)

READERS = 8
"""Requests in flight. The pace keeps them under the limit; more would only wait for their turn."""

PART_PAGES = 10
"""A slice hands on what is left of it after so many pages: few enough to lose little in a kill."""

SLICE_PAGES_MIN = 4
"""A slice is meant to hold so many pages at least, since its last one is not full."""

SLICE_PAGES_EVEN = 32
"""Up to so many pages for each reader a list is cut evenly; of a longer one half is cut first, then half of what is left."""

LIST_PAGES_MAX = 16_384
"""A longer list is cut as one of this length: a burst in its newest second says nothing of the rest."""

WALKS_MAX = 3
"""How often a slice is begun again when the object it should go on after has vanished."""

TRANSACTIONS = "/v1/balance_transactions"
OPTIONAL_LISTS = ("/v1/transfers", "/v1/application_fees", "/v1/topups")
"""Lists that an account without Connect, or of a country without top-ups, may not have at all."""


@dataclass(frozen=True)
class Slice:
    """Part of a list: from this second on, before that one.

    Attributes:
        path: the list.
        begin: first second.
        end: the second after the last.
        pages: how many it is thought to hold; 0 where nothing is known of the list yet.
        narrowed: Stripe's other filters, as (name, value).
    """

    path: str
    begin: int
    end: int
    pages: int = 0
    narrowed: tuple[tuple[str, str], ...] = ()

    @property
    def payout(self) -> str:
        """Name the payout whose lines are listed, or nothing."""
        return dict(self.narrowed).get("payout", "")

    @property
    def filters(self) -> dict[str, object]:
        """Stripe's filters for it; nobody knows between what instants the lines of a payout lie before the first page."""
        others: dict[str, object] = dict(self.narrowed)
        return others if self.payout and not self.pages else {**others, "created": {"gte": self.begin, "lt": self.end}}


@dataclass(frozen=True)
class ReadPart:
    """A part of a list that was read: rows created from `begins` on, packed."""

    of: Slice
    begins: int
    pack: bytes


def read_slices(reader: StripeReader, roots: Sequence[Slice], *, account: str, kept: PartialPull) -> list[ReadPart]:
    """Read slices to their ends.

    Args:
        reader: the reader.
        roots: whole lists, or large pieces of them.
        account: the Stripe account.
        kept: what an earlier, killed pull has read, and where this one keeps what cannot change any more.

    Returns:
        Parts in the order of list and time.

    Raises:
        StripeAccessError: the key, the way to Stripe, or what Stripe answered.
    """
    is_over = threading.Event()

    def follow(slice_: Slice) -> tuple[list[ReadPart], list[Slice]]:
        """Read a slice and what it hands on, until that is cut."""
        read: list[ReadPart] = []
        while True:
            part = _read_or_find(reader, slice_, account=account, kept=kept)
            read.append(ReadPart(slice_, part.begins, part.pack))
            rest = [Slice(slice_.path, *piece, slice_.narrowed) for piece in part.rest]
            if len(rest) != 1 or is_over.is_set():
                return read, rest
            slice_ = rest[0]

    parts: list[ReadPart] = []
    with ThreadPoolExecutor(max_workers=READERS, thread_name_prefix="stripe") as pool:
        running: set[Future[tuple[list[ReadPart], list[Slice]]]] = {pool.submit(follow, root) for root in roots}
        try:
            while running:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for read, rest in (future.result() for future in done):
                    parts += read
                    running |= {pool.submit(follow, slice_) for slice_ in rest}
        finally:
            is_over.set()
            pool.shutdown(wait=True, cancel_futures=True)
    return sorted(parts, key=lambda part: (part.of.path, part.of.narrowed, part.begins, part.of.end))


def _read_or_find(reader: StripeReader, slice_: Slice, *, account: str, kept: PartialPull) -> Part:
    # The lines of a payout are asked for only when Stripe says that they do not change any more.
    is_settled = bool(slice_.payout) or slice_.end <= kept.settled
    name, key = slice_.path, [slice_.begin, slice_.end, *slice_.narrowed]
    part = kept.find(name, key)
    if part is None:
        part = _read_slice(reader, slice_, account=account)
        if is_settled:
            kept.keep(name, key, part)
    return part


def _read_slice(reader: StripeReader, slice_: Slice, *, account: str) -> Part:
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


def _walk(reader: StripeReader, slice_: Slice, *, account: str) -> Part:
    bodies: list[bytes] = []
    oldest, newest = slice_.end, slice_.begin
    # The first page of a window only tells how dense the rows lie.
    pages_max = PART_PAGES if slice_.pages or slice_.payout else 1
    pages = reader.list_pages(slice_.path, account=account, **slice_.filters)
    for page in pages:
        bodies.append(page.body)
        if page.rows:
            low, high = _span(page, slice_, account=account)
            oldest, newest = min(oldest, low), max(newest, high)
        # A part is one whole second at least: the rows of that second may fill any number of pages.
        if page.has_more and len(bodies) >= pages_max and oldest + 1 < slice_.end:
            left = (oldest - slice_.begin) / max(1, newest - oldest) * len(bodies)
            if not slice_.payout:
                return Part(oldest + 1, _hand_on(slice_, oldest + 1, left=left, read=len(bodies)), pack_pages(bodies))
            if slice_.pages or _may_slice(reader, slice_, page, pages, bodies, account=account):
                seconds = max(1, newest - oldest) * PART_PAGES // len(bodies)
                return Part(oldest + 1, tuple(_cut_downwards(slice_.begin, oldest + 1, seconds=seconds)), pack_pages(bodies))
            pages_max = LIST_PAGES_MAX**2
    return Part(slice_.begin, (), pack_pages(bodies))


def _may_slice(reader: StripeReader, root: Slice, last: Page, pages: Iterator[Page], bodies: list[bytes], *, account: str) -> bool:
    """Say whether a payout's lines may be read by `created`: whether that list goes on as the plain one does.

    Args:
        reader: the reader.
        root: the payout's lines.
        last: the last page that the plain list gave.
        pages: gives its next ones.
        bodies: gains the next one, which is read to compare.
        account: the Stripe account.
    """
    following = next(pages)
    bodies.append(following.body)
    before = Slice(root.path, root.begin, last.rows[-1]["created"] + 1, pages=1, narrowed=root.narrowed)
    try:
        narrowed = next(reader.list_pages(root.path, account=account, **before.filters))
        _span(narrowed, before, account=account)
    except StripeAccessError as error:
        logger.info("lines of a payout are not listed by time (%s); one cursor reads them all", type(error).__name__)
        return False
    seen = {row["id"] for row in last.rows}
    listed = [row["id"] for row in narrowed.rows if row["id"] not in seen]
    expected = [row["id"] for row in following.rows][: len(listed)]
    return bool(listed) and listed == expected


def _span(page: Page, slice_: Slice, *, account: str) -> tuple[int, int]:
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


def _hand_on(slice_: Slice, end: int, *, left: float, read: int) -> tuple[Rest, ...]:
    """Return what is left of a slice: one slice, or several where it holds more than twice what was thought, or nothing was known."""
    expected = max(slice_.pages - read, PART_PAGES)
    if slice_.pages and left <= 2 * expected:
        return ((slice_.begin, end, expected),)
    return tuple(cut(slice_.begin, end, pages=left))


def cut(begin: int, end: int, *, pages: float) -> list[Rest]:
    """Cut a list into slices (from, to, pages): large ones first, so that none is left to be walked alone in the end.

    >>> cut(0, 100, pages=8)
    [(0, 50, 4), (50, 100, 4)]
    """
    left, edges, sizes = min(max(1.0, pages), LIST_PAGES_MAX), [begin], list[int]()
    while left > 0:
        is_last = left <= READERS * SLICE_PAGES_EVEN
        share = left if is_last else left / 2
        count = min(READERS, max(1, int(share // SLICE_PAGES_MIN)))
        first, span = edges[-1], (end - edges[-1]) if is_last else (end - edges[-1]) // 2
        edges += [first + span * number // count for number in range(1, count + 1)]
        sizes += [max(1, round(share / count))] * count
        left = 0 if is_last else left - share
    return [(low, high, size) for (low, high), size in zip(pairwise(edges), sizes, strict=True) if low < high]


def _cut_downwards(begin: int, end: int, *, seconds: int) -> Iterator[Rest]:
    """Cut a list whose beginning nobody knows: slices of some seconds from its end, and one of all before them."""
    for _ in range(READERS - 1):
        if end - seconds <= begin:
            break
        yield end - seconds, end, PART_PAGES
        end -= seconds
    yield begin, end, PART_PAGES


def _instant(second: int) -> str:
    return f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%SZ}"
