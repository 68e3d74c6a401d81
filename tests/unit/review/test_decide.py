import pytest

from reconciliation.errors import DecisionRefusedError, IdentityRefusedError, LockedPeriodError, StaleViewError
from reconciliation.review.decide import ShownItem, approved_unlocks, certifications
from reconciliation.review.reviewers import active_names, revoke
from reconciliation.review.standing import find_standings, waiting_for_second
from tests.office import Office, month, one_break

SMALL = one_break("br_small", ("txn_1/gross", 500))
LARGE = one_break("br_large", ("txn_2/gross", 150_000))
DUPLICATE = one_break("br_duplicate", ("gl_9/1", 4_000), kind="duplicate_in_ledger", cause="duplicate_posting", nature="correction", side="ledger")
UNKNOWN = one_break("br_unknown", ("gl_8/1", 700), kind="missing_in_stripe", cause="undetermined", nature="", side="ledger")
MOVED = one_break("br_moved", ("txn_5/gross", 100), cause="payout_destination_changed", nature="claim")
MONTH = month(SMALL, LARGE, DUPLICATE, UNKNOWN, MOVED)


@pytest.fixture
def office(tmp_path):
    return Office(tmp_path, "anna", "boris")


def state(office, entry):
    return find_standings(office.log.entries())[entry.number].state


def test_a_small_expected_difference_takes_one_person(office):
    entry = office.decide("accept", "anna", MONTH, "br_small")
    assert entry.body["needs_second"] == ""
    assert state(office, entry) == "in_force"
    assert entry.body["shown"][0]["items"] == [["txn_1/gross", 500, "timing", "timing"]]
    assert (entry.body["period"], entry.body["versions"]["model"]) == ("2026-10", "exception_classifier/2")


@pytest.mark.parametrize(
    ("kind", "break_id", "fields", "why"),
    [
        ("accept", "br_large", {}, "1,500.00 GBP gross is above 1,000.00"),
        ("accept", "br_moved", {}, "payout destination changed is always seen by two"),
        ("change_cause", "br_duplicate", {"cause": "timing"}, "declared an expected difference"),
        ("write_off", "br_duplicate", {}, "a write-off of 40.00 GBP is material"),
        ("write_off", "br_small", {}, ""),
        ("change_cause", "br_duplicate", {"cause": "wrong_amount"}, ""),
        ("change_cause", "br_small", {"cause": "posted_after_close"}, "posted after close is always seen by two"),
    ],
)
def test_what_takes_two(office, kind, break_id, fields, why):
    entry = office.decide(kind, "anna", MONTH, break_id, **fields)
    assert why in entry.body["needs_second"]
    assert bool(why) == bool(entry.body["needs_second"])
    assert state(office, entry) == ("awaiting" if why else "in_force")


def test_two_large_items_that_cancel_are_not_small(office):
    pair = one_break("br_pair", ("txn_7/gross", 90_000), ("txn_8/gross", -90_000))
    assert "1,800.00" in office.decide("accept", "anna", month(pair), "br_pair").body["needs_second"]


def test_many_small_ones_together_are_not_small(office):
    many = [one_break(f"br_{n:03}", (f"txn_{n}/gross", 900)) for n in range(150)]
    situation = month(*many)
    assert office.decide("accept", "anna", situation, *(one["break_id"] for one in many[:100])).body["needs_second"] == ""
    assert "405.00" not in office.decide("accept", "anna", situation, *(one["break_id"] for one in many[100:])).body["needs_second"]
    again = month(*many, four_eyes=89_999)
    assert "900.00 GBP gross is above 899.99" in office.decide("accept", "anna", again, *(one["break_id"] for one in many[:100])).body["needs_second"]


def test_a_currency_without_a_rate_takes_two(office):
    assert "no rate" in office.decide("accept", "anna", month(one_break("br_x", ("txn_1/gross", 1), currency="XAU")), "br_x").body["needs_second"]


def test_the_second_person_is_another_and_has_a_fresh_code(office):
    entry = office.decide("accept", "anna", MONTH, "br_large")
    with pytest.raises(DecisionRefusedError, match="was prepared by anna"):
        office.decide("approve", "anna", MONTH, targets=(entry.number,))
    with pytest.raises(IdentityRefusedError, match="fresh one-time code"):
        office.decide("approve", "boris", MONTH, targets=(entry.number,), proof=office.session("boris"))
    approval = office.decide("approve", "boris", MONTH, targets=(entry.number,))
    assert state(office, entry) == "in_force"
    with pytest.raises(DecisionRefusedError, match="does not wait"):
        office.decide("approve", "boris", MONTH, targets=(entry.number,))
    with pytest.raises(DecisionRefusedError, match="no decision"):
        office.decide("approve", "boris", MONTH, targets=(approval.number,))


