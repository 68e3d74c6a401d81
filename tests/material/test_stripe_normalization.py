"""Every real Stripe row at hand -> components: nothing is lost, every net holds, what is unknown is shown."""

import csv
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import orjson
import polars as pl
import pytest

from reconciliation.calendar import read_calendar
from reconciliation.connectors.stripe.completeness import prove_complete
from reconciliation.connectors.stripe.parse import parse_balance, parse_balance_transactions, parse_payout_members, parse_payouts, parse_sources
from reconciliation.connectors.stripe.reports import read_report
from reconciliation.connectors.stripe.types import undocumented_types
from reconciliation.errors import FileRefusedError
from reconciliation.normalize.components import list_cash_items, split_components
from reconciliation.schemas.stripe import BalanceSnapshot

MATERIAL = Path(__file__).parents[3] / "shared" / "material"
SEEDS = MATERIAL / "stripe_warehouse_seeds"

if not SEEDS.is_dir():
    pytest.skip(f"{MATERIAL} is not there: real Stripe objects are not part of the project", allow_module_level=True)

Row = dict[str, object]


def page(rows: list[Row]) -> bytes:
    return orjson.dumps({"object": "list", "data": rows, "has_more": False})


def components(transactions: pl.DataFrame, *, payouts: list[Row] | None = None, sources: list[Row] | None = None) -> pl.DataFrame:
    """Normalize, and hold each row against its own net, added up in plain integers."""
    calendar = read_calendar(zone="UTC", calendar="month", folder=Path())
    split = split_components(
        transactions,
        sources=parse_sources([page(sources or [])], account="self"),
        payouts=parse_payouts([page(payouts or [])], account="self"),
        members=parse_payout_members({}, account="self"),
        calendar=calendar,
        book="main",
    )
    sums: Counter[str] = Counter()
    for identity, amount in split.select("balance_transaction_id", "amount_minor").iter_rows():
        sums[identity] += amount
    assert dict(sums) == dict(transactions.select("balance_transaction_id", "net_minor").iter_rows())
    return split


def recorded(stream: str) -> list[Row]:
    lines = (MATERIAL / "stripe_api_json" / "airbyte_expected_records_union_2023_2024.jsonl").read_bytes().splitlines()
    rows: dict[str, Row] = {}
    for line in map(orjson.loads, lines):
        if line["stream"] == stream:
            rows[line["data"]["id"]] = line["data"]
    return list(rows.values())


def seed(name: str) -> list[dict[str, str]]:
    with (SEEDS / f"{name}_data.csv").open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def second(text: str) -> int:
    return int(datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC).timestamp())


@pytest.fixture(scope="module")
def seeded() -> list[Row]:
    """The warehouse's rows as the API writes them; the warehouse keeps a fee's parts apart and whole here."""
    return [
        {
            **{name: int(row[name]) for name in ("amount", "fee", "net")},
            **{name: row[name] for name in ("id", "currency", "description", "source", "status", "type")},
            "object": "balance_transaction",
            "created": second(row["created"]),
            "available_on": second(row["available_on"]),
            "fee_details": [{"amount": int(row["fee"]), "type": "stripe_fee"}] if int(row["fee"]) else [],
            "reporting_category": row["type"],
        }
        for row in seed("balance_transaction")
    ]


def seeded_payouts() -> list[Row]:
    return [
        {
            "id": row["id"],
            "object": "payout",
            "amount": int(row["amount"]),
            "currency": row["currency"],
            "created": second(row["created"]),
            "arrival_date": second(row["arrival_date"]),
            "automatic": row["automatic"] == "TRUE",
            "status": row["status"],
            "reconciliation_status": "completed",
            "balance_transaction": row["balance_transaction_id"],
        }
        for row in seed("payout")
    ]


def test_the_test_mode_rows_become_components_and_their_unknown_types_are_shown():
    lines = (MATERIAL / "stripe_api_json" / "airbyte_balance_transactions_real_testmode.jsonl").read_bytes().splitlines()
    transactions = parse_balance_transactions([page([orjson.loads(line) for line in lines])], account="self")
    split = components(transactions)
    assert transactions.height == 62
    assert undocumented_types(transactions) == {"balance_transfer_inbound": 2, "balance_transfer_outbound": 2}
    assert split.filter(pl.col("line") == "other_adjustment.gross").height == 4
    # Fees stand in two places: within charges, and alone.
    assert split.filter(pl.col("line") == "fee.gross").height == 10
    assert split.filter(pl.col("line") == "charge.fee").height == 29


