"""Training: companies in, a version with certificate, card and labeled data out; nothing judged on what it learned from."""

import hashlib
from pathlib import Path

import numpy as np
import orjson
import polars as pl
import pytest

from reconciliation.classifier.card import render_card
from reconciliation.classifier.examples import MonthRun, World, assign_roles, collect_company, collect_examples, plan_worlds, read_labeled
from reconciliation.classifier.training import Plan, evaluate_version, leave_out_causes, train_version
from reconciliation.classifier.verdicts import judge_breaks, make_judge
from reconciliation.classifier.versions import load_version
from reconciliation.errors import FileRefusedError
from reconciliation.learning.additive import FitOptions, feature_types

pytestmark = pytest.mark.hard  # Fits models; minutes, not seconds.

PLAN = Plan(held_out=("shop",), zero_day=("skim",), leave_out=False, options=FitOptions(rounds_max=60, pairs_max=2, leaf_rows_min=5))
MONTHS = ["2026-10", "2026-11", "2026-12"]
BREAKS = 60


def simulate(world: World, scratch: Path) -> Path:
    """Write the truth of a stand-in company: one story per exception."""
    random = np.random.default_rng(world.seed)
    rows = ["leg,item,cause,nature,is_true_exception,story,period"]
    for month in MONTHS:
        for n in range(BREAKS):
            is_exception = random.random() < 0.2
            cause = ("missing_posting" if n % 2 else "wrong_amount") if is_exception else "timing"
            cause = "skim" if is_exception and n % 10 == 0 else cause
            rows.append(f"books,txn_{month}_{n}/gross,{cause},entry,{str(is_exception).lower()},,{month}")
    folder = scratch / world.name
    (folder / "truth").mkdir(parents=True)
    (folder / "truth" / "items.csv").write_text("\n".join(rows))
    (folder / "truth" / "matches.csv").write_text("leg,stripe_item,other_item\n")
    return folder


def reconcile(folder: Path) -> list[MonthRun]:
    """Return stand-in runs whose features know the truth only dimly."""
    truth = pl.read_csv(folder / "truth" / "items.csv")
    runs = []
    for month in MONTHS:
        part = truth.filter(pl.col("period") == month)
        seed = int.from_bytes(hashlib.sha256(f"{folder.name}{month}".encode()).digest()[:4])
        random = np.random.default_rng(seed)
        count, is_exception = part.height, part["is_true_exception"].to_numpy()
        ids = [f"br_{folder.name}_{item}" for item in part["item"]]
        features = pl.DataFrame(
            {
                "break_id": ids,
                "age_days": random.integers(0, 40, count) + is_exception * random.integers(0, 40, count) * 1.0,
                "has_counterparty": random.random(count) < 0.1 + 0.3 * is_exception,
                "possible_causes": random.choice(["both", "expected"], count),
                "kind": ["missing_in_ledger"] * count,
            }
        )
        breaks = pl.DataFrame(
            {
                "break_id": ids,
                "match_id": [""] * count,
                "leg": ["books"] * count,
                "item_ids": [[item] for item in part["item"]],
                "amount_minor": random.integers(-5000, 5000, count),
            }
        )
        items = pl.DataFrame(
            {"leg": ["books"] * count, "item_id": part["item"], "side": ["stripe"] * count, "amount_minor": breaks["amount_minor"]}
        ).with_columns(*(pl.lit("").alias(name) for name in ("document", "reference", "source_file", "source_row", "account")), currency=pl.lit("GBP"))
        members = pl.DataFrame(schema=dict.fromkeys(["leg", "item_id", "match_id", "strategy"], pl.String))
        runs.append(MonthRun(period=month, features=features, breaks=breaks, items=items, members=members))
    return runs


@pytest.fixture(scope="module")
def examples() -> pl.DataFrame:
    """Twenty companies of two families."""
    worlds = [
        World(name=f"{family}_{n}", family=family, seed=10 * n + len(family)) for family in ("saas", "shop") for n in range(20 if family == "saas" else 6)
    ]
    return collect_examples(worlds, simulate=simulate, reconcile_company=reconcile)


