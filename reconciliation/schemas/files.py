"""Tables read from files: ledger exports, trial balances, bank statements, and what became of every row."""

import dataframely as dy


class LedgerLine(dy.Schema):
    """One row is one line of the general ledger on a mapped account, within the coverage of the newest export.

    `amount_minor` is in the currency of the account, debit positive (a debit to clearing raises the books' view of
    the Stripe balance). `month` is the posting period that the ERP states, else the period of the posting date.
    `seen_in` counts deliveries: the ordinal of the delivery that first brought the file (1 is the oldest).
    """

    item_id = dy.String(primary_key=True)
    source_file = dy.String()
    source_row = dy.String()
    document = dy.String()
    posting_on = dy.Date()
    month = dy.String(regex=r"^\d{4}-\d{2}$")
    account = dy.String()
    currency = dy.String(regex="^[A-Z]{3}$")
    amount_minor = dy.Int64()
    base_amount_minor = dy.Int64(nullable=True)
    type = dy.String()
    counterparty = dy.String()
    memo = dy.String()
    reference = dy.String()
    poster = dy.String()
    reverses_document = dy.String(nullable=True)


class LedgerBalance(dy.Schema):
    """One row is the closing balance of one ledger account and currency at the end of one period, debit positive."""

    account = dy.String(primary_key=True)
    currency = dy.String(primary_key=True, regex="^[A-Z]{3}$")
    period = dy.String(primary_key=True, regex=r"^\d{4}-\d{2}$")
    closing_balance_minor = dy.Int64()
    source_file = dy.String()
    source_row = dy.String()


class BankLine(dy.Schema):
    """One row is one booked line of a bank statement in scope; money into the account is positive."""

    item_id = dy.String(primary_key=True)
    source_file = dy.String()
    source_row = dy.String()
    bank_account = dy.String()
    booked_on = dy.Date()
    value_on = dy.Date(nullable=True)
    currency = dy.String(regex="^[A-Z]{3}$")
    amount_minor = dy.Int64()
    counterparty = dy.String()
    reference = dy.String()
    description = dy.String()


class SetAsideRow(dy.Schema):
    """One row was read and is not reconciled; `rule` says why (`not_a_payout`, `revaluation`, `other_account`, …).

    `month` is the accounting period it belongs to. Rows whose `rule` is `retired` stand only in an older export.
    """

    source_file = dy.String(primary_key=True)
    source_row = dy.String(primary_key=True)
    side = dy.Enum(["stripe", "ledger", "bank"])
    date = dy.Date(nullable=True)
    month = dy.String(nullable=True)
    amount_minor = dy.Int64()
    currency = dy.String()
    account = dy.String()
    rule = dy.String()
    description = dy.String()


class SourceFile(dy.Schema):
    """One row is one file that was read: what it is, how that was told, what was found, and how its rows were used.

    Lists are separated by `;`: `other_names` under which the same content lies too, `proofs` that hold, `rows_by_rule` (`other_account=3;superseded=2`) of
    rows not used, `totals` (`GBP=1.00`) of those used. `rows_retired` counts rows that a newer export replaces, with or without a change.
    """

    source_file = dy.String(primary_key=True)
    sha256 = dy.String()
    kind = dy.Enum(["ledger", "bank", "balances"])
    profile = dy.String()
    confidence = dy.Float64()
    evidence = dy.String()
    other_names = dy.String()
    encoding = dy.String()
    delimiter = dy.String()
    decimal_mark = dy.String()
    date_order = dy.String()
    rows_in = dy.Int64()
    rows_used = dy.Int64()
    rows_set_aside = dy.Int64()
    rows_retired = dy.Int64()
    rows_by_rule = dy.String()
    totals = dy.String()
    proofs = dy.String()
    covers_from = dy.Date(nullable=True)
    covers_to = dy.Date(nullable=True)
    delivery = dy.Int64()
