"""Entries that were proposed, with every version that a package ever showed."""

import dataframely as dy


class ProposedEntry(dy.Schema):
    """One row is a version of a proposed entry.

    A person may post what any night's package showed, so that a version stays known when the next night's entry holds other items.
    `effect_minor` is the movement of the clearing account (debit positive), which is what comes back in the next export. `posted_period` is the
    month in which a ledger line carried the id, else empty.
    """

    journal_id = dy.String(primary_key=True)
    version = dy.Int64(primary_key=True)
    period = dy.String()
    nature = dy.String()
    cause = dy.String()
    role = dy.String()
    currency = dy.String(regex="^[A-Z]{3}$")
    account = dy.String()
    effect_minor = dy.Int64()
    items = dy.List(dy.String())
    break_ids = dy.List(dy.String())
    references = dy.List(dy.String())
    posting_on = dy.Date()
    reverses_on = dy.Date(nullable=True)
    is_approved = dy.Bool()
    prepared_by = dy.String()
    approved_by = dy.String()
    posted_period = dy.String()
