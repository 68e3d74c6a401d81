"""Commands on files: check, map."""

from pathlib import Path
from typing import Annotated

import typer

from assets.cli.options import Config, Json
from assets.cli.output import say, say_json
from reconciliation.config import read_settings


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(check)
    app.command("map")(map_file)


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


def map_file(
    file: Annotated[Path, typer.Argument(help="A ledger export that no profile recognizes.")],
    yes: Annotated[bool, typer.Option("--yes", help="Write the mapping without asking.")] = False,
    day_first: Annotated[bool | None, typer.Option("--day-first/--month-first", help="The order of ambiguous dates.")] = None,
    decimal_mark: Annotated[str, typer.Option(help="The decimal mark of ambiguous amounts: . or ,")] = "",
    account: Annotated[str, typer.Option(help="The account the export is of, where no column says it.")] = "",
    currency: Annotated[str, typer.Option(help="The currency of the export, where no column says it.")] = "",
    config: Config = None,
) -> None:
    """Propose which column of an unknown ledger export is what, show it with sample rows and totals, and keep it once confirmed.

    The next export with the same header is read by it, whatever its name.

    Example: reconcile map data/inbox/ledger/strange.csv
    """
    from reconciliation.connectors.check import read_file
    from reconciliation.connectors.ledger.mapper import Answers, mapping_path, propose_mapping, write_mapping
    from reconciliation.connectors.ledger.mapping_text import describe_columns, describe_proposal, name_known_profile

    if decimal_mark not in {"", ".", ","}:
        raise typer.BadParameter("is neither . nor ,", param_hint="--decimal-mark")
    settings = read_settings(config)
    content = read_file(file, settings)
    known = name_known_profile(content, settings)
    if known:
        say(f"{content.name}: is read as {known} already; nothing to map")
        return
    answers = Answers(day_first=day_first, decimal_mark=decimal_mark or None, account=account, currency=currency.upper())
    proposal = propose_mapping(content, settings, answers)
    say(describe_proposal(proposal))
    if proposal.refused:
        raise proposal.refused
    path = mapping_path(proposal.profile, settings)
    if yes or typer.confirm(f"Keep this mapping as {path}?"):
        write_mapping(proposal.profile, path, evidence=describe_columns(proposal))
        say(f"kept as {path}")
        return
    say("nothing was written")
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
