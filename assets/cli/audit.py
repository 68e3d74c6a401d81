"""`reconcile audit`: the verifier that lies in every package, from the command line."""

from pathlib import Path
from typing import Annotated

import typer

from assets.cli.options import Json
from assets.cli.output import say, say_json
from reconciliation.close.audit import UnreadableError, audit_package, describe
from reconciliation.errors import SettingsError


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(audit)


def audit(
    folder: Annotated[Path, typer.Argument(help="A close package, such as data/close/2026-10/v1.")],
    before: Annotated[Path | None, typer.Option("--before", help="The package of the month before; default: the one it was carried from, beside it.")] = None,
    json: Json = False,
) -> None:
    """Re-add and verify a close package; the same as `python audit.py` in the package itself.

    Example: reconcile audit data/close/2026-10/v1
    """
    try:
        checks = audit_package(folder, before)
    except UnreadableError as error:
        raise SettingsError(str(error)) from error
    broken = sum(1 for check in checks if check.found)
    if json:
        say_json({
            "package": str(folder), "broken": broken,
            "checks": [{"check": check.name, "result": check.result, "seen": check.seen or check.skipped, "found": check.found} for check in checks],
        })  # fmt: skip
    else:
        say(describe(checks, title=str(folder)))
        say("everything held" if not broken else f"{broken} check(s) broken")
    if broken:
        raise typer.Exit(1)
