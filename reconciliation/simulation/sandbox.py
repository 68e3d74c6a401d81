"""A folder of Stripe objects -> Stripe's answers to requests that read them; `sandbox_server` serves them.

The folder is that of `stripe_objects`. The server's clock stands still (`sandbox.json`, `{"now": epoch}`, else just after the
newest fact), so that pulls are the same every time.

Left out: writes, search, webhooks, and every filter Stripe has on other lists.
"""

import base64
import binascii
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import orjson

from reconciliation.errors import FileRefusedError, SettingsError
from reconciliation.simulation.faults import Answer
from reconciliation.simulation.stripe_objects import StripeObjects, read_json, read_objects

LIMIT_DEFAULT, LIMIT_MAX = 10, 100
CLOCK_MARGIN_SECONDS = 60

# Filters of each list, as Stripe has them. A filter on a time takes a number or gt, gte, lt, lte.
_FILTERS: dict[str, tuple[str, ...]] = {
    "balance_transactions": ("currency", "source", "type"),
    "charges": ("customer", "payment_intent", "transfer_group"),
    "refunds": ("charge", "payment_intent"),
    "disputes": ("charge", "payment_intent"),
    "payouts": ("destination", "status"),
    "transfers": ("currency", "destination", "transfer_group"),
    "application_fees": ("charge",),
    "topups": ("amount", "status"),
    "events": ("delivery_success", "type", "types"),
}
_TIMES = {"payouts": ("arrival_date", "created")}
_BOUNDS = ("gt", "gte", "lt", "lte")
_EXPANDED_DEPTH_MAX = 4
_NAMES = {"balance_transactions": "balance transaction", "application_fees": "application fee"}


@dataclass(frozen=True)
class Listing:
    """One list of an account, newest first, ready to be cut: bodies are serialised once."""

    name: str
    ids: list[str]
    ages: list[int]  # minus `created`, ascending, for bisection
    bodies: list[bytes]
    places: dict[str, int]
    by_value: dict[tuple[str, str], list[int]]
    arrivals: list[int]


@dataclass(frozen=True)
class Account:
    """The lists, balance and payout lines of one Stripe account."""

    account_id: str
    listings: Mapping[str, Listing]
    lines: Mapping[str, list[int]]
    manual_payouts: frozenset[str]
    balance: bytes
    account: bytes
    newest: int

    def find(self, object_id: str) -> bytes | None:
        """Return any object of the account by id."""
        for listing in self.listings.values():
            place = listing.places.get(object_id)
            if place is not None:
                return listing.bodies[place]
        return None


class _RefusedError(Exception):
    """A request that Stripe would refuse, in Stripe's error shape."""

    def __init__(self, status: int, message: str, *, code: str | None = None, param: str | None = None) -> None:
        error = {"code": code, "message": message, "param": param, "type": "invalid_request_error"}
        self.answer = Answer(status, orjson.dumps({"error": {key: value for key, value in error.items() if value is not None}}))
        super().__init__(message)


@dataclass(frozen=True)
class Sandbox:
    """The accounts of a folder and the frozen clock: answers one request at a time, without state."""

    own: Account
    connected: Mapping[str, Account]
    now: int

    def answer(self, *, method: str, path: str, query: str, headers: Mapping[str, str]) -> Answer:
        """Answer a request as Stripe would."""
        try:
            key = _authenticate(headers.get("authorization", ""))
            if method != "GET" and key.startswith("rk_"):
                raise _RefusedError(403, "The provided key does not have the required permissions for this endpoint; the sandbox's restricted keys only read.")
            account = self._account(headers.get("stripe-account"))
            return self._route(account, method=method, path=path.rstrip("/"), params=parse_qsl(query, keep_blank_values=True))
        except _RefusedError as refusal:
            return refusal.answer

    def _account(self, account_id: str | None) -> Account:
        if account_id is None or account_id == self.own.account_id:
            return self.own
        if account_id not in self.connected:
            message = (
                f"The provided key does not have access to account '{account_id}' (or that account does not exist). Application access may have been revoked."
            )
            raise _RefusedError(403, message, code="account_invalid")
        return self.connected[account_id]

    def _route(self, account: Account, *, method: str, path: str, params: list[tuple[str, str]]) -> Answer:
        match path.removeprefix("/v1/").split("/") if method == "GET" and path.startswith("/v1/") else []:
            case ["balance"]:
                return Answer(200, account.balance)
            case ["account"]:
                return Answer(200, account.account)
            case [name] if name in account.listings:
                return Answer(200, _list(account, account.listings[name], params))
            case [name, object_id] if name in account.listings:
                return Answer(200, _retrieve(account, account.listings[name], object_id, params))
        raise _RefusedError(
            404, f"Unrecognized request URL ({method}: {path}). The sandbox answers reads of balances, transactions, payouts and what they point at."
        )


