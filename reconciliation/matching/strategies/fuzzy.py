"""Equal amounts with similar names, references and dates -> one-to-one pairs, the best overall assignment.

Conditions: same currency and amount (a component, or a transaction net of fees), posted within the window, a score above
the threshold. The score is a sum of evidence: name, reference, lag, and whether the amount occurs once on both sides.

Worked: charge 49.90 for 'Ada Brown', INV-1042, on the 3rd; line 49.90 'BROWN, ADA', memo 'inv 1042', on the 4th:
name 1.0 (+4.0), digits 1042 shared (+3.0), lag 1 (-0.15), start -1.5: 5.35, a score of 0.995.
"""

import polars as pl

from reconciliation.matching.assignment import assign_best
from reconciliation.matching.pool import PAYOUT_CATEGORIES, Pool, lag_in_words, nothing, pair_proposals, variants
from reconciliation.similarity import contained_similarity, name_similarity

START, NAME, NUMBER, REFERENCE, LAG_A_DAY, RARE = -1.5, 4.0, 3.0, 2.0, -0.15, 2.5
LOG_ODDS_BEHIND_MAX = 6.0
TIE_BREAK = 1e-7


def match_fuzzily(pool: Pool) -> pl.DataFrame:
    """Propose pairs of lines and components by the evidence of their texts and dates."""
    lines = pool.postings().filter(~pl.col("item_id").is_in(pool.values("journal")["item_id"].implode()))
    stripe = pool.side("stripe").filter(~pl.col("category").is_in(PAYOUT_CATEGORIES))
    offered = variants(stripe).filter((pl.col("component") == "gross") | (pl.col("form") == "net"))
    pairs = _score(_candidates(pool, lines, offered), pool)
    if pairs.is_empty():
        return nothing()
    good = pairs.filter(pl.col("score") >= pool.settings.fuzzy_score_min)
    near_best = good.filter(
        (pl.col("log_odds") >= pl.col("log_odds").max().over("item_id") - LOG_ODDS_BEHIND_MAX)
        & (pl.col("log_odds") >= pl.col("log_odds").max().over("key_id") - LOG_ODDS_BEHIND_MAX)
    ).with_columns(left=pl.col("item_id"), right=pl.col("key_id"), equally_good=pl.len().over("item_id", pl.col("score").round(6)))
    # Between equal candidates the earliest are taken: a hair off the score for each later one.
    place = [pl.col(name).rank("dense").over("currency", "amount_minor") for name in ("date", "date_stripe", "occurred_at_stripe")]
    ordered = near_best.with_columns(score=pl.col("score") - TIE_BREAK * pl.sum_horizontal(place).fill_null(0))
    one_form = ordered.sort("score", "variant", descending=[True, False]).unique(["left", "right"], keep="first", maintain_order=True)
    chosen = assign_best(one_form)
    ties = pl.when(pl.col("equally_good") > 1).then(pl.format(", {} equally good candidates, the earliest taken", "equally_good")).otherwise(pl.lit(""))
    return pair_proposals(
        chosen.select(
            members=pl.concat_list(pl.concat_list("item_id"), "members"),
            score=pl.col("score").round(4),
            evidence=pl.concat_str([pl.col("words"), ties]),
        )
    )


def _candidates(pool: Pool, lines: pl.DataFrame, offered: pl.DataFrame) -> pl.DataFrame:
    """Join on currency and amount; keys with too many pairs are refined by name and by day before they are joined."""
    key = ["currency", "amount_minor"]
    slim = lines.select("item_id", *key, "date", "counterparty", "reference_text_line", "occurred_at")
    counts = slim.group_by(key).agg(n_lines=pl.len()).join(offered.group_by(key).agg(n_offers=pl.len()), on=key)
    heavy = counts.filter(pl.col("n_lines") * pl.col("n_offers") > pool.settings.pairs_per_key_max)
    light_pairs = slim.join(heavy, on=key, how="anti").join(offered, on=key, suffix="_stripe")
    heavy_lines, heavy_offers = slim.join(heavy, on=key, how="semi"), offered.join(heavy, on=key, how="semi")
    by_name = _capped(heavy_lines.with_columns(name=_name("counterparty")), heavy_offers.with_columns(name=_name("counterparty")), [*key, "name"], pool)
    by_day = _capped(heavy_lines, heavy_offers, [*key, "date"], pool)
    joined = pl.concat([light_pairs, by_name, by_day], how="diagonal_relaxed").unique(["item_id", "variant"], maintain_order=True)
    lag = (pl.col("date") - pl.col("date_stripe")).dt.total_days()
    inside = joined.with_columns(lag=lag).filter(pl.col("lag").is_between(-pool.settings.posting_lead_days, pool.settings.posting_lag_days))
    return inside.join(counts, on=key, how="left")


