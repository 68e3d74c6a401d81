"""Reconciled simulated companies + their truth, and a company's own reviewed matches -> labeled candidate pairs -> a version of the pair scorer.

What the strategies before the fuzzy one matched is taken out, as in the cascade; of what is left, a candidate pair is a
match when the truth ties the line to exactly the components that the pair stands for. What people matched and took apart by hand is the truth about
the pairs it touches, and about no other: that nobody objected to a match says little.
"""

import hashlib
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import polars as pl

from reconciliation.classifier.examples import World
from reconciliation.classifier.labels import name_items, read_truth
from reconciliation.learning.levels import fit_levels, level_counts
from reconciliation.matching.cascade import BOOKS, fill_pool
from reconciliation.matching.pair_scorer import COMPARISONS, MODELS, PairWeights, column_of, score
from reconciliation.matching.pool import ByHand, MatchingSettings
from reconciliation.matching.strategies.by_hand import HAND
from reconciliation.matching.strategies.fuzzy import compare_candidates
from reconciliation.pipeline import Reconciliation
from reconciliation.rates import Rates
from reconciliation.schemas.journals import ProposedEntry

COLUMNS = {name: column_of(name) for name in COMPARISONS}
DECIDED_BEFORE = [name for name, _ in BOOKS[: [name for name, _ in BOOKS].index("fuzzy")]]
FALLING = {
    "name": (("same", "close", "near", "other"),),
    "number": (("same", "ending", "missing", "other"), ("same", "same_short")),
    "lag": (("1", "2", "3-5", "6+"), ("0", "-1", "earlier")),
}
"""What is known before any pair: more agreement is never less likely, nor is a line that was posted sooner."""
FORMAT = 1


def label_pairs(result: Reconciliation, edges: pl.DataFrame, *, rates: Rates) -> pl.DataFrame:
    """List a month's candidate pairs with the level of every comparison and whether they are matches.

    Args:
        result: a reconciled month.
        edges: `leg, stripe_item, other_item, decidable` of the company's truth; pairs that nobody could decide are left out.
        rates: as the month was reconciled with.
    """
    decided = result.members.filter(pl.col("strategy").is_in(DECIDED_BEFORE))
    left = result.items.filter(pl.col("side") != "residual").join(decided, on=["leg", "item_id"], how="anti")
    journals = ProposedEntry.create_empty()
    pool = fill_pool(left, result.references, leg="books", cut_off_on=result.month.cut_off_on, journals=journals, rates=rates, settings=MatchingSettings())
    pairs = compare_candidates(pool)
    if pairs.is_empty():
        return pairs
    names = name_items(left.filter(pl.col("leg") == "books")).select("item_id", "name")
    books = edges.filter(pl.col("leg") == "books")
    true = books.join(names.rename({"item_id": "stripe_id"}), left_on="stripe_item", right_on="name").join(
        names.rename({"item_id": "line_id"}), left_on="other_item", right_on="name"
    )
    labels = pool.items.select("item_id", "label")
    tied = (
        true.join(labels.rename({"item_id": "member", "label": "stripe_id"}), on="stripe_id")
        .join(labels.rename({"label": "line_id"}), on="line_id")
        .sort("item_id", "member")
        .group_by("item_id", maintain_order=True)
        .agg(tied=pl.col("member"), is_decidable=pl.col("decidable").all())
    )
    told = pairs.join(tied, on="item_id", how="left").with_columns(
        is_match=(pl.col("members").list.sort() == pl.col("tied")).fill_null(value=False), is_decidable=pl.col("is_decidable").fill_null(value=True)
    )
    return told.filter("is_decidable").select(*COLUMNS.values(), "alike", "shared", "ends", "lag", "is_match")


