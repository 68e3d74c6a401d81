"""Balance snapshots and transactions -> what Stripe's balance was at an instant.

The earliest snapshot at or after the instant is worked back by what was booked in between; without one, the latest
snapshot before it is worked forward. Balance types that Stripe's Balance object does not show (risk reserves) are the
sum of the transactions pulled, and the completeness proof says that this is unproven.
"""

from datetime import datetime

import polars as pl


def stripe_balances(instant: datetime, *, snapshots: pl.DataFrame, transactions: pl.DataFrame) -> pl.DataFrame:
    """Return the balance per account, currency and balance type at an instant.

    Args:
        instant: exclusive; a transaction created exactly then comes after.
        snapshots: `BalanceSnapshot`.
        transactions: `BalanceTransaction`.

    Returns:
        `stripe_account, currency, balance_type, amount_minor`.
    """
    key = ["stripe_account", "currency", "balance_type"]
    later = snapshots.filter(pl.col("taken_at") >= instant).sort("taken_at").group_by(key).agg(pl.col("taken_at").first(), pl.col("amount_minor").first())
    earlier = snapshots.filter(pl.col("taken_at") < instant).sort("taken_at").group_by(key).agg(pl.col("taken_at").last(), pl.col("amount_minor").last())
    base = pl.concat([later, earlier.join(later, on=key, how="anti")])
    taken = base.group_by("stripe_account").agg(shown_at=pl.col("taken_at").max())
    known = transactions.select(*key, "created_at", "net_minor").join(base, on=key, how="left").join(taken, on="stripe_account", how="left")
    is_shown = pl.col("taken_at").is_not_null()
    created = pl.col("created_at")
    # A currency whose first transaction came after the snapshot is not in it: its balance then was zero.
    moved = (
        pl.when(is_shown & (created >= instant) & (created < pl.col("taken_at")))
        .then(-pl.col("net_minor"))
        .when(is_shown & (created < instant) & (created >= pl.col("taken_at")))
        .then(pl.col("net_minor"))
        .when(~is_shown & (created < instant))
        .then(pl.col("net_minor"))
        .otherwise(0)
    )
    movement = known.select(*key, moved=moved).group_by(key).agg(pl.col("moved").sum())
    joined = base.join(movement, on=key, how="full", coalesce=True)
    return joined.select(*key, amount_minor=pl.col("amount_minor").fill_null(0) + pl.col("moved").fill_null(0)).sort(key)
