"""Commands of review by spreadsheet: export, import."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from assets.cli.options import Config, Json
from assets.cli.output import say, say_json
from assets.cli.review import By, Code, Month, ask_proof
from reconciliation.errors import InputsMissingError
from reconciliation.lake import write_atomically


def register(review: typer.Typer) -> None:
    """Add the commands to those of review."""
    review.command("export")(export)
    review.command("import")(import_file)


def export(
    period: Month,
    out: Annotated[Path, typer.Option("--out", help="The workbook to write.")] = Path("review.xlsx"),
    config: Config = None,
    json: Json = False,
) -> None:
    """Write what waits for a decision as a workbook to fill in: yellow columns, drop-downs, definitions.

    Example: reconcile review export --period 2026-10 --out review.xlsx
    """
    from assets.review import open_desk
    from reconciliation.review.filters import Filters, filter_cases
    from reconciliation.review.spreadsheet import write_review

    desk = open_desk(config)
    view = desk.view(period)
    cases = filter_cases(view.cases, Filters(tab="all"), reviewer="", materiality_minor=0)
    write_atomically(out, write_review(cases, view.digests(cases["break_id"]), entity=desk.settings.entity.name, period=period))
    if json:
        say_json({"out": str(out), "period": period, "cases": cases.height})
        return
    say(f"{out}: {cases.height} cases of {period}; fill in the yellow columns and bring it back: reconcile review import {out} --by NAME")


def import_file(
    file: Annotated[Path, typer.Argument(help="A filled-in review.xlsx.")], by: By, code: Code = "", config: Config = None, json: Json = False
) -> None:
    """Take the decisions of a filled-in workbook. Rows that changed meanwhile are refused one by one, the rest is taken, and a result sheet beside the file says so.

    Example: reconcile review import review.xlsx --by anna
    """
    from assets.review import open_desk
    from reconciliation.review.reviewers import open_session
    from reconciliation.review.spreadsheet import import_decisions, read_filled, write_result

    if not file.is_file():
        raise InputsMissingError(f"{file}: there is no such file; write one: reconcile review export --period 2026-10")
    desk, content = open_desk(config), file.read_bytes()
    read_filled(file.name, content)  # A file that is none of ours costs no code.
    _, token = open_session(desk.log, by, ask_proof(code), at=datetime.now(UTC))
    outcome = import_decisions(desk, file.name, content, by=by, proof=token)
    result = file.with_name(f"{file.stem}-result.xlsx")
    write_atomically(result, write_result(outcome))
    if json:
        refused = [{"row": row, "why": why} for row, why in sorted(outcome.refused.items())]
        say_json(
            {
                "taken": sorted(outcome.taken),
                "entries": [entry.number for entry in outcome.entries],
                "refused": refused,
                "blank": outcome.blank,
                "result": str(result),
            }
        )
    else:
        say("\n".join([*outcome.lines(), f"result: {result}"]))
    if outcome.refused:
        raise typer.Exit(1)
