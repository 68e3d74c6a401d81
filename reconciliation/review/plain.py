"""A decision in plain words (a month, breaks, a verb, a name, a code) -> an entry of the log: for jobs and scripts, which hold no session.

What is decided about is what stands there now, unless the caller names what they saw.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from reconciliation.review.decide import DecisionRequest, decide
from reconciliation.review.desk import Desk
from reconciliation.review.log import Entry
from reconciliation.review.reviewers import OneTimeCode
from reconciliation.review.vocabulary import ANSWERS, COMMENT, KINDS, SETTINGS

WITHOUT_EFFECT = (COMMENT, "certify")


@dataclass(frozen=True)
class PlainDecision:
    """A decision as a job or a script states it.

    Attributes:
        period: the month.
        decision: one of `vocabulary.KINDS`.
        breaks: which cases.
        entries: for approving, sending back and undoing: which entries.
        reviewer: who decides.
        code: their one-time code.
        reason: why.
        cause: for a change of the cause.
        seen: case -> digest of what was seen; empty takes what stands there now.
    """

    period: str
    decision: str
    breaks: tuple[str, ...]
    entries: tuple[int, ...]
    reviewer: str
    code: str
    reason: str = ""
    cause: str = ""
    seen: Mapping[str, str] = field(default_factory=dict)


def decide_plainly(desk: Desk, asked: PlainDecision) -> Entry:
    """Write a plain decision into the log.

    Raises:
        ReconciliationError: as `decide`.
    """
    view = desk.view(asked.period)
    shown = {} if asked.decision in ANSWERS else {**dict.fromkeys(asked.breaks, "not there"), **view.digests(asked.breaks), **asked.seen}
    request = DecisionRequest(
        asked.decision, asked.reviewer, OneTimeCode(asked.code), desk.clock(), shown=shown, targets=asked.entries, reason=asked.reason, cause=asked.cause
    )
    return decide(desk.log, request, view.situation)


def last_effective_number(entries: Sequence[Entry]) -> int:
    """Return the number of the last entry that the next run has to take in: signing in and notes change no month."""
    return max((entry.number for entry in entries if entry.kind in KINDS and entry.kind not in (*WITHOUT_EFFECT, SETTINGS)), default=0)
