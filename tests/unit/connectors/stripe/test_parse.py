"""Raw pages become typed columns; nothing unknown is lost, and what is not Stripe's is refused."""

from datetime import UTC, date, datetime

import orjson
import polars as pl
import pytest

from reconciliation.connectors.stripe.parse import (
    name_ids,
    parse_balance,
    parse_balance_transactions,
    parse_payout_members,
    parse_payouts,
    parse_sources,
)
from reconciliation.errors import StripeAccessError


def page(*rows: object, more: bool = False) -> bytes:
    return orjson.dumps({"object": "list", "data": rows, "has_more": more, "url": "/v1/x"})


def transaction(**changes: object) -> dict[str, object]:
    row = {
        "id": "txn_1",
        "object": "balance_transaction",
        "amount": 1000,
        "fee": 0,
        "net": 1000,
        "fee_details": [],
        "created": 1790000000,
        "available_on": 1790100000,
        "currency": "gbp",
        "type": "charge",
        "reporting_category": "charge",
        "balance_type": "payments",
        "status": "pending",
        "source": "ch_1",
        "description": None,
    }
    return {**row, **changes}


def detail(kind: str, amount: int) -> dict[str, object]:
    return {"type": kind, "amount": amount, "currency": "gbp", "description": "…", "application": None}


def charge(**changes: object) -> dict[str, object]:
    row = {
        "id": "ch_1",
        "object": "charge",
        "amount": 1000,
        "currency": "eur",
        "created": 1790000000,
        "status": "succeeded",
        "captured": True,
        "metadata": {},
        "description": None,
    }
    return {**row, **changes}


def transactions(*rows: dict[str, object]) -> pl.DataFrame:
    return parse_balance_transactions([page(*rows)], account="self")


def source(**changes: object) -> dict[str, object]:
    return parse_sources([page(charge(**changes))], account="self").row(0, named=True)


def test_fee_details_are_summed_by_type():
    details = [
        detail("stripe_fee", 30),
        detail("tax", 5),
        detail("tax", 1),
        detail("withheld_tax", 4),
        detail("application_fee", 7),
        detail("something_new", 2),
    ]
    row = transactions(transaction(fee=49, net=951, fee_details=details)).row(0, named=True)
    assert (row["fee_minor"], row["fee_tax_minor"], row["withheld_tax_minor"], row["application_fee_minor"]) == (49, 6, 4, 7)


def test_currencies_are_upper_case_and_instants_are_utc():
    row = transactions(transaction()).row(0, named=True)
    assert row["currency"] == "GBP"
    assert row["created_at"] == datetime(2026, 9, 21, 14, 13, 20, tzinfo=UTC)


def test_unknown_types_categories_and_balance_types_are_kept():
    row = transactions(transaction(type="moon_levy", reporting_category="moon", balance_type="moon_reserved", status="eclipsed", source=None)).row(
        0, named=True
    )
    assert (row["type"], row["reporting_category"], row["balance_type"], row["status"], row["source_id"]) == (
        "moon_levy",
        "moon",
        "moon_reserved",
        "eclipsed",
        None,
    )


def test_old_rows_without_a_balance_type_are_payments():
    row = {key: value for key, value in transaction().items() if key != "balance_type"}
    assert transactions(row)["balance_type"].to_list() == ["payments"]


def test_negative_fees_are_legal():
    assert transactions(transaction(amount=-1000, fee=-30, net=-970, fee_details=[detail("stripe_fee", -30)]))["fee_minor"].to_list() == [-30]


def test_rows_on_two_overlapping_pages_are_kept_once():
    assert parse_balance_transactions([page(transaction()), page(transaction())], account="self").height == 1


