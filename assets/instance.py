"""A folder -> Dagster's instance in it: `.dagster/` with the shipped `dagster.yaml`, quiet, on SQLite or PostgreSQL."""

import fcntl
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

import dagster as dg
from sqlalchemy.exc import OperationalError

from reconciliation.errors import StorageError
from reconciliation.lake import told_as_storage, write_atomically

HOME = ".dagster"
CONFIGURATION = "dagster.yaml"
HOME_PLACE = "{env: DAGSTER_HOME}"


def prepare_home(folder: Path) -> Path:
    """Create Dagster's folder with its configuration and return it; a changed configuration is written again."""
    home = (folder / HOME).resolve()
    content = files("assets").joinpath(CONFIGURATION).read_text(encoding="utf-8").replace(HOME_PLACE, f'"{home}"').encode()
    path = home / CONFIGURATION
    if not path.exists() or path.read_bytes() != content:
        write_atomically(path, content)
    return home


def open_instance(folder: Path) -> dg.DagsterInstance:
    """Open the instance below a folder; close it with a `with` statement."""
    home = prepare_home(folder)
    # Opening a new folder makes databases and their tables, which two processes cannot do at once.
    with told_as_storage(home):
        lock = (home / "opening.lock").open("a")
    with lock as handle, warnings.catch_warnings(), told_of_database():
        fcntl.flock(handle, fcntl.LOCK_EX)
        warnings.simplefilter("ignore", dg.BetaWarning)
        return dg.DagsterInstance.from_config(str(home))


@contextmanager
def told_of_database() -> Iterator[None]:
    """Tell a failure of Dagster's database in words.

    Raises:
        StorageError: its disk is full or read-only, or its server is not there.
    """
    try:
        yield
    except OperationalError as error:
        raise StorageError(
            f"Dagster's storage refused ({error.orig}); make room, let the program's user write to {HOME}, or start the server of DAGSTER_POSTGRES_URL, and repeat"
        ) from error
