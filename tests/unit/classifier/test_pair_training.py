"""Candidate pairs are labeled by the truth alone, and a fitted version says what it learned."""

import importlib.util
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from reconciliation.classifier.examples import undecided
from reconciliation.classifier.labels import read_truth
from reconciliation.classifier.pair_training import COLUMNS, label_pairs, label_reviewed_pairs, measure_pairs, train_pair_scorer
from reconciliation.matching.pair_scorer import PairWeights
from reconciliation.matching.pool import ByHand
from reconciliation.normalize.references import extract_references
from reconciliation.rates import Rates
from reconciliation.schemas.decisions import HandMatchedItem, KeptApartItem
from reconciliation.schemas.items import MatchMember
from reconciliation.simulation.company import simulate_company
from reconciliation.simulation.dry_run import dry_company
from reconciliation.simulation.families import family_options
from reconciliation.simulation.writer import write_company

spec = importlib.util.spec_from_file_location("factories", Path(__file__).parents[2] / "factories.py")
make = importlib.util.module_from_spec(spec)
spec.loader.exec_module(make)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory) -> pl.DataFrame:
    """The labeled pairs of a month of a careless company."""
    folder = tmp_path_factory.mktemp("company")
    write_company(simulate_company(family_options("ticket_office", seed=77, payments=300, months=1)), folder)
    _, edges = read_truth(folder)
    with dry_company(folder, score=undecided) as months:
        return label_pairs(next(months).result, edges, rates=Rates())


def test_pairs_have_a_level_of_every_comparison_and_both_labels(pairs):
    assert set(COLUMNS.values()) <= set(pairs.columns)
    assert pairs.select(COLUMNS.values()).null_count().sum_horizontal().item() == 0
    assert pairs["is_match"].n_unique() == 2


def test_a_name_that_differs_is_rarely_a_match(pairs):
    rates = dict(pairs.group_by("name").agg(pl.col("is_match").mean()).iter_rows())
    assert rates["same"] > rates["other"]


def test_quality_counts_what_the_threshold_takes():
    frame = pl.DataFrame(
        {
            **{column: ["x", "y"] for column in COLUMNS.values()},
            "alike": [1.0, 0.0],
            "shared": ["1", "2"],
            "ends": ["1", "2"],
            "lag": [0, 0],
            "is_match": [True, False],
        }
    ).with_columns(amount=pl.lit("single"))
    quality = measure_pairs(frame, PairWeights("0", 0.0, {"name": {"x": 3.0, "y": -3.0}}))
    assert quality["at_threshold"]["0.5"] == {"precision": 1.0, "recall": 1.0}
    assert (quality["pairs"], quality["matches"]) == (2, 1)


def test_reviewers_label_the_pairs_they_decided_and_no_others(tmp_path: Path):
    day = date(2026, 10, 15)
    names = ("Ada Brown", "Ada Browne", "Cleo Dray")
    rows = [make.stripe(f"txn_{n}", 5000, name=name) for n, name in enumerate(names)]
    rows += [make.ledger(f"P{n}", 5000, "Card sale", name=name) for n, name in enumerate(names)]
    rows += [make.stripe("txn_8", 700, name="Dara Fenby", day=day), make.ledger("P8", 700, "Card sale", name="Dara Fenby")]
    texts = make.items(*rows)
    items, references = texts.drop("reference_text"), extract_references(texts)
    by_hand = [(7, "books", "txn_0/gross", 5000, ""), (7, "books", "gl_P0/1", 5000, "")]
    apart = [(9, "books", "txn_1/gross", "a"), (9, "books", "gl_P2/1", "b")]
    hands = ByHand(
        pl.DataFrame(by_hand, schema=HandMatchedItem.create_empty().schema, orient="row"),
        pl.DataFrame(apart, schema=KeptApartItem.create_empty().schema, orient="row"),
    )
    members = MatchMember.create_empty()
    labeled = label_reviewed_pairs(items, references, members, hands, rates=Rates())
    # The line matched by hand with every payment, its payment with every line, and the two taken apart: 3 + 2 + 1; Fenby nobody decided.
    assert labeled["is_match"].to_list().count(True) == 1
    assert labeled.filter("is_match")["name"].to_list() == ["same"]
    assert labeled.height == 6
    assert label_reviewed_pairs(items, references, members, ByHand(), rates=Rates()).is_empty()
    assert label_reviewed_pairs(items.sample(fraction=1.0, shuffle=True, seed=3), references, members, hands, rates=Rates()).equals(labeled)


@pytest.mark.hard
def test_a_version_is_written_with_its_hash_and_its_card(pairs, tmp_path: Path):
    weights = train_pair_scorer(pairs, pairs, folder=tmp_path)
    assert weights.levels["name"]["same"] > weights.levels["name"]["other"]
    assert sorted(path.name for path in (tmp_path / "1").iterdir()) == ["card.md", "manifest.json", "weights.json"]
    reviewed = train_pair_scorer(pairs, pairs, reviewed=pl.concat([pairs.filter(~pl.col("is_match"))] * 5), folder=tmp_path)
    assert reviewed.intercept < weights.intercept
    again = train_pair_scorer(pairs.sample(fraction=1.0, shuffle=True, seed=1), pairs, folder=tmp_path)
    assert again.levels == weights.levels