def label_reviewed_pairs(items: pl.DataFrame, references: pl.DataFrame, members: pl.DataFrame, hands: ByHand, *, rates: Rates) -> pl.DataFrame:
    """List a stored month's candidate pairs that people decided about, with the level of every comparison and whether they are matches.

    Args:
        items: `Item` of the month.
        references: their `ItemReference` rows.
        members: `MatchMember`.
        hands: what people matched and took apart.
        rates: as the month was reconciled with.
    """
    decided = members.filter(pl.col("strategy").is_in(DECIDED_BEFORE) & (pl.col("strategy") != HAND))
    left = items.filter(pl.col("side") != "residual").join(decided, on=["leg", "item_id"], how="anti")
    if left.is_empty():
        return pl.DataFrame()
    journals, last = ProposedEntry.create_empty(), left.select(pl.col("date").max()).item()
    pool = fill_pool(left, references, leg="books", cut_off_on=last, journals=journals, rates=rates, settings=MatchingSettings())
    pairs = compare_candidates(pool)
    if pairs.is_empty():
        return pairs
    known = pool.items.select("side", member="item_id", item_id="label")
    matched, apart = (frame.filter(pl.col("leg") == "books").join(known, on="item_id").drop("item_id", "leg") for frame in (hands.matched, hands.apart))
    of_line = matched.filter(pl.col("side") == "ledger").select("number", item_id="member")
    of_number = matched.filter(pl.col("side") != "ledger").group_by("number").agg(tied=pl.col("member").sort())
    ends = pairs.select("item_id", "key_id", "form", member="members").explode("member", empty_as_null=False)
    parted = ends.join(apart.select("number", "part", item_id="member"), on="item_id").join(
        apart.select("number", "member", other="part"), on=["number", "member"]
    )
    against = pl.concat([ends.join(matched, on="member", how="semi"), parted.filter(pl.col("part") != pl.col("other")).select(ends.columns)])
    key = ["item_id", "key_id", "form"]
    told = pairs.join(of_line.join(of_number, on="number"), on="item_id", how="left").join(
        against.select(key).unique().with_columns(is_against=pl.lit(value=True)), on=key, how="left"
    )
    is_tied = pl.col("members").list.sort() == pl.col("tied")
    named = told.with_columns(is_match=pl.when(pl.col("tied").is_not_null()).then(is_tied).when("is_against").then(pl.lit(value=False)))
    return named.drop_nulls("is_match").select(*COLUMNS.values(), "alike", "shared", "ends", "lag", "is_match")


def train_pair_scorer(pairs: pl.DataFrame, judged: pl.DataFrame, *, reviewed: pl.DataFrame | None = None, folder: Path = MODELS) -> PairWeights:
    """Fit the weights on pairs, measure them on others, and write a new version.

    Args:
        pairs: of the companies to learn from.
        judged: of companies of other families.
        reviewed: of `label_reviewed_pairs`, to learn from too.
        folder: where versions of the pair scorer lie.
    """
    reviewed = pairs.clear() if reviewed is None else reviewed
    pairs = pl.concat([pairs, reviewed])
    ordered = pairs.sort(pairs.columns)
    intercept, levels = fit_levels(ordered, ordered["is_match"], columns=COLUMNS, falling=FALLING)
    number = 1 + max((int(path.name) for path in folder.glob("*") if path.name.isdigit()), default=0)
    weights = PairWeights(str(number), intercept, levels)
    content = orjson.dumps({"format": FORMAT, "intercept": intercept, "levels": levels}, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS) + b"\n"
    manifest = {
        "format": FORMAT,
        "sha256": hashlib.sha256(content).hexdigest(),
        "learned_from": {"pairs": pairs.height, "matches": int(pairs["is_match"].sum()), "reviewed_pairs": reviewed.height},
        "levels": level_counts(ordered, ordered["is_match"], COLUMNS),
        "in_family": measure_pairs(pairs, weights),
        "held_out_families": measure_pairs(judged, weights),
    }
    place = folder / str(number)
    place.mkdir(parents=True)
    (place / "weights.json").write_bytes(content)
    (place / "manifest.json").write_bytes(orjson.dumps(manifest, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS) + b"\n")
    (place / "card.md").write_text(write_card(weights, manifest), encoding="utf-8")
    return weights


