"""Commands of the classifier: train, evaluate."""

import typer


def register(app: typer.Typer) -> None:
    """Add the commands."""
