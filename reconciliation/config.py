"""Settings: `reconciliation.toml` and the environment -> one frozen object. The only module that reads the environment.

Relative paths are taken from the settings file's own folder. Unknown keys are refused by name with the nearest known one.
"""

import difflib
import os
import re
import tomllib
from pathlib import Path
from typing import Any, Literal, get_args
from zoneinfo import ZoneInfo, available_timezones

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from reconciliation.calendar import Calendar, read_calendar
from reconciliation.errors import SettingsError
from reconciliation.money import parse_minor

DEFAULT_FILE = "reconciliation.toml"
REVIEW_KEY_LENGTH_MIN = 32


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Entity(_Section):
    """The company whose books are reconciled."""

    name: str
    timezone: str
    currency: str = Field(pattern="^[A-Z]{3}$")

    @field_validator("timezone")
    @classmethod
    def _is_a_zone(cls, value: str) -> str:
        if value not in available_timezones():
            near = difflib.get_close_matches(value, available_timezones(), n=1)
            raise ValueError(f"{value!r} is not a time zone" + (f"; did you mean {near[0]!r}?" if near else ""))
        return value


class Start(_Section):
    """The first month reconciled, and how far evidence is read before it."""

    period: str = Field(pattern=r"^\d{4}-(0[1-9]|1[0-2])$")
    lookback_days: int = Field(default=120, ge=0, le=1000)


class Stripe(_Section):
    """Where Stripe is and how far back a night re-reads what can still change."""

    api_base: str = "https://api.stripe.com"
    lookback_days: int = Field(default=45, ge=0, le=1000)
    # To one endpoint. Unset: Stripe's own limit of 25 at Stripe, none at another server.
    requests_per_second: float | None = Field(default=None, gt=0, le=1000)
    # Itemised report CSVs, a control total for the pull; those of connected accounts in folders named after them.
    reports: str = "data/inbox/stripe"
    # Whole and unfiltered ones, which take the place of lists for the time they cover.
    history: str = "data/inbox/stripe_history"
    reports_timezone: str = "UTC"


class Ledger(_Section):
    """Where ledger exports and trial balances are dropped and how they are read."""

    inbox: str = "data/inbox/ledger"
    profile: str = "auto"
    balances: str = "data/inbox/balances"
    day_first: bool | None = None


class Bank(_Section):
    """Where bank statements are dropped."""

    inbox: str = "data/inbox/bank"


class Fx(_Section):
    """Newer exchange rates than the packaged history."""

    rates: str = "data/inbox/fx"


class LedgerAccount(_Section):
    """A ledger account and the parts of the Stripe balance it stands for."""

    account: str
    role: Literal["clearing", "in_transit", "reserve", "disputes"] = "clearing"
    currency: str = Field(pattern="^[A-Z]{3}$")
    balance_types: tuple[str, ...] = ("payments", "refund_and_dispute_prefunding", "risk_reserved")


class Book(_Section):
    """What is reconciled together."""

    name: str = Field(default="main", pattern=r"^[A-Za-z0-9_-]+$")
    stripe_accounts: tuple[str, ...] = ("self",)
    bank_match: tuple[str, ...] = ("STRIPE",)
    bank_accounts: tuple[str, ...] = ()
    ledger_accounts: tuple[LedgerAccount, ...] = ()


class Storage(_Section):
    """Where the lake lies: a folder, or a bucket's address, and then two folders beside it."""

    lake: str = "data/lake"
    # Of a bucket's lake: the decision log, in a folder that every machine sees, and what each machine keeps for itself.
    review: str = "data/review"
    scratch: str = "data/scratch"


class Close(_Section):
    """Where the package goes and what is material."""

    folder: str = "data/close"
    materiality: str = "25.00"
    calendar: str = "month"


class Classifier(_Section):
    """Which model version scores."""

    model: str = "latest"


class Review(_Section):
    """Who may accept what."""

    mode: Literal["observe", "copilot", "autonomous"] = "observe"
    inbox: str = "data/inbox/review"
    four_eyes_above: str = "1000.00"
    auto_clear_cap: str = "500.00"
    target_recall: float = Field(default=0.99, gt=0, le=1)
    # The header in which a reverse proxy names the reviewer it has signed in. Empty: one-time codes only.
    identity_header: str = Field(default="", pattern=r"^[A-Za-z0-9-]*$")


