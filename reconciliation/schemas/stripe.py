"""Tables as pulled from Stripe: API objects in columns, nothing interpreted yet."""

import dataframely as dy
import polars as pl

AMOUNT_MINOR_MAX = 10**15


class BalanceTransaction(dy.Schema):
    """One row is one Stripe balance transaction (https://docs.stripe.com/api/balance_transactions).

    `type`, `reporting_category` and `balance_type` are open sets. `fee_minor` is what Stripe charged (positive when
    assessed); the itemised parts `fee_tax_minor`, `withheld_tax_minor`, `application_fee_minor` are contained in it.
    """

    stripe_account = dy.String(primary_key=True)
    balance_transaction_id = dy.String(primary_key=True)
    created_at = dy.Datetime(time_zone="UTC", time_unit="us")
    available_at = dy.Datetime(time_zone="UTC", time_unit="us")
    amount_minor = dy.Int64(min=-AMOUNT_MINOR_MAX, max=AMOUNT_MINOR_MAX)
    fee_minor = dy.Int64(min=-AMOUNT_MINOR_MAX, max=AMOUNT_MINOR_MAX)
    net_minor = dy.Int64(min=-AMOUNT_MINOR_MAX, max=AMOUNT_MINOR_MAX)
    fee_tax_minor = dy.Int64()
    withheld_tax_minor = dy.Int64()
    application_fee_minor = dy.Int64()
    fee_details_minor = dy.Int64()
    currency = dy.String(regex="^[A-Z]{3}$")
    type = dy.String()
    reporting_category = dy.String()
    balance_type = dy.String()
    status = dy.String()
    source_id = dy.String(nullable=True)
    description = dy.String()

    @dy.rule()
    def net_is_amount_minus_fee(cls) -> pl.Expr:
        return pl.col("net_minor") == pl.col("amount_minor") - pl.col("fee_minor")

    @dy.rule()
    def fee_is_sum_of_fee_details(cls) -> pl.Expr:
        return pl.col("fee_minor") == pl.col("fee_details_minor")


class StripeSource(dy.Schema):
    """One row is an object that balance transactions point at: charge, refund, dispute, transfer, application fee, top-up.

    Facts for references and names only; money always comes from the balance transaction. `references` holds invoice and order numbers
    found in metadata and descriptions as Stripe gives them, unnormalized. Money is in the presentment currency.
    `balance_transaction_ids` are the movements that the object itself names; each of them must have been pulled.
    """

    stripe_account = dy.String(primary_key=True)
    source_id = dy.String(primary_key=True)
    object = dy.String()
    created_at = dy.Datetime(time_zone="UTC", time_unit="us")
    charge_id = dy.String(nullable=True)
    payment_intent_id = dy.String(nullable=True)
    customer_id = dy.String(nullable=True)
    counterparty = dy.String()
    description = dy.String()
    references = dy.List(dy.String())
    presentment_amount_minor = dy.Int64(nullable=True)
    presentment_currency = dy.String(nullable=True)
    status = dy.String()
    reason = dy.String(nullable=True)
    balance_transaction_ids = dy.List(dy.String(), nullable=True)
    card_country = dy.String(nullable=True)


class Payout(dy.Schema):
    """One row is one Stripe payout; `amount_minor` is positive when money goes to the bank."""

    stripe_account = dy.String(primary_key=True)
    payout_id = dy.String(primary_key=True)
    amount_minor = dy.Int64()
    currency = dy.String(regex="^[A-Z]{3}$")
    created_at = dy.Datetime(time_zone="UTC", time_unit="us")
    arrival_on = dy.Date()
    is_automatic = dy.Bool()
    method = dy.String()
    status = dy.String()
    reconciliation_status = dy.String()
    balance_transaction_id = dy.String(nullable=True)
    failure_balance_transaction_id = dy.String(nullable=True)
    failure_code = dy.String(nullable=True)
    trace_id = dy.String(nullable=True)
    statement_descriptor = dy.String(nullable=True)
    destination_id = dy.String(nullable=True)


class PayoutMember(dy.Schema):
    """One row says that a balance transaction is listed under an automatic payout (`list(payout=…)`).

    The payout's own transaction is listed under it too.
    """

    stripe_account = dy.String(primary_key=True)
    payout_id = dy.String()
    balance_transaction_id = dy.String(primary_key=True)


class BalanceSnapshot(dy.Schema):
    """One row is the balance (available + pending) of one currency and balance type when `/v1/balance` was read."""

    stripe_account = dy.String(primary_key=True)
    taken_at = dy.Datetime(time_zone="UTC", time_unit="us", primary_key=True)
    currency = dy.String(primary_key=True, regex="^[A-Z]{3}$")
    balance_type = dy.String(primary_key=True)
    amount_minor = dy.Int64()


class CompletenessProof(dy.Schema):
    """One row says how far the pull is proven complete, for one account, currency and balance type."""

    stripe_account = dy.String(primary_key=True)
    currency = dy.String(primary_key=True)
    balance_type = dy.String(primary_key=True)
    check = dy.String(primary_key=True)  # balance_rolls_forward | payouts_equal_lines | references_present
    result = dy.Enum(["proven", "unproven", "failed"])
    reason = dy.String()
    complete_through = dy.Datetime(time_zone="UTC", time_unit="us", nullable=True)
