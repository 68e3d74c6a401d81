"""A shared reference and exactly the same amount -> one ledger line with one component, or with a transaction net of fees.

Conditions: same currency, amount equal to a component or to the open components of one balance transaction together, and
a reference in common. Of several equal candidates the first posted takes the first payment, and so on in order; those of one
day are one counted match; what is left over is the duplicate.

Worked: PYMT-2002 +194.20 'INV-1002' and charge 200.00 with fee -5.80 for INV-1002: 200.00 - 5.80 = 194.20, net of fee.
"""

from collections.abc import Iterator

import polars as pl

from reconciliation.matching.parts import in_parts
from reconciliation.matching.pool import SAYS_REFUND, Pool, lag_in_words, pair_proposals, variants

AMOUNT_IN_WORDS = (
    pl.when(pl.col("form") == "net")
    .then(pl.lit("amount equals net of fees"))
    .when(pl.col("component") == "")
    .then(pl.lit("amount equals the residual"))
    .otherwise(pl.format("amount equals {}", "component"))
)
OPENING_WORDS = r"(?i)\bopening (?:difference|balance)\b"


def match_exact_references(pool: Pool, *, kinds: tuple[str, ...], score: float) -> pl.DataFrame:
    """Propose lines and components (or whole transactions) that share a reference of some kinds and the amount."""
    lag = (pl.col("date") - pl.col("date_stripe")).dt.total_days()
    found = [
        pairs.filter(pl.col("n_alike") == 1).select(
            members=pl.concat_list(pl.concat_list("item_id"), "members"),
            score=pl.lit(score) - 0.0001 * lag.abs().clip(0, 365),
            evidence=pl.format("{} on both sides, {}, {}", "value", AMOUNT_IN_WORDS, lag_in_words(lag)),
        )
        for pairs in _pairs(pool, kinds)
    ]
    return pair_proposals(pl.concat(found))


def match_equal_references(pool: Pool, *, kinds: tuple[str, ...], score: float) -> pl.DataFrame:
    """Propose the lines and the payments of one reference, amount and day as one counted match: nothing says which is which."""
    group = ["value", "currency", "amount_minor", "alike"]
    found = []
    for every in _pairs(pool, kinds):
        pairs = every.filter(pl.col("n_alike") > 1).sort(*group, "rank")
        grouped = pairs.group_by(group, maintain_order=True).agg(
            pl.col("form").first(), pl.col("component").first(), lines=pl.col("item_id"), parts=pl.col("members").explode(empty_as_null=False), n=pl.len()
        )
        found.append(
            grouped.select(
                members=pl.concat_list("lines", "parts"),
                score=pl.lit(score),
                evidence=pl.format("{} equal lines against {} equal payments of {}, {}; nothing tells which is which", "n", "n", "value", AMOUNT_IN_WORDS),
            )
        )
    return pair_proposals(pl.concat(found))


def _pairs(pool: Pool, kinds: tuple[str, ...]) -> Iterator[pl.DataFrame]:
    """Pair the lines and offers of a reference and amount in order, a part of the references at a time."""
    values = pool.values(*kinds)
    posted = pool.postings().select("item_id", "currency", "amount_minor", "date", "occurred_at", says_refund=SAYS_REFUND).join(values, on="item_id")
    offered = pool.items.filter(pl.col("side").is_in(["stripe", "residual"]))
    # A transaction's components carry the same references: those of the lines bound what is looked at.
    pointed = values.join(posted.select("value").unique(), on="value", how="semi").join(offered.select("item_id"), on="item_id", how="semi")
    offered = offered.join(pointed.select("item_id").unique(), on="item_id", how="semi")
    whole = ["stripe_account", "balance_transaction_id"]
    for lines, named in in_parts(posted, pointed, key="value", rows_max=pool.settings.rows_per_part):
        transactions = offered.join(named, on="item_id", how="semi").select(whole).unique()
        offers = variants(offered.join(transactions, on=whole, how="semi")).join(named, left_on="key_id", right_on="item_id")
        yield _pair_in_order(lines, offers, lead_days=pool.settings.posting_lead_days)


def _pair_in_order(posted: pl.DataFrame, named: pl.DataFrame, *, lead_days: int) -> pl.DataFrame:
    """Pair the lines and offers of each reference and amount in order, lines from long before the first payment last.

    `n_alike` counts the pairs whose payments lie a day apart or less.
    """
    key = ["value", "currency", "amount_minor"]
    # A refund posted with the wrong sign has the amount of its charge; it is no posting of the charge.
    fitting = posted.join(named.select(*key, "category", "component"), on=key).filter(
        ~(pl.col("says_refund") & (pl.col("category") == "charge") & (pl.col("component") == "gross"))
    )
    lines = _ranked(posted.join(fitting.select("item_id", "value").unique(), on=["item_id", "value"], how="semi"), key, ["item_id"])
    candidates = _ranked(named.join(fitting, on=key, how="semi"), key, ["key_id", "form"])
    lines = _rank_too_early_last(lines, candidates, key, lead_days)
    pairs = lines.join(candidates, on=[*key, "rank"], suffix="_stripe").sort(*key, "rank")
    # The pairs of a key stand together: a run ends with its key, or where payments lie more than a day apart.
    is_new = pl.any_horizontal(pl.col(name) != pl.col(name).shift(1) for name in key).fill_null(value=True)
    is_apart = ((pl.col("date_stripe") - pl.col("date_stripe").shift(1)).dt.total_days() > 1).fill_null(value=False)
    runs = pairs.with_columns(alike=(is_new | is_apart).cum_sum())
    return runs.with_columns(n_alike=pl.len().over("alike"))


def _rank_too_early_last(lines: pl.DataFrame, candidates: pl.DataFrame, key: list[str], lead_days: int) -> pl.DataFrame:
    """Where a reference has several lines, let those posted long before its first payment wait: a refund is not posted weeks before it is made."""
    several = lines.filter(pl.col("rank") > 0).select(key).unique()
    if several.is_empty():
        return lines
    first = candidates.filter(pl.col("rank") == 0).select(*key, first="date")
    waiting = lines.join(several, on=key, how="semi").join(first, on=key, how="left")
    is_early = (pl.col("date") < pl.col("first") - pl.duration(days=lead_days)).fill_null(value=False)
    again = waiting.sort(is_early, "rank", maintain_order=True).with_columns(rank=pl.int_range(pl.len()).over(key)).select(lines.columns)
    return pl.concat([lines.join(several, on=key, how="anti"), again])


def match_opening_write_offs(pool: Pool) -> pl.DataFrame:
    """Propose lines that say they write off an opening difference with the opening difference of that amount."""
    lines = pool.postings().filter(pl.col("description").str.contains(OPENING_WORDS))
    pairs = lines.join(pool.side("opening"), on=["currency", "amount_minor"], suffix="_opening")
    return pair_proposals(
        pairs.select(
            members=pl.concat_list("item_id", "item_id_opening"),
            score=pl.lit(0.98),
            evidence=pl.format("{} writes the opening difference off, amounts equal", "document"),
        )
    )


def _ranked(frame: pl.DataFrame, key: list[str], names: list[str]) -> pl.DataFrame:
    return frame.sort("date", "occurred_at", *names).with_columns(rank=pl.int_range(pl.len()).over(key))
