"""Open charges that the books do not have -> the list of receipts that receivables applies (`receipts_to_apply.csv`, money in minor units).

Companies with a receivables ledger want no journal against it: they apply the customer's payment to the invoice, and the entry on the clearing
account follows. Apply a receipt, or approve the proposed entry that holds it, never both.
"""

import polars as pl

COLUMNS = [
    "book", "charge_id", "balance_transaction_id", "customer", "invoice", "description", "gross", "fee", "net", "currency", "date", "age_days", "payout_id", "cause",
    "disposition", "break_id",
]  # fmt: skip
MONEY = dict.fromkeys(["gross", "fee", "net"], "currency")


def list_receipts(items: pl.DataFrame, open_items: pl.DataFrame, cut_off_on: str) -> pl.DataFrame:
    """List the charges that are open in the books leg, the oldest first.

    Args:
        items: every item of the month.
        open_items: `OpenItem`.
        cut_off_on: last day counted, as ISO text.
    """
    key = ["leg", "item_id"]
    is_charge = (pl.col("leg") == "books") & (pl.col("side") == "stripe") & (pl.col("category") == "charge") & (pl.col("component") == "gross")
    charges = items.filter(is_charge).join(open_items.select(*key, "break_id", "cause", "kind", "disposition"), on=key)
    whole = ["stripe_account", "balance_transaction_id"]
    parts = items.filter((pl.col("leg") == "books") & (pl.col("side") == "stripe") & ~pl.col("component").is_in(["", "gross"]))
    fees = parts.group_by(whole).agg(fee=-pl.col("amount_minor").sum())
    return (
        charges.filter(pl.col("kind") == "missing_in_ledger")
        .join(fees, on=whole, how="left")
        .with_columns(
            customer="counterparty",
            invoice="reference",
            gross="amount_minor",
            fee=pl.col("fee").fill_null(0),
            age_days=(pl.lit(cut_off_on).str.to_date("%Y-%m-%d") - pl.col("date")).dt.total_days(),
        )
        .with_columns(net=pl.col("gross") - pl.col("fee"))
        .select(COLUMNS)
        .sort("book", "currency", "date", "charge_id", "balance_transaction_id")
    )
