"""`reconcile review`: what a person types and reads, with a phone that shows codes."""

import json
from datetime import timedelta

import polars as pl
import pyotp
import pytest
import typer.testing

from assets.cli import review
from assets.cli.main import app
from assets.cli.model import _read_reviewed_pairs
from reconciliation.config import read_settings
from reconciliation.errors import DecisionRefusedError, IdentityRefusedError, InputsMissingError, LockedPeriodError, SettingsError, StaleViewError
from reconciliation.lake import Lake, locked_through, month_scope
from reconciliation.normalize.references import extract_references
from reconciliation.schemas.items import MatchMember
from tests import factories
from tests.office import KEY, START, month, one_break

TOML = """
[entity]
name = "Example Ltd"
timezone = "Europe/London"
currency = "GBP"
[start]
period = "2026-10"
"""
SMALL = one_break("br_small", ("txn_1/gross", 500))
LINE = one_break("br_line", ("gl_1/1", 480), kind="missing_in_stripe", cause="unknown_entry", nature="correction", side="ledger")
LARGE = one_break("br_large", ("txn_2/gross", 150_000))


class Desk:
    """A terminal and the phones of those who sit at it."""

    def __init__(self, monkeypatch):
        self.phones, self.now = {}, START
        monkeypatch.setattr(review, "now", lambda: self.now)
        monkeypatch.setattr(typer, "prompt", self._answer)
        monkeypatch.setattr(review, "tell", self._read)

    def _read(self, text):
        if "otpauth://" in text:
            self.shown = pyotp.parse_uri("otpauth://" + text.partition("otpauth://")[2])

    def _answer(self, question, **_):
        return (self.shown if "shows now" in question else self.phones[self.speaker]).at(self.now)

    def type(self, *words):
        """Run a command a minute later; returns what it printed, read as JSON."""
        self.now += timedelta(minutes=1)
        self.speaker = words[words.index("--by") + 1] if "--by" in words else ""
        command = [] if words[0] == "close" else ["review"]
        result = typer.testing.CliRunner().invoke(app, [*command, *words, "--json"])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    def enroll(self, name, *flags):
        outcome = self.type("enroll", name, *flags)
        self.phones[name] = self.shown
        return outcome


@pytest.fixture
def desk(tmp_path, monkeypatch):
    (tmp_path / "reconciliation.toml").write_text(TOML)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RECONCILIATION_REVIEW_KEY", KEY)
    monkeypatch.delenv("RECONCILIATION_CONFIG", raising=False)
    publish(tmp_path, month(SMALL, LINE, LARGE))
    desk = Desk(monkeypatch)
    desk.enroll("anna", "--first")
    desk.enroll("boris", "--first")
    return desk


def publish(folder, situation):
    """Publish a month as the run does, with the columns that review reads."""
    settings = read_settings(folder / "reconciliation.toml")
    lake = Lake(settings.path(settings.storage.lake))
    blank = dict.fromkeys(["counterparty", "reference", "prepared_by", "suggested_action"], pl.lit(""))
    breaks = situation.breaks.with_columns(
        money_at_risk_minor=pl.col("amount_minor").abs(), age_days=pl.lit(3), disposition=pl.lit("needs_review"), reasons=pl.lit(["it is late"]), **blank
    )
    frames = {"breaks": breaks, "items": situation.items, "open_items": situation.open_items, "members": situation.members}
    facts = {"cut_off_on": "2026-10-31", "model": "exception_classifier/2", "settings_sha256": "0"}
    lake.publish(month_scope("main", "2026-10"), {name: lake.stage(name, frame) for name, frame in frames.items()}, facts=facts)


