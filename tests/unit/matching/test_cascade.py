"""The whole cascade on small simulated companies: conserved, and independent of the order of rows."""

import os
import subprocess
import sys

import polars as pl
import pytest

from reconciliation.classifier.examples import undecided
from reconciliation.matching.cascade import match_items
from reconciliation.matching.pool import MatchingSettings
from reconciliation.rates import Rates
from reconciliation.schemas.journals import ProposedEntry
from reconciliation.simulation.company import simulate_company
from reconciliation.simulation.dry_run import dry_company
from reconciliation.simulation.families import random_options
from reconciliation.simulation.writer import write_company

NO_JOURNALS = ProposedEntry.create_empty()


@pytest.fixture(scope="module", params=[11, 12, 13])
def month(request, tmp_path_factory):
    """Reconcile the first month of a company drawn at random."""
    folder = tmp_path_factory.mktemp(f"company{request.param}")
    write_company(simulate_company(random_options(request.param)), folder)
    with dry_company(folder, score=undecided) as months:
        return next(months).result


def matched(month, items, references, **settings):
    known = items.filter(pl.col("side") != "residual")
    return match_items(known, references, cut_off_on=month.month.cut_off_on, journals=NO_JOURNALS, rates=Rates(), settings=MatchingSettings(**settings))


def test_the_order_of_rows_does_not_matter(month):
    items, references = month.items, month.references
    plain = matched(month, items, references)
    for seed in (1, 2):
        shuffled = matched(month, items.sample(fraction=1.0, shuffle=True, seed=seed), references.sample(fraction=1.0, shuffle=True, seed=seed))
        assert shuffled.members.equals(plain.members)
        assert shuffled.residuals.sort("item_id").equals(plain.residuals.sort("item_id"))


@pytest.mark.parametrize("rows", [3, 40, 500])
def test_the_number_of_parts_does_not_matter(month, rows):
    plain, divided = (matched(month, month.items, month.references, rows_per_part=size) for size in (10**9, rows))
    for name in ("members", "residuals", "residual_references", "ambiguous"):
        assert getattr(divided, name).equals(getattr(plain, name)), name


def test_the_number_of_threads_does_not_matter(month, tmp_path):
    month.items.filter(pl.col("side") != "residual").write_parquet(tmp_path / "items.parquet")
    month.references.write_parquet(tmp_path / "references.parquet")
    script = f"""
import sys, polars as pl
from datetime import date
from reconciliation.matching.cascade import match_items
from reconciliation.matching.pool import MatchingSettings
from reconciliation.schemas.journals import ProposedEntry
items, references = (pl.read_parquet(sys.argv[1] + name) for name in ("/items.parquet", "/references.parquet"))
found = match_items(items, references, cut_off_on=date.fromisoformat("{month.month.cut_off_on}"), journals=ProposedEntry.create_empty())
assert pl.thread_pool_size() == int(sys.argv[2])
print(found.members.write_csv(), found.residuals.write_csv(), found.ambiguous.write_csv())
"""
    told = [
        subprocess.run(
            [sys.executable, "-c", script, str(tmp_path), str(threads)],
            env=os.environ | {"POLARS_MAX_THREADS": str(threads)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for threads in (1, 2, 5)
    ]
    assert told[0] == told[1] == told[2]
    assert told[0].count("\n") > 100


def test_every_item_is_in_one_match_at_most_and_every_difference_is_a_residual(month):
    matching = matched(month, month.items, month.references)
    assert not matching.members.select("leg", "item_id").is_duplicated().any()
    effect = pl.when(pl.col("side").is_in(["ledger", "bank"])).then(-pl.col("amount_minor")).otherwise(pl.col("amount_minor"))
    both = pl.concat([month.items.filter(pl.col("side") != "residual"), matching.residuals])
    sums = (
        matching.members.join(both, on=["leg", "item_id"]).group_by("leg", "match_id").agg(effect.sum().alias("difference"), pl.col("difference_minor").first())
    )
    assert (sums["difference"] == sums["difference_minor"]).all()
    assert set(sums.filter(pl.col("difference") != 0)["match_id"]) == set(matching.residuals["item_id"])
    assert matching.members.join(both, on=["leg", "item_id"]).group_by("leg", "match_id").agg(pl.col("currency").n_unique())["currency"].max() == 1
