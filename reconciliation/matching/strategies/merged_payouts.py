"""Several payouts in one line, or one payout in several lines -> one match, when they stand side by side and only one run fits.

Conditions: same currency; two to five payouts, one after the other in order of their expected arrival, whose sum is the
line to the minor unit (or lines one after the other whose sum is the payout); dates within the window; exactly one such run.

Worked: payouts of 874.01 and 120.50 both expected on Monday the 14th; the bank shows one deposit of 994.51 on that day.
"""

import polars as pl

from reconciliation.matching.pool import PAYOUT_CATEGORIES, Pool, pair_proposals

RUN_MAX = 5
SCORE = 0.88


def match_merged_payouts(pool: Pool, *, other_side: str) -> pl.DataFrame:
    """Propose lines with the run of payouts they add up to, and payouts with the run of lines."""
    gross = pl.col("category").is_in(PAYOUT_CATEGORIES) & pl.col("component").is_in(["gross", ""])
    payouts = pool.side("stripe").filter(gross).with_columns(due=pl.coalesce("expected_on", "date"))
    free = _unnamed_postings(pool) if other_side == "ledger" else pool.side(other_side)
    columns = ["item_id", "currency", "amount_minor", "due"]
    paid, arrived = payouts.select(columns), free.with_columns(due=pl.col("date")).select(columns)
    window = pool.settings.payout_window_days
    together = _only(_fitting(_runs(paid, window), arrived, window)).with_columns(
        evidence=pl.format("the sum of {} payouts due together, the only run that fits", "n")
    )
    apart = _only(_fitting(_runs(arrived, window), paid, window)).with_columns(
        evidence=pl.format("a payout that arrived in {} lines, the only run that fits", "n")
    )
    both = pl.concat([together, apart])
    return pair_proposals(both.select(members=pl.concat_list(pl.concat_list("item_id"), "run"), score=pl.lit(SCORE), evidence="evidence"))


def _unnamed_postings(pool: Pool) -> pl.DataFrame:
    """List the ledger lines that name no customer and none of our journals."""
    returned = pool.values("journal")["item_id"]
    return pool.postings().filter((pl.col("counterparty") == "") & ~pl.col("item_id").is_in(returned.implode()))


def _runs(frame: pl.DataFrame, window: int) -> pl.DataFrame:
    """List the runs of two to five rows side by side: `currency, amount_minor, run, n, first, last`."""
    ordered = frame.sort("currency", "due", "item_id")
    found = []
    for size in range(2, RUN_MAX + 1):
        parts = {name: [pl.col(name).shift(-place).over("currency") for place in range(size)] for name in ("item_id", "amount_minor", "due")}
        runs = ordered.select(
            "currency",
            amount_minor=pl.sum_horizontal(*parts["amount_minor"], ignore_nulls=False),
            run=pl.concat_list(*parts["item_id"]),
            n=pl.lit(size),
            first=pl.col("due"),
            last=parts["due"][-1],
        )
        found.append(runs.filter(pl.col("last").is_not_null() & ((pl.col("last") - pl.col("first")).dt.total_days() <= window)))
    return pl.concat(found)


def _fitting(runs: pl.DataFrame, others: pl.DataFrame, window: int) -> pl.DataFrame:
    """Join runs with the single rows of the other side that have their sum, near their dates."""
    fitting = runs.join(others, on=["currency", "amount_minor"])
    near = (pl.col("due") >= pl.col("first") - pl.duration(days=window)) & (pl.col("due") <= pl.col("last") + pl.duration(days=window))
    return fitting.filter(near)


def _only(fitting: pl.DataFrame) -> pl.DataFrame:
    """Keep rows with one run, and runs with one row."""
    return fitting.filter((pl.len().over("item_id") == 1) & (pl.len().over("run") == 1)).sort("item_id")
