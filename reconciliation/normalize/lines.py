"""Ledger lines and bank lines -> items, with what their texts say about themselves.

A ledger line may announce that it is an accrual (it will be reversed by itself) or that it reverses another document.
Both words decide what it may be matched with, so they are read here, once.
"""

import polars as pl

from reconciliation.normalize.components import cast_items

JOURNAL_ID = r"\bRC-\d{4}-\d{2}-\d{4,6}\b"
ACCRUAL_WORDS = r"(?i)\b(?:auto-?reverses?|auto-?reversing|reverses on|reverses \d|accru(?:e|al|ed)\b.*\brevers)"
REVERSAL_WORDS = r"(?i)\b(?:reversal of|reverses? |reversing |void(?:ed)? (?:of )?|storno|correction of|cancels )"


def list_ledger_items(lines: pl.DataFrame, *, book: str) -> pl.DataFrame:
    """Turn ledger lines into items of the books leg.

    Args:
        lines: `LedgerLine`.
        book: name of the book.

    Returns:
        `Item` rows (population `new`) and `reference_text`.
    """
    text = pl.concat_str([pl.col("memo"), pl.col("reference")], separator=" ")
    accrual = text.str.contains(ACCRUAL_WORDS) & ~text.str.contains(r"(?i)\breversal of\b")
    named = text.str.extract(
        r"(?i)\b(?:reversal of|reverses?|reversing|void(?:ed)?(?: of)?|storno(?: of)?|correction of|cancels)\s+(?:duplicate\s+|posting\s+|of\s+)*([A-Za-z]{1,6}[-_/A-Za-z0-9]*\d[-_/A-Za-z0-9]*)",
        1,
    )
    suffixed = pl.col("document").str.extract(r"^(.*\d)-R$", 1)
    return cast_items(
        _blank(lines).with_columns(
            leg=pl.lit("books"),
            book=pl.lit(book),
            side=pl.lit("ledger"),
            origin_period=pl.col("month"),
            date=pl.col("posting_on"),
            category=pl.lit(""),
            description=pl.col("memo"),
            is_accrual=accrual,
            reverses=pl.when(accrual).then(pl.lit("")).otherwise(pl.coalesce("reverses_document", named, suffixed, pl.lit(""))),
            reference_text=pl.concat_str([pl.col("document"), text], separator=" "),
        )
    )


def list_bank_items(lines: pl.DataFrame, *, book: str, period_of_day: pl.Expr) -> pl.DataFrame:
    """Turn bank lines in scope into items of the cash leg.

    Args:
        lines: `BankLine`.
        book: name of the book.
        period_of_day: gives the period of the column `date`.
    """
    return cast_items(
        _blank(lines)
        .with_columns(date=pl.col("booked_on"), type=pl.lit(""))
        .with_columns(
            leg=pl.lit("cash"),
            book=pl.lit(book),
            side=pl.lit("bank"),
            origin_period=period_of_day,
            account=pl.col("bank_account"),
            category=pl.lit(""),
            document=pl.lit(""),
            poster=pl.lit(""),
            is_accrual=pl.lit(value=False),
            reverses=pl.lit(""),
            reference_text=pl.concat_str([pl.col("reference"), pl.col("description")], separator=" "),
        )
    )


def _blank(lines: pl.DataFrame) -> pl.DataFrame:
    """Add the columns that only Stripe items fill."""
    blank = ["stripe_account", "balance_transaction_id", "component", "line", "source_id", "charge_id", "payout_id"]
    return lines.with_columns(
        *(pl.lit("").alias(name) for name in blank),
        population=pl.lit("new"),
        occurred_at=pl.lit(None, dtype=pl.Datetime("us", "UTC")),
        presentment_amount_minor=pl.lit(None, dtype=pl.Int64),
        presentment_currency=pl.lit(None, dtype=pl.String),
        expected_on=pl.lit(None, dtype=pl.Date),
    )
