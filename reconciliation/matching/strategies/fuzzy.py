"""Similar names, numbers, texts and dates -> one-to-one pairs, the best overall assignment.

Conditions: same currency and amount (a component, or a transaction net of fees), or an amount that the rates allow for a
payment in another currency; posted within the window, or within the wider one of differences where a long number is on both sides; a
probability above the threshold. Where a customer has several such payments and no number tells them apart, or several payments have names as
like the line's or are equally good, no pair is claimed: the lines are counted against as many of the payments.

Worked: charge 49.90 for 'Ada Brown', INV-1042, on the 3rd; line 49.90 'BROWN, ADA', memo 'inv 1042', on the 4th: names 100%
alike, digits 1042 on both sides, posted 1 day later. Two charges of 12.00 for 'Bo Lind' on the 3rd and 5th; one line 12.00 'LIND, BO' on the 5th:
one line against one of two payments.
"""

from collections.abc import Iterator

import polars as pl

from reconciliation.matching.assignment import assign_best
from reconciliation.matching.blocking import block_equal_amounts, block_translated_amounts, list_tokens, stated_amounts
from reconciliation.matching.pair_scorer import compare, load_weights, score
from reconciliation.matching.parts import in_parts
from reconciliation.matching.pool import PAYOUT_CATEGORIES, SAYS_REFUND, Pool, nothing, pair_proposals, variants

LOG_ODDS_BEHIND_MAX = 6.0
TIE_BREAK = 1e-7
PROMISED_LOG_ODDS = 2.0
NUMBERED = ["same", "same_short", "ending"]
UNNUMBERED = ["missing", "other"]
EQUALS = ["currency", "amount_minor", "form", "customer"]
DIGITS_MIN = 5
LIKELY_MIN = 0.5
PROBABILITY = 1 / (1 + (-pl.col("log_odds")).exp())


def match_fuzzily(pool: Pool) -> pl.DataFrame:
    """Propose pairs of lines and components by the evidence of their texts and dates."""
    good = [_good_pairs(compared, pool) for compared in _candidates(pool)]
    if not good:
        return nothing(pool)
    near_best = _near_best(_without_promised(pl.concat(good).unique(["item_id", "key_id", "form"], keep="any").sort("item_id", "key_id", "form"), pool))
    # Between equal candidates the earliest are taken: a hair off the score for each later one.
    place = [pl.col(name).rank("dense").over("currency", "amount_minor") for name in ("date", "date_stripe", "occurred_at")]
    ordered = near_best.with_columns(score=pl.col("score") - TIE_BREAK * pl.sum_horizontal(place).fill_null(0))
    one_form = ordered.sort("score", "left", "right", "form", descending=[True, False, False, True]).unique(
        ["left", "right"], keep="first", maintain_order=True
    )
    greedy = pl.when(pl.col("solver") == "greedy").then(pl.lit(", best pair first among very many candidates")).otherwise(pl.lit(""))
    chosen = assign_best(one_form).with_columns(words=pl.concat_str([pl.col("words"), greedy]))
    claimed = chosen.filter(pl.col("candidates") == 1).select(
        members=pl.concat_list(pl.concat_list("item_id"), "members"),
        score=pl.col("score").round(4),
        evidence="words",
        strategy=pl.lit("fuzzy"),
    )
    return pair_proposals(pl.concat([claimed, _count_equals(chosen.filter(pl.col("candidates") > 1))]))


def _count_equals(chosen: pl.DataFrame) -> pl.DataFrame:
    """Put the lines and payments of one customer and amount that nothing tells apart into one counted match."""
    groups = (
        chosen.sort("date", "item_id")
        .group_by(*EQUALS, maintain_order=True)
        .agg(
            lines=pl.col("item_id"),
            parts=pl.col("members").explode(empty_as_null=False),
            n=pl.len(),
            candidates=pl.col("candidates").max(),
            score=pl.col("score").min(),
            words=pl.col("words").first(),
        )
    )
    one = pl.format("{}, one of {} such payments that nothing tells apart", "words", "candidates")
    several = pl.format("{} lines against as many of the equal payments of one customer, nothing tells which is which; the first: {}", "n", "words")
    return groups.select(
        members=pl.concat_list("lines", "parts"),
        score=pl.col("score").round(4),
        evidence=pl.when(pl.col("n") == 1).then(one).otherwise(several),
        strategy=pl.lit("interchangeable"),
    )


def _good_pairs(compared: pl.DataFrame, pool: Pool) -> pl.DataFrame:
    """Keep the pairs that a controller would defend, of what was compared only what is needed to choose among them."""
    scored = score(compared, load_weights(pool.settings.pair_scorer))
    # An amount and at best a similar name are no evidence while others have the amount too, or while the line names another number.
    is_only = (pl.col("rivals") == "none") & (pl.col("number") != "other")
    is_telling = pl.col("name").is_in(["same", "close"]) | ~pl.col("number").is_in(UNNUMBERED) | is_only | pl.col("states_amount")
    likely = _as_good_as_its_copies(scored.filter(is_telling & (pl.col("score") >= LIKELY_MIN)))
    return likely.filter(pl.col("score") >= pool.settings.fuzzy_score_min).select(
        "item_id", "key_id", "form", "members", "currency", "amount_minor", "date", "date_stripe", "occurred_at", "counterparty_stripe", "name", "number",
        "log_odds", "score", "words",
    )  # fmt: skip


