"""Commands on files: check."""

from pathlib import Path
from typing import Annotated

import typer

from assets.cli.options import Config, Json
from assets.cli.output import say, say_json
from reconciliation.config import read_settings


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(check)


def check(files: Annotated[list[Path], typer.Argument(help="Ledger or bank files.")], config: Config = None, json: Json = False) -> None:
    """Read ledger or bank files as the pipeline would and report what is found, or why they are refused. Nothing is stored.

    Example: reconcile check data/inbox/ledger/2026-10.csv
    """
    from reconciliation.connectors.check import describe_file

    settings = read_settings(config)
    described = [describe_file(file, settings) for file in files]
    for one in described:
        if json:
            say_json(one)
        else:
            say(_in_words(one))
    if any(one["refused"] for one in described):
        raise typer.Exit(1)


def _in_words(one: dict[str, object]) -> str:
    refused = one["refused"]
    if isinstance(refused, dict):
        place = f"{one['file']}" + (f":{refused['row']}" if refused.get("row") else "") + (f" [{refused['column']}]" if refused.get("column") else "")
        return f"{place}: refused: {refused['message']}"
    totals = one["totals"] if isinstance(one["totals"], dict) else {}
    aside = one["rows_set_aside"] if isinstance(one["rows_set_aside"], list) else []
    proofs = one["proofs"] if isinstance(one["proofs"], list) else []
    lines = [
        f"{one['file']}: {one['kind']}, profile {one['profile']} (confidence {one['confidence']}), {one['encoding']}, decimal mark {one['decimal_mark']}, dates {one['date_order']}",
        f"  rows: {one['rows_in']} in, {one['rows_used']} used, {len(aside)} set aside",
        *(f"  {currency}: {total['rows']} rows, debit {total['debit']}, credit {total['credit']}, net {total['net']}" for currency, total in totals.items()),
        *(f"  proof: {proof['name']}: {'holds' if proof['holds'] else 'does not hold'}" for proof in proofs),
        *(f"  row {row['row']} set aside: {row['reason']}" for row in aside[:10]),
    ]
    return "\n".join(lines)
