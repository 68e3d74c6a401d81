"""Random reviewers do random things, many of them forbidden: nobody approves their own, and no decision is lost or altered.

What the log must say is worked out here a second time, in plain Python, from the entries' bytes alone.
"""

import json
import random
import shutil
import tempfile
from collections import defaultdict
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from reconciliation.errors import ReconciliationError
from reconciliation.review.decide import DecisionRequest, ShownItem, decide
from reconciliation.review.effects import apply_decisions, decisions_in_force
from reconciliation.review.reviewers import OneTimeCode, active_names, revoke
from reconciliation.review.situation import view_breaks, view_digest
from tests.office import Office, month, one_break

FAST = Path("/dev/shm")  # every entry is flushed to the disk, which a memory disk does for nothing
NAMES = ("anna", "boris", "carla", "dora")
BREAKS = (
    one_break("br_small", ("txn_1/gross", 500)),
    one_break("br_line", ("gl_1/1", 480), kind="missing_in_stripe", cause="unknown_entry", nature="correction", side="ledger"),
    one_break("br_large", ("txn_2/gross", 150_000)),
    one_break("br_moved", ("txn_3/gross", 90), cause="payout_destination_changed", nature="claim"),
    one_break("br_pair", ("txn_4/gross", 60_000), ("txn_4/fee", -50_000), cause="processing_fee", nature="entry"),
)
MATCHED = [("mt_1", "fuzzy", "books", "txn_6/gross", "stripe", 900), ("mt_1", "fuzzy", "books", "gl_6/1", "ledger", 900)]
OCTOBER = month(*BREAKS, package_hash="a" * 64, matched=MATCHED)
CHANGED = month(*BREAKS[1:], one_break("br_small", ("txn_1/gross", 501)), package_hash="b" * 64, matched=MATCHED)
ABOUT = ("accept", "change_cause", "write_off", "post_entry", "claim", "correct_in_erp", "carry_forward")
KINDS = (
    *ABOUT,
    *ABOUT,
    "approve",
    "approve",
    "approve",
    "approve",
    "send_back",
    "undo",
    "match",
    "unmatch",
    "comment",
    "settings",
    "certify",
    "revoke",
    "join",
)
PEOPLE = ["prepared_by", "prepared_at", "approved_by", "approved_at", "decision_reason"]


@pytest.fixture(scope="module")
def office_of_three(tmp_path_factory):
    """An office in which two enrolled themselves and a third was approved."""
    office = Office(tmp_path_factory.mktemp("office"), "anna", "boris", "carla")
    office.decide("approve", "anna", None, targets=(3,))
    return office


@pytest.mark.parametrize("sequences", [200, pytest.param(10_000, marks=pytest.mark.hard)])
def test_no_self_approval_and_no_lost_or_altered_decision(office_of_three, tmp_path, sequences):
    root = FAST if FAST.is_dir() else tmp_path
    written = refused = 0
    for seed in range(sequences):
        with tempfile.TemporaryDirectory(dir=root) as folder:  # A name of its own: another run on this machine may be at the same test.
            shutil.copytree(office_of_three.log.root, Path(folder) / "review")
            done = act_at_random(office_of_three, Path(folder), seed)
        written, refused = written + done[0], refused + done[1]
    assert written > 3 * sequences
    assert refused > 2 * sequences


def act_at_random(template, folder, seed):
    """Do twelve random things; returns how many were written and how many refused."""
    source = random.Random(seed)
    office = object.__new__(Office)
    office.log, office.phones, office.now = type(template.log)(folder / "review", template.log.key), dict(template.phones), template.now
    stale = {name: view_digest(shown) for name, shown in view_breaks(OCTOBER, office.log.entries(), [one["break_id"] for one in BREAKS]).items()}
    written = refused = 0
    for _ in range(12):
        before = stored(office)
        try:
            act(office, source, stale)
        except ReconciliationError:
            refused += 1
            assert stored(office) == before, f"seed {seed}: a refusal changed the log"
        else:
            written += 1
            after = stored(office)
            assert after[: len(before)] == before, f"seed {seed}: an entry was altered"
            assert len(after) == len(before) + 1, f"seed {seed}: not one entry for one act"
    check(office, seed)
    return written, refused


def act(office, source, stale):
    """Do one random thing, in the right way or the wrong one."""
    office.now += timedelta(seconds=source.choice([1, 10, 30, 60]))
    kind, by, situation = source.choice(KINDS), source.choice(NAMES), source.choice([OCTOBER, OCTOBER, OCTOBER, CHANGED])
    phone = office.phones.get(source.choice([by, by, by, by, source.choice(NAMES)]))
    code = OneTimeCode(phone.at(office.now) if phone else "000000")
    if kind == "join":
        office.join(source.choice(NAMES))
        return
    if kind == "revoke":
        revoke(office.log, source.choice(NAMES), by=by, proof=code, reason="left", at=office.now)
        return
    chosen = source.sample([one["break_id"] for one in BREAKS], source.choice([1, 1, 1, 2, 3]))
    is_shown = kind in (*ABOUT, "comment")
    shown = stale if source.random() < 0.1 else office.seen(situation, *chosen) if is_shown else {}
    count = len(stored(office))
    request = DecisionRequest(
        kind=kind,
        by=by,
        proof=code,
        at=office.now,
        shown=shown if is_shown else {},
        reason="seen" if source.random() < 0.95 else "",
        cause=source.choice(["timing", "rounding", "wrong_amount", "nonsense"]),
        targets=tuple(source.sample(range(1, count + 2), source.choice([1, 1, 2]))) if kind in ("approve", "send_back", "undo") else (),
        items=(ShownItem("books", "txn_1/gross", 500), ShownItem("books", "gl_1/1", 480)) if kind == "match" else (),
        match_id="mt_1" if kind == "unmatch" else "",
        role=source.choice(["preparer", "reviewer"]),
        package_hash=source.choice(["a", "b"]) * 64,
        settings={"review.mode": source.choice(["copilot", "autonomous"])},
    )
    decide(office.log, request, situation)


