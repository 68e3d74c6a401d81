"""True edges -> which of them the records carry enough to decide; the rest no matcher can know and none should guess."""

import polars as pl

from reconciliation.simulation.events import EventLog
from reconciliation.simulation.ledger_intents import spans_of
from reconciliation.simulation.ledger_recorder import CLEARING, LedgerRecord

LOOKBACK_DAYS = 5
"""A line without reference could stand for any equal payment of the days before it."""


def with_decidable(log: EventLog, ledger: LedgerRecord, matches: pl.DataFrame) -> pl.DataFrame:
    """Add `decidable` to true edges of the books leg and drop what only the truth needs (`group`, `slip`).

    An edge cannot be decided when its line carries no reference and an equal payment of another line without reference
    (or of none) was as near and as nameless, or was the same customer's, however the line writes that name; when such a line also has a wrong amount;
    or when a summary leaves out a payment or is mistyped.
    """
    ties = _interchangeable(log, ledger).implode()
    incomplete = _incomplete_summaries(log, ledger).implode()
    bare = ledger.lines.filter(~pl.col("has_reference"))["document"].implode()
    mistyped = (pl.col("slip") == "wrong_amount") & (pl.col("other_item").is_in(bare) | pl.col("group").str.starts_with("sum|"))
    decidable = ~(pl.col("other_item").is_in(ties) | pl.col("group").is_in(incomplete) | mistyped)
    return matches.with_columns(decidable=decidable).select("leg", "stripe_item", "other_item", "period", "decidable")


def _interchangeable(log: EventLog, ledger: LedgerRecord) -> pl.Series:
    bare = ledger.lines.filter(~pl.col("has_reference") & (pl.col("account") == CLEARING) & pl.col("kind").is_in(["payment", "refund"]))
    bare = bare.select("document", "group", "posting_on", "amount_minor", "name")
    charges = log.charges.select(
        "transaction_id",
        "customer",
        "local_on",
        minor=pl.when(pl.col("posting") == "net").then(pl.col("amount_minor") - pl.col("fee_minor")).otherwise("amount_minor"),
    )
    refunds = log.refunds.select("transaction_id", "customer", "local_on", minor=-pl.col("amount_minor"))
    sales = pl.concat([charges, refunds])
    decided = ledger.lines.filter(pl.col("has_reference") & pl.col("group").is_not_null() & pl.col("kind").is_in(["payment", "refund", "summary"]))
    claimed = ledger.claims.join(decided.select("group").unique(), on="group", how="semi").select(transaction_id=pl.col("item").str.split("/").list.first())
    free = sales.join(claimed, on="transaction_id", how="anti")
    near = bare.join(free, left_on="amount_minor", right_on="minor").filter(
        (pl.col("posting_on") - pl.col("local_on")).dt.total_days().is_between(0, LOOKBACK_DAYS)
    )
    own = pl.col("group").str.ends_with(pl.col("transaction_id"))
    whose = near.with_columns(payer=pl.col("customer").filter(own).first().over("document"))
    possible = whose.filter((pl.col("name") == "") | (pl.col("name") == pl.col("customer")) | (pl.col("payer") == pl.col("customer")) | own)
    return possible.group_by("document").agg(pl.col("transaction_id").n_unique()).filter(pl.col("transaction_id") > 1)["document"].sort()


def _incomplete_summaries(log: EventLog, ledger: LedgerRecord) -> pl.Series:
    summed = log.charges.filter((pl.col("posting") == "summary") & (pl.col("created") >= log.horizon.start))
    left_out = summed.with_columns(item=pl.col("transaction_id") + "/gross").join(ledger.claims, on="item", how="anti")
    return spans_of(log, left_out)["intent"].unique().sort()
