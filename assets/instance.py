"""A folder -> Dagster's instance in it: `.dagster/` with the shipped `dagster.yaml`, quiet, on SQLite or PostgreSQL."""

import fcntl
import warnings
from importlib.resources import files
from pathlib import Path

import dagster as dg

from reconciliation.lake import write_atomically

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
    with (home / "opening.lock").open("a") as handle, warnings.catch_warnings():
        fcntl.flock(handle, fcntl.LOCK_EX)
        warnings.simplefilter("ignore", dg.BetaWarning)
        return dg.DagsterInstance.from_config(str(home))
