"""Entry of `reconcile`: registers the commands and turns refusals into messages and exit codes.

0: did what was asked; 2: asked wrongly (flag, settings); 1: the work failed or was refused. A traceback means a defect.
"""

import gc
import os
import sys

import typer

from assets.cli import audit, company, doctor, files, model, month, replay, review, serve, sign, spreadsheet, story
from assets.cli.output import tell
from assets.logs import configure_logs
from reconciliation.beside import OBJECTS_BETWEEN_COLLECTIONS
from reconciliation.errors import ReconciliationError

app = typer.Typer(
    name="reconcile",
    help="Reconcile Stripe against the books, every night and at month end. Start with: reconcile demo",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
month.register(app)
company.register(app)
files.register(app)
model.register(app)
review.register(app)
spreadsheet.register(review.review)
sign.register(app)
serve.register(app)
doctor.register(app)
audit.register(app)
replay.register(app)
story.register(app)


def main() -> None:
    """Run the command line."""
    # Read by the libraries at run time: events of a range of days are stored together, and nothing is reported to anybody.
    os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", "1000")
    os.environ["DAGSTER_DISABLE_TELEMETRY"] = "1"
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    gc.set_threshold(*OBJECTS_BETWEEN_COLLECTIONS)
    try:
        configure_logs()
        app()
    except ReconciliationError as error:
        tell(f"reconcile: {error}")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        tell("reconcile: stopped; what was published before stays as it was")
        sys.exit(130)


if __name__ == "__main__":
    main()
