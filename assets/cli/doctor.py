"""Command doctor: checks the set-up and says what to fix."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import typer

from assets.cli.options import Config, Json
from assets.cli.output import say, say_json
from reconciliation.config import Settings, postgres_url, read_settings, stripe_key
from reconciliation.errors import ReconciliationError

MARKS = {"ok": "ok     ", "warning": "warning", "wrong": "WRONG  "}


@dataclass(frozen=True)
class Finding:
    """What one check found: `ok`, `warning` or `wrong`, and in words what it means and what to do."""

    check: str
    state: str
    message: str


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(doctor)


def doctor(config: Config = None, json: Json = False) -> None:
    """Check the set-up: settings, key, Stripe, lake, inboxes, opening, model, database.

    Example: reconcile doctor
    """
    findings = list(examine(config))
    for finding in findings:
        if json:
            say_json(vars(finding))
        else:
            say(f"{MARKS[finding.state]} {finding.check}: {finding.message}")
    if any(finding.state == "wrong" for finding in findings):
        raise typer.Exit(1)


def examine(config: Path | None) -> Iterator[Finding]:
    """Run every check that can be run; what needs the settings waits for them."""
    try:
        settings = read_settings(config)
    except ReconciliationError as error:
        yield Finding("settings", "wrong", str(error))
        return
    yield Finding("settings", "ok", f"{settings.entity.name}, {settings.entity.timezone}, {settings.entity.currency}, from {settings.start.period}")
    yield from _key(settings)
    yield _lake(settings)
    yield from _inboxes(settings)
    yield _opening(settings)
    yield _model(settings)
    yield _database()


def _key(settings: Settings) -> Iterator[Finding]:
    from assets.resources import check_mode, open_lake
    from reconciliation.connectors.stripe.client import StripeReader, check_key
    from reconciliation.connectors.stripe.key_check import examine_key

    accounts = [account for book in settings.books for account in book.stripe_accounts]
    try:
        key = stripe_key()
        warnings = check_key(key, settings.stripe.api_base)
        reader = StripeReader(key=key, api_base=settings.stripe.api_base, requests_per_second=settings.stripe.requests_per_second)
        clock = reader.clock()
        check_mode(open_lake(settings), is_live=reader.is_live)
        power = examine_key(reader, accounts=accounts)
    except ReconciliationError as error:
        yield Finding("Stripe", "wrong", str(error))
        return
    yield from (Finding("Stripe key", "warning", warning) for warning in warnings)
    if power.writes and not any("full secret key" in warning for warning in warnings):
        rights = ", ".join(f"'{name}'" for name in power.writes)
        yield Finding(
            "Stripe key",
            "warning",
            f"STRIPE_API_KEY may write {rights}, which nothing here needs; give it read access only: Stripe dashboard, Developers, API keys",
        )
    yield from (Finding("Stripe key", "wrong", gap) for gap in power.missing)
    if not power.missing:
        yield Finding("Stripe key", "ok", f"{'live' if reader.is_live else 'test'} key; it may read everything that is pulled from {', '.join(accounts)}")
    yield Finding("Stripe", "ok", f"{settings.stripe.api_base} answers; its clock says {clock:%Y-%m-%d %H:%M} UTC")


def _lake(settings: Settings) -> Finding:
    from reconciliation.lake import open_lake
    from reconciliation.lake_store import is_bucket

    if is_bucket(settings.storage.lake):
        return _bucket(settings)
    root = settings.path(settings.storage.lake)
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=root):
            pass
        open_lake(settings).prepare(time_zone=settings.entity.timezone)
    except OSError as error:
        return Finding("lake", "wrong", f"{root} cannot be written ({error.strerror}); make it writable, or name another folder in [storage] lake")
    except ReconciliationError as error:
        return Finding("lake", "wrong", str(error))
    return Finding("lake", "ok", f"{root} is writable")


def _bucket(settings: Settings) -> Finding:
    from reconciliation.lake import open_lake

    lake = open_lake(settings)
    try:
        lake.prepare(time_zone=settings.entity.timezone)
        with lake.writer(wait_seconds=0, part="doctor"):
            lake.change_facts("doctor", lambda facts: {"looked": facts.get("looked", 0) + 1})
        lake.withdraw("doctor")
    except ReconciliationError as error:
        return Finding("lake", "wrong", str(error))
    return Finding("lake", "ok", f"{lake.place} is writable, and its lock works")


def _inboxes(settings: Settings) -> Iterator[Finding]:
    from reconciliation.connectors.check import describe_file

    for name, inbox, is_needed in (
        ("ledger inbox", settings.ledger.inbox, True),
        ("bank inbox", settings.bank.inbox, True),
        ("trial balances", settings.ledger.balances, False),
    ):
        folder = settings.path(inbox)
        files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")) if folder.is_dir() else []
        if not files:
            yield Finding(
                name,
                "wrong" if is_needed else "warning",
                f"{folder} holds no file; drop the exports there" + ("" if is_needed else ", or the ledger closes at opening + movements"),
            )
            continue
        refused = [] if name == "trial balances" else [one for file in files if (one := describe_file(file, settings))["refused"]]
        yield from (Finding(name, "wrong", f"{one['file']}: {one['refused']['message']}") for one in refused)
        if not refused:
            yield Finding(name, "ok", f"{len(files)} file(s) in {folder}")


def _opening(settings: Settings) -> Finding:
    from reconciliation.lake import open_lake

    lake = open_lake(settings)
    given = all(lake.tables(f"opening/{book.name}") is not None for book in settings.books)
    has_balances = settings.path(settings.ledger.balances).is_dir() and any(settings.path(settings.ledger.balances).iterdir())
    if given or has_balances:
        return Finding("opening", "ok", "given by reconcile open" if given else "taken from the trial balances")
    period = settings.start.period
    return Finding(
        "opening",
        "wrong",
        f'unknown; drop the trial balance of the month before {period}, or run: reconcile open --period {period} --ledger "ACCOUNT CURRENCY=BALANCE"',
    )


def _model(settings: Settings) -> Finding:
    from assets.core import load_model
    from assets.resources import open_lake

    try:
        return Finding("model", "ok", load_model(settings, open_lake(settings)).label)
    except ReconciliationError as error:
        return Finding("model", "wrong", str(error))


def _database() -> Finding:
    url = postgres_url()
    if url is None:
        return Finding("Dagster storage", "ok", f"SQLite in {Path.cwd() / '.dagster'}")
    from assets.instance import open_instance

    try:
        with open_instance(Path.cwd()) as instance:
            instance.get_runs_count()
    except (ReconciliationError, OSError, ImportError) as error:
        return Finding("Dagster storage", "wrong", f"PostgreSQL cannot be used: {error}; check DAGSTER_POSTGRES_URL")
    return Finding("Dagster storage", "ok", "PostgreSQL answers")
