"""Settings file + approved changes in the log -> the controls in force.

A setting that loosens a control (more may be accepted without a person, less is seen by two) takes effect only when one reviewer has asked for
it in the log and another has approved; until then the last approved value stands, or the program's own default. Tightening takes effect at once.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from reconciliation.config import Close, Review, Settings
from reconciliation.errors import DecisionRefusedError
from reconciliation.review.log import Entry
from reconciliation.review.standing import find_standings
from reconciliation.review.vocabulary import SETTINGS

MODES = ("observe", "copilot", "autonomous")


def _number(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation as error:
        raise DecisionRefusedError(f"{text!r} is no number") from error


def _mode(text: str) -> Decimal:
    if text not in MODES:
        raise DecisionRefusedError(f"{text!r} is no mode; there are {', '.join(MODES)}")
    return Decimal(MODES.index(text))


CONTROLS: Mapping[str, tuple[str, Callable[[str], Decimal]]] = {
    "review.mode": (Review().mode, _mode),
    "review.four_eyes_above": (Review().four_eyes_above, _number),
    "review.auto_clear_cap": (Review().auto_clear_cap, _number),
    "review.target_recall": (str(Review().target_recall), lambda text: -_number(text)),
    "close.materiality": (Close().materiality, _number),
}
"""Setting -> its default, and how loose a value is: a greater number is looser."""


@dataclass(frozen=True)
class Control:
    """A setting that guards what may be accepted.

    Attributes:
        name: as in the settings file, `review.mode`.
        in_file: what the file says.
        in_force: what counts.
    """

    name: str
    in_file: str
    in_force: str

    @property
    def is_waiting(self) -> bool:
        """Whether the file asks for more than two people have approved."""
        return self.in_file != self.in_force


def list_controls(settings: Settings, entries: Sequence[Entry]) -> list[Control]:
    """Return every control as the file has it and as it counts."""
    approved = approved_values(entries)
    listed = []
    for name, (default, looseness) in CONTROLS.items():
        in_file, base = _read(settings, name), approved.get(name, default)
        listed.append(Control(name, in_file, base if looseness(in_file) > looseness(base) else in_file))
    return listed


def settings_in_force(settings: Settings, entries: Sequence[Entry]) -> Settings:
    """Return the settings with every control at the value that counts."""
    review: dict[str, str] = {}
    close: dict[str, str] = {}
    for control in list_controls(settings, entries):
        section, _, name = control.name.partition(".")
        (review if section == "review" else close)[name] = control.in_force
    return settings.model_copy(
        update={
            "review": Review.model_validate({**settings.review.model_dump(), **review}),
            "close": Close.model_validate({**settings.close.model_dump(), **close}),
        }
    )


def approved_values(entries: Sequence[Entry]) -> dict[str, str]:
    """Return the last approved value of every control that two people have decided about."""
    in_force = [standing for standing in find_standings(entries).values() if standing.entry.kind == SETTINGS and standing.state == "in_force"]
    values: dict[str, str] = {}
    for standing in sorted(in_force, key=lambda one: one.approval.number if one.approval else 0):
        values.update(standing.entry.body["settings"])
    return values


def check_settings(changes: Mapping[str, str]) -> dict[str, str]:
    """Check a proposed change of controls.

    Raises:
        DecisionRefusedError: no such control, or a value it cannot have.
    """
    unknown = sorted(set(changes) - set(CONTROLS))
    if unknown or not changes:
        raise DecisionRefusedError(f"{', '.join(unknown) or 'nothing'} is no control that people approve; those are {', '.join(CONTROLS)}")
    for name, value in changes.items():
        looseness = CONTROLS[name][1](value)
        if name == "review.target_recall" and not 0 < -looseness <= 1:
            raise DecisionRefusedError(f"{name} = {value}: a share between 0 and 1")
        if name not in ("review.target_recall", "review.mode") and looseness < 0:
            raise DecisionRefusedError(f"{name} = {value}: an amount is not negative")
    return dict(changes)


def _read(settings: Settings, name: str) -> str:
    section, _, key = name.partition(".")
    return str(getattr(getattr(settings, section), key))