@pytest.mark.parametrize(
    ("row", "told"),
    [
        pytest.param(transaction(net=999), r"net_is_amount_minus_fee \(1\): txn_1", id="net"),
        pytest.param(transaction(fee=30, net=970), r"fee_is_sum_of_fee_details \(1\): txn_1", id="fee details"),
        pytest.param(transaction(currency="pounds"), "txn_1", id="currency"),
        pytest.param(transaction(amount=10**16, net=10**16), "txn_1", id="beyond the bound"),
        pytest.param(transaction(amount=None), "txn_1", id="no amount"),
        pytest.param(transaction(amount=12.5, net=12.5), "no whole number", id="fraction"),
        pytest.param(transaction(source={"id": "ch_1"}), "does not have Stripe's shape", id="expanded"),
        pytest.param("txn_1", "something else", id="no object"),
    ],
)
def test_rows_that_break_stripes_own_laws_are_refused_by_name(row, told):
    with pytest.raises(StripeAccessError, match=told):
        transactions(row)


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"data":[{"id":"txn_'], ids=["html", "array", "cut"])
def test_bodies_that_are_no_page_are_refused(body):
    with pytest.raises(StripeAccessError):
        parse_balance_transactions([body], account="self")


def test_an_empty_answer_gives_an_empty_typed_frame():
    assert parse_balance_transactions([page()], account="self").is_empty()
    assert parse_payouts([], account="self").schema["arrival_on"] == pl.Date
    assert parse_sources([], account="self").schema["references"] == pl.List(pl.String)
    assert parse_payout_members({}, account="self").is_empty()


def test_payouts_keep_their_state_and_their_trace():
    row = {
        "id": "po_1",
        "object": "payout",
        "amount": -500,
        "currency": "gbp",
        "created": 1790000000,
        "arrival_date": 1790208000,
        "automatic": True,
        "method": "standard",
        "status": "failed",
        "reconciliation_status": "completed",
        "balance_transaction": "txn_2",
        "failure_balance_transaction": "txn_3",
        "failure_code": "account_closed",
        "trace_id": {"status": "supported", "value": "FP1"},
        "statement_descriptor": None,
        "destination": "ba_1",
    }
    parsed = parse_payouts([page(row, {**row, "id": "po_2", "trace_id": None})], account="acct_1")
    assert parsed["trace_id"].to_list() == ["FP1", None]
    assert parsed.row(0, named=True)["arrival_on"] == date(2026, 9, 24)
    assert parsed["stripe_account"].unique().to_list() == ["acct_1"]
    assert (parsed["amount_minor"][0], parsed["failure_balance_transaction_id"][0]) == (-500, "txn_3")


def test_members_carry_the_payout_that_was_asked_for():
    members = parse_payout_members({"po_1": [page(transaction()), page(transaction(id="txn_2"))], "po_2": [page()]}, account="self")
    assert members.rows() == [("self", "po_1", "txn_1"), ("self", "po_1", "txn_2")]


def test_a_transaction_under_two_payouts_is_refused():
    with pytest.raises(StripeAccessError, match="txn_1 under po_1, txn_1 under po_2"):
        parse_payout_members({"po_1": [page(transaction())], "po_2": [page(transaction())]}, account="self")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"metadata": {"invoice": "INV-1016"}}, ["INV-1016"], id="invoice"),
        pytest.param({"metadata": {"Order No": "ABCDEF"}}, ["ABCDEF"], id="named by its key"),
        pytest.param({"metadata": {"orderId": "55120"}}, ["55120"], id="camel case key"),
        pytest.param({"metadata": {"note": "paid by phone", "color": "red", "gift": "true"}}, [], id="words"),
        pytest.param({"metadata": {"qty": "3", "price": "19.99", "day": "2026-10-02", "app": "1.20.3", "url": "https://x.example/1"}}, [], id="no references"),
        pytest.param({"metadata": {"a": "INV-2", "b": "INV-2"}}, ["INV-2"], id="twice in metadata"),
        pytest.param({"metadata": {"x": "SO 1002"}, "description": "Invoice INV-1001 for Ada"}, ["SO 1002", "INV-1001"], id="two places"),
        pytest.param({"description": "Order #4711, 2026-10-02"}, ["#4711"], id="number sign in the description"),
        pytest.param({"invoice": "in_1K9", "transfer_group": "ORDER_95", "receipt_number": "1234-5678"}, ["in_1K9", "1234-5678", "ORDER_95"], id="fields"),
        pytest.param({"metadata": {"invoice": "INV-1001"}, "description": "INV-1001"}, ["INV-1001"], id="said twice"),
        pytest.param({"metadata": None}, [], id="no metadata"),
    ],
)
def test_references_are_what_may_name_a_document(changes, expected):
    assert source(**changes)["references"] == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"billing_details": {"name": " Ada Brown "}, "shipping": {"name": "Bo"}}, "Ada Brown", id="billing"),
        pytest.param({"billing_details": {"name": ""}, "shipping": {"name": "Bo"}}, "Bo", id="shipping"),
        pytest.param({"billing_details": {"name": None}, "shipping": None}, "", id="none"),
    ],
)
def test_the_counterparty_is_whom_the_bill_names(changes, expected):
    assert source(**changes)["counterparty"] == expected


