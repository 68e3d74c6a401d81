import polars as pl
import pytest

from reconciliation.matching.cascade import match_items
from reconciliation.matching.pool import ByHand
from reconciliation.normalize.components import cast_items
from reconciliation.normalize.references import extract_references
from reconciliation.review.decide import ShownItem
from reconciliation.review.effects import apply_decisions, apply_to_matches, decisions_in_force, decisive_entries
from tests.factories import DAY, NO_JOURNALS, items, ledger, stripe
from tests.office import Office, month, one_break

SMALL = one_break("br_small", ("txn_1/gross", 500))
PAIR = one_break("br_pair", ("txn_2/gross", 700), ("txn_2/fee", -20))
DUPLICATE = one_break("br_duplicate", ("gl_9/1", 1_000), kind="duplicate_in_ledger", cause="duplicate_posting", nature="correction", side="ledger")
LARGE = one_break("br_large", ("txn_3/gross", 150_000))
UNKNOWN = one_break("br_unknown", ("gl_8/1", 700), kind="missing_in_stripe", cause="undetermined", nature="", side="ledger")
ALL = (SMALL, PAIR, DUPLICATE, LARGE, UNKNOWN)
MONTH = month(*ALL)
PEOPLE = ["prepared_by", "prepared_at", "approved_by", "approved_at", "decision_reason"]


@pytest.fixture
def office(tmp_path):
    return Office(tmp_path, "anna", "boris")


def scored(*breaks, disposition="needs_review"):
    """Return open items as `score_breaks` leaves them."""
    rows = [
        {
            "break_id": one["break_id"],
            "leg": leg,
            "item_id": item_id,
            "side": side,
            "amount_minor": amount,
            "kind": one["kind"],
            "cause": one["cause"],
            "nature": one["nature"],
        }
        for one in breaks
        for leg, item_id, side, amount, _, _ in one["items"]
    ]
    blank = {**dict.fromkeys(PEOPLE, pl.lit("")), "is_entry_approved": pl.lit(value=False), "is_entry_wanted": pl.lit(value=True)}
    return pl.DataFrame(rows).with_columns(disposition=pl.lit(disposition), **blank)


def after(office, *breaks, period="2026-10", disposition="needs_review"):
    """Return what the next run makes of breaks, by break."""
    applied = apply_decisions(scored(*breaks, disposition=disposition), decisions_in_force(office.log.entries()).decided, period=period)
    assert applied["item_id"].to_list() == [row[1] for one in breaks for row in one["items"]]
    return {row["break_id"]: row for row in applied.to_dicts()}


@pytest.mark.parametrize(
    ("kind", "break_id", "fields", "disposition", "cause", "nature"),
    [
        ("accept", "br_small", {}, "cleared_by_reviewer", "timing", "timing"),
        ("accept", "br_duplicate", {}, "confirmed_exception", "duplicate_posting", "correction"),
        ("change_cause", "br_small", {"cause": "rounding"}, "cleared_by_reviewer", "rounding", "entry"),
        ("change_cause", "br_small", {"cause": "wrong_amount"}, "confirmed_exception", "wrong_amount", "correction"),
        ("write_off", "br_small", {}, "written_off", "timing", "timing"),
        ("post_entry", "br_duplicate", {}, "cleared_by_reviewer", "duplicate_posting", "correction"),
        ("claim", "br_small", {}, "confirmed_exception", "timing", "claim"),
        ("correct_in_erp", "br_duplicate", {"assigned_to": "carla"}, "confirmed_exception", "duplicate_posting", "correction"),
        ("carry_forward", "br_small", {}, "cleared_by_reviewer", "timing", "timing"),
        ("carry_forward", "br_unknown", {}, "needs_review", "undetermined", ""),
    ],
)
def test_what_a_decision_makes_of_a_break(office, kind, break_id, fields, disposition, cause, nature):
    office.decide(kind, "anna", MONTH, break_id, **fields)
    rows = after(office, *ALL)
    now = rows.pop(break_id)
    assert (now["disposition"], now["cause"], now["nature"]) == (disposition, cause, nature)
    assert (now["prepared_by"], now["approved_by"], now["decision_reason"]) == ("anna", "", "looked at the documents")
    assert now["is_entry_approved"] == (kind in ("write_off", "post_entry"))
    assert now["is_entry_wanted"] == (kind not in ("claim", "correct_in_erp", "carry_forward"))
    assert {row["disposition"] for row in rows.values()} == {"needs_review"}