def test_a_name_in_capitals_is_the_same_person(office):
    entry = office.decide("accept", "anna", MONTH, "br_large")
    office.phones["ANNA"] = office.phones["anna"]
    with pytest.raises(DecisionRefusedError, match="was prepared by anna"):
        office.decide("approve", "ANNA", MONTH, targets=(entry.number,))


def test_a_session_prepares_fifty_decisions(office):
    many = [one_break(f"br_{n:03}", (f"txn_{n}/gross", 100 + n)) for n in range(50)]
    token = office.session("anna")
    for one in many:
        office.now = office.now.replace(second=0)
        office.later(-59)
        office.decide("accept", "anna", month(*many), one["break_id"], proof=token)
    assert sum(entry.kind == "accept" for entry in office.log.entries()) == 50


def test_a_material_write_off_takes_a_fresh_code(office):
    with pytest.raises(IdentityRefusedError, match="fresh one-time code"):
        office.decide("write_off", "anna", MONTH, "br_duplicate", proof=office.session("anna"))
    office.decide("write_off", "anna", MONTH, "br_small", proof=office.session("anna"))


@pytest.mark.parametrize(
    "changed",
    [
        one_break("br_small", ("txn_1/gross", 501)),
        one_break("br_small", ("txn_1/gross", 500), ("txn_1/fee", -10)),
        one_break("br_small", ("txn_1/gross", 500), cause="missing_posting", nature="entry"),
        one_break("br_small", ("txn_1/gross", 500), kind="duplicate_in_stripe"),
        one_break("br_other", ("txn_1/gross", 500)),
    ],
    ids=["amount", "items", "cause", "kind", "gone"],
)
def test_a_stale_view_is_refused_and_named(office, changed):
    seen = office.seen(MONTH, "br_small", "br_large")
    before = len(office.log.entries())
    with pytest.raises(StaleViewError, match="br_small"):
        office.decide("accept", "anna", month(changed, LARGE), shown=seen)
    assert len(office.log.entries()) == before


def test_a_view_from_before_a_colleagues_decision_is_stale(office):
    seen = office.seen(MONTH, "br_small")
    office.decide("accept", "anna", MONTH, "br_small")
    with pytest.raises(StaleViewError, match="entry 3 of the log decided"):
        office.decide("write_off", "boris", MONTH, shown=seen)
    entry = office.decide("write_off", "boris", MONTH, "br_small")
    assert entry.body["shown"][0]["decided"] == 3


def test_what_waits_for_a_second_person_is_not_overtaken(office):
    entry = office.decide("accept", "anna", MONTH, "br_large")
    with pytest.raises(DecisionRefusedError, match=r"br_large \(entry 3\): a decision waits"):
        office.decide("claim", "boris", MONTH, "br_large")
    office.decide("send_back", "boris", MONTH, targets=(entry.number,))
    assert state(office, entry) == "sent_back"
    office.decide("claim", "boris", MONTH, "br_large")


def test_an_approval_of_what_has_changed_is_refused(office):
    entry = office.decide("accept", "anna", MONTH, "br_large")
    with pytest.raises(StaleViewError, match="changed since it was prepared"):
        office.decide("approve", "boris", month(one_break("br_large", ("txn_2/gross", 150_001))), targets=(entry.number,))
    office.decide("approve", "boris", month(LARGE, period="2026-11"), targets=(entry.number,))


def test_an_undo_is_an_entry_of_its_own_and_only_once(office):
    entry = office.decide("accept", "anna", MONTH, "br_small")
    undo = office.decide("undo", "boris", MONTH, targets=(entry.number,))
    assert state(office, entry) == "undone"
    assert office.log.entries()[entry.number - 1] == entry
    for target in (entry, undo):
        with pytest.raises(DecisionRefusedError):
            office.decide("undo", "anna", MONTH, targets=(target.number,))


