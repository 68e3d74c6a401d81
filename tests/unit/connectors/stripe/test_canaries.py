"""No key, name or e-mail address in a log, an error or what a pull reports of itself, whatever Stripe answers."""

import logging
from datetime import UTC, datetime, timedelta

import orjson
import polars as pl
import pytest
from starlette.requests import Request
from starlette.responses import Response

from reconciliation.connectors.stripe.client import BackOff, StripeReader
from reconciliation.connectors.stripe.pull import pull_balance, pull_balance_transactions, pull_payouts, pull_sources
from reconciliation.connectors.stripe.reports import read_report
from reconciliation.errors import FileRefusedError, IncompletePullError, ReconciliationError

START = datetime(2026, 10, 1, tzinfo=UTC)
KEY = "rk_test_CanaryKey51HxVery"
CANARIES = [KEY, "CanaryKey51", "Zebedee Canaryman", "zebedee@canary.example", "DE89370400440532013000", "4242 4242", "sk_live_OtherCanary", "Canary Street"]


def charge(number: int) -> dict[str, object]:
    name = {"name": "Zebedee Canaryman", "email": "zebedee@canary.example", "address": {"line1": "Canary Street"}}
    return {
        "id": f"ch_{number}", "object": "charge", "amount": 5, "currency": "gbp", "created": int(START.timestamp()) + number, "status": "succeeded", "billing_details": name,
        "receipt_email": "zebedee@canary.example", "description": "for Zebedee Canaryman, 4242 4242", "metadata": {"iban": "DE89370400440532013000", "invoice": "INV-1"},
    }  # fmt: skip


def transaction(number: int) -> dict[str, object]:
    at = int(START.timestamp()) + number
    row = {
        "id": f"txn_{number}",
        "amount": number,
        "fee": 0,
        "net": number,
        "fee_details": [],
        "created": at,
        "available_on": at,
        "currency": "gbp",
        "type": "charge",
    }
    return {**row, "object": "balance_transaction", "status": "available", "source": f"ch_{number}", "description": "for Zebedee Canaryman"}


class Stripe:
    """A server whose answers and refusals are full of what must not be told on."""

    def __init__(self, spoil: str) -> None:
        self.spoil = spoil

    def __call__(self, request: Request) -> Response:
        path = request.url.path
        date = (
            {"Date": "Fri, 02 Oct 2026 10:00:00 GMT", "Stripe-Notice": "zebedee@canary.example"}
            if self.spoil == "notice"
            else {"Date": "Fri, 02 Oct 2026 10:00:00 GMT"}
        )
        rows = [charge(n) for n in range(3)] if path == "/v1/charges" else [transaction(n) for n in range(3)] if path == "/v1/balance_transactions" else []
        for row in rows:
            if self.spoil == "shape":
                row["amount"] = "Zebedee Canaryman"
            if self.spoil == "law":
                row["fee"], row["description"] = 1, "for Zebedee Canaryman"
            if self.spoil == "window":
                row["created"] = 5
            if self.spoil == "type":
                row["type"] = "a_new_type"
        body = orjson.dumps({"object": "list", "data": rows, "has_more": False})
        if path == "/v1/balance":
            body = orjson.dumps({"object": "balance", "livemode": False, "available": [{"amount": 1, "currency": "gbp"}]})
        if self.spoil.isdigit():
            error = {"message": f"No such customer: zebedee@canary.example; you sent {KEY} and not sk_live_OtherCanary", "type": "invalid_request_error"}
            return Response(orjson.dumps({"error": error}), status_code=int(self.spoil), headers=date)
        if self.spoil == "cut":
            body = body[:-20]
        return Response(body, headers=date)


@pytest.mark.parametrize("spoil", ["none", "400", "401", "403", "404", "429", "500", "cut", "shape", "law", "window", "type", "known", "notice"])
def test_no_canary_sings(serve, spoil, caplog, capfd):
    told: list[str] = []
    with caplog.at_level(logging.DEBUG), serve(Stripe(spoil)) as url:
        reader = StripeReader(key=KEY, api_base=url, back_off=BackOff(attempts_max=2), sleep=lambda _: None)
        window = {"account": "self", "start": START, "end": START + timedelta(days=1)}
        known = None
        if spoil == "known":
            known = pull_balance_transactions(reader, **window).frame.with_columns(balance_transaction_id="gone_" + pl.col("balance_transaction_id"))
        for read in (
            lambda: pull_balance(reader, account="self"),
            lambda: pull_balance_transactions(reader, **window, known=known),
            lambda: pull_payouts(reader, **window),
            lambda: pull_sources(reader, **window),
        ):
            try:
                told.append(repr(read().frame.height))
            except ReconciliationError as error:
                told += [str(error), repr(error), repr(error.__cause__), "" if error.__suppress_context__ else repr(error.__context__)]
    printed = capfd.readouterr()
    everything = "\n".join([*told, caplog.text, printed.out, printed.err, repr(reader)])
    assert [canary for canary in CANARIES if canary in everything] == []
    assert len(told) >= 4


def test_the_canaries_are_there_to_be_found(serve):
    with serve(Stripe("none")) as url:
        frame = pull_sources(StripeReader(key=KEY, api_base=url), account="self", start=START, end=START + timedelta(days=1)).frame
    assert "Zebedee Canaryman" in frame["counterparty"].to_list()


def test_a_refusal_of_what_was_lost_names_ids_only(serve):
    with serve(Stripe("none")) as url:
        reader = StripeReader(key=KEY, api_base=url)
        window = {"account": "self", "start": START, "end": START + timedelta(days=1)}
        known = pull_balance_transactions(reader, **window).frame.with_columns(amount_minor=7)
        with pytest.raises(IncompletePullError, match="have another amount, fee, currency, balance type or time now"):
            pull_balance_transactions(reader, **window, known=known)


@pytest.mark.parametrize("column", ["gross", "created_utc", "currency", "balance_transaction_id", "net"])
@pytest.mark.parametrize("canary", ["zebedee@canary.example", "Zebedee Canaryman", "DE89370400440532013000", "4242 4242 4242 4242"])
def test_a_cell_of_a_report_that_slipped_into_another_column_is_not_told(tmp_path, column, canary):
    row = {"balance_transaction_id": "txn_1", "created_utc": "2026-10-01 12:00:00", "currency": "usd", "gross": "10.00", "fee": "0.59", "net": "9.41"}
    cells = {**row, "reporting_category": "charge", "description": "for Zebedee Canaryman", column: canary}
    (tmp_path / "report.csv").write_text(",".join(cells) + "\n" + ",".join(cells.values()) + "\n")
    try:
        read_report(tmp_path / "report.csv", account="self", time_zone="UTC")
        told = ""
    except FileRefusedError as error:
        told = str(error)
        assert column in told or "currency" in told
    assert bool(told) is (column != "balance_transaction_id")
    assert canary not in told
    assert "Zebedee" not in told


def test_a_report_without_a_header_does_not_tell_its_first_row(tmp_path):
    (tmp_path / "report.csv").write_text("Zebedee Canaryman,zebedee@canary.example,DE89370400440532013000\n1,2,3\n")
    with pytest.raises(FileRefusedError, match="no itemised report") as refused:
        read_report(tmp_path / "report.csv", account="self", time_zone="UTC")
    assert [canary for canary in [*CANARIES, "zebedee", "Zebedee"] if canary in str(refused.value)] == []
