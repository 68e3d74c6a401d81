"""Key and address -> raw responses of Stripe's read API, as bytes.

The official client does authentication, versions and transport. It retries no 429, ignores `Retry-After` and gives up on
a truncated body, so patience is ours: every read is repeated until it is whole, a bounded number of times and for a bounded
time. Bodies are taken at the client's HTTP hook: its own parsing costs four times what orjson does, and its debug log would
print names. Left out: everything that writes.

Alone: `StripeReader(key="rk_…", api_base="https://api.stripe.com").clock()`.
"""

import email.utils
import logging
import random
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from ipaddress import ip_address
from typing import Any, TypeVar
from urllib.parse import urlsplit

import orjson
import stripe

from reconciliation.connectors.stripe.pace import Pace
from reconciliation.errors import SettingsError, StripeAccessError

logger = logging.getLogger(__name__)

OWN_ACCOUNT = "self"
PAGE_ROWS = 100
CONNECTIONS_MAX = 16
"""Kept open for the threads that read."""

TIMEOUT_SECONDS = (10.0, 60.0)
"""To connect, and between two bytes. A page of 100 rows takes Stripe well under a second."""

# What a restricted key must be allowed to read, as the dashboard names it.
_PERMISSIONS = {
    "balance": "Balance",
    "balance_transactions": "Balance transaction sources",
    "payouts": "Payouts",
    "charges": "Charges and Refunds",
    "refunds": "Charges and Refunds",
    "disputes": "Disputes",
    "transfers": "Transfers",
    "application_fees": "Application Fees",
    "topups": "Top-ups",
}
_KEY_WANTED = "restricted, read-only key (rk_…): Stripe dashboard, Developers, API keys"
_KEY_LIKE = re.compile(r"\b(?:sk|rk|pk|whsec)_[^\s'\",;]+")
_EMAIL_LIKE = re.compile(r"[^\s<>'\",;:()]+@[^\s<>'\",;:()]+")
_TEST_KEY = re.compile(r"(?:sk|rk)_test_")
# Names of transport errors that repeating cannot mend.
_PERMANENT = frozenset(
    {"SSLError", "InvalidURL", "InvalidSchema", "MissingSchema", "InvalidProxyURL", "InvalidHeader", "TooManyRedirects", "UnicodeError", "LocationParseError"}
)

T = TypeVar("T")


@dataclass(frozen=True)
class BackOff:
    """How patiently one read is repeated.

    Attributes:
        attempts_max: reads in all, the first included.
        wait_seconds_max: total of the waits of one read; a night must end.
        first_seconds: the first wait; each next one is twice as long.
        longest_seconds: no single wait is longer, unless Stripe asks for it in `Retry-After`.
    """

    attempts_max: int = 8
    wait_seconds_max: float = 180.0
    first_seconds: float = 0.5
    longest_seconds: float = 30.0


@dataclass(frozen=True)
class Page:
    """One page of a list: the body as it came, and its rows."""

    body: bytes
    rows: list[dict[str, Any]]
    has_more: bool


class StripeRefusedError(StripeAccessError):
    """Stripe answered, and the answer is no.

    Attributes:
        status: the HTTP status.
        parameter: the parameter that Stripe objects to, or an empty text.
    """

    def __init__(self, message: str, *, status: int, parameter: str = "") -> None:
        self.status, self.parameter = status, parameter
        super().__init__(message)


class _TransientError(Exception):
    """A read that failed in a way that may pass."""

    def __init__(self, observed: str, *, retry_after: float | None = None) -> None:
        self.observed, self.retry_after = observed, retry_after
        super().__init__(observed)


def check_key(key: str, api_base: str) -> list[str]:
    """Check that a key may be sent to an address, and return warnings about the key's power.

    Returns:
        Warnings for the operator; none of them contains the key.

    Raises:
        SettingsError: no usable key, an address that is no web address, or a key that could move real money on its
            way to a server that is not Stripe's, or unencrypted.
    """
    place = "STRIPE_API_KEY"
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise SettingsError(f"{place}: empty, or holds blanks or characters that no key has; copy the key again, without quotes or line ends")
    if key.startswith(("pk_", "whsec_")):
        kind = "publishable key" if key.startswith("pk_") else "webhook secret"
        raise SettingsError(f"{place}: a {kind} cannot read balances; expected a {_KEY_WANTED}")
    scheme, host = _address(api_base)
    is_stripe = _is_stripe(host)
    is_test = _TEST_KEY.match(key) is not None
    if not is_stripe and not is_test:
        raise SettingsError(
            f'{place} is not a test key, but [stripe] api_base = {api_base!r} is not Stripe; use a test key (rk_test_…) there, or set api_base = "https://api.stripe.com"'
        )
    if is_stripe and scheme != "https":
        raise SettingsError(f"[stripe] api_base = {api_base!r} would send the key unencrypted; write https://")
    warnings = []
    if key.startswith("sk_"):
        warnings.append(f"{place} is a full secret key: it can move money. Enough is a {_KEY_WANTED}")
    if scheme != "https" and not _is_loopback(host):
        warnings.append(f"[stripe] api_base = {api_base!r} is not encrypted")
    return warnings


