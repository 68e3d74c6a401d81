"""Every shape money takes in Stripe: pages -> components that add to net, and a balance and payouts that are proven."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import orjson
import polars as pl
import pytest

from reconciliation.calendar import read_calendar
from reconciliation.connectors.stripe.completeness import prove_complete
from reconciliation.connectors.stripe.parse import parse_balance, parse_balance_transactions, parse_payout_members, parse_payouts, parse_sources
from reconciliation.connectors.stripe.types import undocumented_types
from reconciliation.money import format_minor
from reconciliation.normalize.components import list_cash_items, split_components

FIRST = datetime(2026, 9, 1, tzinfo=UTC)
Row = dict[str, object]


def moment(day: float) -> int:
    return int((FIRST + timedelta(days=day)).timestamp())


def booked(
    identity: str, day: float, amount: int, *, fee: int = 0, kind: str = "charge", category: str | None = None, currency: str = "gbp", **others: object
) -> Row:
    details = [{"amount": fee, "currency": currency, "type": "stripe_fee", "description": None}] if fee else []
    return {
        "id": identity, "object": "balance_transaction", "amount": amount, "fee": fee, "net": amount - fee, "fee_details": details, "created": moment(day),
        "available_on": moment(day), "currency": currency, "type": kind, "reporting_category": category or kind, "balance_type": "payments", "status": "available",
        "source": None, "description": None, **others,
    }  # fmt: skip


def paid_out(identity: str, day: float, amount: int, *, currency: str = "gbp", **others: object) -> Row:
    return {
        "id": identity, "object": "payout", "amount": amount, "currency": currency, "created": moment(day), "arrival_date": moment(day + 1), "automatic": True,
        "method": "standard", "status": "paid", "reconciliation_status": "completed", "balance_transaction": f"txn_{identity}", **others,
    }  # fmt: skip


def page(rows: list[Row]) -> bytes:
    return orjson.dumps({"object": "list", "data": rows, "has_more": False})


def run(
    rows: list[Row], *, payouts: list[Row] | None = None, lines: dict[str, list[str]] | None = None, sources: list[Row] | None = None
) -> dict[str, pl.DataFrame]:
    """Parse the rows behind a quiet start, and prove them against two balances that follow from them."""
    start = booked("txn_start", 0, 0, kind="adjustment", category="other_adjustment")
    everything = [start, *rows]
    kinds: dict[str, dict[str, int]] = {}
    for row in everything:
        by_currency = kinds.setdefault(str(row["balance_type"]), {})
        by_currency[str(row["currency"])] = by_currency.get(str(row["currency"]), 0) + int(str(row["net"]))

    def listed(kind: str, share: int) -> dict[str, object]:
        return {"available": [{"amount": amount * share, "currency": currency} for currency, amount in kinds.get(kind, {}).items()], "pending": []}

    def balance(share: int) -> bytes:
        prefunding = listed("refund_and_dispute_prefunding", share)
        return orjson.dumps(
            {"object": "balance", **listed("payments", share), "issuing": listed("issuing", share), "refund_and_dispute_prefunding": prefunding}
        )

    end = FIRST + timedelta(days=60)
    snapshots = pl.concat([parse_balance(balance(0), account="self", taken_at=FIRST), parse_balance(balance(1), account="self", taken_at=end)])
    frames: dict[str, pl.DataFrame] = {
        "transactions": parse_balance_transactions([page(everything)], account="self"),
        "payouts": parse_payouts([page(payouts or [])], account="self"),
        "members": parse_payout_members({name: [page([{"id": line} for line in ids])] for name, ids in (lines or {}).items()}, account="self"),
        "sources": parse_sources([page(sources or [])], account="self"),
    }
    frames["proofs"] = prove_complete(**frames, snapshots=snapshots, complete_through=end)
    calendar = read_calendar(zone="Europe/London", calendar="month", folder=None)  # type: ignore[arg-type]
    named = {name: frames[name] for name in ("sources", "payouts", "members")}
    frames["components"] = split_components(frames["transactions"], **named, calendar=calendar, book="main")
    frames["cash"] = list_cash_items(frames["payouts"], transactions=frames["transactions"], calendar=calendar, book="main")
    nets = frames["components"].group_by("balance_transaction_id").agg(pl.col("amount_minor").sum())
    assert dict(nets.rows()) == {row["id"]: row["net"] for row in everything}
    return frames


def verdicts(frames: dict[str, pl.DataFrame]) -> set[str]:
    return set(frames["proofs"]["result"].cast(pl.String))


@pytest.mark.parametrize(
    ("currency", "amount", "written"),
    [
        ("jpy", 5000, "5000"), ("krw", 12_000, "12000"), ("clp", 990, "990"), ("vnd", 2_296_500, "2296500"), ("kwd", 12_340, "12.340"), ("bhd", 5_000, "5.000"),
        # Stripe's own exceptions: carried with two decimals, paid out in whole units.
        ("isk", 50_000, "500.00"), ("ugx", 700_000, "7000.00"), ("huf", 1_234_500, "12345.00"), ("twd", 80_000, "800.00"), ("mga", 400, "400"),
    ],
)  # fmt: skip
def test_currencies_keep_stripes_own_minor_units(currency, amount, written):
    frames = run([booked("txn_1", 1, amount, currency=currency)])
    [item] = frames["components"].filter(balance_transaction_id="txn_1").to_dicts()
    assert (item["amount_minor"], item["currency"]) == (amount, currency.upper())
    assert format_minor(item["amount_minor"], item["currency"]) == written
    assert verdicts(frames) == {"proven"}


@pytest.mark.parametrize(
    ("currency", "paid", "result"),
    [("huf", 1_234_500, "proven"), ("twd", 1_234_500, "proven"), ("huf", 1_234_400, "failed"), ("eur", 1_234_500, "failed")],
    ids=["forints", "dollars of Taiwan", "a whole unit is missing", "a currency paid out with decimals"],
)
def test_what_is_less_than_a_unit_stays_on_the_balance_where_payouts_have_no_decimals(currency, paid, result):
    rows = [booked("txn_1", 5, 1_234_567, currency=currency), booked("txn_po_1", 6, -paid, kind="payout", source="po_1", currency=currency)]
    frames = run(rows, payouts=[paid_out("po_1", 6, paid, currency=currency)], lines={"po_1": ["txn_1", "txn_po_1"]})
    found = {row["check"]: (str(row["result"]), row["reason"]) for row in frames["proofs"].filter(currency=currency.upper()).to_dicts()}
    assert found["payouts_equal_lines"][0] == result
    assert "12344.00 " in found["payouts_equal_lines"][1] or "12345.00 " in found["payouts_equal_lines"][1]
    # The balance itself holds the rest, and rolls forward.
    assert found["balance_rolls_forward"][0] == "proven"


def test_a_charge_in_another_currency_settles_in_its_own_integers_and_keeps_what_the_customer_saw():
    charge = {
        "id": "ch_1",
        "object": "charge",
        "amount": 2_296_500,
        "currency": "vnd",
        "created": moment(1),
        "status": "succeeded",
        "balance_transaction": "txn_1",
    }
    # The printed rate would give 101.05: the settled integer stands, whatever the rate says.
    frames = run([booked("txn_1", 1, 10_004, fee=420, currency="usd", exchange_rate=0.000044, source="ch_1")], sources=[charge])
    gross = frames["components"].filter(balance_transaction_id="txn_1", component="gross").row(0, named=True)
    assert (gross["amount_minor"], gross["currency"], gross["presentment_amount_minor"], gross["presentment_currency"]) == (10_004, "USD", 2_296_500, "VND")
    assert verdicts(frames) == {"proven"}


def test_an_instant_payout_carries_its_fee_on_its_own_transaction():
    own = booked("txn_po_1", 3, -500_000, fee=5_000, kind="payout", source="po_1")
    instant = paid_out("po_1", 3, 500_000, automatic=False, method="instant", reconciliation_status="not_applicable")
    frames = run([booked("txn_1", 1, 600_000), own], payouts=[instant])
    assert dict(frames["components"].filter(balance_transaction_id="txn_po_1").select("component", "amount_minor").rows()) == {"gross": -500_000, "fee": -5_000}
    assert frames["cash"].select("item_id", "amount_minor").rows() == [("po_1", 500_000)]
    assert verdicts(frames) == {"proven"}


def test_a_manual_payout_has_no_lines_and_is_none_the_worse():
    manual = paid_out("po_1", 3, 900, automatic=False, reconciliation_status="not_applicable")
    frames = run([booked("txn_1", 1, 1000), booked("txn_po_1", 3, -900, kind="payout", source="po_1")], payouts=[manual])
    assert frames["members"].is_empty()
    assert verdicts(frames) == {"proven"}


def test_a_failed_payout_comes_back_and_is_swept_by_a_later_one():
    rows = [
        booked("txn_1", 5, 1000),
        booked("txn_po_1", 6, -1000, kind="payout", source="po_1"),
        booked("txn_back", 20, 1000, kind="payout_failure", category="payout_reversal", source="po_1"),
        booked("txn_2", 20.5, 50),
        booked("txn_po_2", 21, -1050, kind="payout", source="po_2"),
    ]
    failed = paid_out("po_1", 6, 1000, status="failed", failure_balance_transaction="txn_back", failure_code="account_closed")
    lines = {"po_1": ["txn_po_1", "txn_1"], "po_2": ["txn_po_2", "txn_back", "txn_2"]}
    frames = run(rows, payouts=[failed, paid_out("po_2", 21, 1050)], lines=lines)
    assert dict(frames["cash"].select("item_id", "amount_minor").rows()) == {"po_1": 1000, "po_1/returned": -1000, "po_2": 1050}
    assert verdicts(frames) == {"proven"}


def test_a_negative_payout_is_a_debit_of_the_bank():
    rows = [booked("txn_1", 5, -86_400, kind="refund"), booked("txn_po_1", 6, 86_400, kind="payout", source="po_1")]
    frames = run(rows, payouts=[paid_out("po_1", 6, -86_400)], lines={"po_1": ["txn_1", "txn_po_1"]})
    assert frames["cash"]["amount_minor"].to_list() == [-86_400]
    assert verdicts(frames) == {"proven"}


@pytest.mark.parametrize("listed_with", ["po_1", "po_2"], ids=["listed with the payout that held it", "listed with the next payout"])
def test_a_minimum_balance_is_held_by_one_payout_and_released_for_the_next(listed_with):
    rows = [
        booked("txn_1", 5, 100_000),
        booked("txn_hold", 6, -10_000, kind="payout_minimum_balance_hold", source="po_1"),
        booked("txn_po_1", 6, -90_000, kind="payout", source="po_1"),
        booked("txn_free", 6.1, 10_000, kind="payout_minimum_balance_release", source="po_1"),
        booked("txn_po_2", 7, -10_000, kind="payout", source="po_2"),
    ]
    lines = {"po_1": ["txn_1", "txn_hold", "txn_po_1"], "po_2": ["txn_po_2"]}
    lines[listed_with].append("txn_free")
    second = paid_out("po_2", 7, 10_000) if listed_with == "po_2" else paid_out("po_2", 7, 10_000, automatic=False, reconciliation_status="not_applicable")
    if listed_with == "po_1":
        del lines["po_2"]
    frames = run(rows, payouts=[paid_out("po_1", 6, 90_000), second], lines=lines)
    assert verdicts(frames) == {"proven"}


def test_reserves_move_between_balance_types_and_the_hidden_one_is_unproven_only():
    rows = [
        booked("txn_1", 1, 1000),
        booked("txn_out", 2, -400, kind="reserve_hold", category="risk_reserved_funds"),
        booked("txn_in", 2, 400, kind="reserve_hold", category="risk_reserved_funds", balance_type="risk_reserved"),
    ]
    frames = run(rows)
    by_type = {(row["balance_type"], row["check"]): row["result"] for row in frames["proofs"].to_dicts()}
    assert by_type["payments", "balance_rolls_forward"] == "proven"
    assert by_type["risk_reserved", "balance_rolls_forward"] == "unproven"
    assert set(frames["components"].filter(account="risk_reserved")["amount_minor"]) == {400}


def test_a_dispute_with_a_countered_fee_and_its_reinstatement_is_three_movements():
    rows = [
        booked("txn_ch", 5, 700, source="ch_1"),
        booked("txn_dp", 10, -700, fee=1500, kind="adjustment", category="dispute", source="dp_1"),
        booked("txn_counter", 12, -1500, kind="adjustment", category="fee"),
        booked("txn_won", 40, 700, kind="adjustment", category="dispute_reversal", source="dp_1"),
        booked("txn_returned", 40, 1500, kind="adjustment", category="fee"),
    ]
    charge = {"id": "ch_1", "object": "charge", "amount": 700, "currency": "gbp", "created": moment(5), "status": "succeeded"}
    dispute = {"id": "dp_1", "object": "dispute", "charge": "ch_1", "amount": 700, "currency": "gbp", "created": moment(10), "status": "won"}
    dispute["balance_transactions"] = [rows[1], rows[3]]
    frames = run(rows, sources=[charge, dispute])
    assert verdicts(frames) == {"proven"}
    without = [row for row in rows if row["id"] != "txn_won"]
    assert "txn_won of dp_1" in "".join(run(without, sources=[charge, dispute])["proofs"]["reason"])


def test_a_refund_that_fails_comes_back():
    refund = {"id": "re_1", "object": "refund", "charge": "ch_1", "amount": 300, "currency": "gbp", "created": moment(10), "status": "failed"}
    refund |= {"balance_transaction": "txn_re", "failure_balance_transaction": "txn_back", "failure_reason": "lost_or_stolen_card"}
    rows = [booked("txn_re", 10, -300, kind="refund", source="re_1"), booked("txn_back", 31, 300, kind="refund_failure", source="re_1")]
    frames = run(rows, sources=[refund])
    assert verdicts(frames) == {"proven"}
    assert "txn_back of re_1" in "".join(run(rows[:1], sources=[refund])["proofs"]["reason"])


def test_a_partial_capture_is_a_charge_and_the_return_of_the_rest():
    rows = [booked("txn_1", 5, 3600, fee=82, source="ch_1"), booked("txn_2", 5, -1800, kind="refund", category="partial_capture_reversal", source="re_1")]
    made = [
        {"id": "ch_1", "object": "charge", "amount": 3600, "currency": "gbp", "created": moment(5), "status": "succeeded", "captured": True},
        {"id": "re_1", "object": "refund", "charge": "ch_1", "amount": 1800, "currency": "gbp", "created": moment(5), "status": "succeeded"},
    ]
    frames = run(rows, sources=made)
    assert set(frames["components"]["line"]) >= {"charge.gross", "charge.fee", "partial_capture_reversal.gross"}
    assert verdicts(frames) == {"proven"}


def test_a_top_up_comes_from_the_bank_and_may_go_back():
    rows = [booked("txn_1", 2, 5000, kind="topup", source="tu_1"), booked("txn_2", 9, -5000, kind="topup_reversal", source="tu_1")]
    made = [{"id": "tu_1", "object": "topup", "amount": 5000, "currency": "gbp", "created": moment(2), "status": "reversed", "balance_transaction": "txn_1"}]
    frames = run(rows, sources=made)
    assert dict(frames["cash"].select("item_id", "amount_minor").rows()) == {"tu_1": -5000, "tu_1/returned": 5000}
    assert verdicts(frames) == {"proven"}


def test_a_top_up_given_back_in_parts_is_an_item_for_each_part():
    rows = [booked("txn_1", 2, 5000, kind="topup", source="tu_1")]
    rows += [booked(f"txn_{day}", day, amount, kind="topup_reversal", source="tu_1") for day, amount in ((9, -2000), (12, -3000))]
    made = [{"id": "tu_1", "object": "topup", "amount": 5000, "currency": "gbp", "created": moment(2), "status": "reversed", "balance_transaction": "txn_1"}]
    cash = run(rows, sources=made)["cash"]
    assert dict(cash.select("item_id", "amount_minor").rows()) == {"tu_1": -5000, "tu_1/returned": 2000, "tu_1/2/returned": 3000}


@pytest.mark.parametrize(
    ("amount", "fee"), [(-1000, -752), (-52_519, 1050), (0, 1500), (1000, 0)], ids=["fee given back", "fee on a refund", "fee alone", "fee invoiced"]
)
def test_fees_of_either_sign_keep_net_equal_to_amount_minus_fee(amount, fee):
    frames = run([booked("txn_1", 3, amount, fee=fee, kind="refund")])
    assert frames["transactions"].filter(balance_transaction_id="txn_1")["net_minor"].item() == amount - fee
    assert verdicts(frames) == {"proven"}


def test_taxes_and_application_fees_become_components_and_the_rest_is_the_fee():
    details = [
        {"amount": amount, "type": kind, "currency": "gbp"}
        for amount, kind in ((725, "stripe_fee"), (167, "tax"), (40, "application_fee"), (8, "withheld_tax"))
    ]
    details.append({"amount": 10, "type": "of_a_kind_to_come", "currency": "gbp"})
    frames = run([booked("txn_1", 3, 10_000, fee=950, fee_details=details)])
    parts = dict(frames["components"].filter(balance_transaction_id="txn_1").select("component", "amount_minor").rows())
    assert parts == {"gross": 10_000, "fee_tax": -167, "withheld_tax": -8, "application_fee": -40, "fee": -735}


def test_unknown_types_categories_and_balance_types_are_kept_proven_and_counted():
    rows = [
        booked("txn_1", 2, 100, kind="balance_transfer_inbound", category="other_adjustment"),
        booked("txn_2", 3, -100, kind="moon_fee", category="moon", balance_type="moon_reserved"),
    ]
    frames = run(rows)
    assert undocumented_types(frames["transactions"]) == {"balance_transfer_inbound": 1, "moon_fee": 1}
    assert set(frames["components"]["line"]) >= {"other_adjustment.gross", "moon.gross"}
    assert "failed" not in verdicts(frames)


def test_accounts_of_a_platform_have_ledgers_of_their_own():
    platform = run([booked("txn_fee", 3, 120, kind="application_fee", category="platform_earning"), booked("txn_tr", 4, -880, kind="transfer")])
    connected = run([booked("txn_py", 3, 1000, fee=120, kind="payment", category="charge", fee_details=[{"amount": 120, "type": "application_fee"}])])
    assert platform["components"]["amount_minor"].sum() == -760
    assert dict(connected["components"].filter(balance_transaction_id="txn_py").select("component", "amount_minor").rows()) == {
        "gross": 1000,
        "application_fee": -120,
    }


def test_days_of_the_books_zone_decide_the_month():
    late = booked("txn_1", 29.98, 100)
    frames = run([late])
    day = datetime.fromtimestamp(int(str(late["created"])), UTC).astimezone(ZoneInfo("Europe/London")).date()
    item = frames["components"].filter(balance_transaction_id="txn_1").row(0, named=True)
    assert (item["date"], item["origin_period"]) == (day, "2026-10")