def test_the_recorded_transactions_payouts_and_top_ups_go_through():
    rows = recorded("balance_transactions")
    transactions = parse_balance_transactions([page(rows)], account="self")
    sources = [row for stream in ("charges", "refunds", "disputes", "transfers") for row in recorded(stream)]
    components(transactions, payouts=recorded("payouts"), sources=sources)
    assert transactions.height == len(rows) > 0
    payouts = parse_payouts([page(recorded("payouts"))], account="self")
    cash = list_cash_items(payouts, transactions=transactions, calendar=read_calendar(zone="UTC", calendar="month", folder=Path()), book="main")
    assert set(payouts["payout_id"]) <= set(cash["item_id"])
    top_ups = parse_sources([page(recorded("top_ups"))], account="self")
    assert top_ups.height == len(recorded("top_ups")) == 4
    assert set(top_ups["object"]) == {"topup"}


def test_the_live_rows_of_a_warehouse_hold_their_nets_and_one_is_paid_out_whole(seeded):
    transactions = parse_balance_transactions([page(seeded)], account="self")
    components(transactions, payouts=seeded_payouts())
    assert transactions.height == 9
    assert undocumented_types(transactions) == {}
    # Rows that were synced before they became available stay pending for ever: a state, never an amount.
    assert set(transactions["status"]) == {"pending"}
    linked = {row["payout_id"] for row in seed("balance_transaction") if row["payout_id"]}
    nets = {name: sum(int(row["net"]) for row in seed("balance_transaction") if row["payout_id"] == name and row["type"] != "payout") for name in linked}
    amounts = {str(row["id"]): row["amount"] for row in seeded_payouts()}
    assert nets["po_0IFUKBig6peNXzgDZQM7WPAo"] == amounts["po_0IFUKBig6peNXzgDZQM7WPAo"] == 1_980_810


def test_the_truncated_links_of_the_warehouse_are_no_proof_and_say_so(seeded):
    transactions = parse_balance_transactions([page(seeded)], account="self")
    links = {
        name: [row["balance_transaction_id"] for row in seed("payout_balance_transaction") if row["payout_id"] == name]
        for name in {str(p["id"]) for p in seeded_payouts()}
    }
    proofs = prove_complete(
        transactions=transactions,
        payouts=parse_payouts([page(seeded_payouts())], account="self"),
        members=parse_payout_members({name: [page([{"id": line} for line in ids])] for name, ids in links.items()}, account="self"),
        sources=parse_sources([], account="self"),
        snapshots=BalanceSnapshot.create_empty(),
        complete_through=datetime(2021, 4, 1, tzinfo=UTC),
    )
    by_check = {row["check"]: (row["result"], row["reason"]) for row in proofs.to_dicts()}
    assert by_check["payouts_equal_lines"][0] == "failed"
    assert "po_0" in by_check["payouts_equal_lines"][1]
    assert by_check["balance_rolls_forward"][0] == "unproven"


def test_a_negative_payout_of_a_live_account_stays_negative():
    amounts = [int(row["amount"]) for row in seed("payout")] + [int(row["amount"]) for row in seed("transfer")]
    assert {-833_651, -1_426_166} <= set(amounts)
    negative = [row for row in seeded_payouts() if int(str(row["amount"])) < 0]
    payouts = parse_payouts([page(negative)], account="self")
    assert payouts["amount_minor"].to_list() == [-833_651]


