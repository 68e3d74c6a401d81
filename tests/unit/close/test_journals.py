"""Entries over nights of changing open items and approvals: ids are stable, frozen entries stay as they were approved, nothing is proposed twice."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import polars as pl
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reconciliation.close.journals import latest_versions, propose_journals
from reconciliation.config import Settings
from reconciliation.population import Month
from reconciliation.rates import Rates
from reconciliation.schemas.items import Item, ItemReference
from reconciliation.schemas.journals import ProposedEntry

CAUSES = [("fx", "entry"), ("dispute_fee", "entry"), ("duplicate_posting", "correction"), ("dispute_held", "reclass"), ("timing", "timing")]
EMPTY = SimpleNamespace(items=Item.create_empty(), references=ItemReference.create_empty())


def month(period="2026-10", **journals):
    chosen = Settings.model_validate({
        "entity": {"name": "Example Ltd", "timezone": "Europe/London", "currency": "GBP"}, "start": {"period": "2026-10"}, "journals": journals, "folder": Path(),
        "books": [
            {"name": "main", "ledger_accounts": [{"account": "1050", "currency": "GBP"}]},
            {"name": "shop", "stripe_accounts": ["acct_2"], "ledger_accounts": [{"account": "1060", "currency": "GBP"}]},
        ],
    })  # fmt: skip
    following = chosen.calendar.first_day(chosen.calendar.following(period))
    return Month(period, chosen.books[0], chosen, chosen.calendar, datetime(following.year, following.month, 1, tzinfo=UTC), following - timedelta(days=1))


def scored(rows):
    """Open items from (number, cause and nature, amount, is approved)."""
    columns = [
        {
            "leg": "books", "item_id": f"txn_{number}/gross", "break_id": f"bk_{number}", "kind": "missing_in_ledger", "cause": cause, "nature": nature,
            "disposition": "needs_review", "probability_true_exception": 0.5, "side": "stripe", "amount_minor": amount, "currency": "GBP", "account": "",
            "reference": f"INV-{number}", "document": "", "date": date(2026, 10, 1 + number % 28), "prepared_by": "ada" if approved else "", "approved_by": "",
            "is_entry_approved": approved, "is_entry_wanted": True,
        }
        for number, (cause, nature), amount, approved in rows
    ]  # fmt: skip
    return pl.DataFrame(columns)


def propose(rows, known, period="2026-10", **journals):
    return propose_journals(scored(rows), EMPTY, SimpleNamespace(journals=known), month(period, **journals), rates=Rates())


items = st.dictionaries(st.integers(1, 12), st.tuples(st.sampled_from(CAUSES), st.integers(1, 9), st.booleans()), min_size=1)


@settings(max_examples=40, deadline=None)
@given(nights=st.lists(st.tuples(items, st.booleans()), min_size=1, max_size=5))
@example(
    nights=[
        ({1: (CAUSES[0], 1, False), 2: (CAUSES[0], 2, False)}, False),
        ({1: (CAUSES[0], 1, True), 2: (CAUSES[0], 2, False), 3: (CAUSES[0], 3, False)}, True),
    ]
)
def test_no_id_changes_its_meaning_and_no_item_stands_in_two_entries(nights):
    known, meaning, approved, number_of_month = ProposedEntry.create_empty(), {}, {}, 1
    for night, is_next_month in nights:
        number_of_month += is_next_month
        period = f"2026-{number_of_month:02}"
        rows = [(number, cause, 100 * size, yes) for number, (cause, size, yes) in night.items()]
        made = propose(rows, known, period, post_timing_above="5.00")
        entries = made.lines.filter((pl.col("account_role") == "clearing") & (pl.col("reverses_journal") == "")).to_dicts()
        standing = [item for entry in entries for item in entry["items"]]
        assert len(standing) == len(set(standing))
        assert len({entry["journal_id"] for entry in entries}) == len(entries)
        for entry in entries:
            cause = latest_versions(made.register).filter(pl.col("journal_id") == entry["journal_id"])["cause"].item()
            assert meaning.setdefault(entry["journal_id"], cause) == cause
            if entry["journal_id"] in approved and entry["status"] == "approved":
                assert set(entry["items"]) <= approved[entry["journal_id"]], "an approved entry takes no further items"
        approved = {entry["journal_id"]: set(entry["items"]) for entry in entries if entry["status"] == "approved"}
        assert made.lines["debit_minor"].sum() == made.lines["credit_minor"].sum()
        again = propose(rows, made.register, period, post_timing_above="5.00")
        assert again.lines.equals(made.lines)
        assert again.register.equals(made.register)
        known = made.register


def test_what_is_approved_keeps_the_id_that_was_shown_and_the_rest_gets_another():
    first = propose([(1, CAUSES[0], 100, False), (2, CAUSES[0], 200, False)], ProposedEntry.create_empty())
    assert first.lines["journal_id"].unique().to_list() == ["RC-2026-10-0001"]
    second = propose([(1, CAUSES[0], 100, True), (2, CAUSES[0], 200, False)], first.register)
    shown = {row["journal_id"]: (row["status"], row["items"]) for row in second.lines.to_dicts()}
    assert shown == {"RC-2026-10-0001": ("approved", ["txn_1/gross"]), "RC-2026-10-0002": ("proposed", ["txn_2/gross"])}
    third = propose([(1, CAUSES[0], 100, True), (2, CAUSES[0], 200, True), (3, CAUSES[0], 300, True)], second.register)
    assert {row["journal_id"]: row["items"] for row in third.lines.to_dicts()} == {
        "RC-2026-10-0001": ["txn_1/gross"],
        "RC-2026-10-0002": ["txn_2/gross", "txn_3/gross"],
    }


def test_timing_items_are_listed_and_never_posted_unless_asked_for():
    rows = [(1, CAUSES[4], 15_000, False), (2, CAUSES[4], 9_900, False)]
    assert propose(rows, ProposedEntry.create_empty()).lines.is_empty()
    asked = propose(rows, ProposedEntry.create_empty(), post_timing_above="100.00").lines
    assert asked.select("journal_id", "posting_date", "period", "debit_minor", "credit_minor", "account_role").rows() == [
        ("RC-2026-10-0001", date(2026, 10, 31), "2026-10", 15_000, 0, "clearing"),
        ("RC-2026-10-0001", date(2026, 10, 31), "2026-10", 0, 15_000, "unapplied_receipts"),
        ("RC-2026-10-0001-R", date(2026, 11, 1), "2026-11", 0, 15_000, "clearing"),
        ("RC-2026-10-0001-R", date(2026, 11, 1), "2026-11", 15_000, 0, "unapplied_receipts"),
    ]


def test_books_of_one_entity_never_share_a_number():
    other = month()
    other = Month(other.period, other.settings.books[1], other.settings, other.calendar, other.cut_off, other.cut_off_on)
    made = propose_journals(scored([(1, CAUSES[0], 100, False)]), EMPTY, SimpleNamespace(journals=ProposedEntry.create_empty()), other, rates=Rates())
    assert made.lines["journal_id"].unique().to_list() == ["RC-2026-10-1001"]
    assert made.lines.filter(pl.col("account_role") == "clearing")["account"].item() == "1060"
