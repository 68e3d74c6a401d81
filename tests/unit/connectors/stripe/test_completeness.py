"""A short pull is noticed and its gap named; what cannot be proven is called unproven, never proven."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from reconciliation.connectors.stripe.completeness import prove_complete, require_complete
from reconciliation.errors import IncompletePullError
from reconciliation.schemas.stripe import BalanceSnapshot, BalanceTransaction, Payout, PayoutMember, StripeSource

DAY_ZERO = datetime(2026, 9, 1, tzinfo=UTC)
Frames = dict[str, pl.DataFrame]


def day(number: float) -> datetime:
    return DAY_ZERO + timedelta(days=number)


def transactions(*rows: dict[str, object]) -> pl.DataFrame:
    defaults = {
        "stripe_account": "self",
        "fee_minor": 0,
        "fee_tax_minor": 0,
        "withheld_tax_minor": 0,
        "application_fee_minor": 0,
        "fee_details_minor": 0,
        "currency": "GBP",
        "type": "charge",
        "reporting_category": "charge",
        "balance_type": "payments",
        "status": "available",
        "source_id": None,
        "description": "",
    }
    filled = [{**defaults, "available_at": row["created_at"] + timedelta(days=2), "net_minor": row["amount_minor"], **row} for row in rows]  # type: ignore[operator]
    return BalanceTransaction.validate(pl.DataFrame(filled, schema=BalanceTransaction.create_empty().schema) if filled else BalanceTransaction.create_empty())


def payouts(*rows: dict[str, object]) -> pl.DataFrame:
    defaults = {"stripe_account": "self", "currency": "GBP", "is_automatic": True, "method": "standard", "status": "paid", "reconciliation_status": "completed"}
    filled = [{**defaults, "arrival_on": row["created_at"].date(), **row} for row in rows]  # type: ignore[attr-defined]
    return Payout.validate(pl.DataFrame(filled, schema=Payout.create_empty().schema))


def sources(*rows: dict[str, object]) -> pl.DataFrame:
    defaults = {
        "stripe_account": "self",
        "object": "charge",
        "counterparty": "",
        "description": "",
        "references": [],
        "status": "succeeded",
        "presentment_currency": "GBP",
    }
    return StripeSource.validate(pl.DataFrame([{**defaults, **row} for row in rows], schema=StripeSource.create_empty().schema))


def snapshots(*rows: tuple[datetime, str, str, int]) -> pl.DataFrame:
    filled = [
        {"stripe_account": "self", "taken_at": at, "currency": currency, "balance_type": kind, "amount_minor": amount} for at, currency, kind, amount in rows
    ]
    return BalanceSnapshot.validate(pl.DataFrame(filled, schema=BalanceSnapshot.create_empty().schema))


def charge(number: int) -> dict[str, object]:
    return {"balance_transaction_id": f"txn_{number}", "created_at": day(number), "amount_minor": 100, "source_id": f"ch_{number}"}


@pytest.fixture
def month() -> Frames:
    """Forty days with a charge of 1.00 each; every tenth day a payout of the charges up to two days before it; a snapshot on days 30 and 39."""
    rows = [charge(number) for number in range(40)]
    members, paid, last = [], [], 0
    for number in (10, 20, 30):
        lines = range(last, number - 2)
        own = {
            "balance_transaction_id": f"txn_po_{number}",
            "created_at": day(number),
            "amount_minor": -100 * len(lines),
            "type": "payout",
            "source_id": f"po_{number}",
        }
        rows.append({**own, "reporting_category": "payout", "available_at": day(number + 3)})
        paid.append({"payout_id": f"po_{number}", "amount_minor": 100 * len(lines), "created_at": day(number), "balance_transaction_id": f"txn_po_{number}"})
        members += [("self", f"po_{number}", f"txn_{line}") for line in lines] + [("self", f"po_{number}", f"txn_po_{number}")]
        last = number - 2
    return {
        "transactions": transactions(*rows),
        "payouts": payouts(*paid),
        "members": pl.DataFrame(members, schema=PayoutMember.create_empty().schema, orient="row"),
        "sources": sources(*({"source_id": f"ch_{number}", "created_at": day(number), "charge_id": f"ch_{number}"} for number in range(40))),
        "snapshots": snapshots((day(30.5), "GBP", "payments", 300), (day(39.5), "GBP", "payments", 1200)),
    }


def prove(frames: Frames, **changes: pl.DataFrame) -> dict[str, tuple[str, str]]:
    """Return check -> result, reason of the payments balance in GBP."""
    proofs = prove_complete(**{**frames, **changes}, complete_through=day(40))
    return {
        check: (result, reason) for check, result, reason in proofs.filter(currency="GBP", balance_type="payments").select("check", "result", "reason").rows()
    }


def without(frame: pl.DataFrame, column: str, value: str) -> pl.DataFrame:
    assert value in frame[column].to_list()
    return frame.filter(pl.col(column) != value)


def test_a_whole_pull_is_proven_through_its_end(month):
    proofs = prove_complete(**month, complete_through=day(40))
    assert proofs.select("check", "result", "complete_through").rows() == [
        ("balance_rolls_forward", "proven", day(39.5)),
        ("payouts_equal_lines", "proven", day(40)),
        ("references_present", "proven", day(40)),
    ]
    require_complete(proofs, accept_incomplete=False)


@pytest.mark.parametrize("number", [0, 1, 12, 25, 29, 38])
def test_every_lost_charge_transaction_is_named(month, number):
    proofs = prove(month, transactions=without(month["transactions"], "balance_transaction_id", f"txn_{number}"))
    assert any(f"_{number}" in reason for _, reason in proofs.values())
    if number >= 8:
        assert "failed" in {result for result, _ in proofs.values()}


def test_a_lost_line_fails_the_payout_and_names_both(month):
    proofs = prove(month, transactions=without(month["transactions"], "balance_transaction_id", "txn_12"))
    assert proofs["payouts_equal_lines"] == ("failed", "payouts with lines checked: 3; payouts with lines that were not pulled (1): po_20")
    assert "txn_12 of po_20" in proofs["references_present"][1]


def test_a_line_that_may_be_older_than_the_pull_leaves_the_payout_unproven(month):
    later = month["transactions"].filter(pl.col("created_at") >= day(5))
    proofs = prove(month, transactions=later, sources=month["sources"].filter(pl.col("created_at") >= day(5)))
    assert proofs["payouts_equal_lines"][0] == "unproven"
    assert "may be older than the earliest transaction pulled (1): po_10" in proofs["payouts_equal_lines"][1]
    assert proofs["references_present"][0] == "unproven"


def test_a_payout_older_than_the_pull_is_noted_and_leaves_the_check_proven(month):
    later = {name: month[name].filter(pl.col("created_at") >= day(10.5)) for name in ("transactions", "sources")}
    result, reason = prove(month, **later)["references_present"]
    assert "transactions of payouts older than the earliest transaction pulled (1): txn_po_10 of po_10" in reason
    assert result == "unproven"
    newer = {
        **later,
        "payouts": month["payouts"].filter(pl.col("payout_id") != "po_20"),
        "transactions": without(later["transactions"], "balance_transaction_id", "txn_po_20"),
    }
    assert "payouts older than the earliest transaction pulled, not compared (1): po_10" in prove(month, **newer)["payouts_equal_lines"][1]


def test_a_payout_of_another_amount_than_its_lines_is_named_with_both(month):
    wrong = month["payouts"].with_columns(amount_minor=pl.when(pl.col("payout_id") == "po_20").then(999).otherwise("amount_minor"))
    assert "po_20 (9.99 GBP against 10.00 GBP)" in prove(month, payouts=wrong)["payouts_equal_lines"][1]


def test_a_payout_without_any_line_fails(month):
    assert prove(month, members=month["members"].filter(pl.col("payout_id") != "po_20"))["payouts_equal_lines"][0] == "failed"


def test_manual_and_unfinished_payouts_have_no_lines_to_compare(month):
    open_payouts = month["payouts"].with_columns(reconciliation_status=pl.lit("in_progress"))
    assert prove(month, payouts=open_payouts, members=month["members"].clear())["payouts_equal_lines"] == ("proven", "payouts with lines checked: 0")


def test_a_negative_payout_equals_its_lines(month):
    refund = {"balance_transaction_id": "txn_r", "created_at": day(32), "amount_minor": -500, "type": "refund", "source_id": "re_1"}
    own = {"balance_transaction_id": "txn_po_33", "created_at": day(33), "amount_minor": 500, "type": "payout", "source_id": "po_33"}
    paid = payouts({"payout_id": "po_33", "amount_minor": -500, "created_at": day(33), "balance_transaction_id": "txn_po_33"})
    lines = pl.DataFrame([("self", "po_33", "txn_r"), ("self", "po_33", "txn_po_33")], schema=PayoutMember.create_empty().schema, orient="row")
    made = sources({"source_id": "re_1", "object": "refund", "created_at": day(32)})
    proofs = prove(
        {
            name: pl.concat([month[name], more])
            for name, more in {"transactions": transactions(refund, own), "payouts": paid, "members": lines, "sources": made}.items()
        }
        | {"snapshots": month["snapshots"]}
    )
    assert {result for result, _ in proofs.values()} == {"proven"}


@pytest.mark.parametrize(
    ("column", "told"), [("balance_transaction_id", "txn_lost of po_20"), ("failure_balance_transaction_id", "txn_lost of po_20")], ids=["paid out", "returned"]
)
def test_a_payouts_own_transactions_must_be_there(month, column, told):
    pointing = month["payouts"].with_columns(pl.when(pl.col("payout_id") == "po_20").then(pl.lit("txn_lost")).otherwise(column).alias(column))
    result, reason = prove(month, payouts=pointing)["references_present"]
    assert result == "failed"
    assert told in reason


def test_a_lost_source_is_named_and_fails_when_it_cannot_be_older(month):
    assert prove(month, sources=without(month["sources"], "source_id", "ch_20"))["references_present"] == (
        "failed",
        "transactions checked: 43; sources that were not pulled (1): ch_20 of txn_20",
    )
    assert prove(month, sources=without(month["sources"], "source_id", "ch_3"))["references_present"][0] == "unproven"


def test_a_late_movement_may_point_at_something_older_than_the_pull(month):
    won = transactions({"balance_transaction_id": "txn_won", "created_at": day(39), "amount_minor": 0, "type": "adjustment", "source_id": "dp_1"})
    result, reason = prove(month, transactions=pl.concat([month["transactions"], won]))["references_present"]
    assert result == "unproven"
    assert "dp_1 of txn_won" in reason


def test_sources_of_kinds_that_are_not_pulled_are_not_asked_for(month):
    fee = transactions({"balance_transaction_id": "txn_fee", "created_at": day(39), "amount_minor": 0, "type": "stripe_fee", "source_id": "iauth_1"})
    assert prove(month, transactions=pl.concat([month["transactions"], fee]))["references_present"][0] == "proven"


def test_a_charge_that_took_no_money_needs_no_transaction(month):
    more = sources(
        *(
            {"source_id": f"ch_{status}", "created_at": day(20), "charge_id": None, "status": status, "presentment_currency": "USD"}
            for status in ("failed", "uncaptured", "pending")
        ),
        {"source_id": "ch_now", "created_at": day(39.9), "charge_id": None},
    )
    assert prove(month, sources=pl.concat([month["sources"], more]))["references_present"][0] == "proven"


@pytest.mark.parametrize("kind", ["refund", "dispute", "transfer", "application_fee", "topup"])
def test_an_object_whose_own_transaction_is_missing_is_named(month, kind):
    made = {"source_id": f"{kind}_1", "object": kind, "created_at": day(20), "balance_transaction_ids": ["txn_21", "txn_gone"]}
    result, reason = prove(month, sources=pl.concat([month["sources"], sources(made)]))["references_present"]
    assert result == "failed"
    assert f"transactions of objects that were not pulled (1): txn_gone of {kind}_1" in reason


def test_what_an_object_names_may_come_after_the_pull(month):
    made = {"source_id": "re_late", "object": "refund", "created_at": day(39.5), "balance_transaction_ids": ["txn_later"]}
    assert prove(month, sources=pl.concat([month["sources"], sources(made)]))["references_present"][0] == "proven"


def test_a_charge_in_a_currency_the_balance_has_not_is_still_named(month):
    more = sources({"source_id": "ch_usd", "created_at": day(20), "charge_id": None, "presentment_currency": "USD"})
    assert "ch_usd" in prove(month, sources=pl.concat([month["sources"], more]))["references_present"][1]


def test_at_most_ten_ids_are_named_and_all_are_counted(month):
    lost = month["sources"].filter(~pl.col("created_at").is_between(day(20), day(34)))
    _, reason = prove(month, sources=lost)["references_present"]
    assert "(15): ch_20 of txn_20" in reason
    assert reason.count(" of txn_") == 10
    assert reason.endswith(", …")


def test_a_balance_that_does_not_roll_forward_fails_with_both_amounts(month):
    off = snapshots((day(30.5), "GBP", "payments", 300), (day(39.5), "GBP", "payments", 1199))
    result, reason = prove(month, snapshots=off)["balance_rolls_forward"]
    assert result == "failed"
    assert reason == "from 2026-10-01T12:00:00Z to 2026-10-10T12:00:00Z the balance moved by 8.99 GBP, the transactions created in between by 9.00 GBP"


def test_one_wrong_pair_among_many_snapshots_fails(month):
    rows = [(day(30.5), "GBP", "payments", 300), (day(32.5), "GBP", "payments", 501), (day(39.5), "GBP", "payments", 1200)]
    assert prove(month, snapshots=snapshots(*rows))["balance_rolls_forward"][0] == "failed"


def test_the_first_snapshot_proves_nothing_yet(month):
    result, reason = prove(month, snapshots=month["snapshots"].head(1))["balance_rolls_forward"]
    assert result == "unproven"
    assert reason.startswith("first snapshot")
    assert prove(month, snapshots=month["snapshots"].clear())["balance_rolls_forward"] == ("unproven", "no snapshot of the balance was taken")


@pytest.mark.parametrize("later", [1200, 1100], ids=["in it", "not in it"])
def test_what_is_created_in_the_second_of_a_snapshot_may_be_in_it_or_not(month, later):
    taken = snapshots((day(30.5), "GBP", "payments", 300), (day(39), "GBP", "payments", later))
    assert prove(month, snapshots=taken)["balance_rolls_forward"][0] == "proven"


def test_a_snapshot_later_than_the_transactions_were_read_proves_nothing(month):
    taken = snapshots((day(30.5), "GBP", "payments", 300), (day(41), "GBP", "payments", 7777))
    result, reason = prove(month, snapshots=taken)["balance_rolls_forward"]
    assert result == "unproven"
    assert "not read that far" in reason


def test_a_currency_that_a_snapshot_does_not_list_stood_at_nothing(month):
    euro = transactions({**charge(35), "balance_transaction_id": "txn_eur", "currency": "EUR", "source_id": None})
    taken = pl.concat([month["snapshots"], snapshots((day(39.5), "EUR", "payments", 100))])
    proofs = prove_complete(**{**month, "transactions": pl.concat([month["transactions"], euro]), "snapshots": taken}, complete_through=day(40))
    assert proofs.filter(currency="EUR", check="balance_rolls_forward")["result"].to_list() == ["proven"]


@pytest.mark.parametrize("kind", ["risk_reserved", "moon_reserved", "issuing"])
def test_a_balance_type_that_stripe_does_not_show_is_unproven(month, kind):
    held = transactions({**charge(35), "balance_transaction_id": "txn_held", "balance_type": kind, "source_id": None})
    proofs = prove_complete(**{**month, "transactions": pl.concat([month["transactions"], held])}, complete_through=day(40))
    row = proofs.filter(balance_type=kind, check="balance_rolls_forward").row(0, named=True)
    assert (row["result"], row["reason"]) == ("unproven", f"Stripe's Balance object does not show {kind}")


def test_prefunding_rolls_forward_by_itself(month):
    moved = transactions({**charge(35), "balance_transaction_id": "txn_pre", "balance_type": "refund_and_dispute_prefunding", "source_id": None})
    kind = "refund_and_dispute_prefunding"
    taken = pl.concat([month["snapshots"], snapshots((day(30.5), "GBP", kind, 5), (day(39.5), "GBP", kind, 105))])
    proofs = prove_complete(**{**month, "transactions": pl.concat([month["transactions"], moved]), "snapshots": taken}, complete_through=day(40))
    assert set(proofs.filter(check="balance_rolls_forward")["result"]) == {"proven"}


def test_accounts_are_proven_apart(month):
    other = {name: frame.with_columns(stripe_account=pl.lit("acct_9")) for name, frame in month.items()}
    other["transactions"] = without(other["transactions"], "balance_transaction_id", "txn_20")
    both = {name: pl.concat([month[name], other[name]]) for name in month}
    proofs = prove_complete(**both, complete_through=day(40))
    assert set(proofs.filter(stripe_account="self")["result"]) == {"proven"}
    assert "failed" in set(proofs.filter(stripe_account="acct_9")["result"])


def test_row_order_changes_nothing(month):
    shuffled = {name: frame.sample(fraction=1, shuffle=True, seed=7) for name, frame in month.items()}
    assert prove_complete(**shuffled, complete_through=day(40)).equals(prove_complete(**month, complete_through=day(40)))


def test_nothing_pulled_and_nothing_owned_gives_no_proofs():
    empty = {"transactions": transactions(), "payouts": Payout.create_empty(), "members": PayoutMember.create_empty(), "sources": StripeSource.create_empty()}
    assert prove_complete(**empty, snapshots=BalanceSnapshot.create_empty(), complete_through=day(40)).is_empty()


def test_a_failed_proof_refuses_the_month_and_names_the_gap_unless_it_is_accepted(month):
    proofs = prove_complete(**{**month, "transactions": without(month["transactions"], "balance_transaction_id", "txn_12")}, complete_through=day(40))
    with pytest.raises(IncompletePullError, match=r"account self, GBP payments: payouts equal lines: .*po_20"):
        require_complete(proofs, accept_incomplete=False)
    require_complete(proofs, accept_incomplete=True)
