import pytest

from reconciliation.connectors.ledger.balances import read_balances
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
