"""Types of balance transactions -> those that Stripe's API reference names, and the rest, which are kept and shown.

The set is open: real accounts hold types that are in no reference. Nothing here decides what a row means; it only says what to look at,
and which type a row of a report would have in the API, since reports name the category alone.
"""

import polars as pl

DOCUMENTED_TYPES = frozenset(
    """
    adjustment advance advance_funding anticipation_repayment application_fee application_fee_refund charge climate_order_purchase climate_order_refund
    connect_collection_transfer contribution fee_credit_funding inbound_transfer inbound_transfer_reversal issuing_authorization_hold issuing_authorization_release
    issuing_dispute issuing_dispute_provisional_credit issuing_dispute_provisional_credit_reversal issuing_transaction obligation_outbound
    obligation_reversal_inbound payment payment_failure_refund payment_network_reserve_hold payment_network_reserve_release payment_refund payment_reversal
    payment_unreconciled payout payout_cancel payout_failure payout_minimum_balance_hold payout_minimum_balance_release refund refund_failure reserve_hold
    reserve_release reserve_transaction reserved_funds stripe_balance_payment_debit stripe_balance_payment_debit_reversal stripe_fee stripe_fx_fee tax_fee tax_fund
    topup topup_reversal transfer transfer_cancel transfer_failure transfer_refund
    """.split()
)
"""https://docs.stripe.com/api/balance_transactions/object#balance_transaction_object-type, version 2026-10-28."""

PAYOUT_TYPES = ("payout", "payout_cancel", "payout_failure", "payout_minimum_balance_hold", "payout_minimum_balance_release")
"""Movements between the balance and the bank, which the reports of activity leave out."""

# https://docs.stripe.com/reports/reporting-categories; a category that is not here is a type of the same name.
_TYPE_OF_CATEGORY = {
    "charge_failure": "payment_failure_refund",
    "dispute": "adjustment",
    "dispute_reversal": "adjustment",
    "other_adjustment": "adjustment",
    "fee": "stripe_fee",
    "network_cost": "stripe_fee",
    "tax": "tax_fee",
    "partial_capture_reversal": "refund",
    "payout_reversal": "payout_failure",
    "platform_earning": "application_fee",
    "platform_earning_refund": "application_fee_refund",
    "risk_reserved_funds": "reserved_funds",
    "connect_reserved_funds": "reserve_transaction",
    "transfer_reversal": "transfer_refund",
}
# Payments that are no card charges have ids, and types, of their own.
_TYPE_OF_PAYMENT = {"charge": "payment", "refund": "payment_refund"}


def type_of_category(*, category: str, source: str) -> pl.Expr:
    """Return the type that a row of a report most likely has in the API.

    Args:
        category: name of the column with the reporting category.
        source: name of the column with the id of what moved the money.
    """
    is_payment = pl.col(source).fill_null("").str.contains("^(py|pyr)_")
    plain = pl.col(category).replace(_TYPE_OF_CATEGORY)
    return pl.when(is_payment).then(pl.col(category).replace({**_TYPE_OF_CATEGORY, **_TYPE_OF_PAYMENT})).otherwise(plain)


def undocumented_types(transactions: pl.DataFrame) -> dict[str, int]:
    """Count the rows of each type that Stripe's reference does not name, in alphabetical order."""
    counted = transactions.filter(~pl.col("type").is_in(DOCUMENTED_TYPES)).group_by("type").len().sort("type")
    return dict(counted.iter_rows())