def test_every_break_of_every_month_is_one_example(examples: pl.DataFrame) -> None:
    assert examples.height == 26 * 3 * BREAKS
    assert 0.15 < examples["is_true_exception"].to_numpy().mean() < 0.25
    assert examples["is_named"].all()


def test_no_company_both_teaches_and_tests_and_calibration_is_later_than_learning(examples: pl.DataFrame) -> None:
    divided = assign_roles(examples, held_out=["shop"], zero_day=["skim"])
    by_world = divided.group_by("world").agg(pl.col("role").unique().sort())
    assert {tuple(roles) for roles in by_world["role"]} == {("learn",), ("stop",), ("calibrate", "certify"), ("test",), ("held_out",)}
    assert set(divided.filter(pl.col("family") == "shop")["role"]) == {"held_out"}
    months = {role: set(divided.filter(pl.col("role") == role)["period"]) for role in ("learn", "stop", "certify", "calibrate", "test")}
    early, late = {"2026-10", "2026-11"}, {"2026-12"}
    assert months == {"learn": early, "stop": early, "certify": early, "calibrate": late, "test": late}


def test_a_mechanism_kept_out_of_learning_is_met_in_the_tests_alone(examples: pl.DataFrame) -> None:
    divided = assign_roles(examples, held_out=["shop"], zero_day=["skim"])
    assert set(divided.filter(pl.col("true_cause") == "skim")["role"]) == {"held_out", "test"}


def test_roles_do_not_depend_on_the_order_of_examples(examples: pl.DataFrame) -> None:
    assert assign_roles(examples.reverse(), held_out=["shop"]).equals(assign_roles(examples, held_out=["shop"]))


def test_training_writes_a_version_that_loads_scores_and_says_what_it_is(examples: pl.DataFrame, tmp_path: Path) -> None:
    model = train_version(examples, plan=PLAN, name="stand_in", models=tmp_path / "models", labeled=tmp_path / "labeled")
    assert load_version(folder=tmp_path / "models").sha256 == model.sha256
    labeled = tmp_path / "labeled" / "stand_in.parquet"
    assert model.manifest["training_data"]["sha256"] == hashlib.sha256(labeled.read_bytes()).hexdigest()
    assert [feature.name for feature in model.tables.features] == ["age_days", "has_counterparty", "possible_causes"]
    card = (tmp_path / "models" / "exception_classifier" / "1" / "card.md").read_text()
    assert card == render_card(model.manifest)
    assert all(words in card for words in ("Worst set", "simulated companies", "held-out family shop"))
    frame = examples.select("break_id", "age_days", "has_counterparty", "possible_causes")
    verdicts = judge_breaks(model, frame)
    assert verdicts.columns == ["break_id", "probability_true_exception", "reasons"]
    assert make_judge(model)(frame).equals(verdicts)
    assert evaluate_version(model, pl.read_parquet(labeled))["sets"] == model.manifest["metrics"]["sets"]
    assert model.manifest["metrics"]["sets"]["in-family"]["pr_auc"] > 0.25
    probes = model.manifest["probes"]["held_out"]
    assert abs(probes["shuffled_labels_pr_auc"] - probes["base_rate"]) < 0.08


def test_training_twice_gives_the_same_bytes(examples: pl.DataFrame, tmp_path: Path) -> None:
    for name, frame in (("a", examples), ("b", examples.reverse())):
        train_version(frame, plan=PLAN, name="same", models=tmp_path / name / "models", labeled=tmp_path / name / "labeled")
    for path in sorted((tmp_path / "a").rglob("*")):
        if path.is_file():
            assert path.read_bytes() == (tmp_path / "b" / path.relative_to(tmp_path / "a")).read_bytes(), path.name


def test_too_few_exceptions_leave_a_version_without_a_threshold(examples: pl.DataFrame, tmp_path: Path) -> None:
    few = examples.filter(pl.int_range(pl.len()).over("world") % 3 == 0)
    model = train_version(few, plan=PLAN, name="few", models=tmp_path / "models", labeled=tmp_path / "labeled")
    certificate = model.certificate(0.99)
    assert certificate is not None
    assert certificate.threshold is None
    assert orjson.loads((tmp_path / "labeled" / "few.json").read_bytes())["rows"] == model.manifest["training_data"]["rows"]
    assert "none proven" in (tmp_path / "models" / "exception_classifier" / "1" / "card.md").read_text()


