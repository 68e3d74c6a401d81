"""Statements that other people's systems wrote."""

from pathlib import Path

import pytest

from reconciliation.connectors.bank.camt import read_camt
from reconciliation.errors import FileRefusedError

FOLDER = Path(__file__).parents[3] / "shared" / "material" / "bank_camt"

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"{FOLDER} is absent: real bank files are not part of the project")


def read(name):
    return read_camt(name, (FOLDER / name).read_bytes())


@pytest.mark.parametrize(
    ("name", "amounts", "currencies"),
    [
        ("bsp_camt.053.001.02.xml", [10_567_850, -20_000_000, 3_000_000], {"SEK"}),
        ("bsp_camt053_duplicate_same_day.xml", [-450, -450], {"EUR"}),
        ("bsp_camt053_no_namespace.xml", [25_000], {"GBP"}),
        ("bsp_camt053_multicurrency.xml", [125_050, -50_025, -9_999], {"EUR", "USD"}),
        ("genkgo_camt053.v2.multi.statement.xml", [885, -700], {"EUR"}),
        ("genkgo_camt053.v2.with-account-name.xml", [885], {"EUR"}),
    ],
)
def test_real_statements_are_read(name, amounts, currencies):
    lines = read(name).lines

    assert lines["amount_minor"].to_list() == amounts
    assert set(lines["currency"]) == currencies


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("bsp_camt053_garbled_amount.xml", "12..34"),
        ("genkgo_camt053.v2.wrong.xml", "holds no statement"),
        ("genkgo_camt053.v2.minimal.xml", "EUR, SEK"),
        ("genkgo_camt053.v2.five.decimals.xml", "27.05"),
        ("oca_test-camt053", "closing balance is 15121.12"),
    ],
)
def test_statements_that_contradict_themselves_and_other_messages_are_refused(name, said):
    with pytest.raises(FileRefusedError, match=said.replace(".", r"\.")):
        read(name)


def test_a_statement_without_entries_is_read_as_such():
    assert read("oca_test-camt053-no-ntry").lines.is_empty()


@pytest.mark.parametrize("name", ["genkgo_camt052.v4.xml", "genkgo_camt054.v4.xml"])
def test_entries_of_reports_and_advices_are_not_booked(name):
    assert read(name).lines["is_booked"].to_list() == [False]
