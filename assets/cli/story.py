"""Command story: everything about one run, from its id."""

from pathlib import Path
from typing import Annotated, Any

import typer

from assets.cli.options import Json
from assets.cli.output import say, say_json


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(story)


def story(run_id: Annotated[str, typer.Argument(metavar="RUN", help="A run's id, or the beginning of one.")], json: Json = False) -> None:
    """Tell everything about one run: its steps, what went in and came out, checks, the package and the decisions it shows.

    Example: reconcile story 4b0b9c5e
    """
    from assets.instance import open_instance
    from assets.story import tell_story

    with open_instance(Path.cwd()) as instance:
        told = tell_story(instance, run_id)
    if json:
        say_json(told)
        return
    say("\n".join(_lines(told)))


def _lines(told: dict[str, Any]) -> list[str]:
    run, package = told["run"], told["package"]
    lines = [f"{run['run_id']}: {run['job']} {run['partition']}, {run['status']}, {run['began_at']} to {run['ended_at']}"]
    lines += [
        f"  step {step['step']}: {step['status']}, {step['seconds']} s" + (f", {step['attempts']} attempts" if step["attempts"] != 1 else "")
        for step in told["steps"]
    ]
    for made in told["made"]:
        facts = ", ".join(f"{name} {value}" for name, value in made.items() if name not in ("asset", "partitions"))
        lines.append(f"  made {made['asset']}" + (f" of {made['partitions']} partitions" if made["partitions"] > 1 else "") + (f": {facts}" if facts else ""))
    lines += [f"  check {check['asset']}.{check['check']}: " + ("holds" if check["passed"] else f"BROKEN, {check['broken']}") for check in told["checks"]]
    if package:
        lines += [f"  {name} {package[name]}" for name in ("package_sha256", "settings_sha256", "code_version", "model")]
        lines.append(f"  decisions: {package['decision_log']['entries']} entries, head {package['decision_log']['head'] or 'none'}")
        lines += [
            f"  input {one['path']} (book {one['book']}): {one['rows']} rows, {one['rows_used']} used, sha256 {one['sha256']}" for one in package["inputs"]
        ]
    lines += [f"  error {name}" for name in told["errors"]]
    lines += [f"  same month: {other['job']} {other['run_id']}, {other['status']}, {other['began_at']}" for other in told["belongs_to"]]
    return lines
