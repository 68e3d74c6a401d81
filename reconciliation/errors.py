"""Errors, divided by who must act.

A message has place, observed, expected and next step, and names all faults of its kind at once. The command line
prints the message of any `ReconciliationError` without a traceback; anything else is a defect of ours.
"""

import re

_SECRETS = (
    (re.compile(r"\b((?:sk|rk)_(?:live|test)|whsec)_\w+"), r"\1_…"),
    (re.compile(r"://[^/\s:@]*:[^/\s@]+@"), "://…@"),
)


def hide_secrets(text: str) -> str:
    """Hide keys and passwords of addresses in a text that is shown or kept.

    >>> hide_secrets("postgres://books:hunter2@db/dagster refused rk_live_51Hx")
    'postgres://…@db/dagster refused rk_live_…'
    """
    for secret, shown in _SECRETS:
        text = secret.sub(shown, text)
    return text


class ReconciliationError(Exception):
    """A failure that somebody can act on; its message holds no key and no password, whatever it quotes."""

    exit_code = 1

    def __init__(self, message: object = "") -> None:
        super().__init__(hide_secrets(str(message)))


class SettingsError(ReconciliationError):
    """The operator must change the settings, a flag or the environment."""

    exit_code = 2


class FileRefusedError(ReconciliationError):
    """The sender of a file must correct it.

    Attributes:
        file: the file's name as the reader knows it.
        row: 1-based row that a person sees in a spreadsheet, or None when the file as a whole is meant.
        column: column name, or None.
        message: observed, expected, next step; without the place.
    """

    def __init__(self, *, file: str, message: str, row: int | None = None, column: str | None = None) -> None:
        self.file, self.row, self.column, self.message = file, row, column, hide_secrets(message)
        place = file + (f":{row}" if row is not None else "") + (f" [{column}]" if column else "")
        super().__init__(f"{place}: {message}")


class InputsMissingError(ReconciliationError):
    """The finance user must supply something (an export, a statement, an opening)."""


class IncompletePullError(ReconciliationError):
    """Stripe's data is not complete; the gap is named and nothing was reconciled."""


class StripeAccessError(ReconciliationError):
    """The operator must mend the key or the way to Stripe."""

    exit_code = 1


class StorageError(ReconciliationError):
    """The operator must make room, or let the program write: a folder is full, read-only or gone."""


class BusyError(ReconciliationError):
    """Another run holds the lake; wait for it or look who it is."""


class LockedPeriodError(ReconciliationError):
    """The finance user asked for a change of a locked month."""


class LogDamagedError(ReconciliationError):
    """The decision log does not verify: the operator must restore it, and nothing was decided or reconciled on it."""


class DecisionRefusedError(ReconciliationError):
    """A rule of review does not allow this decision; nothing was written."""


class StaleViewError(DecisionRefusedError):
    """What the reviewer saw is not what stands there now; look again and decide again."""


class IdentityRefusedError(DecisionRefusedError):
    """Who decides is not proven: no such reviewer, a wrong or used code, or a session that ended."""


class DefectError(ReconciliationError):
    """A law of the package does not hold: the maintainer must act, and nothing was published."""
