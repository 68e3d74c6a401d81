"""Open items with their explanation, breaks, and what the classifier sees."""

import dataframely as dy

from reconciliation.schemas.items import LEG


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
    absolute amount times the probability of a true exception, rounded half up.
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
