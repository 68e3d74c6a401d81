"""The main job as people run it: again, killed, twice at once, and with what a newcomer gets wrong."""

import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from reconciliation.simulation.company import simulate_company
from reconciliation.simulation.options import SimulationOptions
from reconciliation.simulation.sandbox_server import SandboxServer
from reconciliation.simulation.writer import write_company

RECONCILE = Path(sys.executable).parent / "reconcile"
KILLS = int(os.environ.get("RECONCILIATION_KILLS", "4"))
MONTH = "2026-08"


@pytest.fixture(scope="module")
def company(tmp_path_factory):
    folder = tmp_path_factory.mktemp("company")
    write_company(simulate_company(SimulationOptions(seed=11, payments=120, months=2, stories=True)), folder)
    return folder


@pytest.fixture(scope="module")
def server(company):
    with SandboxServer(company / "stripe") as sandbox:
        yield sandbox.url


@pytest.fixture
def workplace(company, server, tmp_path):
    """A folder as a user has it: settings, and the files of the first month in the inbox."""
    settings = (company / "reconciliation.toml").read_text()
    (tmp_path / "reconciliation.toml").write_text(
        "\n".join(f'api_base = "{server}"' if line.startswith("api_base") else line for line in settings.splitlines())
    )
    for kind in ("ledger", "bank", "balances"):
        shutil.copytree(company / "deliveries" / MONTH / kind, tmp_path / "inbox" / kind)
    shutil.copy(company / "opening_items.csv", tmp_path)
    return tmp_path


def reconcile(folder, *arguments, key="rk_test_anything"):
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("STRIPE", "RECONCILIATION", "DAGSTER"))}
    if key:
        environment["STRIPE_API_KEY"] = key
    return subprocess.run([RECONCILE, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=180)


def append(file, text):
    file.write_text(file.read_text() + text)


def opened(folder):
    done = reconcile(folder, "open", "--period", MONTH, "--items", "opening_items.csv")
    assert done.returncode == 0, done.stderr
    return folder


def package(folder):
    found = {file.name: file.read_bytes() for file in sorted((folder / "close" / MONTH / "draft").iterdir())}
    assert "manifest.json" in found
    return found


def test_a_second_run_is_byte_identical(workplace):
    first = reconcile(opened(workplace), "run", "--period", MONTH)
    assert first.returncode == 0, first.stderr
    before = package(workplace)
    assert reconcile(workplace, "run", "--period", MONTH).returncode == 0
    assert package(workplace) == before


def test_the_sample_prints_the_statement_that_the_readme_shows(tmp_path):
    root = Path(__file__).parents[2]
    shown = (root / "README.md").read_text(encoding="utf-8").split("```text\nHarbour & Fern Ltd", 1)[1].split("```", 1)[0]
    printed = reconcile(tmp_path, "demo", "--sample", str(root / "data" / "sample"), "--work", "work")
    assert printed.returncode == 0, printed.stderr
    assert shown in printed.stdout
    assert (tmp_path / "work" / "close" / "2026-10").is_dir()


def test_a_run_killed_at_any_moment_and_repeated_gives_the_same_bytes(workplace, tmp_path_factory):
    whole = tmp_path_factory.mktemp("whole") / "w"
    shutil.copytree(opened(workplace), whole)
    began = time.monotonic()
    assert reconcile(whole, "run", "--period", MONTH).returncode == 0
    lasts = time.monotonic() - began
    expected = package(whole)
    moments = random.Random(7)
    environment = {**os.environ, "STRIPE_API_KEY": "rk_test_anything"}
    for _ in range(KILLS):
        process = subprocess.Popen([RECONCILE, "run", "--period", MONTH], cwd=workplace, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(moments.uniform(0.2, lasts))
        process.kill()
        process.wait()
        draft = workplace / "close" / MONTH / "draft"
        assert not draft.exists() or package(workplace) == expected
    done = reconcile(workplace, "run", "--period", MONTH)
    assert done.returncode == 0, done.stderr
    assert package(workplace) == expected
    assert not list(workplace.rglob("*.tmp"))
    assert not list((workplace / "close").rglob(".staging-*"))


def test_of_two_runs_at_once_both_end_well_or_one_says_who_is_writing(workplace):
    opened(workplace)
    environment = {**os.environ, "STRIPE_API_KEY": "rk_test_anything"}
    both = [
        subprocess.Popen([RECONCILE, "run", "--period", MONTH], cwd=workplace, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    results = [(process.communicate(timeout=180)[1], process.returncode) for process in both]
    assert 0 in [code for _, code in results]
    for errors, code in results:
        assert code == 0 or "another run" in errors
        assert "Traceback" not in errors
    package(workplace)


@pytest.mark.parametrize(
    ("break_it", "arguments", "key", "code", "expected"),
    [
        (lambda folder: None, ("run", "--period", MONTH), None, 2, "STRIPE_API_KEY"),
        (lambda folder: None, ("run", "--period", MONTH), "pk_wrong", None, "key"),
        (lambda folder: shutil.rmtree(folder / "inbox" / "ledger"), ("run", "--period", MONTH), "rk_test_x", 1, "ledger export"),
        (
            lambda folder: next((folder / "inbox" / "ledger").glob("*.csv")).write_text("Datum;Betrag;Text\n1.8.2026;12,50;x\n"),
            ("run", "--period", MONTH),
            "rk_test_x",
            1,
            "mapping file",
        ),
        (lambda folder: None, ("run", "--period", "2026-13"), "rk_test_x", 2, "2026-13"),
        (lambda folder: None, ("run", "--period", "2026-07"), "rk_test_x", 2, "before the first month"),
        (lambda folder: None, ("run", "--period", "2031-01"), "rk_test_x", 2, "2031-01"),
        (
            lambda folder: append(folder / "reconciliation.toml", '\n[clsoe]\nfolder = "x"\n'),
            ("run", "--period", MONTH),
            "rk_test_x",
            2,
            "did you mean 'close'",
        ),
    ],
    ids=["no key", "wrong key", "empty inbox", "unknown layout", "bad month", "month before the start", "month to come", "unknown setting"],
)
def test_what_a_newcomer_gets_wrong_is_told_with_its_place_and_nothing_is_left_half_written(workplace, break_it, arguments, key, code, expected):
    break_it(workplace)
    done = reconcile(workplace, *arguments, key=key)
    assert done.returncode == code if code else done.returncode in (1, 2)
    assert expected in done.stderr, done.stderr
    assert "Traceback" not in done.stderr
    assert not list(workplace.rglob("draft"))


def test_the_first_month_without_an_opening_is_refused_with_the_command(workplace):
    shutil.rmtree(workplace / "inbox" / "balances")
    done = reconcile(workplace, "run", "--period", MONTH)
    assert done.returncode == 1
    assert "reconcile open --period 2026-08 --ledger" in done.stderr
