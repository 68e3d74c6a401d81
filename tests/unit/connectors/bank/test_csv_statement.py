import pytest

from reconciliation.connectors.bank.reader import read_bank
from reconciliation.errors import FileRefusedError
from reconciliation.schemas.files import BankLine, SetAsideRow

OCTOBER = """date,description,amount,currency,balance
2026-10-01,STRIPE PAYMENTS UK FP20260000,800.00,GBP,10800.00
2026-10-02,RENT 12 HIGH STREET,-1500.00,GBP,9300.00
2026-10-18,STRIPE PAYMENTS UK DEBIT FP20260002,-100.00,GBP,9200.00
"""


def amounts(file, settings):
    reading = read_bank([file], settings=settings)
    rows = [*reading.lines.select("source_row", "amount_minor").rows(), *reading.set_aside.select("source_row", "amount_minor").rows()]
    return [amount for _, amount in sorted(rows)]


def test_lines_that_name_stripe_are_in_scope_and_the_others_set_aside(statement, settings):
    reading = read_bank([statement(OCTOBER)], settings=settings)

    BankLine.validate(reading.lines)
    SetAsideRow.validate(reading.set_aside)
    assert sorted(reading.lines.select("source_row", "amount_minor").rows()) == [("2", 80_000), ("4", -10_000)]
    assert reading.set_aside.select("source_row", "rule", "amount_minor", "month").rows() == [("3", "not_a_payout", -150_000, "2026-10")]


def test_descriptors_match_in_any_letter_case(statement, make_settings):
    assert read_bank([statement(OCTOBER)], settings=make_settings(bank_match=["stripe payments uk debit"])).lines.height == 1


def test_a_bank_account_of_no_book_is_out_of_scope(statement, make_settings):
    content = "date,description,amount,account\n2026-10-01,STRIPE,1.00,GB29 NWBK 6016 1331 9268 19\n2026-10-02,STRIPE,2.00,GB00 0000\n"

    lines = read_bank([statement(content)], settings=make_settings(bank_accounts=["GB29NWBK60161331926819"])).lines

    assert lines.select("bank_account", "amount_minor").rows() == [("GB29NWBK60161331926819", 100)]


def test_a_running_balance_that_does_not_follow_refuses_the_statement(statement, settings):
    with pytest.raises(FileRefusedError) as caught:
        read_bank([statement(OCTOBER.replace("-1500.00,GBP", "-1500.01,GBP"))], settings=settings)

    assert (caught.value.row, caught.value.column) == (3, "balance")


def test_a_statement_from_newest_to_oldest_is_proved_backwards(statement, settings):
    header, *rows = OCTOBER.strip().split("\n")

    assert amounts(statement("\n".join([header, *reversed(rows)])), settings) == [-10_000, -150_000, 80_000]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("Date,Details,Paid Out,Paid In\n2026-10-01,STRIPE,,5.00\n2026-10-02,STRIPE,4.00,\n", [500, -400]),
        ("Date,Label,Debit,Credit\n2026-10-01,STRIPE,,5.00\n2026-10-02,STRIPE,-4.00,\n", [500, -400]),
        ("Buchungstag;Verwendungszweck;Betrag;CCY\n2026-10-01;STRIPE;1.500,00;EUR\n2026-10-02;STRIPE;-4,50;EUR\n", [150_000, -450]),
        ("Date,Label,Amount,D/C\n2026-10-01,STRIPE,5.00,C\n2026-10-02,STRIPE,4.00,D\n", [500, -400]),
        ("Date,Label,Amount\n2026-10-01,STRIPE,5.00 CR\n2026-10-02,STRIPE,4.00 DR\n", [500, -400]),
        ("Account: 1\nFrom: 2026-10-01\n\nDate,Label,Amount\n2026-10-01,STRIPE,5.00\nClosing balance,,9.00\n", [500]),
    ],
    ids=["money in and out", "debits written negative", "german", "an indicator", "markers", "preamble and closing balance"],
)
def test_banks_ways_to_write_an_amount_are_understood(statement, settings, content, expected):
    assert amounts(statement(content), settings) == expected


def test_lines_of_overlapping_statements_count_once_and_equal_lines_of_one_each(statement, settings):
    twice = "date,description,amount,currency\n2026-10-01,STRIPE A,5.00,GBP\n2026-10-01,STRIPE A,5.00,GBP\n"
    overlap = twice + "2026-10-02,STRIPE B,1.00,GBP\n"

    reading = read_bank([statement(twice), statement(overlap, name="bank/b.csv", delivery=2)], settings=settings)

    assert sorted(reading.lines["amount_minor"]) == [100, 500, 500]
    assert sorted(item.rsplit("/", 1)[1] for item in reading.lines["item_id"]) == ["1", "1", "2"]
    assert reading.set_aside["rule"].to_list() == ["superseded", "superseded"]
    assert reading.files.select("source_file", "rows_in", "rows_used", "rows_retired").rows() == [("bank/a.csv", 2, 0, 2), ("bank/b.csv", 3, 3, 0)]


def test_neither_the_name_nor_the_order_of_files_changes_an_id(statement, settings):
    one = read_bank([statement(OCTOBER)], settings=settings).lines
    other = read_bank([statement(OCTOBER, name="z.csv")], settings=settings).lines

    assert one["item_id"].equals(other["item_id"])
