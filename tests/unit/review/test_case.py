"""A case's evidence: what an accountant would look up by hand, in this month and in the ones before it."""

from datetime import date

import polars as pl

from reconciliation.normalize.references import extract_references
from reconciliation.review.case import OWN, REFERENCE, gather_evidence
from reconciliation.review.queue import MonthTables
from reconciliation.schemas.items import Item, MatchMember
from tests.factories import items, ledger, stripe

AUGUST, OCTOBER = date(2026, 8, 15), date(2026, 10, 15)
NOTHING = pl.DataFrame()


def month(period, rows, *matches):
    """Build a month from item rows and matches: (match id, item ids)."""
    texts = items(*rows)
    found = texts.select(Item.column_names())
    members = [
        {"leg": "books", "item_id": item, "match_id": match, "strategy": "exact_reference", "score": 1.0, "evidence": "the same invoice", "difference_minor": 0}
        for match, own in matches
        for item in own
    ]
    return MonthTables(
        "main", period, found, extract_references(texts), pl.DataFrame(members, schema=MatchMember.create_empty().schema), NOTHING, NOTHING, NOTHING, NOTHING,
        NOTHING, {},
    )  # fmt: skip


def one_break(*item_ids, match_id="", day=AUGUST):
    return pl.DataFrame({"leg": "books", "item_ids": [list(item_ids)], "match_id": match_id, "date": day}, schema_overrides={"date": pl.Date})


FIRST = ledger("PYMT-1018", 37463, "INV-61355", day=AUGUST, name="Esme Ulmford")
AGAIN = ledger("PYMT-1023", 37463, "INV-61355", day=AUGUST, name="Esme Ulmford")
CHARGE = stripe("txn_1", 37463, day=AUGUST, name="Esme Ulmford", reference="INV-61355")


def test_the_first_of_two_postings_is_found_in_the_month_where_it_was_matched():
    august = month("2026-08", [FIRST, AGAIN, CHARGE], ("mt_1", ["txn_1/gross", "gl_PYMT-1018/1"]))
    found = gather_evidence([month("2026-10", [AGAIN]), month("2026-09", [AGAIN]), august], one_break("gl_PYMT-1023/1"))
    told = {row["item_id"]: (row["relation"], row["match_id"]) for row in found.to_dicts()}
    assert told == {"gl_PYMT-1023/1": (OWN, None), "gl_PYMT-1018/1": (REFERENCE, "mt_1"), "txn_1/gross": (REFERENCE, "mt_1")}


def test_a_difference_carried_on_shows_the_match_that_left_it():
    residual = {**stripe("mt_2", -8100, day=AUGUST), "item_id": "mt_2", "side": "residual", "source_id": "", "text": ""}
    left = {**residual, "balance_transaction_id": "", "component": ""}
    august = month("2026-08", [FIRST, CHARGE, left], ("mt_2", ["txn_1/gross", "gl_PYMT-1018/1"]))
    found = gather_evidence([month("2026-10", [left]), august], one_break("mt_2"))
    assert dict(found.select("item_id", "relation").iter_rows()) == {"mt_2": OWN, "txn_1/gross": OWN, "gl_PYMT-1018/1": OWN}


def test_an_item_stands_once_and_as_its_latest_month_has_it():
    settled = month("2026-09", [AGAIN, ledger("RV-1", -37463, "PYMT-1023", name="Esme Ulmford")], ("mt_9", ["gl_PYMT-1023/1", "gl_RV-1/1"]))
    found = gather_evidence([settled, month("2026-08", [AGAIN])], one_break("gl_PYMT-1023/1"))
    assert found.filter(pl.col("item_id") == "gl_PYMT-1023/1")["match_id"].to_list() == ["mt_9"]