def test_the_queue_shows_most_money_first_and_what_waits_for_a_second_person(desk):
    listed = desk.type("list", "--period", "2026-10")
    assert [(row["break_id"], row["amount"], row["decided"]) for row in listed["queue"]] == [
        ("br_large", "1500.00", 0),
        ("br_small", "5.00", 0),
        ("br_line", "-4.80", 0),
    ]
    decided = desk.type("decide", "accept", "br_large", "--period", "2026-10", "--by", "anna")
    assert "above 1,000.00" in decided["needs_second"]
    listed = desk.type("list", "--period", "2026-10")
    assert listed["awaiting_second"][0]["entry"] == decided["entry"]
    assert listed["queue"][0]["decided"] == decided["entry"]
    desk.type("decide", "approve", str(decided["entry"]), "--period", "2026-10", "--by", "boris")
    assert desk.type("list", "--period", "2026-10")["awaiting_second"] == []


def test_one_decision_closes_many_and_a_session_saves_codes(desk):
    token = desk.type("decide", "session", "--by", "anna")["session"]
    entry = desk.type("decide", "carry_forward", "br_small", "br_line", "--period", "2026-10", "--by", "anna", "--session", token, "--reason", "next week")
    shown = desk.type("show", str(entry["entry"]), "--period", "2026-10")
    assert [one["break_id"] for one in shown["body"]["shown"]] == ["br_line", "br_small"]
    assert "carry forward by anna" in desk.type("show", "br_small", "--period", "2026-10")["history"][0]


def test_a_root_cause_is_decided_at_once(desk):
    entry = desk.type(
        "decide", "correct_in_erp", "--root-cause", "unknown_entry", "--period", "2026-10", "--by", "anna", "--reason", "double import", "--due", "2026-11-10"
    )
    assert [one["break_id"] for one in desk.type("show", str(entry["entry"]), "--period", "2026-10")["body"]["shown"]] == ["br_line"]


def test_a_view_that_was_read_before_is_refused_once_it_is_stale(desk):
    view = next(row["view"] for row in desk.type("list", "--period", "2026-10")["queue"] if row["break_id"] == "br_small")
    desk.type("decide", "accept", f"br_small@{view}", "--period", "2026-10", "--by", "anna")
    with pytest.raises(StaleViewError, match="br_small"):
        desk.type("decide", "accept", f"br_small@{view}", "--period", "2026-10", "--by", "boris")


def test_items_are_matched_by_name(desk):
    entry = desk.type("decide", "--match", "txn_1/gross", "--match", "gl_1/1", "--period", "2026-10", "--by", "anna", "--reason", "same order")
    assert entry["kind"] == "match"
    with pytest.raises(DecisionRefusedError, match="no open item"):
        desk.type("decide", "--match", "txn_9/gross", "--match", "gl_1/1", "--period", "2026-10", "--by", "anna", "--reason", "x")


def test_the_pair_scorer_learns_from_what_was_matched_by_name(desk, tmp_path):
    texts = factories.items(factories.stripe("txn_1", 500, name="Ada Brown"), factories.ledger("1", 500, "Card sale", name="Ada Brown"))
    tables = {"items": texts.drop("reference_text"), "references": extract_references(texts), "members": MatchMember.create_empty()}
    settings = read_settings(tmp_path / "reconciliation.toml")
    lake, scope = Lake(settings.path(settings.storage.lake)), month_scope("main", "2026-10")
    lake.publish(scope, (lake.tables(scope) or {}) | {name: lake.stage(name, frame) for name, frame in tables.items()}, facts=lake.facts(scope))
    with pytest.raises(InputsMissingError, match="no reviewed matches to learn from"):
        _read_reviewed_pairs(None)
    publish(tmp_path, month(SMALL, LINE, LARGE))
    desk.type("decide", "--match", "txn_1/gross", "--match", "gl_1/1", "--period", "2026-10", "--by", "anna", "--reason", "same order")
    lake.publish(scope, (lake.tables(scope) or {}) | {name: lake.stage(name, frame) for name, frame in tables.items()}, facts=lake.facts(scope))
    assert _read_reviewed_pairs(None).select("name", "is_match").rows() == [("same", True)]


