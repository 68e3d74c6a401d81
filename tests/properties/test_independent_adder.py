"""The adder that shares nothing with the product finds what is lost, doubled or changed: it can fail."""

import sys
from pathlib import Path

import pytest

from reconciliation.simulation.company import simulate_company
from reconciliation.simulation.options import SimulationOptions
from reconciliation.simulation.writer import write_company

sys.path.insert(0, str(Path(__file__).parent))
from independent_adder import bank_lines, compare, ledger_lines, minor, stripe_components

HEADERS = {"matches.csv": "leg,side,item_id,amount,currency", "open_items.csv": "leg,side,item_id,amount,currency", "set_aside.csv": "side,amount,currency"}


@pytest.fixture(scope="module")
def company(tmp_path_factory):
    folder = tmp_path_factory.mktemp("adder")
    write_company(simulate_company(SimulationOptions(seed=1, payments=30, months=1)), folder)
    return folder


def write_package(company, folder):
    """Write what a right package holds of the columns that are added."""
    rows = {name: [header] for name, header in HEADERS.items()}
    sources = [*stripe_components(company, "2026-08"), *ledger_lines(company, "2026-08"), *bank_lines(company, "2026-08")]
    for number, (source, currency, amount) in enumerate(sources):
        side, _, aside = source.partition(", ")
        money = f"{'-' if amount < 0 else ''}{abs(amount) // 100}.{abs(amount) % 100:02d}"
        if aside:
            rows["set_aside.csv"].append(f"{side},{money},{currency}")
        else:
            rows[("matches.csv", "open_items.csv")[number % 2]].append(f"{'cash' if side == 'bank' else 'books'},{side},i{number},{money},{currency}")
    folder.mkdir()
    for name, lines in rows.items():
        (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8-sig")
    return folder


def test_a_right_package_agrees(company, tmp_path):
    assert compare(company, write_package(company, tmp_path / "p"), None, period="2026-08") == []


@pytest.mark.parametrize("name", HEADERS)
@pytest.mark.parametrize(
    "spoil",
    [lambda lines: lines[:-1], lambda lines: [*lines, lines[-1]], lambda lines: [*lines[:-1], lines[-1].replace(".", "1.", 1)]],
    ids=["lost", "doubled", "changed"],
)
def test_a_row_that_is_lost_doubled_or_changed_is_found(company, tmp_path, name, spoil):
    package = write_package(company, tmp_path / "p")
    lines = (package / name).read_text(encoding="utf-8-sig").splitlines()
    (package / name).write_text("\n".join(spoil(lines)) + "\n", encoding="utf-8-sig")
    assert compare(company, package, None, period="2026-08") != []


def test_money_is_read_without_a_float():
    assert [minor(text) for text in ("0.29", "-1.15", "4.35", "-0.01", "1234567890123.99", "7", "")] == [29, -115, 435, -1, 123456789012399, 700, 0]
