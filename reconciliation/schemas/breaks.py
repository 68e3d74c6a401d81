"""Open items with their explanation, breaks, and what the classifier sees."""

import dataframely as dy

from reconciliation.schemas.items import LEG

# The vocabulary of interface.md; kinds and causes are open sets, what is not listed is shown as it is.
KINDS = [
    "missing_in_ledger",
    "missing_in_stripe",
    "amount_difference",
    "currency_difference",
    "period_difference",
    "duplicate_in_ledger",
    "duplicate_in_stripe",
    "payout_lines_difference",
    "payout_not_in_bank",
    "bank_amount_difference",
    "bank_not_in_stripe",
    "opening_difference",
    "ambiguous_match",
]
EXPECTED_CAUSES = [
    "processing_fee",
    "billing_fee",
    "fee_accrual",
    "summary_posting",
    "fx",
    "rounding",
    "tax",
    "withheld_tax",
    "timing",
    "payout_in_transit",
    "payout_returned",
    "dispute_held",
    "dispute_fee",
    "dispute_won",
    "refund_pending",
    "refund_failed",
    "charge_failed",
    "partial_capture",
    "reserve",
    "minimum_balance",
    "bank_charge",
    "top_up",
    "accrual_release",
    "application_fee",
    "connect_transfer",
    "opening_difference",
]
EXCEPTION_CAUSES = [
    "double_charge",
    "duplicate_posting",
    "missing_posting",
    "wrong_amount",
    "wrong_currency",
    "wrong_account",
    "wrong_period",
    "reversed_sign",
    "missing_settlement",
    "unrecorded_refund",
    "unrecorded_dispute",
    "unknown_entry",
    "posted_after_close",
    "changed_after_close",
    "fee_off_contract",
    "payout_destination_changed",
]
UNDETERMINED = "undetermined"
CAUSES = [*EXPECTED_CAUSES, *EXCEPTION_CAUSES, UNDETERMINED]
NATURES = ["timing", "entry", "reclass", "correction", "claim", "restatement", "opening_difference", "none", ""]
DISPOSITIONS = [
    "needs_review",
    "awaiting_second",
    "confirmed_exception",
    "reopened",
    "proposed_clear",
    "auto_cleared",
    "cleared_by_reviewer",
    "written_off",
    "settled",
]


class OpenItem(dy.Schema):
    """One row is an item not matched in its leg at the cut-off, with the break it belongs to and its own cause and nature."""

    leg = dy.String(primary_key=True, regex=LEG)
    item_id = dy.String(primary_key=True)
    break_id = dy.String()
    kind = dy.String()
    cause = dy.String()
    nature = dy.String()
    disposition = dy.String()
    probability_true_exception = dy.Float64(min=0.0, max=1.0)
    journal_id = dy.String()


class Break(dy.Schema):
    """One row needs an explanation: a set of open items, a residual, or a match across months (`interface.md`, terms).

    `amount_minor` is the effect on Stripe - ledger (books) or paid - arrived (cash). `money_at_risk_minor` is the
    absolute amount times the probability of a true exception, rounded half up. Who decided, when and why stands as in the decision log.
    """

    break_id = dy.String(primary_key=True)
    match_id = dy.String()
    book = dy.String()
    leg = dy.String(regex=LEG)
    kind = dy.String()
    cause = dy.String()
    nature = dy.String()
    side = dy.String()
    item_ids = dy.List(dy.String())
    balance_transaction_ids = dy.List(dy.String())
    source_rows = dy.List(dy.String())
    stripe_account = dy.String()
    amount_minor = dy.Int64()
    currency = dy.String()
    counter_amount_minor = dy.Int64(nullable=True)
    counter_currency = dy.String()
    date = dy.Date()
    age_days = dy.Int64()
    counterparty = dy.String()
    reference = dy.String()
    probability_true_exception = dy.Float64(min=0.0, max=1.0)
    money_at_risk_minor = dy.Int64()
    disposition = dy.String()
    reasons = dy.List(dy.String())
    suggested_action = dy.String()
    prepared_by = dy.String()
    prepared_at = dy.String()
    approved_by = dy.String()
    approved_at = dy.String()
    decision_reason = dy.String()