def _as_good_as_its_copies(pairs: pl.DataFrame) -> pl.DataFrame:
    """Give lines that agree with a payment in all but the day the score of the best of them: what is posted twice was posted right the first time."""
    is_alike = ["key_id", "form", "name", "number", "amount", (pl.col("lag") >= 0) | pl.col("number").is_in(NUMBERED)]
    lifted = pairs.with_columns(log_odds=pl.col("log_odds").max().over(is_alike))
    return lifted.with_columns(score=PROBABILITY)


def _near_best(good: pl.DataFrame) -> pl.DataFrame:
    """Keep what is nearly as good as the best pair of both its ends; more would only tie everything to everything.

    Adds `candidates`: how many payments a line without a telling number may stand for, since they are of one customer, of names as like its own, or equally good.
    """
    is_near = [pl.col("log_odds") >= pl.col("log_odds").max().over(name) - LOG_ODDS_BEHIND_MAX for name in ("item_id", "key_id")]
    near = good.filter(pl.all_horizontal(is_near)).with_columns(
        left=pl.col("item_id"), right=pl.col("key_id"), customer=pl.col("counterparty_stripe").str.to_uppercase()
    )
    is_free = pl.col("number").is_in(UNNUMBERED)
    # Where one customer has exactly the line's name, it is not another's whose name is like it.
    has_namesake = (is_free & (pl.col("name") == "same")).any().over("item_id")
    named = near.filter(~(is_free & has_namesake & pl.col("name").is_in(["close", "near", "other"])))
    alike = [is_free.sum().over("item_id", "form", of) for of in ("customer", "name", pl.col("score").round(6))]
    return named.with_columns(candidates=pl.when(is_free).then(pl.max_horizontal(alike)).otherwise(1))


def _without_promised(pairs: pl.DataFrame, pool: Pool) -> pl.DataFrame:
    """Lower the odds of a payment whose number another open line carries, whatever that line's amount: of a customer's equal payments it is that line's."""
    numbers = pool.values("number").filter(pl.col("value").str.len_chars() >= DIGITS_MIN)
    stated = numbers.join(pool.postings().select("item_id"), on="item_id", how="semi").select("value").unique()
    promised = numbers.join(pairs.select(item_id="key_id").unique(), on="item_id", how="semi").join(stated, on="value", how="semi")["item_id"].unique()
    is_less = pl.col("key_id").is_in(promised.implode()) & ~pl.col("number").is_in(NUMBERED)
    lowered = pairs.with_columns(log_odds=pl.when(is_less).then(pl.col("log_odds") - PROMISED_LOG_ODDS).otherwise("log_odds"))
    return lowered.with_columns(score=PROBABILITY).filter(pl.col("score") >= pool.settings.fuzzy_score_min)


def compare_candidates(pool: Pool) -> pl.DataFrame:
    """Return the candidate pairs within the window, with the level of every comparison."""
    compared = list(_candidates(pool))
    if not compared:
        return pl.DataFrame()
    return pl.concat(compared).unique(["item_id", "key_id", "form"], keep="any").sort("item_id", "key_id", "form")


def _candidates(pool: Pool) -> Iterator[pl.DataFrame]:
    """Compare candidate pairs, a part of the amounts at a time; then those that the rates of a converted payment allow."""
    yield from (compared for pairs in _paired(pool) if not (compared := _compare(pairs, pool)).is_empty())


def _paired(pool: Pool) -> Iterator[pl.DataFrame]:
    """Bring both ends of candidate pairs together."""
    lines, offers = _lines(pool), _offers(pool)
    if lines.is_empty() or offers.is_empty():
        return
    key, limit = ["currency", "amount_minor"], pool.settings.pairs_per_key_max
    counts = lines.group_by(key).agg(n_lines=pl.len()).join(offers.group_by(key).agg(n_offers=pl.col("key_id").n_unique()), on=key, how="full", coalesce=True)
    # An amount that stands on one side only has no pairs.
    equal = (lines.join(offers, on=key, how="semi"), offers.join(lines, on=key, how="semi"))
    for some in in_parts(*equal, key="amount_minor", rows_max=pool.settings.rows_per_part):
        ends = _describe_lines(some[0], pool), _describe_offers(some[1], pool)
        yield _join_ends(*ends, block_equal_amounts(*_tokens(*ends), pairs_max=limit), counts)
    converted = offers.filter(pl.col("low_minor") < pl.col("high_minor"))
    if not converted.is_empty():
        settled = lines.join(converted.select("currency").unique(), on="currency", how="semi")
        ends = _describe_lines(settled, pool), _describe_offers(converted, pool)
        yield _join_ends(*ends, block_translated_amounts(*_tokens(*ends), pairs_max=limit), counts)


