"""Dagster's storage by environment: `DAGSTER_POSTGRES_URL` set -> PostgreSQL, else SQLite in the instance's folder.

One `dagster.yaml` serves both, since the choice is made here and not in the file. A class of its own is the only way
Dagster offers for that. Its SQLite event log opens and closes the database anew for every event, about 15 ms each, and a pull of
120 days notes some 1,500 events; here the connection is kept, and an event takes about 2 ms.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import RLock
from typing import Any

from dagster import EventLogEntry, Field, StringSource
from dagster._core.storage.base_storage import DagsterStorage
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClass, ConfigurableClassData
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.pool import StaticPool

from reconciliation.config import postgres_url

BUSY_SECONDS = 60
KEPT_OPEN = 4


def with_driver(url: str) -> str:
    """Name the driver that dagster-postgres ships; SQLAlchemy 2.1 would look for psycopg 3 behind a bare scheme.

    >>> with_driver("postgres://user@host/dagster")
    'postgresql+psycopg2://user@host/dagster'
    >>> with_driver("postgresql+psycopg2://host/dagster")
    'postgresql+psycopg2://host/dagster'
    """
    scheme, separator, rest = url.partition("://")
    return "postgresql+psycopg2" + separator + rest if scheme in ("postgres", "postgresql") else url


class KeptConnections(SqliteEventLogStorage):
    """The SQLite event log with the last few databases kept open, and a batch of events stored in one transaction."""

    def __init__(self, base_dir: str) -> None:
        self._tables: set[str] = set()
        super().__init__(base_dir)
        self._db_lock = RLock()  # type: ignore[assignment]  # a batch holds it around the events it stores
        self._engines: OrderedDict[str, Engine] = OrderedDict()
        self._batch: dict[str, Connection] | None = None
        self._latest: dict[tuple[str, str], tuple[EventLogEntry, int]] = {}
        self._batch_end = ExitStack()

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._db_lock:
            if self._batch is None:
                with self._engine(shard).begin() as connection:
                    yield connection
            else:
                if shard not in self._batch:
                    self._batch[shard] = self._batch_end.enter_context(self._engine(shard).begin())
                yield self._batch[shard]

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store events, in one transaction for each database they go to."""
        with self._db_lock, ExitStack() as end:
            self._batch, self._batch_end = {}, end
            try:
                super().store_event_batch(events)
                with self.index_transaction() as connection:
                    for event, event_id in self._latest.values():
                        super()._store_asset_event(connection, event, event_id)
            finally:
                self._batch, self._latest = None, {}

    def _store_asset_event(self, conn: Connection, event: EventLogEntry, event_id: int) -> None:
        """Note an asset's latest event: of a batch only the last of each kind, since each overwrites the one before."""
        if self._batch is None or not event.dagster_event or not event.dagster_event.asset_key:
            super()._store_asset_event(conn, event, event_id)
            return
        self._latest[event.dagster_event.asset_key.to_string(), event.dagster_event.event_type_value] = (event, event_id)

    def _has_asset_key_index_cols_on_connection(self, conn: Connection) -> bool:  # noqa: ARG002 - the signature is given
        """Say yes without asking the database each time: the tables are made by this version."""
        return True

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
        from dagster_postgres import DagsterPostgresStorage

        return DagsterPostgresStorage(with_driver(url), should_autocreate_tables=True, inst_data=inst_data)