def measure_pairs(pairs: pl.DataFrame, weights: PairWeights) -> dict[str, Any]:
    """Measure scores pair by pair: at several thresholds, precision and recall; and how far probabilities are off on average."""
    scored = score(pairs, weights)
    probability, truth = scored["score"].to_numpy(), scored["is_match"].to_numpy()
    at = {}
    for threshold in (0.3, 0.5, 0.6, 0.8, 0.9):
        chosen = probability >= threshold
        at[str(threshold)] = {
            "precision": round(float(truth[chosen].mean()), 5) if chosen.any() else None,
            "recall": round(float((truth & chosen).sum() / max(truth.sum(), 1)), 5),
        }
    bins = np.clip((probability * 10).astype(int), 0, 9)
    error = sum(abs(probability[bins == place].mean() - truth[bins == place].mean()) * (bins == place).mean() for place in range(10) if (bins == place).any())
    return {"pairs": pairs.height, "matches": int(truth.sum()), "calibration_error": round(float(error), 5), "at_threshold": at}


def write_card(weights: PairWeights, manifest: dict[str, Any]) -> str:
    """Write the card of a version for people."""
    rows = [
        f"| {name} | {level} | {weight:+.2f} |"
        for name, levels in weights.levels.items()
        for level, weight in sorted(levels.items(), key=lambda pair: -pair[1])
    ]
    figures = [
        f"| {title} | {threshold} | {values['precision']} | {values['recall']} |"
        for title, key in (("families learned from", "in_family"), ("held-out families", "held_out_families"))
        for threshold, values in manifest[key]["at_threshold"].items()
    ]
    return "\n".join(
        [
            f"# Pair scorer {weights.version}",
            "",
            "Weights of the comparisons of a ledger line with a Stripe payment, in log-odds, added up to the probability that they belong together.",
            f"Learned from {manifest['learned_from']['pairs']:,} candidate pairs, {manifest['learned_from']['matches']:,} of them matches: of simulated companies, and "
            f"{manifest['learned_from']['reviewed_pairs']:,} that reviewers decided;",
            "judged pair by pair, before the best overall assignment, also on families it never saw. Simulated: a guard against regressions, not evidence about your books.",
            "",
            "| judged on | threshold | precision | recall |",
            "|---|---|---|---|",
            *figures,
            "",
            f"Intercept {weights.intercept:+.2f}.",
            "",
            "| comparison | level | weight |",
            "|---|---|---|",
            *rows,
            "",
        ]
    )


def collect_pairs(
    worlds: Sequence[World],
    *,
    held_out: Sequence[str],
    simulate: Callable[[World, Path], Path],
    reconcile_company: Callable[[Path], Sequence[Reconciliation]],
    processes: int = 1,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Simulate and reconcile companies and label their candidate pairs.

    Args:
        worlds: the companies.
        held_out: families that are judged on and never learned from.
        simulate: writes a company below a folder and returns its own.
        reconcile_company: runs all months of a company's folder, oldest first.
        processes: how many companies at a time; the result is the same.

    Returns:
        The pairs to learn from, and those of the held-out families.
    """
    collect = partial(_collect_company, simulate=simulate, reconcile_company=reconcile_company)
    with get_context("spawn").Pool(processes) as pool:
        frames = list(zip(worlds, pool.imap(collect, worlds), strict=True))
    parts = [
        pl.concat([frame for world, frame in frames if (world.family in held_out) is is_held_out and not frame.is_empty()]) for is_held_out in (False, True)
    ]
    return parts[0], parts[1]


def _collect_company(world: World, *, simulate: Callable[[World, Path], Path], reconcile_company: Callable[[Path], Sequence[Reconciliation]]) -> pl.DataFrame:
    with tempfile.TemporaryDirectory() as scratch:
        folder = simulate(world, Path(scratch))
        _, edges = read_truth(folder)
        labeled = [label_pairs(result, edges, rates=Rates()) for result in reconcile_company(folder)]
    found = [frame for frame in labeled if not frame.is_empty()]
    return pl.concat(found) if found else pl.DataFrame()