def test_presentment_is_what_the_customer_saw():
    plain, adapted = source(), source(presentment_details={"presentment_amount": 1900, "presentment_currency": "jpy"})
    assert (plain["presentment_amount_minor"], plain["presentment_currency"]) == (1000, "EUR")
    assert (adapted["presentment_amount_minor"], adapted["presentment_currency"]) == (1900, "JPY")


def test_refunds_disputes_and_fees_carry_their_charge():
    rows = [
        charge(),
        {
            "id": "re_1",
            "object": "refund",
            "amount": 1,
            "currency": "gbp",
            "created": 1,
            "charge": "ch_1",
            "reason": None,
            "failure_reason": "expired_or_canceled_card",
            "status": "failed",
        },
        {"id": "dp_1", "object": "dispute", "amount": 1, "currency": "gbp", "created": 1, "charge": "ch_1", "reason": "fraudulent", "status": "won"},
        {"id": "fee_1", "object": "application_fee", "amount": 1, "currency": "gbp", "created": 1, "charge": "ch_1", "refunded": True},
        {"id": "tr_1", "object": "transfer", "amount": 1, "currency": "gbp", "created": 1, "source_transaction": "ch_1", "reversed": True},
    ]
    parsed = parse_sources([page(*rows)], account="self")
    assert parsed["charge_id"].to_list() == ["ch_1"] * 5
    assert parsed["reason"].to_list() == [None, "expired_or_canceled_card", "fraudulent", None, None]
    assert parsed["status"].to_list() == ["succeeded", "failed", "won", "refunded", "reversed"]


def test_an_authorization_that_was_never_captured_is_not_called_succeeded():
    assert source(captured=False)["status"] == "uncaptured"


def test_a_balance_is_available_and_pending_by_currency_and_type():
    now = datetime(2026, 10, 2, tzinfo=UTC)
    body = {
        "available": [{"amount": 5, "currency": "gbp"}, {"amount": 7, "currency": "eur"}],
        "pending": [{"amount": -2, "currency": "gbp"}],
        "instant_available": [{"amount": 99, "currency": "gbp"}],
        "connect_reserved": [{"amount": 99, "currency": "gbp"}],
        "issuing": {"available": [{"amount": 3, "currency": "gbp"}]},
        "refund_and_dispute_prefunding": {"available": [{"amount": 1, "currency": "gbp"}], "pending": [{"amount": 1, "currency": "gbp"}]},
    }
    parsed = parse_balance(orjson.dumps(body), account="self", taken_at=now)
    assert parsed.drop("stripe_account", "taken_at").rows() == [
        ("EUR", "payments", 7),
        ("GBP", "issuing", 3),
        ("GBP", "payments", 3),
        ("GBP", "refund_and_dispute_prefunding", 2),
    ]


def test_of_two_readings_of_a_row_the_later_counts():
    parsed = parse_balance_transactions([page(transaction(status="pending")), page(transaction(status="available"))], account="self")
    assert parsed["status"].to_list() == ["available"]


def test_two_amounts_for_one_transaction_are_refused():
    changed = transaction()
    changed["amount"], changed["net"] = int(str(changed["amount"])) + 1, int(str(changed["net"])) + 1
    with pytest.raises(StripeAccessError, match=r"two different readings of balance transactions: txn_"):
        parse_balance_transactions([page(transaction()), page(changed)], account="self")


def test_at_most_ten_ids_are_named_and_all_are_counted():
    assert name_ids(pl.Series([f"txn_{n}" for n in range(12)])).endswith("txn_9, … (12 in all)")
