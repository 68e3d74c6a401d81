"""A window of time -> frames and raw pages, read from one Stripe account.

Windows are half-open instants `[start, end)`. The end is sent as `created[lt]`, so that a walk is not moved by what arrives
meanwhile. A short window is one walk; a long one is cut into slices of about equal numbers of rows, which a few threads walk
at once: about four requests in flight reach Stripe's 25 requests a second and endpoint, more would only be turned away.
Slices overlap by the second at which they meet; duplicates are removed by id.
"""

import logging
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import TypeVar

import polars as pl

from reconciliation.connectors.stripe import parse
from reconciliation.connectors.stripe.client import StripeReader, StripeRefusedError
from reconciliation.errors import StripeAccessError

logger = logging.getLogger(__name__)

READERS = 4
SLICES_MAX = 64
SLICE_ROWS = 1_000
"""About what one slice should hold: ten pages, so that slices of uneven density still keep the readers busy."""

_SOURCE_LISTS = ("charges", "refunds", "disputes")
_CONNECT_LISTS = ("transfers", "application_fees")

R = TypeVar("R")


@dataclass(frozen=True)
class Pulled:
    """What was read: a typed frame, and the raw pages it was made from."""

    frame: pl.DataFrame
    pages: tuple[bytes, ...]


def pull_balance_transactions(reader: StripeReader, *, account: str, start: datetime, end: datetime) -> Pulled:
    """Read the balance transactions created in a window.

    Raises:
        StripeAccessError: the key, the way to Stripe, or what Stripe answered.
    """
    pages = _walk(reader, "/v1/balance_transactions", account=account, start=start, end=end)
    return _within(Pulled(parse.parse_balance_transactions(pages, account=account), pages), "balance_transactions", start=start, end=end)


def pull_payouts(reader: StripeReader, *, account: str, start: datetime, end: datetime) -> Pulled:
    """Read the payouts created in a window, as they stand now.

    Raises:
        StripeAccessError: the key, the way to Stripe, or what Stripe answered.
    """
    pages = _walk(reader, "/v1/payouts", account=account, start=start, end=end)
    return _within(Pulled(parse.parse_payouts(pages, account=account), pages), "payouts", start=start, end=end)


def pull_payout_members(reader: StripeReader, *, account: str, payouts: pl.DataFrame) -> Pulled:
    """Read which balance transactions each completed automatic payout lists.

    Stripe itemises no others: manual and instant payouts have no lines, and an automatic one has all of them only when
    its reconciliation is completed (https://docs.stripe.com/payouts/reconciliation).

    Args:
        reader: the reader.
        account: the Stripe account.
        payouts: `Payout` rows, of any account and state; the others are passed over.

    Raises:
        StripeAccessError: the key, the way to Stripe, or what Stripe answered.
    """
    itemised = payouts.filter((pl.col("stripe_account") == account) & pl.col("is_automatic") & (pl.col("reconciliation_status") == "completed"))
    ids: list[str] = itemised["payout_id"].unique().sort().to_list()
    listings = _at_once(lambda payout_id: tuple(reader.list_pages("/v1/balance_transactions", account=account, payout=payout_id)), ids)
    by_payout = dict(zip(ids, listings, strict=True))
    frame = parse.parse_payout_members(by_payout, account=account)
    logger.info("%s payouts, %s lines", len(ids), frame.height)
    return Pulled(frame, tuple(page for listing in listings for page in listing))


def pull_sources(reader: StripeReader, *, account: str, start: datetime, end: datetime) -> Pulled:
    """Read the charges, refunds, disputes, transfers and application fees created in a window.

    Raises:
        StripeAccessError: the key, the way to Stripe, or what Stripe answered. An account without Connect may answer
            404 for transfers and application fees; that is none.
    """
    pages: list[bytes] = []
    for name in (*_SOURCE_LISTS, *_CONNECT_LISTS):
        try:
            pages.extend(_walk(reader, f"/v1/{name}", account=account, start=start, end=end))
        except StripeRefusedError as error:
            if error.status != 404 or name not in _CONNECT_LISTS:
                raise
            logger.info("%s: not found; the account has none", name)
    return _within(Pulled(parse.parse_sources(pages, account=account), tuple(pages)), "charges, refunds, …", start=start, end=end)


def pull_balance(reader: StripeReader, *, account: str) -> Pulled:
    """Read the balance now; `taken_at` is the server's clock when it answered.

    Raises:
        StripeAccessError: the key, the way to Stripe, or what Stripe answered.
    """
    body, taken_at = reader.retrieve_dated("/v1/balance", account=account)
    return Pulled(parse.parse_balance(body, account=account, taken_at=taken_at), (body,))


def _walk(reader: StripeReader, path: str, *, account: str, start: datetime, end: datetime) -> tuple[bytes, ...]:
    """Read every page of a window: one walk, or several slices at once."""
    # `created` has whole seconds: created >= start is the same as created >= start rounded up.
    first, last = math.ceil(start.timestamp()), math.ceil(end.timestamp())
    if first >= last:
        return ()
    pages = reader.list_pages(path, account=account, created={"gte": first, "lt": last})
    head = next(pages)
    slices = _cut(head, first) if parse.has_more(head) else []
    if len(slices) < 2:
        return (head, *pages)
    parts = _at_once(lambda part: tuple(reader.list_pages(path, account=account, created={"gte": part[0], "lt": part[1]})), slices)
    return (head, *(page for part in parts for page in part))


def _cut(head: bytes, first: int) -> list[tuple[int, int]]:
    """Cut what lies behind the first page into slices, by how many seconds that page spans.

    The slice next to it begins with the page's oldest second again, since more rows may share it.
    """
    span = parse.created_range(head)
    if span is None:
        return []
    oldest, newest = span
    # The first page holds a tenth of what a slice should.
    seconds = max(1, newest - oldest) * (SLICE_ROWS // 100)
    behind = oldest + 1 - first
    count = min(SLICES_MAX, math.ceil(behind / seconds))
    edges = [first + behind * number // count for number in range(count + 1)] if count > 0 else []
    return [edge for edge in pairwise(edges) if edge[0] < edge[1]]


def _at_once(read: Callable[[R], tuple[bytes, ...]], tasks: Sequence[R]) -> list[tuple[bytes, ...]]:
    """Run the reads in a few threads; results in the order of the tasks, the first failure raised."""
    if len(tasks) < 2:
        return [read(task) for task in tasks]
    with ThreadPoolExecutor(max_workers=READERS, thread_name_prefix="stripe") as pool:
        futures = [pool.submit(read, task) for task in tasks]
        try:
            return [future.result() for future in futures]
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _within(pulled: Pulled, what: str, *, start: datetime, end: datetime) -> Pulled:
    """Check that the server kept to the window; one that ignores the filter would fill days it was not asked for."""
    outside = pulled.frame.filter((pl.col("created_at") < start) | (pl.col("created_at") >= end))
    if outside.height:
        raise StripeAccessError(
            f"{what}: {outside.height} of {pulled.frame.height} rows were created outside the window asked for "
            f"({start.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ} to {end.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}); "
            "the server ignores created[gte] or created[lt]. Check [stripe] api_base"
        )
    logger.info("%s: %s rows in %s pages", what, pulled.frame.height, len(pulled.pages))
    return pulled
