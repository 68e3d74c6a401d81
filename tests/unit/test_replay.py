"""A replay: nothing changes under the same rules, and what changes under others is named."""

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from reconciliation.breaks.clearing import leave_to_people
from reconciliation.config import read_settings
from reconciliation.lake import Lake
from reconciliation.rates import read_rates
from reconciliation.replay import compare, define_closed_month, replay_month, take_rules
from reconciliation.schemas.decisions import DecidedItem
from reconciliation.simulation.company import simulate_company
from reconciliation.simulation.dry_run import run_in_folder
from reconciliation.simulation.options import SimulationOptions
from reconciliation.simulation.writer import write_company

PERIOD = "2026-09"


def by_age(features: pl.DataFrame, *, days: int = 10) -> pl.DataFrame:
    probability = pl.when(pl.col("age_days") > days).then(0.9).otherwise(0.1)
    return features.select("break_id", probability_true_exception=probability, reasons=pl.lit(["age"]))


def never(features: pl.DataFrame) -> pl.DataFrame:
    return features.select("break_id", probability_true_exception=pl.lit(0.0), reasons=pl.lit(["never"]))


class Closed:
    """Two locked months of a company, and what they were computed from."""

    def __init__(self, folder: Path) -> None:
        write_company(simulate_company(SimulationOptions(seed=5, payments=160, months=2, first_period="2026-08", stories=True)), folder / "company")
        work = folder / "work"
        work.mkdir()
        (work / "reconciliation.toml").write_bytes((folder / "company" / "reconciliation.toml").read_bytes())
        self.settings = read_settings(work / "reconciliation.toml")
        self.lake = Lake(self.settings.path(self.settings.storage.lake))
        for month in run_in_folder(folder / "company", work, score=by_age):
            self.sources, self.result = month.sources, month.result
        self.rates = read_rates(self.settings.path(self.settings.fx.rates))

    def replay(self, score=by_age, decided: pl.DataFrame | None = None):
        month = define_closed_month(self.lake, self.settings, "main", PERIOD, lines=self.sources.ledger_lines)
        nothing = DecidedItem.create_empty()
        return replay_month(
            self.lake, self.sources, month, score=score, policy=leave_to_people, rates=self.rates, decided=nothing if decided is None else decided
        )


@pytest.fixture(scope="module")
def closed(tmp_path_factory) -> Closed:
    return Closed(tmp_path_factory.mktemp("replay"))


def test_the_same_rules_change_nothing(closed):
    same = closed.replay()
    assert same.kept == closed.result.members["match_id"].n_unique()
    assert [frame.height for frame in (same.matches, same.causes, same.dispositions, same.contradicted)] == [0, 0, 0, 0]
    assert same.bridge["difference_minor"].to_list() == [0] * same.bridge.height
    assert same.bridge.height > 0


def test_another_model_moves_money_between_causes_and_loses_none(closed):
    other = closed.replay(never)
    assert other.causes.height > 0
    assert other.matches.height == 0
    assert other.bridge.group_by("currency").agg(pl.col("difference_minor").sum())["difference_minor"].to_list() == [0]
    in_books = other.causes.filter(pl.col("leg") == "books")
    lost = other.bridge.filter(pl.col("difference_minor") < 0)["difference_minor"].sum()
    assert lost != 0
    assert in_books["items"].sum() > 0


def test_the_month_is_replayed_with_the_items_it_was_closed_with(closed):
    lines = closed.sources.ledger_lines
    spoiled = Closed.__new__(Closed)
    spoiled.__dict__ = {**closed.__dict__, "sources": replace(closed.sources, ledger_lines=lines.with_columns(pl.col("amount_minor") + 1))}
    assert spoiled.replay().matches.height == 0


def decision(closed: Closed, *, cause: str, state: str = "in_force") -> tuple[pl.DataFrame, str]:
    item = closed.result.open_items.filter((pl.col("leg") == "books") & (pl.col("cause") != "")).row(0, named=True)
    row = {name: "" if dtype == pl.String else 0 for name, dtype in DecidedItem.create_empty().schema.items()}
    row |= {
        "number": 7,
        "leg": "books",
        "item_id": item["item_id"],
        "state": state,
        "decision": "change_cause",
        "cause": cause or item["cause"],
        "prepared_by": "anna",
    }
    return pl.DataFrame([row], schema=DecidedItem.create_empty().schema), item["item_id"]


@pytest.mark.parametrize(("cause", "state", "count"), [("fx", "in_force", 1), ("", "in_force", 0), ("fx", "undone", 0)])
def test_a_decision_that_the_replay_contradicts_is_named(closed, cause, state, count):
    decided, item = decision(closed, cause=cause, state=state)
    against = closed.replay(decided=decided).contradicted
    assert against["item_id"].to_list() == [item] * count
    assert against["entry"].to_list() == [7] * count


def test_matches_gained_and_lost_are_named_with_their_money(closed):
    tables = closed.lake.tables(f"lock/{PERIOD}/main")
    before = {name: closed.lake.load(tables[name]) for name in ("items", "members", "explained")}
    first = closed.result.members.sort("match_id")["match_id"][0]
    fewer = replace(closed.result, members=closed.result.members.filter(pl.col("match_id") != first))
    found = compare(before, fewer, decided=DecidedItem.create_empty())
    assert found.matches.select("change", "match_id").rows() == [("lost", first)]
    assert found.matches["amount_minor"][0] > 0


def test_rules_are_taken_and_places_are_not(closed, tmp_path):
    text = (closed.settings.folder / "reconciliation.toml").read_text()
    (tmp_path / "other.toml").write_text(text + '\n[classifier]\nmodel = "1"\n')
    other = read_settings(tmp_path / "other.toml")
    rules = take_rules(closed.settings, other)
    assert rules.classifier.model == "1"
    assert (rules.folder, rules.books, rules.storage) == (closed.settings.folder, closed.settings.books, closed.settings.storage)
