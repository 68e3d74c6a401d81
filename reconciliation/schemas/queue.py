"""Tables of the review queue: cases and their root causes."""

import dataframely as dy

CONFIDENCES = ["High", "Medium", "Low"]


class QueueCase(dy.Schema):
    """One row is a break as a reviewer sees it, most money at risk first.

    `amount_minor` is the effect on Stripe - ledger (books) or paid - arrived (cash). Dates are null where the side has no item. `search` holds the text that
    the free-text filter looks through, in lower case.
    """

    break_id = dy.String(primary_key=True)
    book = dy.String()
    leg = dy.String()
    money_at_risk_minor = dy.Int64()
    amount_minor = dy.Int64()
    currency = dy.String()
    kind = dy.String()
    cause = dy.String()
    nature = dy.String()
    probability_true_exception = dy.Float64()
    confidence = dy.String(regex="^(High|Medium|Low)$")
    age_days = dy.Int64()
    age_bucket = dy.String()
    counterparty = dy.String()
    reference = dy.String()
    stripe_on = dy.Date(nullable=True)
    ledger_on = dy.Date(nullable=True)
    bank_on = dy.Date(nullable=True)
    document = dy.String()
    origin_period = dy.String()
    prepared_by = dy.String()
    approved_by = dy.String()
    decision_reason = dy.String()
    disposition = dy.String()
    stripe_id = dy.String()
    side = dy.String()
    account = dy.String()
    memo = dy.String()
    poster = dy.String()
    payout_id = dy.String()
    journal_id = dy.String()
    match_id = dy.String()
    item_ids = dy.List(dy.String())
    reasons = dy.List(dy.String())
    suggested_action = dy.String()
    counter_amount_minor = dy.Int64(nullable=True)
    counter_currency = dy.String()
    date = dy.Date()
    is_sampled = dy.Bool()
    search = dy.String()


class RootCause(dy.Schema):
    """One row is what one decision can settle: cases of one book, currency, nature, cause and kind."""

    book = dy.String(primary_key=True)
    currency = dy.String(primary_key=True)
    nature = dy.String(primary_key=True)
    cause = dy.String(primary_key=True)
    kind = dy.String(primary_key=True)
    cases = dy.Int64()
    net_minor = dy.Int64()
    gross_minor = dy.Int64()
    money_at_risk_minor = dy.Int64()
    oldest_days = dy.Int64()


class Subtotal(dy.Schema):
    """One row is a currency's count, net and gross of some cases."""

    currency = dy.String(primary_key=True)
    cases = dy.Int64()
    net_minor = dy.Int64()
    gross_minor = dy.Int64()
    money_at_risk_minor = dy.Int64()
