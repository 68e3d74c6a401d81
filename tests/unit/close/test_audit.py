"""The auditor's script: what it finds, what it says, and that it needs nothing but Python."""

import ast
import csv
import io
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import orjson
import polars as pl
import pytest
import typer.testing

from assets.cli.main import app
from reconciliation.close import audit
from reconciliation.close.audit import audit_package
from reconciliation.close.seal import seal_manifest, sign_manifest
from reconciliation.simulation.company import simulate_company
from reconciliation.simulation.dry_run import dry_company
from reconciliation.simulation.options import SimulationOptions
from reconciliation.simulation.writer import write_company

CHANGES = int(os.environ.get("RECONCILIATION_CHANGES", "60"))


def by_age(features: pl.DataFrame) -> pl.DataFrame:
    probability = pl.when(pl.col("age_days") > 10).then(0.9).otherwise(0.1)
    return features.select("break_id", probability_true_exception=probability, reasons=pl.lit(["age"]))


@pytest.fixture(scope="module")
def company(tmp_path_factory) -> Path:
    """Two months of a company with disputes, late postings and payouts, each as a locked version."""
    folder = tmp_path_factory.mktemp("audit")
    write_company(simulate_company(SimulationOptions(seed=5, payments=160, months=2, first_period="2026-08", stories=True)), folder / "company")
    with dry_company(folder / "company", score=by_age) as months:
        for month in months:
            shutil.copytree(month.package, folder / "close" / month.result.month.period / "v1")
    return folder / "close"


@pytest.fixture
def package(company, tmp_path) -> Path:
    """A copy of both months that a test may spoil; the second one."""
    shutil.copytree(company, tmp_path / "close")
    return tmp_path / "close" / "2026-09" / "v1"


def broken(folder: Path, **options: object) -> dict[str, list[str]]:
    return {check.name: check.found for check in audit_package(folder, **options) if check.found}


def reseal(folder: Path) -> None:
    """Do what somebody does who rewrites a package and knows how its hashes are made."""
    manifest = orjson.loads((folder / "manifest.json").read_bytes())
    rows = {entry["path"]: entry["rows"] for entry in manifest.pop("outputs")}
    del manifest["manifest_sha256"], manifest["package_sha256"]
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "manifest.json"}
    (folder / "manifest.json").write_bytes(seal_manifest(sign_manifest(manifest, files, rows=rows)))


def rewrite(path: Path, change) -> None:
    """Change the rows of a CSV in place."""
    rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline="")))
    table = [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]
    change(table)
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerows([rows[0], *([row[name] for name in rows[0]] for row in table)])
    path.write_bytes(b"\xef\xbb\xbf" + out.getvalue().encode())


def raised(text: str) -> str:
    """Write one minor unit more."""
    return audit.money(audit.minor(text, "GBP") + 1, "GBP")


@pytest.mark.parametrize("period", ["2026-08", "2026-09"])
def test_a_package_as_written_holds(company, period):
    checks = audit_package(company / period / "v1")
    assert [check.found for check in checks if check.found] == []
    assert [check.name for check in checks if check.skipped] == (["law 7: carried in = carried out before"] if period == "2026-08" else [])


def one_byte_changes(folder: Path, count: int) -> Iterator[tuple[Path, int, int]]:
    """Yield places and other bytes, every file as likely as the next."""
    chance = random.Random(7)
    files = sorted(path for path in folder.iterdir())
    for number in range(count):
        path = files[number % len(files)]
        content = path.read_bytes()
        place = chance.randrange(len(content))
        yield path, place, chance.choice([byte for byte in range(256) if byte != content[place]])


def require_every_change_found(folder: Path, count: int) -> None:
    missed = []
    for path, place, byte in one_byte_changes(folder, count):
        content = path.read_bytes()
        path.write_bytes(content[:place] + bytes([byte]) + content[place + 1 :])
        try:
            if not broken(folder):
                missed.append(f"{path.name}:{place} -> {byte}")
        except audit.UnreadableError:
            assert path.name == "manifest.json"  # Found as well: the command says so and exits 2.
        path.write_bytes(content)
    assert missed == []


def test_every_change_of_one_byte_is_found(package):
    require_every_change_found(package, CHANGES)


@pytest.mark.hard
def test_500_changes_of_one_byte_are_found(package):
    require_every_change_found(package, 500)


