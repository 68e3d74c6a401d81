"""Options that several commands share."""

from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from reconciliation.errors import SettingsError

Config = Annotated[Path | None, typer.Option("--config", help="Settings file; default: reconciliation.toml here, or the file RECONCILIATION_CONFIG names.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result for a machine.")]
Period = Annotated[str, typer.Option("--period", help="Accounting month, such as 2026-10.")]


def parse_day(text: str | None, *, flag: str) -> date | None:
    """Parse a day given on the command line.

    Raises:
        SettingsError: it is no day.
    """
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise SettingsError(f"{flag} {text!r} is not a day; write it as 2026-10-15") from error
