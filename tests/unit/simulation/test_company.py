"""Simulated companies re-added from their written files with the standard library, as an outsider would."""

import csv
import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from xml.etree import ElementTree as ET
from zoneinfo import ZoneInfo

import pytest

from reconciliation.config import read_settings
from reconciliation.errors import SettingsError
from reconciliation.simulation.business_days import bank_holidays
from reconciliation.simulation.company import Dirt, SimulationOptions, sample_options, simulate_company
from reconciliation.simulation.families import FAMILIES, HELD_OUT, family_options, random_options
from reconciliation.simulation.stories import FEE_JOURNAL, STORIES
from reconciliation.simulation.truth import NATURES
from reconciliation.simulation.writer import write_company

CLEARING = "1050 Stripe Clearing"
CAMT = {"c": "urn:iso:std:iso:20022:tech:xsd:camt.053.001.02"}
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
STORY_WORLD = SimulationOptions(seed=7, payments=240, months=3, stories=True)
WORLDS = {
    "stories": STORY_WORLD,
    "stories at initiation, weekly": replace(STORY_WORLD, seed=8, payout_posting="at_initiation", payout_schedule="weekly", fee_style="daily_journal"),
    "stories in a tiny world": replace(STORY_WORLD, seed=9, payments=30, months=2, posting_style="daily_summary"),
    "net": SimulationOptions(seed=10, payments=120, months=2, posting_style="net_per_payment", fee_style="per_payment"),
    "one month": SimulationOptions(seed=11, payments=60, months=1, posting_style="gross_per_payment"),
    **{f"random {seed}": random_options(seed) for seed in range(8)},
}


class Written:
    """A company's files, read without any of the product's code."""

    def __init__(self, folder):
        self.folder = folder
        stripe = folder / "stripe"
        self.transactions = {row["id"]: row for row in self.lines("balance_transactions")}
        self.objects = {name: self.lines(name) for name in ("charges", "refunds", "disputes", "payouts")}
        self.members = json.loads((stripe / "payout_balance_transactions.json").read_text())
        self.balance = json.loads((stripe / "balance.json").read_text())
        self.now = json.loads((stripe / "sandbox.json").read_text())["now"]
        self.periods = sorted(path.name for path in (folder / "deliveries").iterdir())
        self.items, self.matches, self.pairs, self.stories = (self.table(folder / "truth" / f"{name}.csv") for name in ("items", "matches", "pairs", "stories"))
        self.opening_items = self.table(folder / "opening_items.csv")
        settings = read_settings(folder / "reconciliation.toml")
        self.zone, self.settings = ZoneInfo(settings.entity.timezone), settings

    def lines(self, name):
        return [json.loads(text) for text in (self.folder / "stripe" / f"{name}.jsonl").read_text().splitlines()]

    @staticmethod
    def table(path):
        with path.open(encoding="utf-8-sig", newline="") as handle:
            return list(csv.DictReader(handle))

    def month(self, epoch):
        return datetime.fromtimestamp(epoch, UTC).astimezone(self.zone).strftime("%Y-%m")

    def components(self):
        found = {}
        for row in self.transactions.values():
            parts = {"gross": row["amount"], "fee": -row["fee"]}
            found |= {f"{row['id']}/{part}": (minor, self.month(row["created"])) for part, minor in parts.items() if minor}
        return found

    def exports(self, period):
        return {path.name: self.table(path) for path in sorted((self.folder / "deliveries" / period / "ledger").glob("*.csv"))}

    def ledger(self, period):
        """Return document -> row of the newest export of each month, as known when a month is closed."""
        newest = {}
        for month in [month for month in self.periods if month <= period]:
            for name, rows in self.exports(month).items():
                newest[name.removesuffix(".csv").removesuffix("_late")] = rows
        return {row["Document Number"]: row for rows in newest.values() for row in rows if row["Account"] == CLEARING}

    def trial_balance(self, period):
        rows = self.table(self.folder / "deliveries" / period / "balances" / "trial_balance.csv")
        return {row["period"]: minor(row["closing_balance"]) for row in rows}

    def bank(self):
        return [(period, ET.parse(self.folder / "deliveries" / period / "bank" / f"{period}.xml").getroot()) for period in self.periods]


