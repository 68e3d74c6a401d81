"""Commands of a month: run, open, close lock, close status."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from assets.cli.options import Config, Json, Period, parse_day
from assets.cli.output import say, say_json, statement_rows, statement_text, tell
from expectations.runner import load_library
from reconciliation.beside import second_process
from reconciliation.config import read_settings
from reconciliation.lake import open_lake
from reconciliation.money import format_minor

close = typer.Typer(help="Lock an accounting month, or show the state of one.", no_args_is_help=True)
LOCK_WAIT_SECONDS = 60.0


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(run)
    app.command("open")(open_first_month)
    app.add_typer(close, name="close")


def run(
    period: Period,
    config: Config = None,
    as_of: Annotated[str | None, typer.Option("--as-of", help="Last day counted, for a month still under way.")] = None,
    no_pull: Annotated[bool, typer.Option("--no-pull", help="Work from what the lake holds.")] = False,
    accept_incomplete: Annotated[bool, typer.Option("--accept-incomplete", help="Go on although the pull is not complete; the package says so.")] = False,
    json: Json = False,
) -> None:
    """Reconcile one accounting month: pull, prove, match, classify, write the close package.

    Example: reconcile run --period 2026-10
    """
    from assets.alerts import watch
    from assets.instance import open_instance
    from assets.planning import last_known_clock
    from assets.run import run_month
    from reconciliation.months import month_scope

    settings = read_settings(config)
    with second_process(load_library), open_instance(Path.cwd()) as instance:
        outcome = run_month(
            config, period, instance=instance, as_of=parse_day(as_of, flag="--as-of"), pull=not no_pull, accept_incomplete=accept_incomplete, tell=tell
        )
    # Lags are counted to Stripe's own clock: a command has just asked it, and a sandbox's may stand anywhere.
    for alert in watch(open_lake(settings), settings, now=last_known_clock(open_lake(settings), settings) or datetime.now(UTC)):
        tell(f"alert: {alert.message}")
    lake = open_lake(settings)
    statements = [frame for book in settings.books if (frame := lake.read(month_scope(book.name, period), "statement")) is not None]
    is_incomplete = any(lake.facts(month_scope(book.name, period)).get("accepted_incomplete") for book in settings.books)
    if json:
        say_json(
            {
                "period": period,
                "package": str(outcome.package),
                "incomplete_pull": is_incomplete,
                "statement": [row for frame in statements for row in statement_rows(frame)],
            }
        )
        return
    for statement in statements:
        say(statement_text(statement, period=period, entity=settings.entity.name, is_incomplete=is_incomplete))
    say(f"\nclose package: {outcome.package}")


def open_first_month(
    period: Period,
    ledger: Annotated[
        list[str] | None, typer.Option("--ledger", help='Ledger balance before the first month: "1050 Stripe Clearing GBP=1312.00"; repeatable.')
    ] = None,
    items: Annotated[Path | None, typer.Option("--items", help="Open items of the last manual reconciliation (CSV or XLSX).")] = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Set the opening of the first month.

    Example: reconcile open --period 2026-10 --ledger "1050 Stripe Clearing GBP=1312.00" --items last_reconciliation.csv
    """
    from reconciliation.opening import record_opening

    settings = read_settings(config)
    lake = open_lake(settings)
    with lake.writer(wait_seconds=LOCK_WAIT_SECONDS):
        lake.prepare(time_zone=settings.entity.timezone)
        balances = record_opening(lake, settings, period=period, ledger=ledger or [], items=items)
    counted = lake.read(f"opening/{settings.books[0].name}", "items")
    count = 0 if counted is None else counted.height
    if json:
        say_json({"period": period, "ledger": balances, "items": count})
        return
    say(f"opening of {period}: {len(balances)} ledger balance(s) given, {count} open item(s); run: reconcile run --period {period}")


@close.command("lock")
def lock(period: Annotated[str, typer.Argument(help="Accounting month, such as 2026-10.")], config: Config = None, json: Json = False) -> None:
    """Lock a month: freeze it and write the next version of its package.

    Example: reconcile close lock 2026-10
    """
    from reconciliation.keeper import MonthKeeper

    package = MonthKeeper(lambda: read_settings(config)).lock(period)
    if json:
        say_json({"period": period, "state": "locked", "package": str(package)})
        return
    say(f"{period} is locked: {package}")


@close.command("status")
def status(period: Annotated[str, typer.Argument(help="Accounting month, such as 2026-10.")], config: Config = None, json: Json = False) -> None:
    """Show the state of a month, who signed its package, and what changed since it was locked.

    Example: reconcile close status 2026-10
    """
    from reconciliation.months import changes_since_lock, locked_through, month_scope
    from reconciliation.review.decide import certifications
    from reconciliation.review.log import open_log
    from reconciliation.review.situation import package_hash

    settings = read_settings(config)
    settings.calendar.first_day(period)
    lake = open_lake(settings)
    locked = locked_through(lake)
    reconciled = all(lake.tables(month_scope(book.name, period)) is not None for book in settings.books)
    state = "locked" if locked and period <= locked else "open, reconciled" if reconciled else "open, not reconciled yet"
    latest = settings.path(settings.close.folder) / period / "latest"
    package, signed_hash = str(latest) if latest.exists() else None, package_hash(settings, period)
    signed = {role: entry.by for role, entry in sorted(certifications(open_log(lake).entries(), period, signed_hash).items())} if signed_hash else {}
    changes = changes_since_lock(lake, settings, period)
    if json:
        changed = [{**row, "difference": format_minor(row["difference"], row["currency"])} for row in changes.to_dicts()]
        say_json({"period": period, "state": state, "package": package, "package_sha256": signed_hash, "signed": signed, "changes_since_lock": changed})
        return
    say(f"{period}: {state}" + (f"; package: {package}" if package else f"; next: reconcile run --period {period}"))
    if signed_hash:
        say(f"package_sha256 {signed_hash}; " + (", ".join(f"certified as {role} by {name}" for role, name in signed.items()) or "nobody has certified it"))
    for row in changes.to_dicts():
        say(
            f"since the lock: {row['items']} item(s) {row['change']}, {format_minor(row['difference'], row['currency'])} {row['currency']}, counted in {row['posted_into']}"
        )
    if changes.height:
        say(f"restatement.csv of that month names them; to restate {period} instead: reconcile close unlock {period}")
