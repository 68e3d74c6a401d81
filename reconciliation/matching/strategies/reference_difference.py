"""A shared reference and another amount -> one match with a difference, which becomes a residual.

Conditions: an invoice, a Stripe id or a long number that only one open ledger line and one open transaction carry, the same sign, dated
within the window. Of a number that was cut, its end is enough where the names are the same or close too. The form, gross or net of fees, is the
one its channel was seen to be posted in.

Worked: charge settled at 85.71, line PYMT-2003 of 86.00, both INV-1003: matched, residual -0.29. Charge of 96.03 of Una Pellfell, INV-44925;
line of 96.30, 'INV 4925', Una Pellfell: matched, residual -0.27.
"""

import polars as pl

from reconciliation.matching.buckets import summary_lines
from reconciliation.matching.pair_scorer import name_levels
from reconciliation.matching.pool import SAYS_REFUND, Pool, lag_in_words, pair_proposals, variants
from reconciliation.similarity import name_similarity

DIGITS_MIN = 5
"""Fewer digits are too often another number by chance."""
END_DIGITS = 4
IS_REFUND_WITH_SALE = pl.col("says_refund") & (pl.col("category_stripe") == "charge") & (pl.col("amount_minor_stripe") > 0)
"""A refund posted with the wrong sign is no posting of its charge."""
PAYOUT_OFF_SHARE_MAX = 0.5
"""A line that names a payout and is much smaller stands for its fees or refunds."""


def match_reference_differences(pool: Pool) -> pl.DataFrame:
    """Propose pairs that share a unique reference but not the amount."""
    lines, offered = _lines(pool), _offered(pool)
    # Sales, refunds or fees of a payout are no posting of the payout itself.
    parts_of_payouts = summary_lines(pool).filter(pl.col("said") != "")["item_id"]
    is_part = pl.col("value").str.starts_with("PO_") & pl.col("item_id").is_in(parts_of_payouts.implode())
    own = _telling_values(pool, lines["item_id"])
    shared = _telling_values(pool, offered["key_id"].unique()).join(own.select("value").unique(), on="value", how="semi")
    named_lines = (
        lines.join(own, on="item_id").filter(~is_part).with_columns(n=pl.col("item_id").n_unique().over("value", "currency", pl.col("amount_minor").sign()))
    )
    named_offers = offered.join(shared, left_on="key_id", right_on="item_id").with_columns(
        m=pl.col("key_id").n_unique().over("value", "currency", pl.col("amount_minor").sign())
    )
    pairs = named_lines.filter(pl.col("n") == 1).join(named_offers.filter(pl.col("m") == 1), on=["value", "currency"], suffix="_stripe")
    lag = (pl.col("date") - pl.col("date_stripe")).dt.total_days()
    sound = pairs.with_columns(lag=lag, off=(pl.col("amount_minor") - pl.col("amount_minor_stripe")).abs()).filter(
        (pl.col("amount_minor").sign() == pl.col("amount_minor_stripe").sign())
        & ~IS_REFUND_WITH_SALE
        & (pl.col("lag").abs() <= pool.settings.difference_window_days)
        & (pl.col("off") > 0)
        & (~pl.col("value").str.starts_with("PO_") | (pl.col("off") <= pl.col("amount_minor_stripe").abs() * PAYOUT_OFF_SHARE_MAX))
    )
    nearest = sound.sort(
        "off", "item_id", "key_id", "form", pl.col("value").str.len_chars(), "value", descending=[False, False, False, False, True, False]
    ).unique(["item_id", "key_id"], keep="first", maintain_order=True)
    return pair_proposals(
        nearest.select(
            members=pl.concat_list(pl.concat_list("item_id"), "members"),
            score=pl.lit(0.8) - 0.2 * (pl.col("off") / pl.max_horizontal(pl.col("amount_minor").abs(), pl.col("amount_minor_stripe").abs())).clip(0, 1),
            evidence=pl.format("{} on both sides and only there, amounts differ, {}", "value", lag_in_words(pl.col("lag"))),
        )
    )


def match_cut_references(pool: Pool) -> pl.DataFrame:
    """Propose pairs of one name whose numbers end alike, the shorter being the end of the longer, but whose amounts differ."""
    lines, offered = (frame.filter(pl.col("counterparty") != "") for frame in (_lines(pool), _offered(pool)))
    named, named_stripe = _ends(pool, lines, "item_id"), _ends(pool, offered, "key_id")
    key = ["end", "currency", "sign"]
    limit = pl.len().over(key) <= pool.settings.pairs_per_key_max
    pairs = named.filter(limit).join(named_stripe.filter(limit), on=key, suffix="_stripe")
    is_cut = pl.col("value").str.ends_with(pl.col("value_stripe")) | pl.col("value_stripe").str.ends_with(pl.col("value"))
    lag = (pl.col("date") - pl.col("date_stripe")).dt.total_days()
    in_window = pl.col("lag").is_between(-pool.settings.posting_lead_days, pool.settings.posting_lag_days)
    sound = pairs.with_columns(lag=lag).filter(is_cut & in_window & ~IS_REFUND_WITH_SALE & (pl.col("amount_minor") != pl.col("amount_minor_stripe")))
    measured = sound.with_columns(alike=name_similarity(sound["counterparty"], sound["counterparty_stripe"]))
    alike = measured.filter(name_levels(measured).is_in(["same", "close"]))
    only = alike.filter((pl.col("key_id").n_unique().over("item_id") == 1) & (pl.col("item_id").n_unique().over("key_id") == 1))
    return pair_proposals(
        only.unique(["item_id", "key_id"])
        .sort("item_id", "key_id")
        .select(
            members=pl.concat_list(pl.concat_list("item_id"), "members"),
            score=pl.lit(0.75),
            evidence=pl.format(
                "numbers end in {} on both sides, names {}% alike, amounts differ, {}",
                "end",
                (pl.col("alike") * 100).round(0).cast(pl.Int64),
                lag_in_words(pl.col("lag")),
            ),
        )
    )


def _ends(pool: Pool, frame: pl.DataFrame, identity: str) -> pl.DataFrame:
    """Join what has numbers with their ends: `value, end, sign`."""
    numbers = pool.values("number").rename({"item_id": identity}).filter(pl.col("value").str.len_chars() >= END_DIGITS)
    return frame.join(numbers, on=identity).with_columns(end=pl.col("value").str.tail(END_DIGITS), sign=pl.col("amount_minor").sign())


def _lines(pool: Pool) -> pl.DataFrame:
    return pool.postings().filter(~pl.col("item_id").is_in(pool.values("journal")["item_id"].implode())).with_columns(says_refund=SAYS_REFUND)


def _offered(pool: Pool) -> pl.DataFrame:
    """List open payments in the form, gross or net of fees, that their channel was seen to be posted in."""
    is_net = pl.col("channel").is_in(sorted(pool.net_channels))
    is_posted_so = pl.when(is_net).then(pl.col("form") == "net").otherwise((pl.col("form") == "single") & (pl.col("component") == "gross"))
    return variants(pool.side("stripe")).filter(is_posted_so)


def _telling_values(pool: Pool, items: pl.Series) -> pl.DataFrame:
    """Return `item_id, value` of the references of some items that hardly two payments have."""
    own = [pool.values(*kinds).join(items.to_frame("item_id"), on="item_id", how="semi") for kinds in (("stripe_id", "invoice"), ("number",))]
    return pl.concat([own[0], own[1].filter(pl.col("value").str.len_chars() >= DIGITS_MIN)]).unique()