@pytest.mark.parametrize("kind", ["write_off", "change_cause", "claim", "correct_in_erp", "carry_forward"])
def test_a_judgment_says_why(office, kind):
    with pytest.raises(DecisionRefusedError, match="say why"):
        office.decide(kind, "anna", MONTH, "br_small", reason="  ", cause="fx")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "aprove"}, "did you mean 'approve'"),
        ({"kind": "enroll"}, "no decision"),
        ({"kind": "change_cause", "cause": "roundin"}, "did you mean 'rounding'"),
        ({"kind": "accept", "reason": "x" * 4001}, "4001 characters"),
        ({"kind": "accept", "reason": "\x00"}, "cannot be printed"),
    ],
)
def test_what_is_asked_wrongly_is_refused(office, fields, message):
    fields = dict(fields)
    with pytest.raises(DecisionRefusedError, match=message):
        office.decide(fields.pop("kind"), "anna", MONTH, "br_small", **fields)


def test_nobody_accepts_what_nobody_knows(office):
    with pytest.raises(DecisionRefusedError, match="nobody knows the cause"):
        office.decide("accept", "anna", MONTH, "br_unknown")
    office.decide("change_cause", "anna", MONTH, "br_unknown", cause="unknown_entry")


def test_a_locked_month_is_not_decided_about(office):
    with pytest.raises(LockedPeriodError, match="2026-10 is locked"):
        office.decide("accept", "anna", month(SMALL, locked_through="2026-10"), "br_small")
    office.decide("comment", "anna", month(SMALL, locked_through="2026-10"), "br_small")


def test_a_stranger_and_a_revoked_reviewer_decide_nothing(office):
    office.join("carla")
    with pytest.raises(IdentityRefusedError, match="waits for another"):
        office.decide("accept", "carla", MONTH, "br_small")
    asked = waiting_for_second(office.log.entries())[0].entry
    with pytest.raises(DecisionRefusedError, match="prepared by carla"):
        office.decide("approve", "carla", None, targets=(asked.number,))
    office.decide("approve", "anna", None, targets=(asked.number,))
    office.decide("accept", "carla", MONTH, "br_small")
    asked = revoke(office.log, "carla", by="anna", proof=(office.later(), office.code("anna"))[1], reason="left", at=office.now)
    with pytest.raises(DecisionRefusedError, match="prepared by anna"):
        office.decide("approve", "anna", None, targets=(asked.number,))
    office.decide("approve", "boris", None, targets=(asked.number,))
    assert active_names(office.log.entries()) == ["anna", "boris"]
    with pytest.raises(IdentityRefusedError, match="revoked"):
        office.decide("accept", "carla", MONTH, "br_duplicate")


def test_a_lost_phone_is_replaced_with_anothers_approval(office):
    office.join("anna")
    office.decide("approve", "boris", None, targets=(waiting_for_second(office.log.entries())[0].entry.number,))
    office.decide("accept", "anna", MONTH, "br_small")


def test_what_clears_by_itself_has_no_entry_to_post(office):
    with pytest.raises(DecisionRefusedError, match="no entry is proposed"):
        office.decide("post_entry", "anna", MONTH, "br_small")
    office.decide("post_entry", "anna", MONTH, "br_duplicate")


def test_an_opening_difference_is_written_off_and_nobody_is_asked(office):
    opening = month(one_break("br_opening", ("open_1050_GBP", -1_200), kind="opening_difference", cause="opening_difference", nature="", side="opening"))
    for kind, message in (("claim", "nobody to ask"), ("correct_in_erp", "nobody to ask"), ("post_entry", "no entry is proposed")):
        with pytest.raises(DecisionRefusedError, match=message):
            office.decide(kind, "anna", opening, "br_opening")
    office.decide("write_off", "anna", opening, "br_opening")


def test_entries_are_for_the_books(office):
    payout = one_break("br_payout", ("po_1", 500), leg="cash", kind="payout_not_in_bank", cause="missing_settlement", nature="claim")
    for kind in ("write_off", "post_entry"):
        with pytest.raises(DecisionRefusedError, match="between payout and bank"):
            office.decide(kind, "anna", month(payout), "br_payout")
    office.decide("claim", "anna", month(payout), "br_payout")


LINE = one_break("br_line", ("gl_1/1", 500), kind="missing_in_stripe", side="ledger")
OTHER = one_break("br_usd", ("txn_3/gross", 500), currency="USD")
MATCHED = [("mt_1", "exact_reference", "books", "txn_6/gross", "stripe", 900), ("mt_1", "exact_reference", "books", "gl_6/1", "ledger", 900)]
OPEN = month(SMALL, LINE, OTHER, LARGE, matched=MATCHED)