def test_reviewers_come_and_go_with_two(desk):
    asked = desk.enroll("carla")
    assert asked["needs_second"]
    with pytest.raises(IdentityRefusedError, match="waits for another"):
        desk.type("decide", "accept", "br_small", "--period", "2026-10", "--by", "carla")
    desk.type("decide", "approve", str(asked["entry"]), "--by", "boris")
    assert [row["is_active"] for row in desk.type("reviewers")["reviewers"]] == [True, True, True]
    asked = desk.type("revoke", "carla", "--by", "anna", "--reason", "left")
    desk.type("decide", "approve", str(asked["entry"]), "--by", "boris")
    assert [row["is_active"] for row in desk.type("reviewers")["reviewers"]] == [True, True, False]


def test_settings_that_loosen_a_control_take_two(desk):
    asked = desk.type("decide", "settings", "review.mode=copilot", "--by", "anna", "--reason", "two closes in parallel were clean")
    assert asked["needs_second"]
    with pytest.raises(DecisionRefusedError, match="prepared by anna"):
        desk.type("decide", "approve", str(asked["entry"]), "--by", "anna")
    desk.type("decide", "approve", str(asked["entry"]), "--by", "boris")


def test_without_the_key_nothing_is_read_or_decided(desk, monkeypatch):
    monkeypatch.delenv("RECONCILIATION_REVIEW_KEY")
    with pytest.raises(SettingsError, match="RECONCILIATION_REVIEW_KEY is not set"):
        desk.type("list", "--period", "2026-10")
    monkeypatch.setenv("RECONCILIATION_REVIEW_KEY", "short")
    with pytest.raises(SettingsError, match="at least 32"):
        desk.type("list", "--period", "2026-10")


def test_people_read_plain_lines(desk):
    result = typer.testing.CliRunner().invoke(app, ["review", "list", "--period", "2026-10"])
    assert result.stdout.splitlines()[-1] == "3 waiting in 2026-10: 1,500.20 GBP net"
    assert "br_large         1500.00 GBP  timing" in result.stdout


def write_manifest(folder, package):
    place = folder / "data" / "close" / "2026-10" / "latest"
    place.mkdir(parents=True, exist_ok=True)
    (place / "manifest.json").write_text(json.dumps({"package_sha256": package}))


def test_a_package_is_certified_by_two_and_anew_when_it_changes(desk, tmp_path):
    write_manifest(tmp_path, "a" * 64)
    with pytest.raises(StaleViewError, match="not the one that was read"):
        desk.type("close", "certify", "2026-10", "--by", "anna", "--package", "bbbb")
    assert desk.type("close", "certify", "2026-10", "--by", "anna")["missing"] == ["reviewer"]
    write_manifest(tmp_path, "b" * 64)
    with pytest.raises(DecisionRefusedError, match="preparer certifies first"):
        desk.type("close", "certify", "2026-10", "--by", "boris", "--as", "reviewer")
    desk.type("close", "certify", "2026-10", "--by", "anna")
    assert desk.type("close", "certify", "2026-10", "--by", "boris", "--as", "reviewer", "--package", "bbb")["missing"] == []


def test_a_month_is_re_opened_by_two_and_then_by_command(desk, tmp_path):
    lake = Lake(tmp_path / "data" / "lake")
    scope = month_scope("main", "2026-10")
    lake.publish("lock/2026-10/main", lake.tables(scope), facts=lake.facts(scope))
    with pytest.raises(LockedPeriodError, match="nobody has asked"):
        desk.type("close", "unlock", "2026-10")
    asked = desk.type("close", "unlock", "2026-10", "--by", "anna", "--reason", "a late posting")
    with pytest.raises(LockedPeriodError, match="no second person"):
        desk.type("close", "unlock", "2026-10")
    desk.type("decide", "approve", str(asked["entry"]), "--period", "2026-10", "--by", "boris")
    assert desk.type("close", "unlock", "2026-10")["state"] == "open"
    assert locked_through(lake) == ""
