"""Verified entries -> where each decision stands: in force, awaiting a second person, sent back, undone.

The rules are checked here once more, so that an entry that `decide` would never have written (a self-approval) has no effect even if it is
in the log.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from reconciliation.review.log import Entry
from reconciliation.review.vocabulary import APPROVABLE, APPROVE, CERTIFY, SEND_BACK, UNDO, UNDOABLE


@dataclass(frozen=True)
class Standing:
    """A decision and what became of it.

    Attributes:
        entry: the decision.
        approval: the second person's approval.
        ending: what ended it: sent back or undone.
    """

    entry: Entry
    approval: Entry | None = None
    ending: Entry | None = None

    @property
    def needs_second(self) -> str:
        """Why a second person is needed, or an empty text."""
        return str(self.entry.body.get("needs_second", ""))

    @property
    def state(self) -> str:
        """`in_force`, `awaiting`, `sent_back` or `undone`."""
        if self.ending is not None:
            return "sent_back" if self.ending.kind == SEND_BACK else "undone"
        return "awaiting" if self.needs_second and self.approval is None else "in_force"

    @property
    def preparers(self) -> set[str]:
        """Who may not approve it: who made it, and whom it is about."""
        return {self.entry.by, *([self.entry.body["reviewer"]] if self.entry.kind == "enroll" else [])}


def find_standings(entries: Sequence[Entry]) -> dict[int, Standing]:
    """Return every decision by its number, with its approval and its ending."""
    found: dict[int, Standing] = {}
    for entry in entries:
        if entry.kind in APPROVABLE or entry.kind == CERTIFY:
            found[entry.number] = Standing(entry)
        elif entry.kind in (APPROVE, SEND_BACK, UNDO):
            for number in entry.body["targets"]:
                if number in found:
                    found[number] = _answer(found[number], entry)
    return found


def _answer(standing: Standing, answer: Entry) -> Standing:
    if standing.ending is not None:
        return standing
    if answer.kind == APPROVE:
        may = standing.state == "awaiting" and answer.by not in standing.preparers
        return replace(standing, approval=answer) if may else standing
    if answer.kind == SEND_BACK:
        return replace(standing, ending=answer) if standing.state == "awaiting" else standing
    return replace(standing, ending=answer) if standing.entry.kind in UNDOABLE else standing


def waiting_for_second(entries: Sequence[Entry]) -> list[Standing]:
    """Return what waits for a second pair of eyes, the oldest first."""
    return [standing for standing in find_standings(entries).values() if standing.state == "awaiting"]
