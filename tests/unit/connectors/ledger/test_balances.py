import polars as pl
import pytest

from reconciliation.connectors.ledger.balances import read_balances, tie_balances
from reconciliation.errors import FileRefusedError

HEADER = "account,currency,period,closing_balance"


def test_the_newest_delivery_that_names_a_balance_wins_and_older_months_stay(export, settings):
    old = export("1050 Stripe Clearing,GBP,2026-09,1312.00", "1050 Stripe Clearing,GBP,2026-10,2022.20", header=HEADER)
    new = export("1050 Stripe Clearing,GBP,2026-10,215.91", header=HEADER, delivery=2, name="b.csv")

    balances, files = read_balances([new, old], settings=settings)

    assert balances.select("period", "closing_balance_minor").rows() == [("2026-09", 131_200), ("2026-10", 21_591)]
    assert files.select("source_file", "rows_in", "rows_used", "rows_retired").rows() == [("b.csv", 1, 1, 0), ("inbox/ledger/a.csv", 2, 1, 1)]


def test_other_accounts_are_counted_and_passed_over(export, settings):
    balances, files = read_balances([export("1050 Stripe Clearing,GBP,Oct 2026,1.00", "6100 Rent,GBP,Oct 2026,5.00", header=HEADER)], settings=settings)

    assert balances["account"].to_list() == ["1050 Stripe Clearing"]
    assert files["rows_set_aside"].to_list() == [1]


def test_the_currency_may_be_left_out_where_the_account_has_one(export, settings):
    balances, _ = read_balances([export("1050 Stripe Clearing,2026-10,-1.50", header="account,period,closing_balance")], settings=settings)

    assert balances.select("currency", "closing_balance_minor").rows() == [("GBP", -150)]


@pytest.mark.parametrize(
    ("rows", "place"),
    [
        (["1050 Stripe Clearing,GBP,2026-10,ten"], (2, "closing_balance")),
        (["1050 Stripe Clearing,GBP,soon,1.00"], (2, "period")),
        (["1050 Stripe Clearing,GBP,2026-10,1.00", "1050 Stripe Clearing,GBP,2026-10,2.00"], (2, "closing_balance")),
        (["1050 Stripe Clearing,GBP,2026-10"], (2, None)),
    ],
    ids=["no amount", "no period", "contradiction", "ragged"],
)
def test_a_trial_balance_that_cannot_be_read_exactly_is_refused(export, settings, rows, place):
    with pytest.raises(FileRefusedError) as caught:
        read_balances([export(*rows, header=HEADER)], settings=settings)

    assert (caught.value.row, caught.value.column) == place


def test_a_trial_balance_as_an_erp_prints_it_is_read_with_its_month_and_its_totals_proved(export, settings):
    file = export(
        "1050 Stripe Clearing,\"2,022.20\",", "6210 Fees,55.99,", "4000 Sales,,\"2,078.19\"", "TOTAL,\"2,078.19\",\"2,078.19\"",
        header="Example Ltd,,\nTrial Balance,,\n\"As of October 31, 2026\",,\nAccount,Debit,Credit",
    )  # fmt: skip

    balances, files = read_balances([file], settings=settings)

    assert balances.select("account", "period", "closing_balance_minor").rows() == [("1050 Stripe Clearing", "2026-10", 202_220)]
    assert files.select("proofs", "rows_in", "rows_used", "rows_by_rule").rows() == [("total_rows_equal_their_lines", 3, 1, "other_account=2")]


def test_a_trial_balance_whose_total_differs_is_refused(export, settings):
    file = export("1050 Stripe Clearing,1.00,", "4000 Sales,,2.00", "Total,1.00,2.01", header="Period: 2026-10,,\nAccount,Debit,Credit")

    with pytest.raises(FileRefusedError, match=r"total 2\.01 differs"):
        read_balances([file], settings=settings)


def test_a_trial_balance_without_a_month_is_refused(export, settings):
    with pytest.raises(FileRefusedError, match="names one month"):
        read_balances([export("1050 Stripe Clearing,1.00,", header="Account,Debit,Credit")], settings=settings)


def test_each_balance_is_tied_to_the_one_before_and_the_lines_between():
    balances = pl.DataFrame(
        {
            "account": ["1050"] * 3, "currency": ["GBP"] * 3, "period": ["2026-08", "2026-09", "2026-10"], "closing_balance_minor": [100, 150, 170],
            "source_file": ["b.csv"] * 3, "source_row": ["2", "3", "4"],
        }
    )  # fmt: skip
    lines = pl.DataFrame({"account": ["1050", "1050"], "currency": ["GBP", "GBP"], "month": ["2026-09", "2026-10"], "amount_minor": [50, 15]})

    assert tie_balances(balances, lines).select("period", "difference_minor").rows() == [("2026-09", 0), ("2026-10", 5)]