@pytest.mark.parametrize(
    ("file", "column", "law"),
    [
        ("statement.csv", "stripe", "law 4"),
        ("statement.csv", "ledger", "law 4"),
        ("statement.csv", "difference", "law 4"),
        ("matches.csv", "amount", "law 1"),
        ("matches.csv", "match_difference", "law 1"),
        ("open_items.csv", "amount", "law 2"),
        ("journal_entries.csv", "debit", "law 5"),
        ("rollforward.csv", "carried_in", "roll-forward"),
        ("rollforward.csv", "carried_out", "roll-forward"),
        ("payouts.csv", "amount", "payouts"),
        ("disputes.csv", "closing", "disputes"),
        ("controls.csv", "actual", "controls"),
    ],
)
def test_a_figure_changed_by_one_penny_is_found_though_all_hashes_are_made_anew(package, file, column, law):
    def change(rows):
        row = next(row for row in rows if "." in row[column])
        row[column] = raised(row[column])

    rewrite(package / file, change)
    reseal(package)
    found = broken(package)
    assert any(name.startswith(law) for name in found), found
    assert not any(name.startswith(("manifest", "files")) for name in found)


def test_an_open_item_left_out_is_found_though_all_hashes_are_made_anew(package):
    rewrite(package / "open_items.csv", lambda rows: rows.pop(0))
    manifest = orjson.loads((package / "manifest.json").read_bytes())
    next(entry for entry in manifest["outputs"] if entry["path"] == "open_items.csv")["rows"] -= 1
    (package / "manifest.json").write_bytes(orjson.dumps(manifest))
    reseal(package)
    assert {"law 2: population", "law 4: the statement foots and is its open items"} <= broken(package).keys()


def test_an_item_that_stands_twice_is_found(package):
    rewrite(package / "open_items.csv", lambda rows: rows.append(dict(rows[0])))
    assert any("stands more than once" in text for text in broken(package)["law 1: each item stands once"])


def test_a_month_that_begins_otherwise_than_the_month_before_ended_is_found(package):
    before = package.parents[1] / "2026-08" / "v1"
    rewrite(before / "open_items.csv", lambda rows: rows[0].update(amount=raised(rows[0]["amount"])))
    found = broken(package, before=before)["law 7: carried in = carried out before"]
    assert any("was carried out of 2026-08" in text for text in found)


def test_another_version_of_the_month_before_is_not_taken_for_the_one_it_was_carried_from(package):
    before = package.parents[1] / "2026-08"
    rewrite(before / "v1" / "open_items.csv", lambda rows: rows[0].update(amount=raised(rows[0]["amount"])))
    reseal(before / "v1")
    check = next(check for check in audit_package(package) if check.name.startswith("law 7"))
    assert check.result == "not performed"
    assert "does not lie beside it" in check.skipped


def test_a_file_that_nobody_listed_is_found(package):
    (package / "extra.csv").write_text("a\r\n")
    assert broken(package) == {"files: listed, unaltered, well formed": ["extra.csv: lies in the package and is not listed"]}


def test_a_missing_file_is_named_and_the_other_checks_still_run(package):
    (package / "payouts.csv").unlink()
    found = broken(package)
    assert found["files: listed, unaltered, well formed"] == ["payouts.csv: is listed and missing"]
    assert not any(name.startswith("law") for name in found)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"{", b"\xff\xfe", b'{"outputs": 3, "books": {"a": 1}, "control_totals": [3], "carried_from": []}'])
def test_a_manifest_that_is_none_ends_in_words(package, content, capsys):
    (package / "manifest.json").write_bytes(content)
    assert audit.main([str(package)]) in (1, 2)
    shown = capsys.readouterr()
    assert "Traceback" not in shown.out + shown.err


def test_the_copy_in_the_package_runs_with_nothing_but_python(package):
    done = subprocess.run([sys.executable, "-I", "-S", "audit.py"], cwd=package, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("everything held\n")


def test_only_the_standard_library_is_imported():
    tree = ast.parse(Path(audit.__file__).read_text(encoding="utf-8"))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in names} <= sys.stdlib_module_names


def test_the_command_says_what_held_and_exits_with_one_when_something_is_broken(package):
    runner = typer.testing.CliRunner()
    good = runner.invoke(app, ["audit", str(package), "--json"])
    assert good.exit_code == 0
    assert orjson.loads(good.stdout)["broken"] == 0
    (package / "statement.csv").write_bytes((package / "statement.csv").read_bytes() + b" ")
    bad = runner.invoke(app, ["audit", str(package)])
    assert bad.exit_code == 1
    assert "statement.csv: was altered" in bad.stdout