def _capped(lines: pl.DataFrame, offers: pl.DataFrame, key: list[str], pool: Pool) -> pl.DataFrame:
    """Join on a finer key, leaving out what is still too many: those stay open as interchangeable."""
    counts = lines.group_by(key).agg(n=pl.len()).join(offers.group_by(key).agg(m=pl.len()), on=key)
    bearable = counts.filter(pl.col("n") * pl.col("m") <= pool.settings.pairs_per_key_max**2)
    day = pl.col("date").alias("date_stripe") if "date" in key else pl.col("date_stripe")
    joined = lines.join(bearable, on=key, how="semi").join(offers, on=key, suffix="_stripe")
    return joined.with_columns(day).drop("name", "name_stripe", strict=False)


def _name(column: str) -> pl.Expr:
    words = pl.col(column).str.to_uppercase().str.replace_all(r"[^A-Z0-9 ]", " ").str.extract_all(r"[A-Z0-9]+")
    return pl.when(pl.col(column) != "").then(words.list.sort().list.join(" "))


def _score(pairs: pl.DataFrame, pool: Pool) -> pl.DataFrame:
    """Add log-odds, score and the evidence in words."""
    if pairs.is_empty():
        return pairs
    numbers = pool.values("number")
    shared = (
        pairs.select("item_id", "key_id").unique().join(numbers, on="item_id").join(numbers, left_on=["key_id", "value"], right_on=["item_id", "value"])
        .group_by("item_id", "key_id").agg(number=pl.col("value").min())
    )  # fmt: skip
    scored = pairs.with_columns(
        name=name_similarity(pairs["counterparty"], pairs["counterparty_stripe"]),
        contained=contained_similarity(pairs["reference_text_line"], pairs["reference"]),
    ).join(shared, on=["item_id", "key_id"], how="left")
    rare = (pl.col("n_lines") == 1) & (pl.col("n_offers") == 1)
    evidence_of_name = ((pl.col("name") - 0.6) / 0.4).clip(-1, 1).fill_null(0) * NAME
    evidence_of_reference = (
        pl.when(pl.col("number").is_not_null()).then(NUMBER).otherwise(((pl.col("contained") - 0.7) / 0.3).clip(-0.5, 1).fill_null(0) * REFERENCE)
    )
    log_odds = START + evidence_of_name + evidence_of_reference + LAG_A_DAY * pl.col("lag").abs() + RARE * rare.cast(pl.Float64)
    named = (
        pl.when(pl.col("name").is_null())
        .then(pl.lit("no name to compare"))
        .otherwise(pl.format("names {}% alike", (pl.col("name") * 100).round(0).cast(pl.Int64)))
    )
    numbered = pl.when(pl.col("number").is_not_null()).then(pl.format(", digits {} on both sides", "number")).otherwise(pl.lit(""))
    amount = pl.when(pl.col("form") == "net").then(pl.lit(", amount equals net of fees, ")).otherwise(pl.lit(", amount equals gross, "))
    once = pl.when(rare).then(pl.lit(", the only such amount open on both sides")).otherwise(pl.lit(""))
    return scored.with_columns(log_odds=log_odds).with_columns(
        score=1 / (1 + (-pl.col("log_odds")).exp()), words=pl.concat_str([named, numbered, amount, lag_in_words(pl.col("lag")), once])
    )
