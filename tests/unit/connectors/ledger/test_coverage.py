"""Within its coverage the newest export alone counts."""

import pytest

from reconciliation.connectors.ledger.reader import read_ledger


def line(day, document, amount="10.00", period="Oct 2026", account="1050 Stripe Clearing", memo="m"):
    return f"1,{day},{period},Payment,{document},,{account},{memo},{amount},,GBP"


def october(*documents, days=("13/10/2026", "20/10/2026", "31/10/2026")):
    return [line(day, document) for day, document in zip(days, documents, strict=False)]


def fates(reading):
    return dict(reading.set_aside.select("source_row", "rule").rows())


def test_a_row_only_in_an_older_export_is_retired_and_a_repeated_one_superseded(export, settings):
    old = export(*october("A", "B", "C"))
    new = export(line("13/10/2026", "A"), line("31/10/2026", "C"), line("31/10/2026", "D"), delivery=2, name="b.csv")

    reading = read_ledger([old, new], settings=settings)

    assert reading.lines["document"].to_list() == ["A", "C", "D"]
    assert fates(reading) == {"2": "superseded", "3": "retired", "4": "superseded"}


def test_a_changed_amount_counts_once_as_the_newest_export_has_it(export, settings):
    reading = read_ledger([export(*october("A", "B", "C")), export(*october("A", "B"), line("31/10/2026", "C", "11.00"), delivery=2)], settings=settings)

    assert reading.lines.select("document", "amount_minor").rows() == [("A", 1_000), ("B", 1_000), ("C", 1_100)]


def test_an_older_export_counts_outside_the_newest_ones_dates(export, settings):
    reading = read_ledger([export(*october("A", "B", "C")), export(line("20/10/2026", "B2"), line("25/10/2026", "E"), delivery=2)], settings=settings)

    assert reading.lines["document"].to_list() == ["A", "B2", "C", "E"]


def test_a_late_posting_in_another_months_export_retires_nothing_and_counts(export, settings):
    october_rows = [line(f"{day}/10/2026", f"O{day}") for day in range(13, 32)]
    november = [line("28/10/2026", "LATE"), *(line(f"{day}/11/2026", f"N{day}", period="Nov 2026") for day in range(13, 20))]

    reading = read_ledger([export(*october_rows), export(*november, delivery=2)], settings=settings)

    assert reading.lines.height == len(october_rows) + len(november)
    assert reading.set_aside.is_empty()


def test_a_late_posting_that_its_own_months_export_has_too_counts_once(export, settings):
    november = [line("28/10/2026", "O28"), *(line(f"{day}/11/2026", f"N{day}", period="Nov 2026") for day in range(13, 20))]

    reading = read_ledger([export(line("13/10/2026", "O13"), line("28/10/2026", "O28")), export(*november, delivery=2)], settings=settings)

    assert reading.lines["document"].n_unique() == reading.lines.height == 9


def test_an_export_of_several_months_covers_all_of_them(export, settings):
    def quarter(*leave_out):
        months = (("10", "Oct"), ("11", "Nov"), ("12", "Dec"))
        return [
            line(f"{day}/{number}/2026", f"{name}{day}", period=f"{name} 2026")
            for number, name in months
            for day in range(10, 30, 2)
            if f"{name}{day}" not in leave_out
        ]

    reading = read_ledger([export(*quarter()), export(*quarter("Oct12", "Nov20"), delivery=2)], settings=settings)

    assert sorted(rule for rule in reading.set_aside["rule"] if rule == "retired") == ["retired", "retired"]
    assert reading.lines.height == 28


def test_another_accounts_export_retires_nothing(export, make_settings):
    settings = make_settings(accounts=(("1050 Stripe Clearing", "GBP"), ("1052 Payouts in transit", "GBP")))
    other = export(line("13/10/2026", "X", account="1052 Payouts in transit"), line("31/10/2026", "Y", account="1052 Payouts in transit"), delivery=2)

    assert read_ledger([export(*october("A", "B", "C")), other], settings=settings).lines.height == 5


def test_genuine_equal_lines_of_one_export_all_count(export, settings):
    assert read_ledger([export(line("13/10/2026", "A"), line("13/10/2026", "A"))], settings=settings).lines["item_id"].to_list() == ["gl_A/1", "gl_A/2"]


@pytest.mark.parametrize("names", [("a.csv", "z.csv"), ("z.csv", "a.csv")], ids=["older first", "newer first"])
def test_in_one_delivery_the_export_that_reaches_further_is_the_newest_whatever_its_name(export, settings, names):
    short = export(line("13/10/2026", "A"), line("20/10/2026", "B"), name=names[0])
    long = export(line("13/10/2026", "A"), line("31/10/2026", "C"), name=names[1])

    for files in ([short, long], [long, short]):
        assert read_ledger(files, settings=settings).lines["document"].to_list() == ["A", "C"]


def test_coverage_is_reported_for_the_main_period(export, settings):
    files = read_ledger([export(line("28/09/2026", "LATE", period="Sep 2026"), *october("A", "B", "C"))], settings=settings).files

    assert [str(day) for day in files.select("covers_from", "covers_to").row(0)] == ["2026-10-13", "2026-10-31"]


def report(*rows, days="October 1-31, 2026", delivery=1):
    """Return a general ledger report that states its days."""
    lines = [f",{day},Journal Entry,{document},,m,Fees,{amount}," for day, document, amount in rows]
    return ["Example Ltd,,,,,,,,", "General Ledger,,,,,,,,", f'"{days}",,,,,,,,', ",Date,Transaction Type,Num,Name,Memo/Description,Split,Amount,Balance",
            "1050 Stripe Clearing,,,,,,,,", *lines, "Total for 1050 Stripe Clearing,,,,,,,,"]  # fmt: skip


def test_a_report_that_states_its_days_retires_what_stood_before_its_first_and_behind_its_last_line(export, settings):
    old = report(("10/02/2026", "A", "1.00"), ("10/20/2026", "B", "2.00"), ("10/31/2026", "C", "3.00"))
    new = report(("10/20/2026", "B", "2.00"))
    files = [export(*rows[1:], header=rows[0], delivery=delivery, name=f"{delivery}.csv") for delivery, rows in ((1, old), (2, new))]

    reading = read_ledger(files, settings=settings)

    assert reading.lines["document"].to_list() == ["B"]
    assert sorted(reading.set_aside["rule"]) == ["retired", "retired", "superseded"]
    assert reading.files.sort("source_file").select("covers_from", "covers_to").cast(str).rows() == [("2026-10-01", "2026-10-31")] * 2


def test_stated_days_that_its_own_lines_leave_are_not_believed(export, settings):
    old = report(("10/02/2026", "A", "1.00"), ("10/20/2026", "B", "2.00"))
    new = report(("10/20/2026", "B", "2.00"), ("11/02/2026", "D", "4.00"))
    files = [export(*rows[1:], header=rows[0], delivery=delivery, name=f"{delivery}.csv") for delivery, rows in ((1, old), (2, new))]

    assert sorted(read_ledger(files, settings=settings).lines["document"]) == ["A", "B", "D"]
