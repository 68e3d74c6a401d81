"""The review in Dagster: decisions by a typed job, spreadsheets from the inbox, and the runs that decisions ask for.

People decide on the review page; the job is the same through GraphQL and the Launchpad. All end in the sealed log, whose rules stand in
`reconciliation.review.decide`.
"""

import enum
import json
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition
from pydantic import Field

from assets import jobs
from assets.links import JOB
from assets.resources import SettingsResource
from assets.sensors import INTERVAL_SECONDS, follow_people
from reconciliation.config import read_settings
from reconciliation.keeper import MonthKeeper
from reconciliation.review.desk import Desk
from reconciliation.review.plain import PlainDecision, decide_plainly, last_effective_number
from reconciliation.review.spreadsheet import list_waiting, take_signed


class Decision(enum.Enum):
    """What can be decided; the Launchpad takes the names."""

    ACCEPT = "accept"
    CHANGE_CAUSE = "change_cause"
    POST_ENTRY = "post_entry"
    WRITE_OFF = "write_off"
    CORRECT_IN_ERP = "correct_in_erp"
    CLAIM = "claim"
    CARRY_FORWARD = "carry_forward"
    APPROVE = "approve"
    SEND_BACK = "send_back"
    UNDO = "undo"


class ReviewConfig(dg.Config):
    """A decision: the month, the cases (or, to answer a decision, its entries in the log), and who decides, with a one-time code."""

    period: str
    decision: Decision
    breaks: list[str] = Field(default_factory=list)
    entries: list[int] = Field(default_factory=list)
    reason: str = ""
    cause: str = ""
    reviewer: str
    code: str


def open_desk(settings_file: Path | None = None) -> Desk:
    """Return the reviewers' desk of the settings that a file or the environment names, read anew at every look."""
    return Desk(lambda: read_settings(settings_file), lambda: datetime.now(UTC), MonthKeeper(lambda: read_settings(settings_file)))


def build_job() -> dg.JobDefinition:
    """Assemble the job that decides."""

    @dg.op(description="Write one decision into the log; refused ones say why.")
    def decide(context: dg.OpExecutionContext, config: ReviewConfig, settings: SettingsResource) -> None:
        asked = PlainDecision(
            period=config.period,
            decision=config.decision.value,
            breaks=tuple(config.breaks),
            entries=tuple(config.entries),
            reviewer=config.reviewer,
            code=config.code,
            reason=config.reason,
            cause=config.cause,
        )
        entry = decide_plainly(open_desk(settings.path), asked)
        context.add_output_metadata({"entry": entry.number, "waits_for_a_second_person": entry.body["needs_second"]})

    @dg.job(name=JOB, executor_def=dg.in_process_executor, description="Decide about cases, as the review page does.")
    def review() -> None:
        decide()

    return review


def build_sensors(made: dict[str, UnresolvedAssetJobDefinition]) -> list[dg.SensorDefinition]:
    """Assemble what follows decisions and spreadsheets."""
    return [_after_decisions(made), _review_inbox()]


def _after_decisions(made: dict[str, UnresolvedAssetJobDefinition]) -> dg.SensorDefinition:
    @dg.sensor(
        name="after_decisions",
        job=made[jobs.RECONCILE],
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Reconcile again when people have decided; the package follows.",
    )
    def after_decisions(context: dg.SensorEvaluationContext, settings: SettingsResource) -> dg.SensorResult | dg.SkipReason:
        known = settings.read()
        last = last_effective_number(open_desk(settings.path).log.entries())
        if str(last) == (context.cursor or "0"):
            return dg.SkipReason("Nothing was decided since.")
        return follow_people(context, known, state=str(last), cause=f"decisions/{last}")

    return after_decisions


def _review_inbox() -> dg.SensorDefinition:
    @dg.sensor(
        name="review_inbox",
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Take filled-in review spreadsheets that carry a reviewer and a fresh code; others wait on the review page.",
    )
    def review_inbox(context: dg.SensorEvaluationContext, settings: SettingsResource) -> dg.SkipReason:
        desk = open_desk(settings.path)
        state = {path: f"{path.name}:{path.stat().st_size}:{path.stat().st_mtime_ns}" for path in list_waiting(desk.settings)}
        tried = set(json.loads(context.cursor or "[]"))
        results = [str(result.name) for result, _ in take_signed(desk, [path for path, mark in state.items() if mark not in tried])]
        context.update_cursor(json.dumps(sorted(state.values())))
        return dg.SkipReason(f"Taken: {', '.join(results)}." if results else f"{len(state)} spreadsheets wait on the review page.")

    return review_inbox