def test_each_item_keeps_its_own_cause(office):
    both = scored(PAIR).with_columns(cause=pl.Series(["timing", "processing_fee"]), nature=pl.Series(["timing", "entry"]))
    situation = month(PAIR)
    own = situation.open_items.with_columns(cause=pl.Series(["timing", "processing_fee"]), nature=pl.Series(["timing", "entry"]))
    office.decide("accept", "anna", type(situation)(**{**vars(situation), "open_items": own}), "br_pair")
    applied = apply_decisions(both, decisions_in_force(office.log.entries()).decided, period="2026-10")
    assert applied.select("item_id", "cause", "nature", "disposition").rows() == [
        ("txn_2/gross", "timing", "timing", "cleared_by_reviewer"),
        ("txn_2/fee", "processing_fee", "entry", "cleared_by_reviewer"),
    ]


def test_what_waits_for_a_second_person_is_shown_so_and_holds_once_approved(office):
    entry = office.decide("accept", "anna", MONTH, "br_large")
    assert after(office, *ALL)["br_large"]["disposition"] == "awaiting_second"
    office.decide("approve", "boris", MONTH, targets=(entry.number,))
    now = after(office, *ALL)["br_large"]
    assert (now["disposition"], now["prepared_by"], now["approved_by"]) == ("cleared_by_reviewer", "anna", "boris")
    assert now["approved_at"] > now["prepared_at"] > "2026-11-03T09"


@pytest.mark.parametrize("answer", ["send_back", "undo"])
def test_what_is_sent_back_or_undone_is_queued_again(office, answer):
    entry = office.decide("accept", "anna", MONTH, "br_large")
    office.decide(answer, "boris", MONTH, targets=(entry.number,), reason="the invoice says otherwise")
    now = after(office, *ALL)["br_large"]
    assert now["disposition"] == "reopened"
    assert f"{answer.replace('_', ' ')} by boris: the invoice says otherwise" in now["decision_reason"]


@pytest.mark.parametrize(
    "changed",
    [
        one_break("br_small", ("txn_1/gross", 501)),
        one_break("br_bigger", ("txn_1/gross", 500), ("txn_1/fee", -10)),
        one_break("br_small", ("txn_1/gross", 500), kind="duplicate_in_stripe"),
        one_break("br_small", ("txn_1/gross", 500), cause="missing_posting", nature="entry"),
    ],
    ids=["another amount", "an item more", "another kind", "it looks like an exception now"],
)
def test_a_changed_break_is_queued_again_as_decided_before(office, changed):
    office.decide("accept", "anna", MONTH, "br_small")
    now = after(office, changed, disposition="auto_cleared")[changed["break_id"]]
    assert now["disposition"] == "reopened"
    assert (now["cause"], now["nature"]) == (changed["cause"], changed["nature"])
    assert now["decision_reason"].startswith("decided before (accept by anna on 2026-11-03, entry 3): looked at the documents; ")


def test_a_part_of_a_decided_break_is_queued_again(office):
    office.decide("accept", "anna", MONTH, "br_pair")
    assert after(office, one_break("br_rest", ("txn_2/fee", -20)))["br_rest"]["disposition"] == "reopened"


def test_a_decision_holds_next_month_and_under_another_id_of_the_break(office):
    office.decide("accept", "anna", MONTH, "br_small")
    renamed = one_break("br_other_id", ("txn_1/gross", 500))
    assert after(office, renamed, period="2026-11")["br_other_id"]["disposition"] == "cleared_by_reviewer"


def test_what_was_carried_forward_is_asked_again_next_month(office):
    office.decide("carry_forward", "anna", MONTH, "br_small")
    now = after(office, SMALL, period="2026-11")["br_small"]
    assert (now["disposition"], "that was for the month" in now["decision_reason"]) == ("reopened", True)


def test_the_last_decision_counts(office):
    office.decide("accept", "anna", MONTH, "br_small")
    last = office.decide("claim", "boris", MONTH, "br_small")
    assert after(office, SMALL)["br_small"]["prepared_by"] == "boris"
    office.decide("undo", "anna", MONTH, targets=(last.number,))
    assert after(office, SMALL)["br_small"]["disposition"] == "reopened"


