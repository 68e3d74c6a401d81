"""Dagster's storage by environment: `DAGSTER_POSTGRES_URL` set -> PostgreSQL, else SQLite in the instance's folder.

One `dagster.yaml` serves both, since the choice is made here and not in the file. A class of its own is the only way
Dagster offers for that. Its SQLite event log opens and closes the database anew for every event, about 15 ms each, and a pull of
120 days notes some 1,500 events; here the connection is kept, and an event takes about 2 ms.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from threading import RLock
from typing import Any

from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from dagster import DagsterEventType, EventLogEntry, Field, StringSource
from dagster._core.storage.base_storage import DagsterStorage
from dagster._core.storage.event_log.schema import AssetEventTagsTable, SqlEventLogStorageMetadata, SqlEventLogStorageTable
from dagster._core.storage.event_log.sqlite import sqlite_event_log
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.storage.sql import get_alembic_config
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClass, ConfigurableClassData
from sqlalchemy import Connection, Engine, create_engine, func, inspect, select
from sqlalchemy.pool import StaticPool

from reconciliation.config import postgres_url

BUSY_SECONDS = 60
STATEMENT_MILLISECONDS = 300_000
RECYCLE_SECONDS = 3600
KEPT_OPEN = 4
MADE = (DagsterEventType.ASSET_MATERIALIZATION, DagsterEventType.ASSET_MATERIALIZATION_PLANNED)


def with_driver(url: str) -> str:
    """Name the driver that dagster-postgres ships; SQLAlchemy 2.1 would look for psycopg 3 behind a bare scheme.

    >>> with_driver("postgres://user@host/dagster")
    'postgresql+psycopg2://user@host/dagster'
    >>> with_driver("postgresql+psycopg2://host/dagster")
    'postgresql+psycopg2://host/dagster'
    """
    scheme, separator, rest = url.partition("://")
    return "postgresql+psycopg2" + separator + rest if scheme in ("postgres", "postgresql") else url


@cache
def _migrations() -> ScriptDirectory:
    scripts = ScriptDirectory.from_config(get_alembic_config(sqlite_event_log.__file__))
    scripts.get_heads()
    return scripts


class KeptConnections(SqliteEventLogStorage):
    """The SQLite event log with the last few databases kept open, and the events of a range of days stored together."""

    def __init__(self, base_dir: str) -> None:
        self._tables: set[str] = set()
        self._engines: OrderedDict[str, Engine] = OrderedDict()
        super().__init__(base_dir)
        self._db_lock = RLock()  # type: ignore[assignment]  # one method holds it while it calls another

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._db_lock, self._engine(shard).begin() as connection:
            yield connection

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store events: assets made, or planned, as one insert for each database they go to, and what else there is one by one."""
        made = [event for event in events if event.dagster_event_type in MADE]
        for run_id in dict.fromkeys(event.run_id for event in made):
            self._store_made(run_id, [event for event in made if event.run_id == run_id])
        super().store_event_batch([event for event in events if event.dagster_event_type not in MADE])

    def _store_made(self, run_id: str, events: Sequence[EventLogEntry]) -> None:
        rows = [self._event_to_row(event) for event in events]
        with self.run_connection(run_id) as connection:
            connection.execute(SqlEventLogStorageTable.insert(), rows)
        self.has_table(AssetEventTagsTable.name)  # asked here, since the question would end the transaction below
        with self.index_connection() as connection:
            connection.execute(SqlEventLogStorageTable.insert(), rows)
            # While a transaction has written, nobody else can, so that the numbers SQLite gave follow each other.
            last = int(connection.execute(select(func.max(SqlEventLogStorageTable.c.id))).scalar_one())
            numbers = range(last - len(events) + 1, last + 1)
            self._store_asset_event_tags(connection, events, numbers)
            # An asset's latest event of a kind overwrites the one before.
            latest = {(row["asset_key"], row["dagster_event_type"]): (event, number) for row, event, number in zip(rows, events, numbers, strict=True)}
            for event, number in latest.values():
                self._store_asset_event(connection, event, number)

    def _has_asset_key_index_cols_on_connection(self, conn: Connection) -> bool:  # noqa: ARG002 - the signature is given
        """Say yes without asking the database each time: the tables are made by this version."""
        return True

    def _initdb(self, engine: Engine, for_index_shard: bool = False) -> None:  # noqa: FBT001, FBT002 - the signature is given
        """Make the tables of a new database; the list of migrations, which names its version, is read once and not for every run."""
        if inspect(engine).get_table_names():
            super()._initdb(engine, for_index_shard)
            return
        with engine.begin() as connection:
            SqlEventLogStorageMetadata.create_all(connection)
            MigrationContext.configure(connection).stamp(_migrations(), "head")
        with engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA journal_mode = WAL")

    def has_table(self, table_name: str) -> bool:
        """Tell whether a table exists; one that does stays."""
        if table_name not in self._tables and super().has_table(table_name):
            self._tables.add(table_name)
        return table_name in self._tables

    def dispose(self) -> None:
        """Close what is open."""
        while self._engines:
            self._engines.popitem()[1].dispose()
        super().dispose()

    def _engine(self, shard: str) -> Engine:
        if shard in self._engines:
            self._engines.move_to_end(shard)
            return self._engines[shard]
        engine = create_engine(self.conn_string_for_shard(shard), poolclass=StaticPool, connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False})
        if shard not in self._initialized_dbs:
            self._initdb(engine)
            self._initialized_dbs.add(shard)
        with engine.connect() as connection:
            # With a write-ahead log a crash loses at most the last events, never the file (https://www.sqlite.org/pragma.html#pragma_synchronous).
            connection.exec_driver_sql("PRAGMA synchronous = NORMAL")
        self._engines[shard] = engine
        if len(self._engines) > KEPT_OPEN:
            self._engines.popitem(last=False)[1].dispose()
        return engine


class KeptOpenStorage(DagsterSqliteStorage):
    """SQLite storage whose event log keeps its connections."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(base_dir, inst_data)
        self._event_log_storage = KeptConnections(self._event_log_storage._base_dir)


class EnvironmentStorage(DagsterStorage, ConfigurableClass):
    """Stand in the configuration file for one of two storages; no object of this class is ever made."""

    @classmethod
    def config_type(cls) -> Any:
        """Return what the file may say."""
        return {"base_dir": Field(StringSource, description="folder that holds the SQLite files")}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> Any:
        """Open the storage that the environment asks for."""
        url = postgres_url()
        if url is None:
            return KeptOpenStorage.from_local(str(Path(config_value["base_dir"]) / "storage"), inst_data)
        return open_postgres(url, inst_data)


def open_postgres(url: str, inst_data: ConfigurableClassData | None = None) -> DagsterStorage:
    """Open PostgreSQL storage, making its tables where there are none; events share a connection instead of making one each."""
    from dagster_postgres import DagsterPostgresStorage

    storage = DagsterPostgresStorage(with_driver(url), should_autocreate_tables=True, inst_data=inst_data)
    storage.event_log_storage.optimize_for_webserver(statement_timeout=STATEMENT_MILLISECONDS, pool_recycle=RECYCLE_SECONDS, max_overflow=20)
    return storage
