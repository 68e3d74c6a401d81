"""Layouts that real systems write, in their languages, encodings and versions: each is recognized and read to its true total."""

import tomllib
from pathlib import Path

import pytest

from reconciliation.config import Settings
from reconciliation.connectors.check import describe_file

LAYOUTS = Path(__file__).parent / "layouts"
CASES = tomllib.loads((LAYOUTS / "layouts.toml").read_text(encoding="utf-8"))["file"]


def settings_of(case):
    account = {"account": case["account"], "currency": case["currency"]} if "account" in case else None
    ledger = {"day_first": case["day_first"]} if "day_first" in case else {}
    content = {
        "entity": {"name": "Example Ltd", "timezone": "UTC", "currency": case.get("base", case["currency"])},
        "start": {"period": "2026-10"},
        "ledger": ledger,
        "bank" if case["kind"] == "bank" else "storage": {"inbox": str(LAYOUTS)} if case["kind"] == "bank" else {},
        "books": [{"ledger_accounts": [account] if account else [], "bank_match": [""]}],
        "folder": LAYOUTS,
    }
    return Settings.model_validate(content)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_a_layout_is_recognized_and_read_to_its_true_total(case):
    described = describe_file(LAYOUTS / case["name"], settings_of(case))

    assert described["refused"] is None
    assert {currency: total["net"] for currency, total in described["totals"].items()} == {case["currency"]: case["net"]}
    assert described["kind"] == case["kind"]
    assert case.get("profile", described["profile"]) == described["profile"]


def test_every_file_beside_the_list_is_in_it():
    assert {path.name for path in LAYOUTS.iterdir()} == {case["name"] for case in CASES} | {"layouts.toml"}