def stored(office):
    """Return the bytes of every entry."""
    return [path.read_bytes() for path in sorted((office.log.root / "entries").iterdir())]


def check(office, seed):
    """Work out from the bytes alone what holds, and compare."""
    entries = {entry["number"]: entry for entry in map(json.loads, stored(office))}
    active, approved, ended, steps = set(), {}, {}, defaultdict(set)
    for entry in entries.values():
        by, kind, body = entry["by"], entry["kind"], entry["body"]
        if kind != "enroll":
            assert by in active, f"seed {seed}: {by} acted without being a reviewer"
        step = body["proof"].get("step")
        assert step not in steps[by], f"seed {seed}: {by}'s code was used twice"
        steps[by].add(step)
        if kind == "enroll" and not body["needs_second"]:
            active.add(body["reviewer"])
        for target in body.get("targets", ()):
            aim = entries[target]
            assert target not in ended, f"seed {seed}: entry {target} was answered after its end"
            if kind == "approve":
                assert by != aim["by"], f"seed {seed}: {by} approved their own entry {target}"
                assert aim["body"]["needs_second"], f"seed {seed}: nothing to approve in {target}"
                assert target not in approved, f"seed {seed}: entry {target} was approved twice"
                approved[target] = by
                if aim["kind"] == "enroll":
                    active.add(aim["body"]["reviewer"])
                if aim["kind"] == "revoke":
                    active.discard(aim["body"]["reviewer"])
            else:
                ended[target] = kind
    assert sorted(active) == active_names(office.log.entries()), f"seed {seed}: other reviewers"
    check_effects(office, entries, approved, ended, seed)


def check_effects(office, entries, approved, ended, seed):
    """Compare what the next run makes of the breaks with the last decision about each."""
    last = {}
    for number, entry in entries.items():
        if entry["kind"] in ABOUT:
            for shown in entry["body"]["shown"]:
                assert needs_two(entry) == bool(entry["body"]["needs_second"]), f"seed {seed}: entry {number} takes two or does not"
                last[tuple((item[0], item[1]) for item in shown["items"])] = number
    rows = [
        {"break_id": one["break_id"], "leg": leg, "item_id": item, "side": side, "amount_minor": amount, **{name: one[name] for name in ("kind", "cause", "nature")}}
        for one in BREAKS for leg, item, side, amount, _, _ in one["items"]
    ]  # fmt: skip
    blank = {**dict.fromkeys(PEOPLE, pl.lit("")), "is_entry_approved": pl.lit(value=False), "is_entry_wanted": pl.lit(value=True)}
    scored = pl.DataFrame(rows).with_columns(disposition=pl.lit("needs_review"), **blank)
    applied = apply_decisions(scored, decisions_in_force(office.log.entries()).decided, period="2026-10")
    for one in BREAKS:
        now = applied.filter(pl.col("break_id") == one["break_id"]).row(0, named=True)
        number = last.get(tuple(sorted((item, amount) for _, item, _, amount, _, _ in one["items"])))
        is_accepted = now["disposition"] in ("cleared_by_reviewer", "written_off", "settled", "confirmed_exception")
        if number is None or number in ended or (needs_two(entries[number]) and number not in approved):
            assert not is_accepted, f"seed {seed}: {one['break_id']} is {now['disposition']} without a decision in force"
        elif not any_live_match(entries, ended, one, number) and one["break_id"] != "br_small":
            assert now["prepared_by"] == entries[number]["by"], f"seed {seed}: the decision about {one['break_id']} is lost"
            assert is_accepted, f"seed {seed}: the decision about {one['break_id']} has no effect"
        if is_accepted and needs_two(entries[number]):
            assert now["approved_by"] == approved[number] != now["prepared_by"], f"seed {seed}: {one['break_id']} was accepted by one"


def any_live_match(entries, ended, one, number):
    """Whether a later match by hand names an item of the break."""
    items = {item for _, item, *_ in one["items"]}
    later = [entry for entry in entries.values() if entry["kind"] == "match" and entry["number"] not in ended]
    return any(items & {row[1] for row in entry["body"]["members"]} for entry in later)


def needs_two(entry):
    """Say whether a decision takes two, by the rules as a person would put them."""
    kind, shown = entry["kind"], entry["body"]["shown"]
    total = sum(abs(item[1]) for one in shown for item in one["items"])
    causes = {item[2] for one in shown for item in one["items"]} | {entry["body"].get("cause", "")}
    grave = "payout_destination_changed" in causes
    declared = (
        kind == "change_cause" and entry["body"]["cause"] in ("timing", "rounding") and causes & {"unknown_entry", "payout_destination_changed", "wrong_amount"}
    )
    return bool(grave or declared or total > 100_000 or (kind == "write_off" and total >= 2_500))