def test_live_refunds_disputes_and_charges_are_read():
    refunds = [{"id": row["id"], "object": "refund", "amount": int(row["amount"]), "charge": row["charge_id"], "created": second(row["created"]), "currency": row["currency"], "status": row["status"], "balance_transaction": row["balance_transaction_id"]} for row in seed("refund")]  # fmt: skip
    disputes = [{"id": row["id"], "object": "dispute", "amount": int(row["amount"]), "charge": row["charge_id"], "created": second(row["created"]), "currency": row["currency"], "status": row["status"], "reason": row["reason"]} for row in seed("dispute")]  # fmt: skip
    charges = [{"id": row["id"], "object": "charge", "amount": int(row["amount"]), "created": second(row["created"]), "currency": row["currency"], "status": row["status"], "captured": row["captured"] == "TRUE"} for row in seed("charge")]  # fmt: skip
    sources = parse_sources([page(refunds), page(disputes), page(charges)], account="self")
    assert sources.height == len({row["id"] for row in (*refunds, *disputes, *charges)})
    # A charge that was declined took no money, so nobody asks for its transaction.
    assert sources.filter(object="charge", status="succeeded").height == sum(row["status"] == "succeeded" and row["captured"] for row in charges)


@pytest.mark.parametrize("file", sorted((MATERIAL / "stripe_wcpay_fx").glob("*.json")), ids=lambda file: file.stem)
def test_converted_payments_keep_both_amounts(file):
    event = orjson.loads(file.read_bytes())["capturedEvent"]
    told = event["transaction_details"]
    gross, fee = told["store_amount"], told["store_fee"]
    transaction = {
        "id": event["transaction_id"], "amount": gross, "fee": fee, "net": gross - fee, "fee_details": [{"amount": fee, "type": "stripe_fee"}], "created": event["datetime"],
        "available_on": event["datetime"], "currency": told["store_currency"].lower(), "type": "charge", "status": "available", "source": "ch_1", "description": None,
    }  # fmt: skip
    charge = {
        "id": "ch_1",
        "object": "charge",
        "amount": told["customer_amount"],
        "currency": told["customer_currency"].lower(),
        "created": event["datetime"],
        "status": "succeeded",
    }
    split = components(parse_balance_transactions([page([transaction])], account="self"), sources=[charge])
    item = split.filter(component="gross").row(0, named=True)
    assert (item["amount_minor"], item["currency"]) == (gross, told["store_currency"])
    assert (item["presentment_amount_minor"], item["presentment_currency"]) == (told["customer_amount"], told["customer_currency"])


def fixture(name: str) -> Row:
    row: Row = orjson.loads((MATERIAL / "stripe_openapi" / "fixtures3.json").read_bytes())["resources"][name]
    return row


@pytest.mark.parametrize("name", ["charge", "refund", "dispute", "transfer", "application_fee", "topup"])
def test_the_canned_objects_of_stripes_own_specification_have_the_shape_we_read(name):
    assert parse_sources([page([fixture(name)])], account="self")["source_id"].to_list() == [fixture(name)["id"]]


def test_the_canned_transaction_payout_and_balance_have_the_shape_we_read():
    assert components(parse_balance_transactions([page([fixture("balance_transaction")])], account="self")).height >= 1
    assert parse_payouts([page([fixture("payout")])], account="self").height == 1
    parse_balance(orjson.dumps(fixture("balance")), account="self", taken_at=datetime(2026, 10, 1, tzinfo=UTC))


REPORTS = MATERIAL / "stripe_report_csv"


@pytest.mark.parametrize(
    ("name", "rows", "net", "payouts"),
    [
        ("layout_bom_crlf_quotes_jpy", 3, {"USD": 941 + 2397, "JPY": 4850}, set()),
        ("layout_payout_reconciliation_v7", 3, {"USD": 4825 - 2000 + 11622}, {"po_batch01"}),
    ],
)
def test_report_layouts_are_read_to_the_minor_unit(name: str, rows: int, net: dict[str, int], payouts: set[str]):
    report = read_report(REPORTS / f"{name}.csv", account="self", time_zone="UTC")
    assert report.transactions.height == rows
    assert dict(report.transactions.group_by("currency").agg(pl.col("net_minor").sum()).rows()) == net
    assert set(report.members["payout_id"]) == payouts
    components(report.transactions)


def test_a_layout_whose_payout_rows_have_a_cell_too_many_is_refused_at_its_row():
    with pytest.raises(FileRefusedError, match=":4: 12 cells where the header has 11"):
        read_report(REPORTS / "layout_two_payouts_with_payout_rows.csv", account="self", time_zone="UTC")


def test_files_of_the_warehouse_are_no_reports():
    with pytest.raises(FileRefusedError, match="no itemised report"):
        read_report(SEEDS / "balance_transaction_data.csv", account="self", time_zone="UTC")