# --- reading the folder ----------------------------------------------------------------------------------------------


def read_sandbox(folder: Path) -> Sandbox:
    """Read a folder of Stripe objects.

    Raises:
        SettingsError: the folder does not exist or holds no Stripe objects.
        FileRefusedError: a file in it is not what its name says.
    """
    if not (folder / "balance_transactions.jsonl").is_file():
        raise SettingsError(f"{folder}: no balance_transactions.jsonl in it; expected a folder of Stripe objects, as `reconcile simulate` writes one")
    own = index_account(read_objects(folder))
    connected = {path.name: index_account(read_objects(path, path.name)) for path in sorted((folder / "accounts").glob("*")) if path.is_dir()}
    stated = _stated_clock(folder)
    now = max(account.newest for account in (own, *connected.values())) + CLOCK_MARGIN_SECONDS if stated is None else stated
    return Sandbox(own, connected, now)


def read_clock(folder: Path) -> int:
    """Return a sandbox's moment in seconds since 1970, without its objects where the folder states it; raises as `read_sandbox`."""
    stated = _stated_clock(folder)
    return read_sandbox(folder).now if stated is None else stated


def _stated_clock(folder: Path) -> int | None:
    stated = folder / "sandbox.json"
    if not stated.is_file():
        return None
    now = read_json(stated).get("now")
    if not isinstance(now, int):
        raise FileRefusedError(file=str(stated), message=f'now = {now!r}; expected {{"now": seconds since 1970}}')
    return now


def index_account(objects: StripeObjects) -> Account:
    """Make an account's objects ready to be listed."""
    listings = {name: _index(name, objects.lists[name]) for name in _FILTERS}
    payouts = objects.lists["payouts"]
    return Account(
        account_id=objects.account_id,
        listings=listings,
        lines=_lines_of_payouts(objects.lines, payouts, listings["balance_transactions"]),
        manual_payouts=frozenset(row["id"] for row in payouts if not row.get("automatic", False)),
        balance=orjson.dumps(objects.balance),
        account=orjson.dumps(objects.account),
        newest=max(_newest(name, rows) for name, rows in objects.lists.items()),
    )


def _newest(name: str, rows: Sequence[Mapping[str, Any]]) -> int:
    """Return the latest moment that the objects prove to have passed.

    Beside `created` these are the day an available amount became available and the day a paid payout arrived.
    """
    moments = [row["created"] for row in rows]
    if name == "balance_transactions":
        moments += [row.get("available_on", 0) for row in rows if row.get("status") == "available"]
    if name == "payouts":
        moments += [row.get("arrival_date", 0) for row in rows if row.get("status") == "paid"]
    return max(moments, default=0)


def _index(name: str, rows: list[dict[str, Any]]) -> Listing:
    # Python's sort is stable: rows of one second keep the order of the file.
    ordered = sorted(rows, key=lambda row: -row["created"])
    by_value: dict[tuple[str, str], list[int]] = {}
    for place, row in enumerate(ordered):
        for key in _FILTERS[name]:
            if row.get(key) is not None:
                by_value.setdefault((key, str(row[key]).lower() if key == "currency" else str(row[key])), []).append(place)
    ids = [row["id"] for row in ordered]
    return Listing(
        name=name,
        ids=ids,
        ages=[-row["created"] for row in ordered],
        bodies=[orjson.dumps(row) for row in ordered],
        places={object_id: place for place, object_id in enumerate(ids)},
        by_value=by_value,
        arrivals=[row.get("arrival_date", 0) for row in ordered] if name == "payouts" else [],
    )


