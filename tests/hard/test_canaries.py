"""Secrets and personal values are planted everywhere they can come from, the main job runs, and everything it left is searched for them.

The lake keeps what Stripe and the files said, for that is its purpose, and the close package names customers, whom an accountant has to
find. Nothing else may hold a name, and nothing but the raw responses an e-mail address, an IBAN or a card number.
"""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from reconciliation.lake import unpack_pages
from tests.hard.planted import MONTH, SECRETS, make_values, personal_hits, secret_hits, write_planted

ALONE = Path(__file__).parent / "alone.py"
PERSONAL_VALUES = 1000
NUMBERS = ("emails", "ibans", "cards")


@dataclass(frozen=True)
class Left:
    """What a run left behind."""

    folder: Path
    told: bytes
    attempts: int
    attempts_counted: int


@pytest.fixture(scope="module")
def left(tmp_path_factory):
    """Run the planted company's month as a user does, with the loudest logs there are, where there is no network."""
    can_be_alone = subprocess.run(["unshare", "-rn", "true"], capture_output=True, check=False).returncode == 0 if shutil.which("unshare") else False
    if not can_be_alone:
        pytest.skip("this machine gives no network namespaces (unshare -rn)")
    folder = tmp_path_factory.mktemp("planted")
    write_planted(folder / "company", make_values(PERSONAL_VALUES), payments=PERSONAL_VALUES // 4 + 20)
    for made in ("home", "scratch"):
        (folder / made).mkdir()
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder / "home"),
        "TMPDIR": str(folder / "scratch"),
        "POLARS_MAX_THREADS": "1",
        "STRIPE_LOG": "debug",
        **SECRETS,
    }
    command = ["unshare", "-rn", sys.executable, ALONE, folder / "company", folder / "work"]
    done = subprocess.run(command, env={**environment, "PYTHONPATH": str(Path.cwd())}, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout)
    assert [code for code, _ in outcome["said"]] == [0, 0], outcome["said"]
    told = "".join(text for _, text in outcome["said"]) + done.stderr
    return Left(folder, told.encode(), outcome["attempts"], outcome["attempts_counted"])


def files(folder):
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()]


def open_content(path):
    """Return what a file says, decompressed."""
    if path.suffix == ".parquet":
        return pl.read_parquet(path).write_json().encode()
    return b"\n".join(unpack_pages(path.read_bytes())) if path.suffix == ".zst" else path.read_bytes()


def test_the_values_are_there_to_be_found(left):
    lake = b"".join(open_content(path) for path in files(left.folder / "work" / "lake" / "files" / "raw"))
    assert all(count > PERSONAL_VALUES / 4 for count in personal_hits(lake).values())
    assert len(personal_hits(lake)) == 4


def test_nothing_looks_for_a_way_out_of_a_machine_without_a_network(left):
    assert left.attempts == 0
    assert left.attempts_counted >= 1


def test_no_secret_is_written_anywhere(left):
    secrets = (*SECRETS.values(), *(secret.partition("_test_")[2] for secret in SECRETS.values() if "_test_" in secret))
    found = {str(path.relative_to(left.folder)): hits for path in files(left.folder) if (hits := secret_hits(open_content(path), secrets))}
    assert found == {}
    assert secret_hits(left.told, secrets) == []


def test_no_personal_value_is_logged_or_kept_by_dagster(left):
    stored = files(left.folder / "work" / ".dagster") + files(left.folder / "home") + files(left.folder / "scratch")
    found = {path.name: hits for path in stored if (hits := personal_hits(path.read_bytes()))}
    assert found == {}
    assert personal_hits(left.told) == {}
    assert b"close_package" in b"".join(path.read_bytes() for path in stored)


def test_manifests_of_the_lake_hold_counts_and_names_of_files_only(left):
    manifests = [path for path in files(left.folder / "work" / "lake") if path.suffix == ".json"]
    assert len(manifests) > 5
    assert {path.name: hits for path in manifests if (hits := personal_hits(path.read_bytes()))} == {}


def test_the_package_names_customers_and_no_address_account_or_card(left):
    package = left.folder / "work" / "close" / MONTH / "draft"
    pages = {path.name: open_package_file(path) for path in files(package)}
    assert personal_hits(pages["matches.csv"], kinds=("names",))["names"] > PERSONAL_VALUES / 4
    assert {name: hits for name, content in pages.items() if (hits := personal_hits(content, kinds=NUMBERS))} == {}
    without_names = ("statement.csv", "rollforward.csv", "controls.csv", "manifest.json", "payouts.csv", "report.html")
    assert {name: hits for name in without_names if (hits := personal_hits(pages[name], kinds=("names",)))} == {}


def open_package_file(path):
    """Return what a file of the package says; a workbook is an archive of pages."""
    if path.suffix != ".xlsx":
        return path.read_bytes()
    with zipfile.ZipFile(path) as book:
        return b"\n".join(book.read(name) for name in book.namelist())


def test_nothing_but_raw_responses_holds_a_card_number_or_an_address(left):
    tables = [path for path in files(left.folder / "work" / "lake" / "files") if path.suffix == ".parquet"]
    found = {str(path.parent.name): hits for path in tables if (hits := personal_hits(open_content(path), kinds=NUMBERS))}
    assert found == {}