def test_each_cause_is_left_out_once_and_its_recall_measured(examples: pl.DataFrame) -> None:
    divided = assign_roles(examples, held_out=["shop"])
    rows = leave_out_causes(divided, features=feature_types(examples.select("age_days", "has_counterparty", "possible_causes"), keys=()), options=PLAN.options)
    assert [row["cause"] for row in rows] == ["missing_posting", "skim", "wrong_amount"]
    assert all(row["exceptions"] >= 20 for row in rows)


def test_companies_differ_and_come_out_the_same_again() -> None:
    worlds = plan_worlds(["saas", "shop"], companies=5, seed=3)
    assert worlds == plan_worlds(["saas", "shop"], companies=5, seed=3)
    assert len({world.name for world in worlds}) == len({world.seed for world in worlds}) == 10
    assert len({(world.payments, world.dirt_factor) for world in worlds}) == 10


def test_a_residual_that_is_carried_is_labeled_by_the_match_of_its_month(tmp_path: Path) -> None:
    items = pl.DataFrame(
        {"leg": ["books", "books"], "item_id": ["txn_1/gross", "gl_JE-1/1"], "side": ["stripe", "ledger"], "document": ["", "JE-1"]}
    ).with_columns(*(pl.lit("").alias(name) for name in ("reference", "source_file", "source_row", "account")), currency=pl.lit("GBP"), amount_minor=pl.lit(9))
    members = pl.DataFrame({"leg": ["books"] * 2, "item_id": ["txn_1/gross", "gl_JE-1/1"], "match_id": ["mt_1"] * 2, "strategy": ["exact_reference"] * 2})
    features = pl.DataFrame({"break_id": ["br_1"], "age_days": [1.0]})
    breaks = pl.DataFrame({"break_id": ["br_1"], "match_id": ["mt_1"], "leg": ["books"], "item_ids": [["mt_1"]], "amount_minor": [9]})
    runs = [MonthRun("2026-10", features, breaks, items, members), MonthRun("2026-11", features, breaks, items.clear(), members.clear())]
    (tmp_path / "truth").mkdir()
    row = "books,residual:txn_1/gross;JE-1,wrong_amount,correction,true,"
    (tmp_path / "truth" / "items.csv").write_text(f"leg,item,cause,nature,is_true_exception,story,period\n{row},2026-10\n{row},2026-11\n")
    (tmp_path / "truth" / "matches.csv").write_text("leg,stripe_item,other_item\n")
    labeled = collect_company(World("w", "f", 1), simulate=lambda _world, _scratch: tmp_path, reconcile_company=lambda _folder: runs)
    assert labeled["true_cause"].to_list() == ["wrong_amount", "wrong_amount"]


def test_labeled_data_are_refused_with_the_reason_when_they_are_none(tmp_path: Path) -> None:
    pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "other.parquet")
    (tmp_path / "text.parquet").write_text("no parquet")
    for name, message in (("other", "lacks is_true_exception"), ("text", "cannot be read"), ("absent", "cannot be read")):
        with pytest.raises(FileRefusedError, match=message):
            read_labeled(tmp_path / f"{name}.parquet")


def test_a_card_says_how_many_breaks_the_truth_does_not_name(examples: pl.DataFrame, tmp_path: Path) -> None:
    one_unnamed = examples.with_columns(is_named=pl.int_range(pl.len()) > 0)
    cards = []
    for name, frame in (("all", one_unnamed), ("selected", examples)):
        train_version(frame, plan=PLAN, name=name, models=tmp_path / name, labeled=tmp_path / name)
        cards.append((tmp_path / name / "exception_classifier" / "1" / "card.md").read_text(encoding="utf-8"))
    assert ["1 breaks have no item that the truth names" in card for card in cards] == [True, False]