def shown(*names):
    known = {"s": ("txn_1/gross", 500), "l": ("gl_1/1", 500), "u": ("txn_3/gross", 500), "L": ("txn_2/gross", 150_000), "m": ("txn_6/gross", 900)}
    return tuple(ShownItem("books", *known[name]) for name in names)


def test_a_match_by_hand_takes_what_is_open_on_both_sides(office):
    entry = office.decide("match", "anna", OPEN, items=shown("s", "l"))
    assert entry.body["members"] == [["books", "gl_1/1", 500, "ledger"], ["books", "txn_1/gross", 500, "stripe"]]
    assert (entry.body["difference_minor"], entry.body["needs_second"]) == (0, "")
    with pytest.raises(DecisionRefusedError, match="matched by hand before"):
        office.decide("match", "boris", OPEN, items=shown("L", "l"))
    office.decide("undo", "anna", OPEN, targets=(entry.number,))
    assert "above" in office.decide("match", "anna", OPEN, items=shown("L", "l")).body["needs_second"]


@pytest.mark.parametrize(
    ("names", "message"),
    [("s", "at least two"), ("ss", "at least two different"), ("su", "one currency"), ("sL", "cancel exactly"), ("sm", "not open any more")],
)
def test_what_does_not_belong_together_is_not_matched(office, names, message):
    with pytest.raises(DecisionRefusedError, match=message):
        office.decide("match", "anna", OPEN, items=shown(*names))


def test_a_pair_does_not_cross_sign(office):
    credit = one_break("br_credit", ("gl_2/1", -500), kind="missing_in_stripe", side="ledger")
    with pytest.raises(DecisionRefusedError, match="wrong sign"):
        office.decide("match", "anna", month(SMALL, credit), items=(*shown("s"), ShownItem("books", "gl_2/1", -500)))


def test_a_match_of_other_amounts_than_shown_is_refused(office):
    with pytest.raises(StaleViewError):
        office.decide("match", "anna", OPEN, items=(ShownItem("books", "txn_1/gross", 499), *shown("l")))


def test_a_match_is_taken_apart_as_it_was_shown(office):
    entry = office.decide("unmatch", "anna", OPEN, match_id="mt_1", items=(ShownItem("books", "txn_6/gross", 900), ShownItem("books", "gl_6/1", 900)))
    assert [row[1] for row in entry.body["members"]] == ["gl_6/1", "txn_6/gross"]
    with pytest.raises(StaleViewError, match="not those that were shown"):
        office.decide("unmatch", "anna", OPEN, match_id="mt_1", items=shown("m"))
    with pytest.raises(StaleViewError, match="no such match"):
        office.decide("unmatch", "anna", OPEN, match_id="mt_2")


def test_a_package_is_certified_by_two_the_preparer_first(office):
    now = month(SMALL, package_hash="abc")
    with pytest.raises(DecisionRefusedError, match="preparer certifies first"):
        office.decide("certify", "boris", now, role="reviewer", package_hash="abc")
    office.decide("certify", "anna", now, role="preparer", package_hash="abc")
    with pytest.raises(DecisionRefusedError, match="another reviewer"):
        office.decide("certify", "anna", now, role="reviewer", package_hash="abc")
    with pytest.raises(StaleViewError, match="not the one that was read"):
        office.decide("certify", "boris", now, role="reviewer", package_hash="abd")
    office.decide("certify", "boris", now, role="reviewer", package_hash="abc")
    signed = certifications(office.log.entries(), "2026-10", "abc")
    assert {role: entry.by for role, entry in signed.items()} == {"preparer": "anna", "reviewer": "boris"}
    assert certifications(office.log.entries(), "2026-10", "abd") == {}


def test_a_month_is_re_opened_by_two_from_the_last_one_back(office):
    with pytest.raises(LockedPeriodError, match="from the last one back"):
        office.decide("unlock", "anna", month(SMALL, period="2026-09", locked_through="2026-10"))
    locked = month(SMALL, locked_through="2026-10")
    entry = office.decide("unlock", "anna", locked)
    assert approved_unlocks(office.log.entries(), "2026-10") == []
    with pytest.raises(DecisionRefusedError, match="asks to re-open it already"):
        office.decide("unlock", "boris", locked)
    office.decide("approve", "boris", locked, targets=(entry.number,))
    assert [one.entry for one in approved_unlocks(office.log.entries(), "2026-10")] == [entry]