def _tokens(lines: pl.DataFrame, offers: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """List the tokens of both ends with what else they are blocked by."""
    return (
        list_tokens(lines, row="line").join(lines.select("line", "currency", "amount_minor"), on="line"),
        list_tokens(offers, row="offer").join(offers.select("offer", "currency", "amount_minor", "low_minor", "high_minor"), on="offer"),
    )


def _join_ends(lines: pl.DataFrame, offers: pl.DataFrame, pairs: pl.DataFrame, counts: pl.DataFrame) -> pl.DataFrame:
    return (
        pairs.join(lines, on="line", maintain_order="left")
        .join(offers.drop("currency").rename({"numbers": "numbers_stripe", "reference": "reference_stripe"}), on="offer", suffix="_stripe")
        .join(counts, on=["currency", "amount_minor"], how="left")
    )


def _compare(pairs: pl.DataFrame, pool: Pool) -> pl.DataFrame:
    lag = (pl.col("date") - pl.col("date_stripe")).dt.total_days()
    in_window = pl.col("lag").is_between(-pool.settings.posting_lead_days, pool.settings.posting_lag_days)
    # A number on both sides that hardly two payments have is looked for in the months beside too: that is how a line in the wrong period is found.
    is_named = pl.col("numbers").list.set_intersection("numbers_stripe").list.eval(pl.element().str.len_chars()).list.max() >= DIGITS_MIN
    is_near = in_window | (is_named & (pl.col("lag").abs() <= pool.settings.difference_window_days))
    inside = pairs.with_columns(lag=lag).filter(is_near & ~(pl.col("says_refund") & pl.col("is_sale")))
    return compare(
        inside.with_columns(
            pl.col("n_lines", "n_offers").fill_null(1),
            is_translated=pl.col("amount_minor") != pl.col("amount_minor_stripe"),
            states_amount=pl.col("stated").list.set_intersection("stated_stripe").list.len() > 0,
        )
    )


def _lines(pool: Pool) -> pl.DataFrame:
    returned = pool.values("journal")["item_id"]
    lines = pool.postings().filter(~pl.col("item_id").is_in(returned.implode()))
    return lines.select("item_id", "currency", "amount_minor", "date", "counterparty", "description", "reference")


def _describe_lines(lines: pl.DataFrame, pool: Pool) -> pl.DataFrame:
    known = _with_reference_text(_with_numbers(lines, pool), pool).with_columns(stated=stated_amounts(pl.col("description")), says_refund=SAYS_REFUND)
    return known.drop("reference").with_row_index("line")


def _offers(pool: Pool) -> pl.DataFrame:
    stripe = pool.side("stripe").filter(~pl.col("category").is_in(PAYOUT_CATEGORIES))
    forms = variants(stripe).filter((pl.col("component") == "gross") | (pl.col("form") == "net"))
    return forms.select(
        "key_id", "form", "members", "currency", "amount_minor", "low_minor", "high_minor", "date", "occurred_at", "counterparty", "description", "reference",
        "presentment_text", is_sale=(pl.col("category") == "charge") & (pl.col("component") == "gross"),
    )  # fmt: skip


def _describe_offers(offers: pl.DataFrame, pool: Pool) -> pl.DataFrame:
    stated = (
        pl.when(pl.col("low_minor") < pl.col("high_minor")).then(pl.concat_list(pl.col("presentment_text"))).otherwise(pl.lit([], dtype=pl.List(pl.String)))
    )
    known = _with_numbers(offers.rename({"key_id": "item_id"}), pool).rename({"item_id": "key_id"}).with_columns(stated=stated)
    return known.drop("presentment_text").with_row_index("offer")


def _with_reference_text(lines: pl.DataFrame, pool: Pool) -> pl.DataFrame:
    """Add `reference_text_line`, all invoice numbers of each line, its own document's among them."""
    stated = pool.references.filter(pl.col("kind") == "invoice").join(lines.select("item_id"), on="item_id", how="semi").sort("item_id", "value")
    texts = stated.group_by("item_id", maintain_order=True).agg(reference_text_line=pl.col("value").str.join(" "))
    return lines.join(texts, on="item_id", how="left", maintain_order="left").with_columns(pl.col("reference_text_line").fill_null(""))


def _with_numbers(frame: pl.DataFrame, pool: Pool) -> pl.DataFrame:
    """Add `numbers`, the list of the digits of each item's references."""
    numbers = pool.values("number").join(frame.select("item_id").unique(), on="item_id", how="semi").sort("item_id", "value")
    listed = numbers.group_by("item_id").agg(numbers=pl.col("value"))
    empty = pl.lit([], dtype=pl.List(pl.String))
    return frame.join(listed, on="item_id", how="left", maintain_order="left").with_columns(pl.col("numbers").fill_null(empty))
