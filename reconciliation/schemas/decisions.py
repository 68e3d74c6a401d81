"""What people's decisions say about items, as the next run takes it in."""

import dataframely as dy

from reconciliation.schemas.items import LEG

STATES = ["in_force", "awaiting", "sent_back", "undone"]


class DecidedItem(dy.Schema):
    """One row is an item as a reviewer saw it when deciding about its break.

    `number` is the decision's entry in the log, `shown_id` the break it stood in, `kind` that break's kind, `cause` and `nature` what the decision
    gives the item. `state` says whether the decision counts. `prepared_at` and `approved_at` are written as in the log.
    """

    number = dy.Int64(primary_key=True)
    shown_id = dy.String(primary_key=True)
    leg = dy.String(primary_key=True, regex=LEG)
    item_id = dy.String(primary_key=True)
    amount_minor = dy.Int64()
    state = dy.String(regex=f"^({'|'.join(STATES)})$")
    decision = dy.String()
    kind = dy.String()
    cause = dy.String()
    nature = dy.String()
    period = dy.String()
    prepared_by = dy.String()
    prepared_at = dy.String()
    approved_by = dy.String()
    approved_at = dy.String()
    reason = dy.String()


class HandMatchedItem(dy.Schema):
    """One row is an item that people matched by hand with the others of the same `number`, as long as it has that amount."""

    number = dy.Int64(primary_key=True)
    leg = dy.String(primary_key=True, regex=LEG)
    item_id = dy.String(primary_key=True)
    amount_minor = dy.Int64()
    evidence = dy.String()


class KeptApartItem(dy.Schema):
    """One row is an item that people took out of a match: no match holds two different `part`s of one `number`."""

    number = dy.Int64(primary_key=True)
    leg = dy.String(primary_key=True, regex=LEG)
    item_id = dy.String(primary_key=True)
    part = dy.String()