def _lines_of_payouts(listed: Mapping[str, list[str]], payouts: Iterable[Mapping[str, Any]], transactions: Listing) -> dict[str, list[int]]:
    """Return the places of each payout's lines; Stripe lists the payout's own transaction among them."""
    lines = {}
    for payout in payouts:
        ids = dict.fromkeys(
            [*listed.get(payout["id"], []), *([payout["balance_transaction"]] if listed.get(payout["id"]) and payout.get("balance_transaction") else [])]
        )
        lines[payout["id"]] = sorted(transactions.places[name] for name in ids if name in transactions.places)
    return lines


# --- answering -------------------------------------------------------------------------------------------------------


def _authenticate(header: str) -> str:
    """Return the key of a request."""
    scheme, _, value = header.partition(" ")
    key = value.strip()
    if scheme.lower() == "basic":
        try:
            key = base64.b64decode(key, validate=True).decode().partition(":")[0]
        except (binascii.Error, UnicodeDecodeError):
            key = ""
    if not key or scheme.lower() not in ("bearer", "basic"):
        raise _RefusedError(
            401,
            "You did not provide an API key. Provide it in the Authorization header, using Bearer auth (Authorization: Bearer rk_test_…).",
        )
    if "_live_" in key:
        raise _RefusedError(
            401,
            "This is a sandbox: it accepts test keys only (rk_test_…, sk_test_…). A live key was sent to the wrong server; roll it.",
        )
    if not key.startswith(("sk_test_", "rk_test_")):
        raise _RefusedError(401, "Invalid API Key provided.")
    return key


def _list(account: Account, listing: Listing, params: list[tuple[str, str]]) -> bytes:
    """Answer a list: filter, place the cursor, cut a page."""
    given, expand = _read_params(params)
    limit = _limit(given.pop("limit", None))
    after, before = given.pop("starting_after", None), given.pop("ending_before", None)
    if after is not None and before is not None:
        raise _RefusedError(400, "You may only specify one of these parameters: ending_before, starting_after.")
    places = _filter(account, listing, given)
    if before is not None:
        behind = places[: bisect_left(places, _cursor(listing, before, "ending_before"))]
        page, has_more = behind[max(0, len(behind) - limit) :], len(behind) > limit
    else:
        begin = 0 if after is None else bisect_right(places, _cursor(listing, after, "starting_after"))
        page, has_more = places[begin : begin + limit], len(places) > begin + limit
    bodies: Iterable[bytes] = (listing.bodies[place] for place in page)
    if expand:
        bodies = [_expand(account, body, [path.removeprefix("data.") for path in expand]) for body in bodies]
    rows, more = b",".join(bodies), b"true" if has_more else b"false"
    return b'{"object":"list","data":[' + rows + b'],"has_more":' + more + b',"url":"/v1/' + listing.name.encode() + b'"}'


def _retrieve(account: Account, listing: Listing, object_id: str, params: list[tuple[str, str]]) -> bytes:
    given, expand = _read_params(params)
    if given:
        raise _unknown(next(iter(given)))
    place = listing.places.get(object_id)
    if place is None:
        raise _RefusedError(404, f"No such {_singular(listing.name)}: '{object_id}'", code="resource_missing", param="id")
    return _expand(account, listing.bodies[place], expand) if expand else listing.bodies[place]


def _read_params(params: list[tuple[str, str]]) -> tuple[dict[str, str], list[str]]:
    """Return the parameters without `expand`, and the paths to expand."""
    expand = [value for key, value in params if key.startswith("expand[") and key.endswith("]")]
    if any(path.count(".") >= _EXPANDED_DEPTH_MAX for path in expand):
        raise _RefusedError(400, f"You cannot expand more than {_EXPANDED_DEPTH_MAX} levels of a property.")
    return {key: value for key, value in params if not key.startswith("expand[")}, expand


