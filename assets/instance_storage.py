"""Dagster's storage by environment: `DAGSTER_POSTGRES_URL` set -> PostgreSQL, else SQLite in the instance's folder.

One `dagster.yaml` serves both, since the choice is made here and not in the file. A class of its own is the only way
Dagster offers for that.
"""

from pathlib import Path
from typing import Any

from dagster import Field, StringSource
from dagster._core.storage.base_storage import DagsterStorage
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClass, ConfigurableClassData

from reconciliation.config import postgres_url


def with_driver(url: str) -> str:
    """Name the driver that dagster-postgres ships; SQLAlchemy 2.1 would look for psycopg 3 behind a bare scheme.

    >>> with_driver("postgres://user@host/dagster")
    'postgresql+psycopg2://user@host/dagster'
    >>> with_driver("postgresql+psycopg2://host/dagster")
    'postgresql+psycopg2://host/dagster'
    """
    scheme, separator, rest = url.partition("://")
    return "postgresql+psycopg2" + separator + rest if scheme in ("postgres", "postgresql") else url


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
            return DagsterSqliteStorage.from_local(str(Path(config_value["base_dir"]) / "storage"), inst_data)
        from dagster_postgres import DagsterPostgresStorage

        return DagsterPostgresStorage(with_driver(url), should_autocreate_tables=True, inst_data=inst_data)
