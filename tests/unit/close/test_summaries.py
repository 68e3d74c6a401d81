"""What people read on a page: money as they write it, words without underscores, the order they would ask for."""

from datetime import date

import polars as pl

from reconciliation.close.summaries import bridge_lines, count_matches, count_open_items, first_rows, total_by_currency


def test_money_is_shown_with_the_decimals_of_each_rows_currency():
    frame = pl.DataFrame({"currency": ["GBP", "JPY", "KWD"], "amount_minor": [-123456, 123456, None]})
    rows = first_rows(frame, {"amount": "amount_minor", "in": "currency"}, limit=50)
    assert rows == [{"amount": "-1,234.56", "in": "GBP"}, {"amount": "123,456", "in": "JPY"}, {"amount": "", "in": "KWD"}]


def test_only_our_own_words_lose_their_underscores():
    frame = pl.DataFrame({"cause": ["missing_posting"], "reference": ["INV_1"], "age_days": [1200], "currency": ["GBP"]})
    assert first_rows(frame, {"why": "cause", "ref": "reference", "age": "age_days"}, limit=1) == [{"why": "missing posting", "ref": "INV_1", "age": "1,200"}]


def test_no_more_rows_than_asked_for_are_shown():
    assert len(first_rows(pl.DataFrame({"cause": ["fx"] * 60}), {"cause": "cause"}, limit=50)) == 50


def test_totals_stand_by_currency_and_are_never_added_across():
    frame = pl.DataFrame({"currency": ["GBP", "EUR", "GBP"], "amount_minor": [100_000, 5, 50]})
    assert total_by_currency(frame) == {"EUR": "0.05", "GBP": "1,000.50"}


def test_strategies_are_counted_by_match_and_by_item():
    members = pl.DataFrame({"leg": ["books"] * 5, "strategy": ["fuzzy"] * 2 + ["summaries"] * 3, "match_id": ["a", "a", "b", "b", "b"]})
    assert count_matches(members).rows() == [("books", "summaries", 1, 3), ("books", "fuzzy", 1, 2)]


def test_open_items_are_counted_where_most_money_is_first():
    items = pl.DataFrame({
        "leg": ["books"] * 3, "side": ["stripe", "ledger", "ledger"], "kind": ["a", "b", "b"], "currency": ["GBP"] * 3, "amount_minor": [10, -7, -8],
        "date": [date(2026, 10, 1), date(2026, 10, 3), date(2026, 10, 2)],
    })  # fmt: skip
    assert count_open_items(items).rows() == [
        ("books", "ledger", "b", "GBP", 2, -15, date(2026, 10, 2)),
        ("books", "stripe", "a", "GBP", 1, 10, date(2026, 10, 1)),
    ]


def test_the_bridge_names_the_cause_and_leaves_out_zeros_and_the_total():
    statement = pl.DataFrame({
        "currency": ["GBP"] * 4, "section": ["bridge"] * 4, "line": ["timing.timing", "undetermined", "unexplained", "total"],
        "nature": ["timing", "", "", ""], "cause": ["timing", "", "", ""], "items": [3, 0, None, 3], "difference": [500, 0, -200, 300],
    })  # fmt: skip
    shown = bridge_lines(statement).select("nature", "cause", "items", "difference_minor").rows()
    assert shown == [("timing", "timing", 3, 500), ("", "unexplained", None, -200)]
