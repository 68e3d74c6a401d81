"""A month run in a process of its own that dies by signal 9 at a chosen point: every fsync, rename, link, unlink and commit is two points.

Before the operation, and after it; at an fsync also with half of the file lost, as after a loss of power. The points of a run are always the
same, so that a number names one.
"""

import functools
import multiprocessing
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import orjson

from reconciliation.lake import Lake

# The fork server has imported everything and runs no thread; a plain fork would copy locks that nobody opens any more.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(
    [
        "assets.run",
        "assets.instance",
        "reconciliation.classifier.training",
        "great_expectations.expectations",
        "great_expectations.data_context.types.base",
        "pandas",
        "pyarrow",
        "altair",
        "vl_convert",
        "xlsxwriter",
        "uvicorn",
    ]
)
OPERATIONS = ("fsync", "replace", "rename", "link", "symlink", "unlink", "rmdir", "mkdir")
KILLED = -signal.SIGKILL


@dataclass
class Points:
    """Counts the points of a run; dies at one of them."""

    die_at: int = 0
    passed: int = 0
    kinds: list[str] | None = None

    def pass_one(self, kind: str) -> None:
        self.passed += 1
        if self.kinds is not None:
            self.kinds.append(kind)
        if self.passed == self.die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, name: str, operation: Callable[..., object]) -> Callable[..., object]:
        @functools.wraps(operation)
        def watched(*arguments: object, **named: object) -> object:
            if name == "fsync" and self.passed + 2 == self.die_at:
                self._tear(arguments[0])
            self.pass_one(f"before {name}")
            if name == "fsync":
                self.pass_one("torn before fsync")
            outcome = operation(*arguments, **named)
            self.pass_one(f"after {name}")
            return outcome

        return watched

    @staticmethod
    def _tear(descriptor: object) -> None:
        """Lose the second half of a file that was not synchronized yet; a folder cannot be torn."""
        try:
            os.ftruncate(int(str(descriptor)), os.fstat(int(str(descriptor))).st_size // 2)
        except OSError:
            return


def run_and_die(config: Path, period: str, url: str, die_at: int, note: Path | None) -> None:
    """Run a month and die at a point; 0 runs to the end and notes the kinds of all points."""
    import sqlalchemy

    from assets.core import Core, Model, StripeAccess
    from assets.instance import open_instance
    from assets.run import run_month
    from reconciliation.breaks.clearing import leave_to_people
    from reconciliation.classifier.examples import undecided

    os.environ["DAGSTER_EVENT_BATCH_SIZE"] = "1000"
    points = Points(die_at, kinds=[] if note else None)
    core = Core(load_model=lambda _settings, _lake: Model("none/0", undecided, leave_to_people))
    with open_instance(config.parent) as instance:
        for name in OPERATIONS:
            setattr(os, name, points.around(name, getattr(os, name)))
        sqlalchemy.event.listen(sqlalchemy.Engine, "commit", lambda _: points.pass_one("before commit"))
        run_month(config, period, instance=instance, stripe=StripeAccess(config, key="rk_test_crash", api_base=url), core=core)
    if note:
        note.write_bytes(orjson.dumps(points.kinds))


def run(config: Path, period: str, url: str, *, die_at: int = 0, note: Path | None = None) -> int | None:
    """Run a month in a process of its own; returns how it ended."""
    child = PROCESSES.Process(target=run_and_die, args=(config, period, url, die_at, note))
    child.start()
    child.join()
    return child.exitcode


def publish_and_die(folder: Path, number: int, die_at: int, note: Path | None) -> None:
    """Publish the tables of a month and its package, as the last stages of a run do, and die at a point."""
    import polars as pl

    from reconciliation.close.package import write_draft

    points = Points(die_at, kinds=[] if note else None)
    lake = Lake(folder / "lake")
    for name in OPERATIONS:
        setattr(os, name, points.around(name, getattr(os, name)))
    with lake.writer(wait_seconds=0):
        tables = {name: lake.stage(name, pl.DataFrame({"number": [number] * 1000})) for name in ("items", "members", "breaks")}
        lake.publish("month/main/2026-08", tables, facts={"number": number})
        write_draft(folder / "close" / "2026-08", {f"{name}.csv": b"number\r\n%d\r\n" % number for name in ("statement", "matches", "open_items", "manifest")})
    if note:
        note.write_bytes(orjson.dumps(points.kinds))


def publish(folder: Path, number: int, *, die_at: int = 0, note: Path | None = None) -> int | None:
    """Publish in a process of its own; returns how it ended."""
    folder.mkdir(exist_ok=True)
    child = PROCESSES.Process(target=publish_and_die, args=(folder, number, die_at, note))
    child.start()
    child.join()
    return child.exitcode


@dataclass(frozen=True)
class View:
    """What a reader sees: the package's files, and the tables of the month; None where nothing was published."""

    package: dict[str, bytes] | None
    month: dict[str, str] | None


def read_view(folder: Path, lake: Lake, scope: str, period: str) -> View:
    """Read as a reader does: resolve once, then read; every table that any manifest names must be readable."""
    draft = folder / "close" / period / "draft"
    package = None
    if draft.is_symlink():
        place = draft.resolve(strict=True)
        package = {file.name: file.read_bytes() for file in sorted(place.iterdir())}
    manifests = [*sorted((lake.root / "scopes").rglob("*.json")), *sorted((lake.root / "days").rglob("*.json"))]
    named: set[str] = set()
    for manifest in manifests:
        content = orjson.loads(manifest.read_bytes())
        named |= set(content["tables"].values()) if "tables" in content else {entry["file"] for entry in content.values()}
    for file in named:
        lake.load(file)
    return View(package, lake.tables(scope))


def left_over(folder: Path) -> list[str]:
    """Return what stands under a temporary name."""
    return [str(path.relative_to(folder)) for path in folder.rglob("*") if path.name.endswith(".tmp") or path.name.startswith(".staging-")]