class _Transport(stripe.RequestsClient):
    """The client's own transport, which keeps the body for us and hands the client an empty one."""

    def __init__(self, *, base: str, timeout: tuple[float, float]) -> None:
        super().__init__(timeout=timeout)
        self.taken = threading.local()
        session: Any = self.requests.Session()
        # The environment's proxies are looked up once and not with each request, which would cost as much as parsing the page;
        # the loopback is never reached through one. Nothing else of the environment, as .netrc, may touch the request.
        session.proxies = {} if _is_loopback(_address(base)[1]) else self.requests.utils.get_environ_proxies(base)
        session.trust_env = False
        adapter = self.requests.adapters.HTTPAdapter(pool_maxsize=CONNECTIONS_MAX)
        session.mount("https://", adapter)
        session.mount("http://", adapter)
        self._session = session

    # The library's own subclasses answer bytes too, against the type of its base class.
    def request(self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None) -> tuple[bytes, int, Mapping[str, str]]:  # type: ignore[override]
        body, status, answered = super().request(method, url, headers, post_data)
        self.taken.body = body
        return (b"{}" if 200 <= status < 300 else body), status, answered


class StripeReader:
    """A reader of one Stripe-compatible server. It may be used from several threads at once."""

    def __init__(
        self,
        *,
        key: str,
        api_base: str,
        requests_per_second: float | None = None,
        back_off: BackOff = BackOff(),
        timeout_seconds: tuple[float, float] = TIMEOUT_SECONDS,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Prepare the reader; nothing is sent yet.

        Args:
            key: a restricted, read-only key is enough.
            api_base: `https://api.stripe.com` or a compatible server.
            requests_per_second: most requests to one endpoint; None is Stripe's own limit at Stripe and no limit elsewhere.
            back_off: how patiently a read is repeated.
            timeout_seconds: to connect, and between two bytes.
            sleep: what waits; a test passes its own.

        Raises:
            SettingsError: the key must not be sent to that address (see `check_key`).
        """
        for warning in check_key(key, api_base):
            logger.warning("%s", warning)
        # Global to the library; the header would report timings of other requests and the operating system.
        stripe.enable_telemetry = False
        # Its info log has addresses with ids, its debug log whole bodies; ours has counts.
        logging.getLogger("stripe").setLevel(logging.WARNING)
        _, host = _address(api_base)
        self._base = api_base.rstrip("/")
        self._transport = _Transport(base=self._base, timeout=timeout_seconds)
        self._client = stripe.StripeClient(key, base_addresses={"api": self._base}, max_network_retries=0, http_client=self._transport)
        self._key, self._back_off, self._sleep = key, back_off, sleep
        self._pace = Pace.of_stripe(per_endpoint=requests_per_second, is_stripe=_is_stripe(host), is_test=_TEST_KEY.match(key) is not None, sleep=sleep)

    @property
    def is_live(self) -> bool:
        """Whether the key reads real money."""
        return _TEST_KEY.match(self._key) is None

    def clock(self) -> datetime:
        """Return the server's clock (UTC, whole seconds): the `Date` header of `GET /v1/balance`.

        Raises:
            StripeAccessError: see `retrieve`; or the server states no date.
            SettingsError: the server's money is real and the key's is not, or the reverse.
        """
        body, clock = self.retrieve_dated("/v1/balance", account=OWN_ACCOUNT)
        content = orjson.loads(body)
        answered = content.get("livemode") if isinstance(content, dict) else None
        if answered is not None and answered is not self.is_live:
            mine, theirs = ("live", "test") if self.is_live else ("test", "live")
            raise SettingsError(
                f"STRIPE_API_KEY is a {mine} key, but {self._base} answers with {theirs} data; use the key and the [stripe] api_base that belong together"
            )
        return clock

    def list_pages(self, path: str, *, account: str, **params: object) -> Iterator[Page]:
        """Yield the pages of a list, newest first, each as it came.

        A `starting_after` walk is stable while rows are added at the head; freeze the head with `created={"lt": …}`.

        Args:
            path: `/v1/balance_transactions` and the like.
            account: `self`, or a connected account's id.
            params: Stripe's filters.

        Raises:
            StripeAccessError: see `retrieve`; or the server walks in circles.
        """
        cursors: set[str] = set()
        position: dict[str, object] = {}
        while True:
            page = self._repeat(path, account, partial(self._read_page, path, account, {**params, "limit": PAGE_ROWS, **position}, cursors))
            yield page
            if not page.has_more:
                return
            cursors.add(page.rows[-1]["id"])
            position = {"starting_after": page.rows[-1]["id"]}

    def retrieve(self, path: str, *, account: str, **params: object) -> bytes:
        """Return one object as it came.

        Raises:
            StripeRefusedError: wrong key, missing permission, no such object, unknown parameter.
            StripeAccessError: the server could not be reached, or kept failing.
        """
        return self.retrieve_dated(path, account=account, **params)[0]

    def retrieve_dated(self, path: str, *, account: str, **params: object) -> tuple[bytes, datetime]:
        """Return one object as it came, and the server's clock when it answered.

        Raises:
            StripeAccessError: see `retrieve`, or the server states no date.
        """
        body, headers = self._repeat(path, account, partial(self._read, path, account, params))
        text = headers.get("Date") or ""
        try:
            return body, email.utils.parsedate_to_datetime(text).astimezone(UTC).replace(microsecond=0)
        except ValueError as error:
            raise StripeAccessError(
                f"{self._base}{path}: the answer has no readable Date header ({text!r}); check [stripe] api_base and any proxy before it"
            ) from error

    def may_write(self, path: str, *, account: str) -> bool:
        """Say whether the key could change an object, by asking to change one that does not exist.

        Args:
            path: `/v1/payouts/po_0`; there must be no such object.
            account: the Stripe account.

        Raises:
            StripeAccessError: the server could not be reached, or kept failing.
        """
        try:
            self._repeat(path, account, partial(self._read_json, path, account, {}, method="post"))
        except StripeRefusedError as refusal:
            # Whoever may write is told that the object is not there, or what else is wrong with the request.
            return refusal.status in (400, 404)
        return True

    # --- one read ------------------------------------------------------------------------------------------------

    def _read(self, path: str, account: str, params: Mapping[str, object]) -> tuple[bytes, Mapping[str, str]]:
        body, _, headers = self._read_json(path, account, params)
        return body, headers

    def _read_json(self, path: str, account: str, params: Mapping[str, object], *, method: str = "get") -> tuple[bytes, Any, Mapping[str, str]]:
        """Return a body, what it says, and the headers it came with."""
        options = {} if account == OWN_ACCOUNT else {"stripe_account": account}
        self._pace.wait_turn(path)
        try:
            response = self._client.raw_request(method, path, **params, **options)
        except stripe.StripeError as error:
            # `from None`: the chain of a transport error can hold the request's headers, and with them the key.
            raise self._classify(error, path=path, account=account) from None
        body: bytes = self._transport.taken.body
        try:
            return body, orjson.loads(body), response.headers
        except orjson.JSONDecodeError:
            raise _TransientError(f"answered {response.code} with a body that is cut off or no JSON") from None

    def _read_page(self, path: str, account: str, params: Mapping[str, object], cursors: Set[str]) -> Page:
        """Return a page that can be followed: it has rows if it promises more, and does not end where an earlier one did."""
        body, content, _ = self._read_json(path, account, params)
        try:
            has_more, rows = bool(content["has_more"]), content["data"]
            last_id = rows[-1]["id"] if rows else None
        except (KeyError, TypeError) as error:
            raise _TransientError(f"200 with a body that is no list page ({type(error).__name__})") from None
        if has_more and last_id is None:
            raise _TransientError("a page without rows that says there are more")
        if has_more and last_id in cursors:
            raise _TransientError(
                "a page ends with the object it should come after, so the server does not page as Stripe does (if it stays, check [stripe] api_base)"
            )
        return Page(body, rows, has_more)

    def _repeat(self, path: str, account: str, read: Callable[[], T]) -> T:
        waited = 0.0
        for attempt in range(1, self._back_off.attempts_max + 1):
            try:
                return read()
            except _TransientError as fault:
                delay = self._delay(attempt, fault.retry_after)
                if attempt == self._back_off.attempts_max or waited + delay > self._back_off.wait_seconds_max:
                    whose = "" if account == OWN_ACCOUNT else f" of {account}"
                    asked = "" if fault.retry_after is None else f", which asks to wait {fault.retry_after:g} s"
                    raise StripeAccessError(
                        f"{self._base}{path}{whose}: {fault.observed}{asked}, after {attempt} attempts and {waited:.0f} s of waiting; "
                        "nothing was stored for this window. See https://status.stripe.com, check the network, then repeat the run"
                    ) from None
                logger.info("%s: %s; repeating in %.1f s", path, fault.observed, delay)
                self._sleep(delay)
                waited += delay
        raise StripeAccessError(f"{self._base}{path}: the back-off allows no attempt at all")

    def _delay(self, attempt: int, retry_after: float | None) -> float:
        grown = min(self._back_off.first_seconds * 2.0 ** (attempt - 1), self._back_off.longest_seconds)
        # Jitter keeps parallel readers from coming back in step; it decides no result.
        return max(retry_after or 0.0, grown * random.uniform(0.5, 1.0))

    # --- what an error means -------------------------------------------------------------------------------------

    def _classify(self, error: stripe.StripeError, *, path: str, account: str) -> Exception:
        """Turn the library's error into one that may pass, or one that the operator must mend."""
        status = error.http_status
        observed = self._redact(str(error.user_message or ""))
        if isinstance(error, stripe.APIConnectionError) or status is None:
            cause = type(error.__cause__).__name__ if error.__cause__ else type(error).__name__
            if cause in _PERMANENT:
                return StripeAccessError(f"{self._base}{path}: {cause}; check [stripe] api_base, certificates and proxy")
            return _TransientError(f"no whole answer ({cause})")
        if isinstance(error, stripe.RateLimitError) or status in (409, 429) or status >= 500:
            return _TransientError(f"answered {status}", retry_after=_retry_after(error))
        if 200 <= status < 300:
            return _TransientError(f"answered {status} with a body that is cut off or no JSON")
        parameter = str(error.param or "") if isinstance(error, stripe.InvalidRequestError) else ""
        return StripeRefusedError(self._refusal(status, observed, path=path, account=account), status=status, parameter=parameter)

    def _refusal(self, status: int, observed: str, *, path: str, account: str) -> str:
        resource = path.removeprefix("/v1/").split("/")[0]
        if status == 401:
            meaning = "the key in STRIPE_API_KEY is not accepted"
            step = f"create a {_KEY_WANTED}, and export it again"
        elif status == 403 and account != OWN_ACCOUNT:
            meaning = f"the key may not read account {account}"
            step = f"connect the account, give the key the permission, or take {account} out of stripe_accounts"
        elif status == 403:
            meaning = "the key lacks a permission"
            step = f"give the restricted key read access to '{_PERMISSIONS.get(resource, resource)}': Stripe dashboard, Developers, API keys"
        elif status == 404:
            meaning, step = "not found", "check [stripe] api_base, and that the object belongs to this account"
        else:
            meaning, step = "refused", "this program and the server disagree on the API; check [stripe] api_base"
        return f"{self._base}{path}: {meaning} ({status}: {observed}); {step}"

    def _redact(self, text: str) -> str:
        return _EMAIL_LIKE.sub("[e-mail]", _KEY_LIKE.sub("[key]", text.replace(self._key, "[key]")))[:300]


def _retry_after(error: stripe.StripeError) -> float | None:
    """Return the seconds a server asks to wait; dates are read against its own clock."""
    # For a body that is no JSON the library passes the headers in the place of the parsed body.
    headers = error.headers or error.json_body
    text = headers.get("Retry-After") if isinstance(headers, Mapping) else None
    if not isinstance(headers, Mapping) or not isinstance(text, str):
        return None
    if re.fullmatch(r"\d+(?:\.\d+)?", text.strip()):
        return float(text)
    try:
        asked, now = email.utils.parsedate_to_datetime(text), email.utils.parsedate_to_datetime(str(headers.get("Date")))
        seconds: float = (asked - now).total_seconds()
        return max(0.0, seconds)
    except (ValueError, TypeError):
        return None


def _address(api_base: str) -> tuple[str, str]:
    try:
        parts = urlsplit(api_base)
        host = parts.hostname
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https") or parts.username or parts.query or parts.fragment:
        raise SettingsError(
            f'[stripe] api_base = {_KEY_LIKE.sub("[key]", api_base)!r} is no web address; expected "https://api.stripe.com" or the URL of a compatible server'
        )
    return parts.scheme, host.lower()


def _is_stripe(host: str) -> bool:
    return host == "stripe.com" or host.endswith(".stripe.com")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
