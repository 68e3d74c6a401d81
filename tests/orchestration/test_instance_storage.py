"""The event log that keeps its connections leaves the same rows as the one it is derived from."""

import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.events import AssetMaterializationPlannedData, DagsterEvent, StepMaterializationData
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.storage.tags import MULTIDIMENSIONAL_PARTITION_PREFIX

from assets.instance_storage import KeptConnections

RUNS = ["4b0b9c5e-0000-4000-8000-000000000001", "4b0b9c5e-0000-4000-8000-000000000002"]
DAYS = ["2026-10-01", "2026-10-02", "2026-10-03"]
CLOCKS = ("create_timestamp", "migration_completed")
AT = datetime(2026, 10, 4, tzinfo=UTC).timestamp()


def entry(event: DagsterEvent, run_id: str, number: int) -> dg.EventLogEntry:
    return dg.EventLogEntry(None, 10, "", run_id, AT + number, event.step_key, "pull", event)


def planned(asset: str, day: str) -> DagsterEvent:
    return DagsterEvent.build_asset_materialization_planned_event("pull", asset, AssetMaterializationPlannedData(dg.AssetKey(asset), partition=day))


def made(asset: str, day: str) -> DagsterEvent:
    tags = {f"{MULTIDIMENSIONAL_PARTITION_PREFIX}day": day, "dagster/data_version": f"{asset}{day}"}
    materialization = dg.AssetMaterialization(asset, metadata={"rows_in": 3}, partition=day, tags=tags)
    return DagsterEvent("ASSET_MATERIALIZATION", "pull", step_key=asset, event_specific_data=StepMaterializationData(materialization, []))


def started() -> DagsterEvent:
    return DagsterEvent("STEP_START", "pull", step_key="payouts")


BATCHES = {
    "planned_and_made": [*(planned(asset, day) for asset in ("payouts", "members") for day in DAYS), *(made("payouts", day) for day in DAYS)],
    "made_among_others": [started(), made("members", DAYS[0]), started(), made("members", DAYS[1])],
    "nothing": [],
}


def stored(folder: Path) -> dict[str, list[tuple[object, ...]]]:
    """Return the rows of every table of every database below a folder, without the clock of their creation."""
    rows: dict[str, list[tuple[object, ...]]] = {}
    for path in sorted(folder.rglob("*.db")):
        with sqlite3.connect(path) as connection:
            tables = [name for (name,) in connection.execute("select name from sqlite_master where type = 'table' order by name")]
            for table in tables:
                told = connection.execute(f"pragma table_info({table})").fetchall()
                columns = ", ".join(f'"{name}"' for _, name, *_ in told if name not in CLOCKS)
                rows[f"{path.stem}.{table}"] = sorted(connection.execute(f"select {columns} from {table}").fetchall(), key=repr)
            rows[f"{path.stem}.journal"] = connection.execute("pragma journal_mode").fetchall()
    return rows


def without_numbers(rows: dict[str, list[tuple[object, ...]]]) -> dict[str, list[tuple[object, ...]]]:
    """Take out the number of a run's event, since a batch stores what was made before what happened beside it."""
    return {name: sorted((row[1:] for row in table), key=repr) if name.endswith(".event_logs") else table for name, table in rows.items()}


@pytest.mark.parametrize("name", BATCHES)
def test_a_batch_leaves_the_rows_that_single_events_leave(tmp_path, name):
    batch = [entry(event, run_id, number) for run_id in RUNS for number, event in enumerate(BATCHES[name])]
    kept, stock = KeptConnections(str(tmp_path / "kept")), SqliteEventLogStorage(str(tmp_path / "stock"))
    kept.store_event_batch(batch)
    for event in batch:
        stock.store_event(event)
    kept.dispose()
    stock.dispose()
    here, there = stored(tmp_path / "kept"), stored(tmp_path / "stock")
    assert without_numbers(here) == without_numbers(there)
    assert here["index.event_logs"] == there["index.event_logs"]


def test_what_a_batch_stored_is_found_again(tmp_path):
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        storage = KeptConnections(str(tmp_path / "events"))
        storage.register_instance(instance)
        storage.store_event_batch([entry(event, RUNS[0], number) for number, event in enumerate(BATCHES["planned_and_made"])])
        assert storage.get_materialized_partitions(dg.AssetKey("payouts")) == set(DAYS)
        assert storage.get_materialized_partitions(dg.AssetKey("members")) == set()
        [record] = storage.get_asset_records([dg.AssetKey("payouts")])
        assert record.asset_entry.last_materialization_record.event_log_entry.asset_materialization.partition == DAYS[-1]
        storage.dispose()
