"""Candidate pairs are labeled by the truth alone, and a fitted version says what it learned."""

from pathlib import Path

import polars as pl
import pytest

from reconciliation.classifier.labels import read_truth
from reconciliation.classifier.pair_training import COLUMNS, label_pairs, measure_pairs, train_pair_scorer
from reconciliation.classifier.training import undecided
from reconciliation.matching.pair_scorer import PairWeights
from reconciliation.rates import Rates
from reconciliation.simulation.company import simulate_company
from reconciliation.simulation.dry_run import dry_company
from reconciliation.simulation.families import family_options
from reconciliation.simulation.writer import write_company


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


@pytest.mark.hard
def test_a_version_is_written_with_its_hash_and_its_card(pairs, tmp_path: Path):
    weights = train_pair_scorer(pairs, pairs, folder=tmp_path)
    assert weights.levels["name"]["same"] > weights.levels["name"]["other"]
    assert sorted(path.name for path in (tmp_path / "1").iterdir()) == ["card.md", "manifest.json", "weights.json"]
    again = train_pair_scorer(pairs.sample(fraction=1.0, shuffle=True, seed=1), pairs, folder=tmp_path)
    assert again.levels == weights.levels
