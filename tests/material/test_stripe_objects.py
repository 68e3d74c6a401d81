"""Real Stripe objects, recorded in test mode by others, are read as they are."""

from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import polars as pl
import pytest

from reconciliation.connectors.stripe.client import BackOff, StripeReader
from reconciliation.connectors.stripe.parse import parse_balance_transactions, parse_payouts, parse_sources
from reconciliation.errors import StripeAccessError

MATERIAL = Path(__file__).parents[3] / "shared" / "material" / "stripe_api_json"

if not MATERIAL.is_dir():
    pytest.skip(f"{MATERIAL} is not there: real Stripe objects are not part of the project", allow_module_level=True)


def page(rows: list[dict[str, object]]) -> bytes:
    return orjson.dumps({"object": "list", "data": rows, "has_more": False})


def lines(name: str) -> Iterator[dict[str, object]]:
    return map(orjson.loads, (MATERIAL / name).read_bytes().splitlines())


@pytest.fixture(scope="module")
def transactions() -> pl.DataFrame:
    return parse_balance_transactions([page(list(lines("airbyte_balance_transactions_real_testmode.jsonl")))], account="self")


@pytest.fixture(scope="module")
def recorded() -> Callable[[str], list[dict[str, object]]]:
    rows = list(lines("airbyte_expected_records_union_2023_2024.jsonl"))
    return lambda stream: [row["data"] for row in rows if row["stream"] == stream]  # type: ignore[misc]


def test_every_real_transaction_is_read_and_adds_up(transactions):
    assert transactions.height == 62
    counts = dict(transactions.group_by("type").len().rows())
    assert counts == {
        "charge": 29,
        "stripe_fee": 10,
        "topup": 7,
        "payout": 5,
        "refund": 3,
        "balance_transfer_outbound": 2,
        "balance_transfer_inbound": 2,
        "transfer": 2,
        "adjustment": 1,
        "transfer_refund": 1,
    }


def test_types_that_stripe_does_not_document_are_kept(transactions):
    unknown = transactions.filter(pl.col("type").str.starts_with("balance_transfer"))
    assert unknown["reporting_category"].unique().to_list() == ["other_adjustment"]


def test_rows_of_an_old_api_version_are_payments(transactions):
    assert transactions["balance_type"].unique().to_list() == ["payments"]


def test_the_dispute_is_one_adjustment_with_its_fee_inside(transactions):
    dispute = transactions.filter(type="adjustment").row(0, named=True)
    assert (dispute["amount_minor"], dispute["fee_minor"], dispute["net_minor"], dispute["reporting_category"]) == (-700, 1500, -2200, "dispute")


def test_stand_alone_fees_have_no_source(transactions):
    assert transactions.filter(type="stripe_fee")["source_id"].null_count() == 10


def test_real_payouts_say_which_of_them_are_itemised(recorded):
    payouts = parse_payouts([page(recorded("payouts"))], account="self")
    assert payouts.height == 5
    assert dict(
        payouts.group_by("is_automatic", "reconciliation_status").len().select(pl.concat_str(pl.all().exclude("len"), separator=" "), "len").rows()
    ) == {
        "true completed": 2,
        "false not_applicable": 3,
    }


def test_real_charges_refunds_disputes_and_transfers_are_read(recorded):
    pages = [page(recorded(stream)) for stream in ("charges", "refunds", "disputes", "transfers")]
    sources = parse_sources(pages, account="self")
    assert dict(sources.group_by("object").len().rows()) == {"charge": 8, "refund": 3, "dispute": 1, "transfer": 2}
    assert sources.filter(object="refund")["charge_id"].null_count() == 0
    uncaptured = {row["id"] for row in recorded("charges") if not row["captured"]}
    assert not uncaptured & set(sources.filter(status="succeeded")["source_id"])


def test_real_application_fees_and_refunds_are_read():
    for name, expected in (("application_fees", "fee_1B73DOKbnvuxQXGuhY8Aw0TN"), ("refunds", "re_1Nispe2eZvKYlo2Cd31jOCgZ")):
        parsed = parse_sources([(MATERIAL / f"airbyte_http_{name}.json").read_bytes()], account="self")
        assert expected in parsed["source_id"].to_list()
        assert parsed["charge_id"].null_count() == 0


@pytest.mark.parametrize(
    ("status", "told"), [(400, "refused"), (401, "not accepted"), (403, "lacks a permission"), (429, "answered 429"), (500, "answered 500")]
)
def test_real_error_bodies_are_told_in_our_words(status, told, monkeypatch):
    body = (MATERIAL / f"airbyte_http_{status}.json").read_bytes()
    monkeypatch.setattr("stripe.RequestsClient.request", lambda self, method, url, headers, post_data=None: (body, status, {}))
    reader = StripeReader(key="rk_test_1", api_base="https://api.stripe.com", back_off=BackOff(attempts_max=2), sleep=lambda seconds: None)
    with pytest.raises(StripeAccessError, match=told):
        reader.clock()
