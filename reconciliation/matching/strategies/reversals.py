"""Members of one side that cancel exactly and belong together -> one-sided matches.

Conditions: same currency and account, opposite amounts, and a link: a line that names the document it reverses; or a
shared reference, or the same counterparty and memo, within a window; on Stripe's side the same source object (a payout
and its failure, a dispute and its reinstatement, a charge and its full refund) or the two rows of one reserve movement.

Worked: JE-4003 -80.00 'Void of PYMT-2011' and PYMT-2011 +80.00 cancel; PYMT-2010 +80.00 is left for the payment.
"""

import polars as pl

from reconciliation.matching.pool import Pool, pair_proposals

PAYOUT_TYPES = "^(payout|payout_failure|payout_cancel)$"


def match_named_reversals(pool: Pool) -> pl.DataFrame:
    """Propose ledger lines with the lines whose document they say they reverse."""
    ledger = pool.side("ledger").with_columns(own=pl.col("document").str.to_uppercase().str.replace_all("[^A-Z0-9]", ""))
    reversing = ledger.filter(pl.col("reverses") != "").with_columns(
        own=pl.col("reverses").str.to_uppercase().str.replace_all("[^A-Z0-9]", ""), opposite=-pl.col("amount_minor")
    )
    key = ["account", "currency", "own"]
    # Few lines reverse others: those they name bound what is looked at.
    named = ledger.join(reversing.select(*key, amount_minor="opposite").unique(), on=[*key, "amount_minor"], how="semi")
    posted = _ranked(named, [*key, "amount_minor"])
    pairs = _ranked(reversing, [*key, "opposite"]).join(posted, left_on=[*key, "opposite", "rank"], right_on=[*key, "amount_minor", "rank"], suffix="_posted")
    return pair_proposals(
        pairs.filter(pl.col("item_id") != pl.col("item_id_posted")).select(
            members=pl.concat_list("item_id", "item_id_posted"),
            score=pl.lit(1.0),
            evidence=pl.format("{} says that it reverses {}; both amounts cancel", "document", "document_posted"),
        )
    )


def match_cancelling_lines(pool: Pool) -> pl.DataFrame:
    """Propose ledger lines that cancel and share a reference, or counterparty and memo, within the window."""
    ledger = pool.side("ledger")
    shared = ledger.join(pool.values("invoice", "stripe_id"), on="item_id").with_columns(link=pl.col("value"), why=pl.lit("reference"))
    same_text = ledger.filter((pl.col("counterparty") != "") & (pl.col("description") != "")).with_columns(
        value=pl.lit(""), link=pl.concat_str(["counterparty", "description"], separator="|"), why=pl.lit("counterparty and memo")
    )
    pairs = _opposites(pl.concat([shared, same_text]), key=["account", "currency", "link", "why"])
    close = (pl.col("date") - pl.col("date_positive")).dt.total_days().abs() <= pool.settings.reversal_window_days
    return pair_proposals(
        pairs.filter(close).select(
            members=pl.concat_list("item_id", "item_id_positive"),
            score=pl.lit(0.9),
            evidence=pl.format("{} and {} cancel and share {}", "document_positive", "document", "why"),
        )
    )


def match_stripe_reversals(pool: Pool) -> pl.DataFrame:
    """Propose Stripe items that cancel and belong to one payout, dispute, charge or reserve movement."""
    gross = pool.side("stripe").filter(pl.col("component").is_in(["gross", ""]))
    old_enough = (pl.lit(pool.cut_off_on) - pl.col("date")).dt.total_days() >= pool.settings.unrecorded_pair_age_days
    by_payout = gross.filter(pl.col("payout_id").ne("") & (pl.col("type").cast(pl.String).str.contains(PAYOUT_TYPES) | (pl.col("leg") == "cash"))).with_columns(
        link=pl.when(pl.col("leg") == "cash").then("payout_id").otherwise("source_id"), why=pl.lit("one payout and its return")
    )
    by_dispute = gross.filter(pl.col("category").is_in(["dispute", "dispute_reversal"])).with_columns(
        link=pl.col("source_id"), why=pl.lit("one dispute, withdrawn and reinstated")
    )
    charges = gross.filter(
        pl.col("charge_id").ne("") & pl.col("category").is_in(["charge", "refund", "charge_failure", "refund_failure", "partial_capture_reversal"]) & old_enough
    )
    by_charge = charges.with_columns(link=pl.col("charge_id"), why=pl.lit("one charge, given back in full"))
    reserves = gross.filter((pl.col("source_id") == "") & pl.col("type").cast(pl.String).str.contains("reserve|hold|release"))
    by_reserve = reserves.with_columns(
        link=pl.concat_str(["type", pl.col("occurred_at").dt.to_string("iso")], separator="|"), why=pl.lit("one movement between two parts of the balance")
    )
    linked = pl.concat([by_payout, by_dispute, by_charge, by_reserve]).filter(pl.col("link") != "")
    pairs = _opposites(linked.with_columns(account=pl.lit("")), key=["stripe_account", "account", "currency", "link", "why"])
    return pair_proposals(
        pairs.select(
            members=pl.concat_list("item_id", "item_id_positive"),
            score=pl.lit(0.95),
            evidence=pl.format("{} and {} cancel: {}", "label_positive", "label", "why"),
        )
    )


def _opposites(frame: pl.DataFrame, *, key: list[str]) -> pl.DataFrame:
    """Pair positive with negative amounts of one key, in order of date."""
    sized = frame.with_columns(size=pl.col("amount_minor").abs())
    positive = _ranked(sized.filter(pl.col("amount_minor") > 0), [*key, "size"])
    negative = _ranked(sized.filter(pl.col("amount_minor") < 0), [*key, "size"])
    return negative.join(positive, on=[*key, "size", "rank"], suffix="_positive")


def _ranked(frame: pl.DataFrame, key: list[str]) -> pl.DataFrame:
    return frame.sort("date", "item_id").with_columns(rank=pl.int_range(pl.len()).over(key))
