"""A full disk, a folder that may not be written, a reader in between: the old or the new, told in words.

Disks of a given size are small tmpfs mounts in a mount namespace of their own (`unshare -rm`); where the machine gives none, these tests
are skipped with a line saying so.
"""

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import polars as pl
import pytest

from reconciliation.close.package import write_draft
from reconciliation.config import read_settings
from reconciliation.lake import Lake
from reconciliation.months import month_scope
from reconciliation.simulation.company import simulate_company
from reconciliation.simulation.dry_run import deliver
from reconciliation.simulation.options import SimulationOptions
from reconciliation.simulation.sandbox_server import SandboxServer
from reconciliation.simulation.writer import write_company
from tests.hard.crashing import left_over, read_view

MONTH = "2026-08"
RECONCILE = Path(sys.executable).parent / "reconcile"
ON_SMALL_DISK = 'mount -t tmpfs -o size="$1"k tmpfs "$2" && cp -a "$3"/. "$2" && cd "$2" && "$4" run --period "$5"; code=$?; rm -rf "$3"/*; cp -a "$2"/lake "$2"/close "$3"; exit $code'
WITHOUT_RIGHT = 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && cd "$2" && exec "$3" run --period "$4"'


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A company whose month was run once, a file that came late since, and its Stripe."""
    folder = tmp_path_factory.mktemp("storage")
    if not shutil.which("unshare") or subprocess.run(["unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", folder], capture_output=True, check=False).returncode:
        pytest.skip("this machine gives no mount namespaces (unshare -rm)")
    company, work = folder / "company", folder / "work"
    write_company(simulate_company(SimulationOptions(seed=5, payments=60, months=1)), company)
    work.mkdir()
    with SandboxServer(company / "stripe") as sandbox:
        settings = (company / "reconciliation.toml").read_text()
        (work / "reconciliation.toml").write_text(settings.replace("http://127.0.0.1:12111", sandbox.url))
        deliver(company / "deliveries" / MONTH, read_settings(work / "reconciliation.toml"))
        [ledger] = (work / "inbox" / "ledger").iterdir()
        whole = ledger.read_text()
        ledger.write_text("".join(line for number, line in enumerate(whole.splitlines(keepends=True)) if number != 7))
        for arguments in (["open", "--items", company / "opening_items.csv"], ["run"]):
            assert reconcile(work, *arguments, "--period", MONTH)[0] == 0
        (work / "inbox" / "ledger" / "whole_month.csv").write_text(whole)
        yield folder


def environment():
    return {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "STRIPE_API_KEY": "rk_test_storage", "POLARS_MAX_THREADS": "1"}


def reconcile(folder, *arguments):
    done = subprocess.run([RECONCILE, *arguments], cwd=folder, env=environment(), capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout + done.stderr


def view(folder):
    return read_view(folder, Lake(folder / "lake"), month_scope("main", MONTH), MONTH)


def copy(server, tmp_path):
    work = tmp_path / "work"
    shutil.copytree(server / "work", work, symlinks=True)
    return work


@pytest.mark.hard
@pytest.mark.parametrize("room", [0, 60, 120, 400, 900])
def test_a_full_disk_is_told_and_leaves_the_old_or_the_new(server, tmp_path, room):
    work, disk = copy(server, tmp_path), tmp_path / "disk"
    disk.mkdir()
    before = view(work)
    # Each file takes whole pages of a tmpfs.
    used = sum(-(-path.lstat().st_size // 4096) * 4 for path in work.rglob("*") if path.is_file() and not path.is_symlink())
    command = ["unshare", "-rm", "sh", "-c", ON_SMALL_DISK, "sh", str(used + room), disk, work, RECONCILE, MONTH]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=300)
    assert "Traceback" not in done.stderr, done.stderr
    if done.returncode or room < 100:
        assert done.returncode == 1, done.stderr
        assert "make room" in done.stderr, done.stderr
    after = view(work)
    assert after.package is not None
    assert after.month is not None
    assert done.returncode == 0 or after.package == before.package or after.month != before.month


@pytest.mark.hard
@pytest.mark.parametrize("part", ["lake", "close", ".dagster", "."])
def test_a_folder_that_may_not_be_written_is_told_and_nothing_changes(server, tmp_path, part):
    work = copy(server, tmp_path)
    before = view(work)
    command = ["unshare", "-rm", "sh", "-c", WITHOUT_RIGHT, "sh", work / part, work, RECONCILE, MONTH]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=300)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    assert "let the program's user write" in done.stderr
    assert view(work).package == before.package
    assert left_over(work / "close") == []


@pytest.mark.parametrize("reads", [150, pytest.param(1000, marks=pytest.mark.hard)])
def test_a_reader_during_publishing_sees_no_mix_and_nothing_unreadable(tmp_path, reads):
    """Every file of the package, every table of the month and its facts carry one number; a reader must find one number only."""
    lake, close, stop = Lake(tmp_path / "lake"), tmp_path / "close", threading.Event()
    names = ("items", "members", "breaks", "statement")

    def publish(number):
        with lake.writer(wait_seconds=0):
            tables = {name: lake.stage(name, pl.DataFrame({"number": [number] * 500})) for name in names}
            lake.publish("month/main/2026-08", tables, facts={"number": number})
        write_draft(close, {f"{name}.csv": b"%d" % number for name in names})

    def keep_publishing():
        number = 1
        while not stop.is_set():
            publish(number)
            number += 1

    publish(0)
    writer = threading.Thread(target=keep_publishing)
    writer.start()
    seen, mixed = set(), []
    try:
        for _ in range(reads):
            tables = lake.tables("month/main/2026-08")
            numbers = {lake.load(tables[name])["number"].unique().item() for name in names}
            mixed += [numbers] if len(numbers) > 1 else []
            place = (close / "draft").resolve(strict=True)
            told = {(place / f"{name}.csv").read_bytes() for name in names}
            mixed += [told] if len(told) > 1 else []
            seen |= numbers
    finally:
        stop.set()
        writer.join()
    assert mixed == []
    assert len(seen) >= 3