def _limit(text: str | None) -> int:
    if text is None:
        return LIMIT_DEFAULT
    if not text.isascii() or not text.isdigit():
        raise _RefusedError(400, f"Invalid integer: {text}", code="parameter_invalid_integer", param="limit")
    if not 1 <= int(text) <= LIMIT_MAX:
        raise _RefusedError(400, f"This value must be between 1 and {LIMIT_MAX}.", code="parameter_invalid_integer", param="limit")
    return int(text)


def _cursor(listing: Listing, object_id: str, param: str) -> int:
    place = listing.places.get(object_id)
    if place is None:
        raise _RefusedError(400, f"No such {_singular(listing.name)}: '{object_id}'", code="resource_missing", param=param)
    return place


def _filter(account: Account, listing: Listing, given: Mapping[str, str]) -> Sequence[int]:
    """Return the places of the rows that every filter keeps, in order.

    `created` bounds a contiguous run, found by bisection; every other filter has its own index.
    """
    times = _TIMES.get(listing.name, ("created",))
    bounds: dict[str, tuple[float, float]] = {}
    chosen: list[Sequence[int]] = []
    for key, value in given.items():
        name, _, bound = key.removesuffix("]").partition("[")
        if name in times and bound in ("", *_BOUNDS):
            bounds[name] = _narrow(bounds.get(name, (float("-inf"), float("inf"))), bound, _seconds(value, key))
        elif key == "payout" and listing.name == "balance_transactions":
            chosen.append(_lines(account, value))
        elif key in _FILTERS[listing.name]:
            chosen.append(listing.by_value.get((key, value.lower() if key == "currency" else value), []))
        else:
            raise _unknown(key)
    oldest, newest = bounds.get("created", (float("-inf"), float("inf")))
    begin, end = bisect_left(listing.ages, -newest), bisect_right(listing.ages, -oldest)
    places: Sequence[int] = range(begin, end)
    if chosen:
        smallest, *others = sorted(chosen, key=len)
        kept = [frozenset(other) for other in others]
        places = [place for place in smallest if begin <= place < end and all(place in other for other in kept)]
    if "arrival_date" in bounds:
        earliest, latest = bounds["arrival_date"]
        places = [place for place in places if earliest <= listing.arrivals[place] <= latest]
    return places


def _lines(account: Account, payout_id: str) -> Sequence[int]:
    if payout_id not in account.lines:
        raise _RefusedError(404, f"No such payout: '{payout_id}'", code="resource_missing", param="payout")
    if payout_id in account.manual_payouts:
        raise _RefusedError(400, "Balance transaction history can only be filtered on automatic payouts, not manual.", param="payout")
    return account.lines[payout_id]


def _narrow(between: tuple[float, float], bound: str, value: int) -> tuple[float, float]:
    """Narrow a closed interval of whole seconds by one bound."""
    low = {"": value, "gt": value + 1, "gte": value}.get(bound, between[0])
    high = {"": value, "lt": value - 1, "lte": value}.get(bound, between[1])
    return max(between[0], low), min(between[1], high)


def _seconds(text: str, param: str) -> int:
    if not text.lstrip("-").isdigit() or not text.isascii():
        raise _RefusedError(400, f"Invalid timestamp: {text}; must be an integer", code="parameter_invalid_integer", param=param)
    return int(text)


def _expand(account: Account, body: bytes, paths: Sequence[str]) -> bytes:
    """Replace ids by the objects they name; an id that no list holds stays."""
    row = orjson.loads(body)
    for path in paths:
        at: Any = row
        for step in path.split("."):
            if not isinstance(at, dict) or step not in at:
                raise _RefusedError(400, f"This property cannot be expanded ({path}).", param="expand")
            if isinstance(at[step], str):
                found = account.find(at[step])
                at[step] = at[step] if found is None else orjson.loads(found)
            at = at[step]
            if at is None or isinstance(at, str):
                break
    return orjson.dumps(row)


def _unknown(param: str) -> _RefusedError:
    return _RefusedError(400, f"Received unknown parameter: {param}", code="parameter_unknown", param=param)


def _singular(name: str) -> str:
    return _NAMES.get(name, name.removesuffix("s"))
