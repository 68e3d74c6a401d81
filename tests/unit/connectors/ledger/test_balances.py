import polars as pl
import pytest

from reconciliation.connectors.inbox import InboxFile
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


# What systems print -> the text, and the account's closing balance in minor units.
REPORTS = {
    "QuickBooks, no name above the accounts": ('Example Ltd,,\nTrial Balance,,\n"As of October 31, 2026",,\n,,\n,Debit,Credit\n1050 Stripe Clearing,"2,022.20",\nSales,,"2,022.20"\nTOTAL,"$2,022.20","$2,022.20"', 202_220),
    "Xero, year to date beside the month": ("Trial Balance\nExample Ltd\nAs at 31 October 2026\n\nAccount,Debit,Credit,YTD Debit,YTD Credit\n1050 Stripe Clearing,5.00,,2022.20,\nSales,,5.00,,2022.20\nTotal,5.00,5.00,2022.20,2022.20", 202_220),
    "Intacct, opening to closing": ("Account no.,Account title,Period,Opening balance,Debits,Credits,Closing balance\n1050 Stripe Clearing,S,Oct 2026,500.00,1600.00,77.80,2022.20", 202_220),
    "SAP, accumulated": ("G/L Acct|Short Text|Crcy|Period|Balance Carryforward|Accumulated balance\n1050 Stripe Clearing|S|GBP|10/2026|500,00|2.022,20-", -202_220),
    "Business Central, two columns": ("Period: 2026-10,,,,,\nNo.,Name,Net Change Debit,Net Change Credit,Balance Debit,Balance Credit\n1050 Stripe Clearing,S,5.00,,,2022.20", -202_220),
    "Sage 50": ("Period: October 2026,,,\nN/C,Name,Debit,Credit\n1050 Stripe Clearing,S,2022.20,", 202_220),
    "DATEV, movements without a closing balance": ("Konto;Periode;EB-Wert;Soll;Haben\n1050 Stripe Clearing;10/2026;500,00;1.600,00;77,80", 202_220),
    "France": ("Compte;Période;Solde débiteur;Solde créditeur\n1050 Stripe Clearing;10/2026;;2022,20", -202_220),
}  # fmt: skip


@pytest.mark.parametrize("name", REPORTS)
def test_a_trial_balance_is_read_as_its_system_prints_it(export, settings, name):
    text, closing = REPORTS[name]

    balances, _ = read_balances([export(content=text.encode())], settings=settings)

    assert balances.select("account", "period", "closing_balance_minor").rows() == [("1050 Stripe Clearing", "2026-10", closing)]


def test_a_row_whose_movements_do_not_lead_to_its_closing_balance_is_refused(export, settings):
    file = export("1050 Stripe Clearing,2026-10,500.00,1600.00,77.80,2022.21", header="Account,Period,Opening balance,Debit,Credit,Closing balance")

    with pytest.raises(FileRefusedError, match=r"2022\.21' is not the opening balance plus debit less credit"):
        read_balances([file], settings=settings)


def test_the_trial_balance_of_a_workbook_is_found_beside_other_sheets(settings, make_workbook):
    sheets = {"Notes": [["prepared by", "Bo"]], "TB": [["Account", "Period", "Balance"], ["1050 Stripe Clearing", "2026-10", "5.00"]]}
    file = InboxFile("b.xlsx", make_workbook(sheets), "x", 1)

    assert read_balances([file], settings=settings)[0]["closing_balance_minor"].to_list() == [500]