def minor(text):
    return int(Decimal(text or "0") * 100)


def signed(row):
    return minor(row["Debit"]) - minor(row["Credit"])


@pytest.fixture(scope="module", params=WORLDS, ids=list(WORLDS))
def written(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("company")
    write_company(simulate_company(WORLDS[request.param]), folder)
    return Written(folder)


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    folder = tmp_path_factory.mktemp("told")
    write_company(simulate_company(STORY_WORLD), folder)
    return Written(folder)


def everything(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_balance_transactions_add_up(written):
    rows = written.transactions.values()
    assert all(row["net"] == row["amount"] - row["fee"] and row["fee"] == sum(part["amount"] for part in row["fee_details"]) for row in rows)
    assert len(rows) == len(written.lines("balance_transactions"))
    assert [row["created"] for row in rows] == sorted((row["created"] for row in rows), reverse=True)
    assert all(row["created"] < written.now for row in rows)


def test_the_balance_is_an_opening_plus_all_nets(written):
    shown = sum(part["amount"] for name in ("available", "pending") for part in written.balance[name])
    opening = shown - sum(row["net"] for row in written.transactions.values() if row["balance_type"] == "payments")
    assert opening >= 100_000
    assert opening % 100 == 0


def test_every_source_exists_and_agrees_with_its_transaction(written):
    found = {row["id"]: row for rows in written.objects.values() for row in rows}
    assert all(row["source"] is None or row["source"] in found for row in written.transactions.values())
    own = written.settings.entity.currency.lower()
    for row in written.objects["charges"]:
        settled = written.transactions[row["balance_transaction"]]
        assert row["currency"] != own or row["amount"] == settled["amount"]
        assert row["currency"] == own or abs(row["amount"] * settled["exchange_rate"] - settled["amount"]) <= 1
    for row in written.objects["refunds"]:
        assert row["currency"] != own or -row["amount"] == written.transactions[row["balance_transaction"]]["amount"]
    for row in written.objects["disputes"]:
        assert all(listed == written.transactions[listed["id"]] for listed in row["balance_transactions"])


def test_an_automatic_payout_equals_its_lines_and_no_line_is_in_two(written):
    for payout in written.objects["payouts"]:
        own = written.transactions[payout["balance_transaction"]]
        listed = [written.transactions[name] for name in written.members.get(payout["id"], [])]
        assert own["amount"] == -payout["amount"]
        assert bool(listed) == payout["automatic"]
        assert not listed or (own in listed and sum(row["net"] for row in listed) == 0)
        assert all(row["available_on"] <= payout["created"] for row in listed if row is not own)
        if payout["failure_balance_transaction"]:
            assert payout["status"] == "failed"
            assert written.transactions[payout["failure_balance_transaction"]]["amount"] == payout["amount"]
    assert max(Counter(name for names in written.members.values() for name in names).values()) == 1


def test_the_trial_balance_is_its_opening_plus_the_lines_delivered(written):
    before = written.trial_balance(written.periods[0])
    opening = before[min(before)]
    for period in written.periods:
        balances = written.trial_balance(period)
        assert balances[min(balances)] == opening
        lines = written.ledger(period).values()
        for month in [month for month in written.periods if month <= period]:
            upto = [row for row in lines if f"{row['Period'][4:]}-{MONTHS.index(row['Period'][:3]) + 1:02d}" <= month]
            assert balances[month] == opening + sum(signed(row) for row in upto)


def test_an_export_holds_one_month_and_a_later_one_repeats_it_whole(written):
    seen = {}
    for period in written.periods:
        for name, rows in written.exports(period).items():
            month = name.removesuffix(".csv").removesuffix("_late")
            assert {f"{row['Date'][6:]}-{row['Date'][3:5]}" for row in rows} <= {month}
            assert month == period or len(rows) > len(seen[month])
            assert all(row in rows for row in seen.get(month, []))
            seen[month] = rows
    documents = [row["Document Number"] for rows in seen.values() for row in rows]
    assert len(documents) == len(set(documents))


def test_bank_statements_tie_out_and_follow_each_other(written):
    closing = None
    for _, root in written.bank():
        balances = {}
        for part in root.iterfind(".//c:Bal", CAMT):
            sign = -1 if part.findtext("c:CdtDbtInd", namespaces=CAMT) == "DBIT" else 1
            balances[part.findtext("c:Tp/c:CdOrPrtry/c:Cd", namespaces=CAMT)] = sign * minor(part.findtext("c:Amt", namespaces=CAMT))
        entries = root.findall(".//c:Ntry", CAMT)
        moved = sum(minor(e.findtext("c:Amt", namespaces=CAMT)) * (-1 if e.findtext("c:CdtDbtInd", namespaces=CAMT) == "DBIT" else 1) for e in entries)
        assert balances["OPBD"] + moved == balances["CLBD"]
        assert closing in (None, balances["OPBD"])
        closing = balances["CLBD"]


def bank_references(written):
    found = {}
    for _, root in written.bank():
        for entry in root.iterfind(".//c:Ntry", CAMT):
            end = entry.findtext(".//c:EndToEndId", namespaces=CAMT)
            reference = entry.findtext("c:AcctSvcrRef", namespaces=CAMT) if end == "NOTPROVIDED" else end
            sign = -1 if entry.findtext("c:CdtDbtInd", namespaces=CAMT) == "DBIT" else 1
            found[reference] = sign * minor(entry.findtext("c:Amt", namespaces=CAMT))
    return found


def test_the_truth_names_rows_that_exist(written):
    components, payouts = written.components(), {row["id"]: row for row in written.objects["payouts"]}
    bank = bank_references(written)
    for row in written.items:
        documents = written.ledger(row["period"])
        known = documents if row["leg"] == "books" else {}
        names = row["item"].removeprefix("residual:").split(";")
        assert all(name in components or name in known or name in payouts or name == "opening:1050" for name in names), row
        assert NATURES[row["cause"]] == row["nature"]
    documents = written.ledger(written.periods[-1])
    for row in written.matches:
        assert (
            (row["stripe_item"] in components and row["other_item"] in documents)
            if row["leg"] == "books"
            else (payouts[row["stripe_item"]]["amount"] == bank[row["other_item"]])
        )
    assert len({(row["period"], row["leg"], row["item"]) for row in written.items}) == len(written.items)


def test_every_item_of_a_month_is_matched_or_open_once(written):
    components = written.components()
    opening = {row["item_id"]: minor(row["amount"]) for row in written.opening_items if row["leg"] == "books"}
    for period in written.periods:
        population = Counter(
            {("stripe", name) for name, (_, month) in components.items() if written.periods[0] <= month <= period} | {("stripe", name) for name in opening}
        )
        population += Counter({("ledger", name) for name in written.ledger(period)})
        done = {("stripe", row["stripe_item"]) for row in written.matches if row["leg"] == "books" and row["period"] <= period}
        done |= {("ledger", row["other_item"]) for row in written.matches if row["leg"] == "books" and row["period"] <= period}
        for row in written.pairs:
            if row["leg"] == "books" and row["period"] <= period:
                done |= {("stripe" if "/" in row[side] else "ledger", row[side]) for side in ("first_item", "second_item")}
        still = {
            (row["side"], row["item"]) for row in written.items if row["leg"] == "books" and row["period"] == period and row["side"] in ("stripe", "ledger")
        }
        assert not done & still
        assert done | still == set(population)


def test_what_is_open_explains_the_difference_to_the_last_penny(written):
    shown = sum(part["amount"] for name in ("available", "pending") for part in written.balance[name])
    for period in written.periods:
        later = sum(r["net"] for r in written.transactions.values() if r["balance_type"] == "payments" and written.month(r["created"]) > period)
        reserved = sum(r["net"] for r in written.transactions.values() if r["balance_type"] == "risk_reserved" and written.month(r["created"]) <= period)
        rows = [row for row in written.items if row["leg"] == "books" and row["period"] == period]
        explained = sum(int(row["amount_minor"]) * (-1 if row["side"] == "ledger" else 1) for row in rows)
        assert shown - later + reserved - written.trial_balance(period)[period] == explained


def test_cash_in_transit_follows(written):
    payouts, first = {row["id"]: row for row in written.objects["payouts"]}, written.periods[0]
    opening = {row["item_id"] for row in written.opening_items if row["leg"] == "cash"}
    for period in written.periods:
        population = {name for name, row in payouts.items() if first <= written.month(row["created"]) <= period} | opening
        arrived = {row["stripe_item"] for row in written.matches if row["leg"] == "cash" and row["period"] <= period}
        returned = {row["first_item"] for row in written.pairs if row["leg"] == "cash" and row["period"] <= period}
        still = {row["item"] for row in written.items if row["leg"] == "cash" and row["period"] == period}
        assert not arrived & returned
        assert population == (arrived | returned) ^ still


def test_equal_options_give_equal_bytes(tmp_path):
    for name in ("a", "b"):
        write_company(simulate_company(STORY_WORLD), tmp_path / name)
    assert everything(tmp_path / "a") == everything(tmp_path / "b")
    write_company(simulate_company(replace(STORY_WORLD, seed=70)), tmp_path / "c")
    assert everything(tmp_path / "a")["stripe/charges.jsonl"] != everything(tmp_path / "c")["stripe/charges.jsonl"]


def test_the_errors_of_the_books_change_neither_stripe_nor_bank(tmp_path):
    errors = Dirt(
        missing_posting=0.05, duplicate_posting=0.05, wrong_amount=0.05, reversed_sign=0.05, reference_absent=0.3, unrecorded_refund=0.5, unknown_entry=0.2
    )
    write_company(simulate_company(STORY_WORLD), tmp_path / "a")
    write_company(simulate_company(replace(STORY_WORLD, dirt=errors)), tmp_path / "b")
    clean, dirty = everything(tmp_path / "a"), everything(tmp_path / "b")
    same = [name for name in clean if name.startswith("stripe/") or "/bank/" in name]
    assert same
    assert all(clean[name] == dirty[name] for name in same)
    assert any(clean[name] != dirty[name] for name in clean if "/ledger/" in name)


def test_one_mechanism_more_leaves_what_the_others_did(tmp_path):
    base = replace(STORY_WORLD, dirt=replace(STORY_WORLD.dirt, reversed_sign=0.0))
    before, after = (simulate_company(options).ledger.lines for options in (base, replace(base, dirt=replace(base.dirt, reversed_sign=0.02))))
    changed = before.join(after, on=["line", "posting_on", "memo", "name", "amount_minor"], how="anti")
    assert 0 < changed.height < before.height * 0.06


@pytest.mark.parametrize("story", STORIES)
def test_every_story_happens(told, story):
    assert any(row["story"] == story for row in told.stories)


def test_the_stories_end_as_they_are_told(told):
    seen = {(row["story"], row["period"]): (row["cause"], row["is_true_exception"]) for row in told.items if row["story"] and not row["item"].endswith("/fee")}
    first, second, third = told.periods
    assert seen["dispute_held_then_won", first] == ("dispute_held", "false")
    assert ("dispute_held_then_won", second) not in seen
    assert seen["payout_in_transit_fails_and_is_swept_later", first] == ("payout_in_transit", "false")
    assert seen["line_back_dated_into_closed_month", second] == ("wrong_period", "true")
    assert ("line_back_dated_into_closed_month", third) not in seen
    assert seen["duplicate_posting_left_open", third] == ("duplicate_posting", "true")
    assert seen["double_charge", third] == ("double_charge", "true")
    assert seen["unrecorded_refund", third] == ("unrecorded_refund", "true")
    assert seen["missing_posting", first] == ("missing_posting", "true")
    assert seen["wrong_amount", second] == ("wrong_amount", "true")
    assert seen["eur_charge", first] == ("fx", "false")
    assert seen["two_legs", second] == ("timing", "false")
    assert not any(row["leg"] == "cash" for row in told.items if row["story"] == "two_legs")
    assert seen["accrual_and_reversal", first] == ("accrual_release", "false")
    assert seen["posted_after_month_end", first] == ("timing", "false")
    assert [minor_of["amount_minor"] for minor_of in told.items if minor_of["item"] == "opening:1050"] == ["-1200"] * 3
    assert f"{first}_late.csv" in told.exports(second)
    assert any(row["amount"] < 0 for row in told.objects["payouts"] if row["automatic"])
    assert sum(not row["automatic"] for row in told.objects["payouts"]) == 1
    assert told.trial_balance(second)[first] != told.trial_balance(first)[first]


def test_a_world_without_intensities_has_no_true_exception():
    quiet = Dirt(**{name: 0 if name == "lag_long_days_max" else 0.0 for name in Dirt.__dataclass_fields__} | {"lag_long_days_max": 3})
    truth = simulate_company(SimulationOptions(seed=3, payments=200, months=2, dirt=quiet)).truth
    assert not truth.items["is_true_exception"].any()
    assert truth.matches["decidable"].all()


def test_the_oracle_tells_a_missing_posting_from_a_late_one():
    company = simulate_company(SimulationOptions(seed=5, payments=900, months=3, posting_style="gross_per_payment", dirt=Dirt(missing_posting=0.02)))
    first, *_, last = company.log.horizon.periods
    for cause, later in (("timing", True), ("missing_posting", False)):
        items = company.truth.items
        still = items.filter((items["period"] == first) & (items["cause"] == cause) & items["item"].str.ends_with("/gross"))["item"].to_list()
        matched = set(company.truth.matches.filter(company.truth.matches["period"] <= last)["stripe_item"])
        assert still
        assert all((item in matched) is later for item in still)


def test_lines_that_nothing_tells_apart_are_not_decidable():
    nameless = Dirt(reference_absent=1.0, name_absent=1.0)
    trade = replace(SimulationOptions().trade, price_points_minor=(1_000,), price_point_share=1.0)
    truth = simulate_company(SimulationOptions(seed=6, payments=600, months=1, posting_style="gross_per_payment", trade=trade, dirt=nameless)).truth
    books = truth.matches.filter(truth.matches["other_item"].str.starts_with("PYMT"))
    assert books["decidable"].mean() < 0.05


def test_the_families_differ_and_two_know_what_the_others_do_not():
    assert len(FAMILIES) >= 6
    for name, family in FAMILIES.items():
        options = family_options(name, seed=1, payments=200, months=1)
        assert simulate_company(options).truth.items.height
        assert (family.dirt.unknown_entry > 0) == (name in HELD_OUT)
        assert options.dirt.missing_settlement > 0


def test_random_worlds_reach_every_style_and_stay_small():
    drawn = [random_options(seed) for seed in range(600)]
    assert all(30 <= options.payments <= 300 and 1 <= options.months <= 3 for options in drawn)
    assert len({(o.posting_style, o.fee_style, o.payout_posting, o.payout_schedule) for o in drawn}) == 7 * 4 * 2 * 2
    assert random_options(3) == random_options(3)


def test_the_sample_is_what_the_product_ships():
    options = sample_options()
    assert (options.seed, options.first_period, options.months, options.stories) == (2026, "2026-08", 3, True)
    assert FEE_JOURNAL in STORIES


def test_the_settings_are_accepted_and_point_at_the_inbox_beside_them(told):
    settings = told.settings
    assert settings.start.period == told.periods[0]
    assert settings.path(settings.ledger.inbox) == Path(settings.folder) / "inbox/ledger"


def test_stories_in_one_month_are_refused():
    with pytest.raises(SettingsError, match="2 months or more"):
        SimulationOptions(months=1, stories=True)


def test_bank_holidays_of_2026_are_the_published_ones():
    published = ["2026-01-01", "2026-04-03", "2026-04-06", "2026-05-04", "2026-05-25", "2026-08-31", "2026-12-25", "2026-12-28"]
    assert sorted(day.isoformat() for day in bank_holidays(2026)) == published
