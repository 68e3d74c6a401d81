"""Disputes and refunds of before the nightly window are read again while they can change, and stand in the lake as they are now."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from reconciliation.connectors.stripe.client import StripeReader
from reconciliation.connectors.stripe.completeness import prove_complete
from reconciliation.connectors.stripe.pull import Pulled, pull_balance_transactions, pull_sources, pull_unsettled_sources
from reconciliation.lake import Lake
from reconciliation.schemas.stripe import BalanceSnapshot, Payout, PayoutMember
from reconciliation.simulation.sandbox import Sandbox, index_account
from reconciliation.simulation.sandbox_server import SandboxServer
from reconciliation.simulation.stripe_objects import StripeObjects

FIRST = datetime(2026, 6, 1, tzinfo=UTC)
Row = dict[str, object]


def at(day: float) -> int:
    return int((FIRST + timedelta(days=day)).timestamp())


def moved(identity: str, day: float, amount: int, *, kind: str, source: str) -> Row:
    return {
        "id": identity, "object": "balance_transaction", "amount": amount, "fee": 0, "net": amount, "fee_details": [], "created": at(day), "available_on": at(day), "currency": "gbp",
        "type": kind, "reporting_category": kind, "balance_type": "payments", "status": "available", "source": source, "description": None,
    }  # fmt: skip


def made(kind: str, identity: str, day: float, status: str, **others: object) -> Row:
    return {"id": identity, "object": kind, "charge": "ch_1", "amount": 700, "currency": "gbp", "created": at(day), "status": status, **others}


OPENED = moved("txn_dp", 11, -700, kind="adjustment", source="dp_1")
WON = moved("txn_won", 130, 700, kind="adjustment", source="dp_1")
CHARGES = [made("charge", f"ch_{n}", n, "succeeded", captured=True) for n in range(1, 4)]
BOOKED = [moved(f"txn_ch_{n}", n, 700, kind="charge", source=f"ch_{n}") for n in range(1, 4)]


def sandbox(*, now: float, transactions: list[Row], disputes: list[Row], refunds: list[Row] | None = None) -> Sandbox:
    others = {name: [] for name in ("payouts", "transfers", "application_fees", "topups", "events")}
    lists = {"balance_transactions": [*BOOKED, *transactions], "charges": CHARGES, "refunds": refunds or [], "disputes": disputes, **others}
    return Sandbox(index_account(StripeObjects("acct_1", lists, {"object": "balance"}, {}, {"id": "acct_1"})), {}, at(now))


def night(answering: Sandbox, folder: Path, *, first: float, last: float) -> None:
    """Pull a window into the lake as the assets do."""
    lake, days = Lake(folder), [(FIRST + timedelta(days=day)).date() for day in range(int(first), int(last))]
    window = {"account": "self", "start": FIRST + timedelta(days=first), "end": FIRST + timedelta(days=last)}

    def filed(pulled: Pulled) -> pl.DataFrame:
        return pulled.frame.with_columns(day=pl.col("created_at").dt.date())

    with SandboxServer(answering) as server:
        reader = StripeReader(key="rk_test_1", api_base=server.url)
        known = lake.read_days("stripe_sources", account="self", last=days[0] - timedelta(days=1), columns=["object", "status", "created_at"])
        transactions, sources = pull_balance_transactions(reader, **window), pull_sources(reader, **window)
        older = pull_unsettled_sources(reader, account="self", known=known, before=window["start"])
    lake.write_days("balance_transactions", account="self", frame=filed(transactions), day_column="day", days=days)
    lake.write_days("stripe_sources", account="self", frame=filed(sources), day_column="day", days=days)
    lake.amend_days("stripe_sources", account="self", frame=filed(older), day_column="day", key=["stripe_account", "source_id"])


def stored(folder: Path) -> dict[str, str]:
    sources = Lake(folder).read_days("stripe_sources", account="self")
    assert sources is not None
    assert sources["source_id"].is_unique().all()
    return dict(sources.select("source_id", "status").rows())


def present(folder: Path) -> tuple[str, str]:
    lake = Lake(folder)
    transactions, sources = (lake.read_days(table, account="self") for table in ("balance_transactions", "stripe_sources"))
    nothing = {"payouts": Payout.create_empty(), "members": PayoutMember.create_empty(), "snapshots": BalanceSnapshot.create_empty()}
    proofs = prove_complete(transactions=transactions, sources=sources, **nothing, complete_through=FIRST + timedelta(days=200))
    [proof] = proofs.filter(check="references_present").to_dicts()
    return proof["result"], proof["reason"]


def test_a_dispute_of_months_ago_that_is_won_is_seen_to_be_won(tmp_path):
    open_one = made("dispute", "dp_1", 11, "under_review", balance_transactions=[OPENED])
    night(sandbox(now=40, transactions=[OPENED], disputes=[open_one]), tmp_path, first=0, last=41)
    assert stored(tmp_path)["dp_1"] == "under_review"
    won = made("dispute", "dp_1", 11, "won", balance_transactions=[OPENED, WON])
    later = sandbox(now=131, transactions=[OPENED, WON], disputes=[won])
    night(later, tmp_path, first=41, last=132)
    assert stored(tmp_path) == {"ch_1": "succeeded", "ch_2": "succeeded", "ch_3": "succeeded", "dp_1": "won"}
    assert present(tmp_path)[0] == "proven"
    sources = Lake(tmp_path).read_days("stripe_sources", account="self")
    assert sources.filter(source_id="dp_1")["balance_transaction_ids"].to_list() == [["txn_dp", "txn_won"]]
    # Once it is decided it is not asked for any more, and nothing changes.
    before = Lake(tmp_path).read_days("stripe_sources", account="self")
    night(later, tmp_path, first=120, last=132)
    assert_frame_equal(Lake(tmp_path).read_days("stripe_sources", account="self"), before, check_row_order=False)


def test_a_reinstatement_that_was_lost_is_named_though_its_dispute_is_old(tmp_path):
    night(
        sandbox(now=40, transactions=[OPENED], disputes=[made("dispute", "dp_1", 11, "under_review", balance_transactions=[OPENED])]),
        tmp_path,
        first=0,
        last=41,
    )
    won = made("dispute", "dp_1", 11, "won", balance_transactions=[OPENED, WON])
    night(sandbox(now=131, transactions=[OPENED], disputes=[won]), tmp_path, first=41, last=132)
    result, reason = present(tmp_path)
    assert (result, "txn_won of dp_1" in reason) == ("failed", True)


def test_the_first_pull_reads_the_disputes_of_before_it_that_may_be_open(tmp_path):
    old = [made("dispute", "dp_old", -100, "needs_response"), made("dispute", "dp_dead", -300, "lost")]
    back = moved("txn_back", 20, 700, kind="adjustment", source="dp_old")
    night(sandbox(now=40, transactions=[back], disputes=old), tmp_path, first=0, last=41)
    assert "dp_old" in stored(tmp_path)
    assert "dp_dead" not in stored(tmp_path)
    assert present(tmp_path)[0] == "proven"


@pytest.mark.parametrize(("before", "now"), [("pending", "failed"), ("requires_action", "succeeded")])
def test_a_refund_that_was_pending_is_followed_to_its_end(tmp_path, before, now):
    night(sandbox(now=40, transactions=[], disputes=[], refunds=[made("refund", "re_1", 5, before)]), tmp_path, first=0, last=41)
    night(sandbox(now=131, transactions=[], disputes=[], refunds=[made("refund", "re_1", 5, now)]), tmp_path, first=41, last=132)
    assert stored(tmp_path)["re_1"] == now


def test_what_is_settled_costs_no_request(tmp_path):
    with SandboxServer(sandbox(now=40, transactions=[], disputes=[])) as server:
        reader = StripeReader(key="rk_test_1", api_base=server.url)
        settled = pl.DataFrame({"object": ["dispute", "refund", "charge"], "status": ["won", "succeeded", "pending"], "created_at": [FIRST] * 3})
        reader.list_pages = None
        older = pull_unsettled_sources(reader, account="self", known=settled, before=FIRST + timedelta(days=30))
    assert older.frame.is_empty()