JOURNAL_ROLES = (
    "processing_fees", "billing_fees", "fee_tax", "withheld_tax", "dispute_fees", "disputes_receivable", "dispute_losses", "refunds", "fx_gain_loss", "rounding",
    "write_off", "payouts_in_transit", "reserve", "unapplied_receipts", "bank", "bank_charges", "application_fees", "transfers",
)  # fmt: skip


class Journals(_Section):
    """Which accounts proposed journals use, from which amount timing items are accrued, and how import files are laid out."""

    post_timing_above: str = ""
    # A layout of close/layouts; auto is that of the system whose exports are read.
    layout: str = "auto"
    # Xero posts no manual journal to an account of type bank; Business Central names the account's type.
    clearing_is_bank_account: bool = False
    # As in strftime; empty is the order of day and month of the exports.
    date_format: str = ""
    accounts: dict[str, str] = Field(default_factory=dict)
    # A ledger account as the exports name it -> as the import wants it, where these differ ("1050 - Stripe Clearing" -> "1050").
    clearing: dict[str, str] = Field(default_factory=dict)
    # Heading of the layout -> a constant for every line: "Company Code", "Subsidiary", "*TaxRate".
    columns: dict[str, str] = Field(default_factory=dict)

    @field_validator("accounts")
    @classmethod
    def _names_known_roles(cls, value: dict[str, str]) -> dict[str, str]:
        for role in value:
            if role not in JOURNAL_ROLES:
                near = difflib.get_close_matches(role, JOURNAL_ROLES, n=1)
                raise ValueError(f"{role!r} is no role" + (f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(JOURNAL_ROLES)}"))
        return value

    @field_validator("post_timing_above")
    @classmethod
    def _is_an_amount(cls, value: str) -> str:
        if value and not re.fullmatch(r"\d+(\.\d{1,3})?", value):
            raise ValueError(f"{value!r} is no amount; write it like 100.00, or leave it empty to post no timing item")
        return value


class Watch(_Section):
    """From when on somebody is told, and by which program."""

    pull_lag_hours: int = Field(default=30, ge=1)
    # Behind Stripe's data, which has every day: a week holds two days on which no bank books.
    file_late_days: int = Field(default=5, ge=1)
    exception_age_days: int = Field(default=30, ge=1)
    # Where each alert is appended as a line; empty is alerts.jsonl beside the lake.
    alerts: str = ""
    # A program and its arguments, which gets the line on its standard input. Empty: none is started.
    alert_command: tuple[str, ...] = ()


class Settings(_Section):
    """All settings, with the folder that relative paths are taken from."""

    entity: Entity
    start: Start
    stripe: Stripe = Stripe()
    ledger: Ledger = Ledger()
    bank: Bank = Bank()
    fx: Fx = Fx()
    books: tuple[Book, ...] = (Book(),)
    storage: Storage = Storage()
    close: Close = Close()
    classifier: Classifier = Classifier()
    review: Review = Review()
    journals: Journals = Journals()
    watch: Watch = Watch()
    folder: Path = Path()

    @property
    def calendar(self) -> Calendar:
        """The books' calendar."""
        return read_calendar(zone=self.entity.timezone, calendar=self.close.calendar, folder=self.folder)

    @property
    def zone(self) -> ZoneInfo:
        """The books' time zone."""
        return ZoneInfo(self.entity.timezone)

    @property
    def materiality_minor(self) -> int:
        """Materiality in minor units of the entity's currency."""
        return parse_minor(self.close.materiality, self.entity.currency)

    def path(self, text: str) -> Path:
        """Resolve a path of the settings."""
        return self.folder / text

    def book(self, name: str) -> Book:
        """Return a book by name."""
        for book in self.books:
            if book.name == name:
                return book
        raise SettingsError(f"no book is named {name!r}; there are {', '.join(b.name for b in self.books)}")


def read_settings(file: Path | None = None) -> Settings:
    """Read and check the settings.

    Args:
        file: the settings file; default: the file named by `RECONCILIATION_CONFIG`, else `reconciliation.toml` here.

    Raises:
        SettingsError: no file, not TOML, an unknown key or a value that does not fit; all faults at once.
    """
    path = file or Path(os.environ.get("RECONCILIATION_CONFIG", DEFAULT_FILE))
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(
            f"{path}: no settings file could be read ({error.strerror}); name one with --config, or start from data/sample/reconciliation.toml"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not valid TOML: {error}") from error
    try:
        settings = Settings.model_validate({**content, "folder": path.resolve().parent})
    except ValidationError as error:
        raise SettingsError("\n".join(_describe(path, fault) for fault in error.errors())) from None
    _check_books(path, settings)
    return settings


def stripe_key() -> str:
    """Return the Stripe key from the environment.

    Raises:
        SettingsError: `STRIPE_API_KEY` is not set.
    """
    key = os.environ.get("STRIPE_API_KEY", "").strip()
    if not key:
        raise SettingsError("STRIPE_API_KEY is not set; export a restricted, read-only key (rk_…): Stripe dashboard, Developers, API keys")
    return key


def review_key() -> str:
    """Return the key that seals the decision log, or an empty text where nobody reviews yet.

    Raises:
        SettingsError: `RECONCILIATION_REVIEW_KEY` is too short to be one.
    """
    key = os.environ.get("RECONCILIATION_REVIEW_KEY", "").strip()
    if key and len(key) < REVIEW_KEY_LENGTH_MIN:
        raise SettingsError(
            f"RECONCILIATION_REVIEW_KEY has {len(key)} characters and needs at least {REVIEW_KEY_LENGTH_MIN}; make one: python3 -c 'import secrets; print(secrets.token_urlsafe(32))'"
        )
    return key


def postgres_url() -> str | None:
    """Return the PostgreSQL URL for Dagster's storage, or None for SQLite."""
    return os.environ.get("DAGSTER_POSTGRES_URL") or None


def alert_webhook() -> str:
    """Return the address that alerts are posted to, or an empty text; it is a secret, since who knows it can post there."""
    return os.environ.get("RECONCILIATION_ALERT_WEBHOOK", "").strip()


def broker_url() -> str:
    """Return the address of the broker that hands runs to workers.

    Raises:
        SettingsError: `RECONCILIATION_BROKER` is not set.
    """
    url = os.environ.get("RECONCILIATION_BROKER", "").strip()
    if not url:
        raise SettingsError("RECONCILIATION_BROKER is not set; export the address of the broker, such as redis://host:6379/0")
    return url


def logs_as_json() -> bool:
    """Tell whether progress and logs are written as one JSON object a line.

    Raises:
        SettingsError: `RECONCILIATION_LOG` is neither text nor json.
    """
    asked = os.environ.get("RECONCILIATION_LOG", "text").strip() or "text"
    if asked not in ("text", "json"):
        raise SettingsError(f"RECONCILIATION_LOG is {asked!r}; it is text (the default) or json")
    return asked == "json"


def _check_books(path: Path, settings: Settings) -> None:
    seen: dict[tuple[str, str], str] = {}
    faults = []
    for book in settings.books:
        for kind, names in (("stripe account", book.stripe_accounts), ("ledger account", tuple(f"{a.account} {a.currency}" for a in book.ledger_accounts))):
            for name in names:
                if (kind, name) in seen:
                    faults.append(f"{path}: {kind} {name!r} is in book {seen[kind, name]!r} and again in {book.name!r}; list it once")
                seen[kind, name] = book.name
    book_names = [book.name for book in settings.books]
    faults += [f"{path}: two books are named {name!r}" for name in sorted({n for n in book_names if book_names.count(n) > 1})]
    if faults:
        raise SettingsError("\n".join(faults))


def _describe(path: Path, fault: Any) -> str:
    place = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        known = _known_keys(fault["loc"][:-1])
        near = difflib.get_close_matches(str(fault["loc"][-1]), known, n=1)
        return f"{path}: unknown key {place!r}; " + (f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known)}")
    if fault["type"] == "missing":
        return f"{path}: {place} is missing; see data/sample/reconciliation.toml for an example"
    return f"{path}: {place} = {fault['input']!r}: {fault['msg']}"


def _known_keys(loc: tuple[Any, ...]) -> list[str]:
    model: Any = Settings
    for part in loc:
        if isinstance(part, int):
            continue
        annotation = model.model_fields[part].annotation
        model = next((a for a in get_args(annotation) if isinstance(a, type)), annotation)
    return [name for name in model.model_fields if name != "folder"]
