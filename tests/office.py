"""An office for tests of review: reviewers with their phones, a clock that goes on, and a month to decide about."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pyotp

from reconciliation.review.decide import DecisionRequest, decide
from reconciliation.review.log import DecisionLog
from reconciliation.review.reviewers import OneTimeCode, begin_enrollment, enroll, open_session
from reconciliation.review.situation import Limits, Situation, view_breaks, view_digest

KEY = "a-key-for-tests-that-is-long-enough-1234"
START = datetime(2026, 11, 3, 9, 0, tzinfo=UTC)
ITEM_SCHEMA = {"leg": pl.String, "item_id": pl.String, "side": pl.String, "amount_minor": pl.Int64, "currency": pl.String, "book": pl.String}
BREAK_SCHEMA = {
    "break_id": pl.String, "book": pl.String, "leg": pl.String, "kind": pl.String, "cause": pl.String, "nature": pl.String, "amount_minor": pl.Int64,
    "currency": pl.String, "match_id": pl.String, "item_ids": pl.List(pl.String),
}  # fmt: skip


def one_break(break_id, *items, kind="missing_in_ledger", cause="timing", nature="timing", currency="GBP", leg="books", side="stripe", book="main"):
    """Describe a break of `(item_id, amount)` pairs."""
    sign = -1 if side in ("ledger", "bank") else 1
    total = sum(sign * amount for _, amount in items)
    row = {
        "break_id": break_id,
        "book": book,
        "leg": leg,
        "kind": kind,
        "cause": cause,
        "nature": nature,
        "amount_minor": total,
        "currency": currency,
        "match_id": "",
    }
    return {**row, "item_ids": [item_id for item_id, _ in items], "items": [(leg, item_id, side, amount, currency, book) for item_id, amount in items]}


def month(*breaks, period="2026-10", locked_through="", package_hash="", matched=(), four_eyes=100_000, materiality=2_500):
    """Make a month of breaks; `matched` are `(match_id, strategy, leg, item_id, side, amount)`."""
    rows = [row for one in breaks for row in one["items"]]
    rows += [(leg, item_id, side, amount, "GBP", "main") for _, _, leg, item_id, side, amount in matched]
    listed = [{name: one[name] for name in BREAK_SCHEMA} for one in breaks]
    own = [
        {"leg": one["leg"], "item_id": item_id, "cause": one["cause"], "nature": one["nature"]}
        for one in breaks
        if one["kind"] != "period_difference"
        for item_id in one["item_ids"]
    ]
    members = [{"leg": leg, "item_id": item_id, "match_id": match_id, "strategy": strategy} for match_id, strategy, leg, item_id, _, _ in matched]
    text = pl.String
    return Situation(
        period=period,
        breaks=pl.DataFrame(listed, schema=BREAK_SCHEMA),
        items=pl.DataFrame(rows, schema=ITEM_SCHEMA, orient="row"),
        open_items=pl.DataFrame(own, schema=dict.fromkeys(["leg", "item_id", "cause", "nature", "journal_id"], text)),
        members=pl.DataFrame(members, schema=dict.fromkeys(["leg", "item_id", "match_id", "strategy"], text)),
        locked_through=locked_through,
        package_hash=package_hash,
        limits=Limits({"GBP": four_eyes}, {"GBP": materiality}),
        versions={"model": "exception_classifier/2", "settings_sha256": "0" * 64},
    )


class Office:
    """Reviewers at work; every act is a minute after the one before, so that codes are new."""

    def __init__(self, folder, *names):
        self.log = DecisionLog(folder / "review", KEY)
        self.now = START
        self.phones = {}
        for name in names:
            self.join(name)

    def later(self, seconds=60):
        """Let time pass."""
        self.now += timedelta(seconds=seconds)
        return self.now

    def join(self, name):
        """Enroll somebody; the first two at once, others wait."""
        enrollment = begin_enrollment(KEY, name, issuer="Example Ltd")
        phone = pyotp.parse_uri(enrollment.uri)
        is_first = len(self.phones) < 2
        entry = enroll(self.log, enrollment, code=phone.at(self.later()), at=self.now, is_bootstrap=is_first)
        self.phones[name] = phone
        return entry

    def code(self, name):
        """Return what somebody's phone shows now."""
        return OneTimeCode(self.phones[name].at(self.now))

    def session(self, name):
        """Open a session."""
        self.later()
        return open_session(self.log, name, self.code(name), at=self.now)[1]

    def seen(self, situation, *break_ids):
        """Return what somebody sees of breaks now, as a form carries it."""
        return {break_id: view_digest(shown) for break_id, shown in view_breaks(situation, self.log.entries(), break_ids).items()}

    def decide(self, kind, by, situation, *break_ids, proof=None, **fields):
        """Decide about breaks as they stand, with a fresh code unless told otherwise."""
        self.later()
        fields.setdefault("reason", "looked at the documents")
        shown = fields.pop("shown", None) or (self.seen(situation, *break_ids) if situation else {})
        request = DecisionRequest(kind=kind, by=by, proof=proof or self.code(by), at=self.now, shown=shown, **fields)
        return decide(self.log, request, situation)
