"""The laws of the close package hold whatever people decide: months of simulated companies, decided at random, run again, certified and locked."""

import contextlib
import random
import sys
from pathlib import Path

import polars as pl
import pytest

from reconciliation.close.audit import audit_package
from reconciliation.config import read_settings
from reconciliation.errors import DecisionRefusedError, LockedPeriodError
from reconciliation.lake import Lake
from reconciliation.months import lock_month, write_package
from reconciliation.rates import read_rates
from reconciliation.review.decide import ShownItem
from reconciliation.review.situation import read_situation
from reconciliation.review.standing import waiting_for_second
from reconciliation.simulation.company import simulate_company
from reconciliation.simulation.dry_run import deliver, dry_month, read_stripe_folder
from reconciliation.simulation.families import random_options
from reconciliation.simulation.writer import write_company
from tests.office import KEY, Office

sys.path.insert(0, str(Path(__file__).parents[1] / "end_to_end"))
from package_laws import check_package

KINDS = ("accept", "change_cause", "write_off", "post_entry", "claim", "correct_in_erp", "carry_forward")
ACCEPTED = ("auto_cleared", "cleared_by_reviewer", "written_off", "settled")


def by_age(features):
    """Stand in for the model: the laws hold whatever it says."""
    probability = pl.when(pl.col("age_days") > 10).then(0.9).otherwise(0.1)
    return features.select("break_id", probability_true_exception=probability, reasons=pl.lit(["age"]))


class World:
    """A company, its reviewers, and months that are run as often as wanted."""

    def __init__(self, folder, seed):
        write_company(simulate_company(random_options(seed)), folder / "company")
        (folder / "reconciliation.toml").write_text((folder / "company" / "reconciliation.toml").read_text())
        self.settings = read_settings(folder / "reconciliation.toml")
        self.lake = Lake(self.settings.path(self.settings.storage.lake))
        self.stripe, self.clock = read_stripe_folder(folder / "company" / "stripe")
        self.deliveries = sorted((folder / "company" / "deliveries").iterdir())
        self.office = Office(self.lake.root, "anna", "boris")
        self.source = random.Random(seed)

    def run(self, period):
        """Run a month and return it."""
        rates = read_rates(self.settings.path(self.settings.fx.rates))
        return dry_month(self.lake, self.settings, period, stripe=self.stripe, clock=self.clock, score=by_age, rates=rates)

    def decide(self, period):
        """Decide about a third of the breaks at random, match and unmatch by hand; everything that waits is approved."""
        situation = read_situation(self.lake, self.settings, period)
        for break_id in self.source.sample(situation.breaks["break_id"].sort().to_list(), situation.breaks.height // 3):
            self.attempt(self.source.choice(KINDS), situation, break_id, cause=self.source.choice(["rounding", "timing", "wrong_amount"]))
        for match_id in self.source.sample(situation.members["match_id"].unique().sort().to_list(), min(2, situation.members.height)):
            self.attempt("unmatch", situation, match_id=match_id)
        for leg, far in (("books", "ledger"), ("cash", "bank")):
            still_open = situation.items.join(situation.open_items, on=["leg", "item_id"], how="semi").filter(pl.col("leg") == leg).sort("item_id")
            keys = ["leg", "item_id", "amount_minor"]
            near, other = (still_open.filter(pl.col("side") == side).select(*keys, "currency", sign=pl.col("amount_minor").sign()) for side in ("stripe", far))
            pairs = near.join(other, on=["leg", "currency", "sign"], suffix="_far").sort("item_id", "item_id_far")
            if pairs.height:
                row = pairs.row(self.source.randrange(pairs.height), named=True)
                self.attempt("match", situation, items=tuple(ShownItem(row["leg"], row[f"item_id{end}"], row[f"amount_minor{end}"]) for end in ("", "_far")))
        waiting = [standing.entry.number for standing in waiting_for_second(self.office.log.entries())]
        if waiting:
            self.office.decide("approve", "boris", situation, targets=tuple(waiting))

    def attempt(self, kind, situation, *break_ids, **fields):
        """Decide if the rules allow it."""
        with contextlib.suppress(DecisionRefusedError):
            self.office.decide(kind, "anna", situation, *break_ids, **fields)


def laws_broken(package, copy, before):
    """Copy a package and return what the checker and the auditor's script find."""
    copy.mkdir(parents=True)
    for file in package.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    return [*check_package(copy, before=before), *(text for check in audit_package(copy) for text in check.found)]


@pytest.mark.parametrize("worlds", [2, pytest.param(40, marks=pytest.mark.hard)])
def test_the_laws_hold_whatever_people_decide(tmp_path, monkeypatch, worlds):
    monkeypatch.setenv("RECONCILIATION_REVIEW_KEY", KEY)
    matched_by_hand = accepted = 0
    for seed in range(worlds):
        world = World(tmp_path / str(seed), seed)
        before = None
        for delivery in world.deliveries:
            deliver(delivery, world.settings)
            first = world.run(delivery.name)
            world.decide(delivery.name)
            month = world.run(delivery.name)
            place = tmp_path / f"{seed}-close" / delivery.name / "v1"
            assert laws_broken(month.package, place, before) == [], f"seed {seed}, {delivery.name}"
            assert (
                month.result.items.filter(pl.col("side") != "residual")
                .select("leg", "item_id")
                .equals(first.result.items.filter(pl.col("side") != "residual").select("leg", "item_id"))
            ), f"seed {seed}: a decision changed the population"
            matched_by_hand += month.result.members.filter(pl.col("strategy") == "matched_by_hand").height
            accepted += month.result.breaks.filter(pl.col("disposition").is_in(ACCEPTED)).height
            again = {file.name: file.read_bytes() for file in world.run(delivery.name).package.iterdir()}
            assert again == {name: (place / name).read_bytes() for name in again}, f"seed {seed}: the same decisions gave other bytes"
            certify_and_lock(world, delivery.name)
            before = place
    assert matched_by_hand >= worlds
    assert accepted >= worlds


def certify_and_lock(world, period):
    """Lock a month, which takes two signatures under its package."""
    with pytest.raises(LockedPeriodError, match="not certified"):
        lock_month(world.lake, world.settings, period)
    for role, by in (("preparer", "anna"), ("reviewer", "boris")):
        situation = read_situation(world.lake, world.settings, period)
        world.office.decide("certify", by, situation, role=role, package_hash=situation.package_hash)
    lock_month(world.lake, world.settings, period)
    write_package(world.lake, world.settings, period, as_version=True)
