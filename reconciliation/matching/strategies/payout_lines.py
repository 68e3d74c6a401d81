"""Payouts without a usable reference -> the ledger or bank line of that amount near the day the money should arrive.

Conditions: same currency and amount (a payout's debit on the books leg, what arrives on the cash leg), dated between the
payout's creation and the window after its expected arrival. Equal payouts are taken in order of date.

Worked: payout -874.01 created 12 October, expected on the 14th; a deposit of -874.01 dated 14 October.
"""

import polars as pl

from reconciliation.matching.pool import PAYOUT_CATEGORIES, Pool, pair_proposals


def match_payout_lines(pool: Pool, *, other_side: str) -> pl.DataFrame:
    """Propose payouts with ledger (books) or bank (cash) lines of the same amount in the window."""
    payouts = pool.side("stripe").filter(pl.col("category").is_in(PAYOUT_CATEGORIES) & pl.col("component").is_in(["gross", ""]))
    lines = pool.postings() if other_side == "ledger" else pool.side(other_side)
    if other_side == "ledger":
        lines = lines.filter(~pl.col("item_id").is_in(_named_elsewhere(pool, lines, payouts).implode()))
    due = pl.coalesce("expected_on", "date")
    window = pool.settings.payout_window_days
    pairs = payouts.with_columns(due=due).join(lines, on=["currency", "amount_minor"], suffix="_line")
    near = pairs.filter(
        (pl.col("date_line") >= pl.col("date") - pl.duration(days=1)) & (pl.col("date_line") <= pl.max_horizontal("due", "date") + pl.duration(days=window))
    ).with_columns(off=(pl.col("date_line") - pl.col("due")).dt.total_days())
    counted = near.sort("date_line", "item_id_line").with_columns(lines=pl.len().over("item_id"), payouts=pl.len().over("item_id_line"))
    # What is posted twice was posted right the first time; a bank statement holds no such copies.
    is_twice = (pl.col("lines") > 1) & (pl.col("payouts").max().over("item_id") == 1) & pl.lit(other_side == "ledger")
    nearest, place = pl.col("off").abs().min().over("item_id"), pl.col("date_line").rank("ordinal").over("item_id").cast(pl.Int64) - 1
    days = pl.when(is_twice).then(nearest + place).otherwise(pl.col("off").abs())
    first = pl.when(is_twice).then(pl.format(", the first of {} such lines", "lines")).otherwise(pl.lit(""))
    return pair_proposals(
        counted.select(
            members=pl.concat_list("item_id", "item_id_line"),
            score=pl.lit(0.9) - 0.01 * days.clip(0, 30),
            evidence=pl.concat_str([pl.format("amount equals payout {}, {} days from its expected arrival", "payout_id", "off"), first]),
        )
    )


def match_payout_references(pool: Pool) -> pl.DataFrame:
    """Propose payouts with bank lines that carry their trace id or payout id and the same amount."""
    key = ["value", "currency", "amount_minor"]
    values = pool.values("trace", "stripe_id")
    payouts = _ranked(pool.side("stripe").join(values, on="item_id"), key)
    lines = _ranked(pool.side("bank").join(values, on="item_id"), key)
    pairs = payouts.join(lines, on=[*key, "rank"], suffix="_line")
    return pair_proposals(
        pairs.select(
            members=pl.concat_list("item_id", "item_id_line"), score=pl.lit(1.0), evidence=pl.format("{} on the bank statement, amounts equal", "value")
        )
    )


def _named_elsewhere(pool: Pool, lines: pl.DataFrame, payouts: pl.DataFrame) -> pl.Series:
    """Return the lines that name a payout: their own reference decides, not their amount."""
    named = pool.values("stripe_id").filter(pl.col("value").str.starts_with("PO_"))
    own = named.join(payouts.select("item_id"), on="item_id", how="semi").select("value").unique()
    return named.join(lines.select("item_id"), on="item_id", how="semi").join(own, on="value", how="semi")["item_id"].unique()


def _ranked(frame: pl.DataFrame, key: list[str]) -> pl.DataFrame:
    return frame.sort("date", "item_id").with_columns(rank=pl.int_range(pl.len()).over(key))
