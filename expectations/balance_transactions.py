"""What a pull of balance transactions looks like: money adds up in every row, ids are unique, categories are known."""

import polars as pl

from expectations.rules import (
    amount_is_plausible,
    currency_is_a_code,
    has_rows,
    ids_are_unique,
    is_known,
    is_mostly_filled,
    is_mostly_not_zero,
    is_not_negative,
    is_present,
    is_zero,
)
from expectations.suite import Suite

# https://docs.stripe.com/reports/reporting-categories; Stripe adds to both lists without notice.
REPORTING_CATEGORIES = [
    "advance",
    "advance_funding",
    "anticipation_repayment",
    "charge",
    "charge_failure",
    "climate_order_purchase",
    "climate_order_refund",
    "connect_collection_transfer",
    "connect_reserved_funds",
    "contribution",
    "dispute",
    "dispute_reversal",
    "fee",
    "financing_paydown",
    "financing_paydown_reversal",
    "financing_payout",
    "financing_payout_reversal",
    "fx_conversion",
    "issuing_authorization_hold",
    "issuing_authorization_release",
    "issuing_dispute",
    "issuing_dispute_fraud_liability_debit",
    "issuing_disbursement",
    "issuing_transaction",
    "minimum_balance_hold",
    "minimum_balance_release",
    "network_cost",
    "obligation",
    "other_adjustment",
    "partial_capture_reversal",
    "payout",
    "payout_minimum_balance_hold",
    "payout_minimum_balance_release",
    "payout_reversal",
    "platform_earning",
    "platform_earning_refund",
    "refund",
    "refund_failure",
    "reserve_hold",
    "reserve_release",
    "reserve_transaction",
    "reserved_funds",
    "risk_reserved_funds",
    "stripe_balance_payment_debit",
    "stripe_balance_payment_debit_reversal",
    "tax",
    "topup",
    "topup_reversal",
    "transfer",
    "transfer_reversal",
    "unreconciled_customer_funds",
]
BALANCE_TYPES = ["payments", "refund_and_dispute_prefunding", "risk_reserved", "issuing", "application_fee"]


def derive(frame: pl.DataFrame) -> pl.DataFrame:
    """Add the differences that must be zero, and how long the money took to become available."""
    return frame.with_columns(
        pl.col("source_id").fill_null(""),
        net_is_amount_minus_fee_difference_minor=pl.col("net_minor") - (pl.col("amount_minor") - pl.col("fee_minor")),
        fee_is_sum_of_fee_details_difference_minor=pl.col("fee_minor") - pl.col("fee_details_minor"),
        days_to_available=(pl.col("available_at") - pl.col("created_at")).dt.total_days(),
    )


SUITE = Suite(
    "balance_transactions",
    (
        ids_are_unique("stripe_account", "balance_transaction_id"),
        is_zero("net_is_amount_minus_fee_difference_minor"),
        is_zero("fee_is_sum_of_fee_details_difference_minor"),
        currency_is_a_code(),
        amount_is_plausible(),
        is_present("created_at"),
        has_rows(),
        is_known("reporting_category", REPORTING_CATEGORIES),
        is_known("balance_type", BALANCE_TYPES),
        is_known("status", ["available", "pending"]),
        is_mostly_filled("source_id", share_min=0.9),
        is_mostly_not_zero("amount_minor", share_min=0.9),
        is_not_negative("days_to_available", is_blocking=False),
    ),
    derive,
)
