"""Types of balance transactions -> those that Stripe's API reference names, and the rest, which are kept and shown.

The set is open: real accounts hold types that are in no reference. Nothing here decides what a row means; it only says what to look at.
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


def undocumented_types(transactions: pl.DataFrame) -> dict[str, int]:
    """Count the rows of each type that Stripe's reference does not name, in alphabetical order."""
    counted = transactions.filter(~pl.col("type").is_in(DOCUMENTED_TYPES)).group_by("type").len().sort("type")
    return dict(counted.iter_rows())