def test_a_match_across_months_is_settled_by_two(office):
    across = one_break("br_across", ("txn_6/gross", 900), kind="period_difference", cause="posted_after_close", nature="restatement")
    situation = month(across)
    entry = office.decide("accept", "anna", situation, "br_across")
    office.decide("approve", "boris", situation, targets=(entry.number,))
    breaks = situation.breaks.with_columns(disposition=pl.lit("needs_review"), **dict.fromkeys(PEOPLE, pl.lit("")))
    now = apply_to_matches(breaks, situation.items, decisions_in_force(office.log.entries()).decided, period="2026-10")
    assert now.select("disposition", "approved_by").row(0) == ("settled", "boris")


def test_without_decisions_nothing_changes(office):
    before = scored(*ALL)
    assert apply_decisions(before, decisions_in_force(office.log.entries()).decided, period="2026-10").equals(before)


def test_sessions_and_certificates_change_no_package(office):
    office.decide("accept", "anna", MONTH, "br_small")
    before = decisive_entries(office.log.entries(), "2026-10")
    office.session("anna")
    office.decide("certify", "anna", month(SMALL, package_hash="abc"), role="preparer", package_hash="abc")
    office.decide("accept", "anna", month(PAIR, period="2026-11"), "br_pair")
    assert [entry.number for entry in decisive_entries(office.log.entries(), "2026-10")] == [entry.number for entry in before]
    assert len(decisive_entries(office.log.entries(), "2026-11")) == len(office.log.entries())


def match(office, *rows):
    """Match items with what people decided."""
    frame = items(*rows)
    decisions = decisions_in_force(office.log.entries())
    plain = cast_items(frame).drop("reference_text")
    made = match_items(plain, extract_references(frame), cut_off_on=DAY, journals=NO_JOURNALS, hands=ByHand(decisions.by_hand, decisions.apart))
    return made, {frozenset(part["item_id"]) for part in made.members.partition_by("match_id")} if made.members.height else set()


APART_ROWS = (stripe("txn_1", 500, name="Ada"), ledger("D1", 480, "Card sale", name="Zoe"))
SHOWN = (ShownItem("books", "txn_1/gross", 500), ShownItem("books", "gl_D1/1", 480))
HAND_MONTH = month(SMALL, one_break("br_line", ("gl_D1/1", 480), kind="missing_in_stripe", side="ledger"))


def test_what_people_matched_is_matched_and_its_difference_is_an_item(office):
    assert match(office, *APART_ROWS)[1] == set()
    entry = office.decide("match", "anna", HAND_MONTH, items=SHOWN, reason="paid in the shop")
    made, found = match(office, *APART_ROWS)
    assert found == {frozenset({"txn_1/gross", "gl_D1/1"})}
    assert made.residuals.select("amount_minor").rows() == [(20,)]
    assert made.members["strategy"].unique().to_list() == ["matched_by_hand"]
    assert made.members["evidence"][0] == "matched by hand (entry 3, anna): paid in the shop"
    office.decide("undo", "boris", HAND_MONTH, targets=(entry.number,))
    assert match(office, *APART_ROWS)[1] == set()


def test_a_match_of_items_that_changed_is_not_made_and_its_break_says_so(office):
    office.decide("match", "anna", HAND_MONTH, items=SHOWN)
    assert match(office, stripe("txn_1", 501, name="Ada"), APART_ROWS[1])[1] == set()
    now = after(office, one_break("br_line", ("gl_D1/1", 480), kind="missing_in_stripe", side="ledger"))["br_line"]
    assert (now["disposition"], "an item of the match is gone" in now["decision_reason"]) == ("reopened", True)


def test_what_people_took_apart_stays_apart_and_may_go_elsewhere(office):
    rows = (stripe("txn_6", 900, reference="INV-1001"), ledger("D6", 900, "INV-1001"))
    assert match(office, *rows)[1] == {frozenset({"txn_6/gross", "gl_D6/1"})}
    matched = [("mt_1", "exact_reference", "books", "txn_6/gross", "stripe", 900), ("mt_1", "exact_reference", "books", "gl_D6/1", "ledger", 900)]
    office.decide("unmatch", "anna", month(SMALL, matched=matched), match_id="mt_1")
    assert match(office, *rows)[1] == set()
    other = ledger("D7", 900, "INV-1001", name="Ada")
    assert match(office, *rows, other)[1] in ({frozenset({"txn_6/gross", "gl_D7/1"})}, set())
    assert match(office, rows[0], other)[1] == {frozenset({"txn_6/gross", "gl_D7/1"})}
