"""A night shows what there is by then, and nothing of what comes later."""

from datetime import timedelta

import orjson
import pytest

from reconciliation.simulation.company import simulate_company
from reconciliation.simulation.nights import Night, files_at, list_nights, stripe_at
from reconciliation.simulation.options import SimulationOptions
from reconciliation.simulation.writer import bank_statement, ledger_exports


@pytest.fixture(scope="module")
def company():
    return simulate_company(SimulationOptions(seed=5, payments=120, months=2, first_period="2026-01", stories=True))


def objects(record, name):
    return [orjson.loads(line) for line in record.files[f"{name}.jsonl"].splitlines()]


def test_every_day_of_the_months_has_a_night(company):
    days = [night.day for night in list_nights(company)]
    assert days == [days[0] + timedelta(days=n) for n in range(31 + 28)]


@pytest.mark.parametrize("number", [0, 10, 40])
def test_stripe_shows_nothing_of_what_comes_later_and_its_balance_adds_up(company, number):
    night = list_nights(company)[number]
    shown, at_the_end = stripe_at(company, night), company.stripe
    for name in ("balance_transactions", "charges", "refunds", "payouts", "disputes"):
        assert [one["id"] for one in objects(shown, name)] == [one["id"] for one in objects(at_the_end, name) if one["created"] <= night.moment]
    members = orjson.loads(shown.files["payout_balance_transactions.json"])
    assert members.keys() <= {payout["id"] for payout in objects(shown, "payouts")}
    balance = orjson.loads(shown.files["balance.json"])
    total = sum(part["amount"] for name in ("available", "pending") for part in balance[name])
    payments = [one["net"] for one in objects(shown, "balance_transactions") if one["balance_type"] == "payments"]
    assert total == company.log.opening_minor + sum(payments)


def test_the_night_after_the_last_month_brings_what_its_delivery_brings(company):
    last = list_nights(company)[-1]
    files = files_at(company, last)
    expected = {f"ledger/{name}": frame.write_csv().encode() for name, frame in ledger_exports(company, last.period).items()}
    assert {name: files[name] for name in expected} == expected
    assert files[f"bank/{last.period}.xml"] == bank_statement(company, last.period)


def test_a_night_brings_the_month_before_as_its_last_day_left_it(company):
    nights = list_nights(company)
    end_of_first = next(night for night in reversed(nights) if night.period == "2026-01")
    at_the_end, later = files_at(company, end_of_first), files_at(company, nights[-5])
    for name in ("ledger/2026-01.csv", "bank/2026-01.xml"):
        assert later[name] == at_the_end[name]
    assert files_at(company, Night(end_of_first.day - timedelta(days=9), "2026-01"))["bank/2026-01.xml"] != at_the_end["bank/2026-01.xml"]
