"""`reconcile check` says of one file what the pipeline would make of it."""

import json

import pytest

from reconciliation.config import Settings
from reconciliation.connectors.check import describe_file

KEYS = [
    "file", "kind", "profile", "confidence", "encoding", "decimal_mark", "date_order", "rows_in", "rows_used", "rows_set_aside", "totals", "proofs", "refused"
]  # fmt: skip
LEDGER = b"""Internal ID,Date,Period,Type,Document Number,Name,Account,Memo,Debit,Credit,Currency
1,14/10/2026,Oct 2026,Payment,PYMT-1,Ada,1050 Stripe Clearing,INV-1,100.00,,GBP
2,15/10/2026,Oct 2026,Deposit,DEP-1,,1050 Stripe Clearing,po_1,,30.50,GBP
3,16/10/2026,Oct 2026,Journal,JE-1,,6100 Rent,rent,5.00,,GBP
"""
BANK = b"date,description,amount,currency,balance\n2026-10-01,STRIPE,800.00,GBP,1800.00\n2026-10-02,RENT,-500.00,GBP,1300.00\n"


@pytest.fixture
def settings(tmp_path):
    return Settings.model_validate(
        {
            "entity": {"name": "Example Ltd", "timezone": "Europe/London", "currency": "GBP"},
            "start": {"period": "2026-10"},
            "books": [{"ledger_accounts": [{"account": "1050 Stripe Clearing", "currency": "GBP"}]}],
            "folder": tmp_path,
        }
    )


def describe(settings, content, name="file.csv"):
    path = settings.folder / name
    path.write_bytes(content)
    description = describe_file(path, settings)
    assert list(description) == KEYS
    return json.loads(json.dumps(description))


def test_a_ledger_file_is_described(settings):
    found = describe(settings, LEDGER)

    assert found["totals"] == {"GBP": {"rows": 2, "debit": "100.00", "credit": "30.50", "net": "69.50"}}
    assert found["rows_set_aside"] == [{"row": 4, "reason": "other_account"}]
    expected = {
        "kind": "ledger",
        "profile": "netsuite",
        "confidence": 1.0,
        "encoding": "utf-8",
        "decimal_mark": ".",
        "date_order": "day_first",
        "rows_in": 3,
        "rows_used": 2,
    }
    assert expected.items() <= found.items()
    assert found["refused"] is None
    assert all(proof["holds"] for proof in found["proofs"])


def test_a_bank_file_is_told_from_a_ledger_by_its_columns(settings):
    found = describe(settings, BANK)

    assert (found["kind"], found["profile"], found["rows_set_aside"]) == ("bank", "bank_csv", [{"row": 3, "reason": "not_a_payout"}])
    assert found["totals"] == {"GBP": {"rows": 1, "debit": "800.00", "credit": "0.00", "net": "800.00"}}
    assert {"name": "running_balance", "holds": True} in found["proofs"]


@pytest.mark.parametrize(
    ("content", "row", "column"),
    [
        (LEDGER.replace(b"30.50", b"1e3"), 3, "Credit"),
        (BANK.replace(b"1300.00", b"1300.01"), 3, "balance"),
        (b"", None, None),
        (b"\x00\x01\x02\xff", None, None),
        (b"a,b\n1,2\n", 1, None),
        (b"<a>", 1, None),
        (b"PK\x03\x04 no workbook", None, None),
    ],
    ids=["ledger", "bank", "empty", "binary", "unknown header", "xml", "zip"],
)
def test_a_refused_file_says_where_and_why(settings, content, row, column):
    refused = describe(settings, content)["refused"]

    assert refused["message"]
    assert row is None or (refused["row"], refused["column"]) == (row, column)


def test_a_file_that_does_not_exist_is_refused(settings):
    assert "does not exist" in describe_file(settings.folder / "nothing.csv", settings)["refused"]["message"]


def test_several_unmapped_accounts_are_a_refusal_that_names_them(settings):
    unmapped = settings.model_copy(update={"books": (settings.books[0].model_copy(update={"ledger_accounts": ()}),)})

    assert "6100 Rent" in describe(unmapped, LEDGER)["refused"]["message"]


def test_a_damaged_workbook_is_refused(settings):
    assert "workbook" in describe(settings, b"PK\x03\x04 no workbook", name="a.xlsx")["refused"]["message"]
