"""Dagster's history, from SQLite to PostgreSQL: runs, events, schedules, registered accounts and books. Run once, with nothing else running.

    DAGSTER_POSTGRES_URL=… python -m assets.migrate

Tables of runs and schedules are copied row by row. Events are stored anew in the order of time, since SQLite keeps a database for each run and numbers
events within it; cursors of sensors that follow runs name such numbers and are left out, so that those sensors begin with what comes next. What is
left out too: who holds which slot of a pool, and when each daemon last gave a sign of life.
"""

import argparse
import heapq
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import Any, TypeAlias

import dagster as dg
from dagster._core.definitions.run_status_sensor_definition import RunStatusSensorCursor
from dagster._core.scheduler.instigation import SensorInstigatorData
from dagster._core.storage.base_storage import DagsterStorage
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES
from dagster._core.storage.event_log.schema import ConcurrencyLimitsTable, DynamicPartitionsTable
from dagster._core.storage.runs.schema import BackfillTagsTable, BulkActionsTable, KeyValueStoreTable, RunsTable, RunTagsTable, SnapshotsTable
from dagster._core.storage.schedules.schema import AssetDaemonAssetEvaluationsTable, InstigatorsTable, JobTable, JobTickTable
from sqlalchemy import Connection, Table, func, insert, select

from assets.instance import HOME
from assets.instance_storage import KeptOpenStorage, open_postgres
from reconciliation.config import postgres_url
from reconciliation.errors import ReconciliationError, SettingsError

RUN_TABLES = [SnapshotsTable, RunsTable, RunTagsTable, BulkActionsTable, BackfillTagsTable, KeyValueStoreTable]
SCHEDULE_TABLES = [JobTable, InstigatorsTable, JobTickTable, AssetDaemonAssetEvaluationsTable]
EVENT_TABLES = [DynamicPartitionsTable, ConcurrencyLimitsTable]
ROWS_AT_ONCE = 1000


@dataclass(frozen=True)
class Migrated:
    """What was copied."""

    runs: int
    events: int


def migrate(home: Path, url: str) -> Migrated:
    """Copy the history below Dagster's folder into an empty PostgreSQL database.

    Args:
        home: Dagster's folder, which holds `storage/`.
        url: of the database; its tables are made here.

    Raises:
        SettingsError: there is no history, the database holds runs already, or a run is not finished.
    """
    folder = home / "storage"
    if not (folder / "history" / "runs.db").exists():
        raise SettingsError(f"{folder}: no SQLite storage of Dagster is there; name the folder that holds storage/ with --home")
    source: Any = KeptOpenStorage.from_local(str(folder))
    target: Any = open_postgres(url)  # Both kinds connect to their tables, which the type they share does not say.
    _check(source, target, folder)
    with source.run_storage.connect() as old, target.run_storage.connect() as new:
        for table in RUN_TABLES:
            _copy(table, old, new)
    with source.schedule_storage.connect() as old, target.schedule_storage.connect() as new:
        for table in SCHEDULE_TABLES:
            _copy(table, old, new)
    with source.event_log_storage.index_connection() as old, target.event_log_storage.index_connection() as new:
        for table in EVENT_TABLES:
            _copy(table, old, new)
    _forget_cursors(target)
    events = 0
    for entry in events_in_order(source):
        target.event_log_storage.store_event(entry)
        events += 1
    runs = target.run_storage.get_runs_count()
    for storage in (source.event_log_storage, target.event_log_storage):
        storage.dispose()
    return Migrated(runs, events)


def events_in_order(source: Any) -> Iterator[dg.EventLogEntry]:
    """Yield the events of all runs by time; a run's events are read when the run was made, and forgotten with its last one."""
    with source.run_storage.connect() as connection:
        made = sorted(
            (at.replace(tzinfo=UTC).timestamp(), run_id) for at, run_id in connection.execute(select(RunsTable.c.create_timestamp, RunsTable.c.run_id))
        )
    due: list[Due] = []
    for begun, run_id in made:
        while due and due[0][0] < begun:
            yield _next(due)
        entries = source.event_log_storage.get_logs_for_run(run_id)
        if entries:
            heapq.heappush(due, (entries[0].timestamp, run_id, 0, entries))
    while due:
        yield _next(due)


Due: TypeAlias = tuple[float, str, int, Sequence[dg.EventLogEntry]]
"""When a run's next event happened, the run, the event's place among its own, and all of them."""


def _next(due: list[Due]) -> dg.EventLogEntry:
    _, run_id, place, entries = due[0]
    if place + 1 < len(entries):
        # Never earlier than the one before, so that a run's own order stands although clocks differ by a little.
        heapq.heapreplace(due, (max(due[0][0], entries[place + 1].timestamp), run_id, place + 1, entries))
    else:
        heapq.heappop(due)
    return entries[place]


def _check(source: DagsterStorage[Any], target: DagsterStorage[Any], folder: Path) -> None:
    if target.run_storage.get_runs_count():
        raise SettingsError("the database of DAGSTER_POSTGRES_URL holds runs already; name an empty one")
    unfinished = source.run_storage.get_runs_count(dg.RunsFilter(statuses=NOT_FINISHED_STATUSES))
    if unfinished:
        raise SettingsError(f"{folder}: {unfinished} run(s) are not finished; wait for them, or close what a killed command left with: reconcile run --no-pull")


def _copy(table: Table, old: Connection, new: Connection) -> None:
    rows = old.execute(select(table).order_by(table.c[0])).mappings()
    while some := rows.fetchmany(ROWS_AT_ONCE):
        new.execute(insert(table), [dict(row) for row in some])
    if "id" in table.c:
        # The next row's number follows those that were copied.
        last = new.execute(select(func.max(table.c.id))).scalar()
        if last is not None:
            new.execute(select(func.setval(func.pg_get_serial_sequence(table.name, "id"), last)))


def _forget_cursors(target: DagsterStorage[Any]) -> None:
    for state in target.schedule_storage.all_instigator_state():
        data = state.instigator_data
        if isinstance(data, SensorInstigatorData) and data.cursor and RunStatusSensorCursor.is_valid(data.cursor):
            target.schedule_storage.update_instigator_state(state.with_data(data._replace(cursor=None)))


def main(arguments: Sequence[str] | None = None) -> None:
    """Copy as the arguments and the environment say."""
    parser = argparse.ArgumentParser(
        prog="python -m assets.migrate", description="Copy Dagster's history from SQLite into the database of DAGSTER_POSTGRES_URL."
    )
    parser.add_argument("--home", type=Path, default=Path(HOME), help="Dagster's folder; default: .dagster here")
    given = parser.parse_args(arguments)
    try:
        url = postgres_url()
        if url is None:
            raise SettingsError("DAGSTER_POSTGRES_URL is not set; export the address of the new, empty database")
        copied = migrate(given.home, url)
    except ReconciliationError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)
    sys.stdout.write(f"{copied.runs} runs with {copied.events} events copied; the files below {given.home} are as they were\n")


if __name__ == "__main__":
    main()
