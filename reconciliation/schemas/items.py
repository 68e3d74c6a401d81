"""Items: everything that must end matched or open, once."""

import dataframely as dy
import polars as pl

LEG = "^(books|cash)$"
SIDE = "^(stripe|ledger|bank|residual|opening)$"
EFFECT = pl.when(pl.col("side").is_in(["ledger", "bank"])).then(-pl.col("amount_minor")).otherwise(pl.col("amount_minor"))
"""An item's effect on Stripe - ledger (books) or paid - arrived (cash), in minor units."""


class Item(dy.Schema):
    """One row is an item of one leg (`interface.md`, terms).

    `amount_minor` carries the side's own sign. `EFFECT` turns it into Stripe - ledger (books)
    or paid - arrived (cash). `population` says why the
    item is here: `carried` (open at the end of the month before), `new` (dated in the month), `late` (dated in a locked
    month and arrived since), `evidence` (lookback or after the cut-off: never counted). `line` is the statement line an amount stands on (`charge.gross`), empty on the ledger and bank side.
    """

    leg = dy.String(primary_key=True, regex=LEG)
    item_id = dy.String(primary_key=True)
    book = dy.String()
    side = dy.String(regex=SIDE)
    population = dy.String(regex="^(carried|new|late|evidence)$")
    origin_period = dy.String(regex=r"^\d{4}-\d{2}$")
    date = dy.Date()
    occurred_at = dy.Datetime(time_zone="UTC", time_unit="us", nullable=True)
    amount_minor = dy.Int64()
    currency = dy.String(regex="^[A-Z]{3}$")
    account = dy.String()
    stripe_account = dy.String()
    balance_transaction_id = dy.String()
    component = dy.String()
    category = dy.String()
    type = dy.String()
    line = dy.String()
    source_id = dy.String()
    charge_id = dy.String()
    payout_id = dy.String()
    document = dy.String()
    source_file = dy.String()
    source_row = dy.String()
    counterparty = dy.String()
    reference = dy.String()
    description = dy.String()
    poster = dy.String()
    presentment_amount_minor = dy.Int64(nullable=True)
    presentment_currency = dy.String(nullable=True)
    expected_on = dy.Date(nullable=True)
    is_accrual = dy.Bool()
    reverses = dy.String()

    @dy.rule()
    def side_belongs_to_leg(cls) -> pl.Expr:
        return pl.when(pl.col("leg") == "books").then(pl.col("side") != "bank").otherwise(pl.col("side").is_in(["stripe", "bank", "residual"]))


class ItemReference(dy.Schema):
    """One row is one normalized reference found on an item.

    `kind` orders trust: stripe_id, journal, document, invoice, trace, number. `value` is upper case without separators.
    """

    leg = dy.String(primary_key=True, regex=LEG)
    item_id = dy.String(primary_key=True)
    kind = dy.String(primary_key=True, regex="^(stripe_id|journal|document|invoice|trace|number)$")
    value = dy.String(primary_key=True)


class AmbiguousItem(dy.Schema):
    """One row is an item of a group that belongs together in more than one way: nothing is matched, and a person decides."""

    leg = dy.String(primary_key=True, regex=LEG)
    item_id = dy.String(primary_key=True)
    group = dy.UInt32()
    evidence = dy.String()


class MatchMember(dy.Schema):
    """One row is an item's place in a match. `difference_minor` is the same on every row of a match.

    Stripe + residual + opening - ledger (or paid - arrived): zero, or the amount of the residual the match leaves.
    """

    leg = dy.String(primary_key=True, regex=LEG)
    item_id = dy.String(primary_key=True)
    match_id = dy.String()
    strategy = dy.String()
    score = dy.Float64(min=0.0, max=1.0)
    evidence = dy.String()
    difference_minor = dy.Int64()
