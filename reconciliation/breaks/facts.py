"""Open items + everything known around them -> facts a controller would ask for, one row per open item.

Which other line has the same reference, the same amount, the opposite amount; how long postings usually take here; what
the exchange rates of those days allow. No ids and no row order.
"""

from dataclasses import dataclass, field
from datetime import date

import polars as pl

from reconciliation.breaks.neighbors import Neighborhood, relate_to_neighbors
from reconciliation.normalize.translation import add_translation_band
from reconciliation.rates import Rates
from reconciliation.schemas.items import AmbiguousItem

NEAR_DAYS = 31
SUMMARY_MEMBERS_MIN = 4
STRONG = ["stripe_id", "invoice"]


@dataclass(frozen=True)
class Surroundings:
    """What an open item is explained with.

    Attributes:
        items: all items of the month, matched and open, residuals included (`Item`).
        references: their references (`ItemReference`).
        members: `MatchMember`.
        evidence: ledger items of all months up to the cut-off, other accounts included (`Item`).
        evidence_references: their references.
        earlier: what was known of the open items of the month before; a residual's match is not looked at again.
        cut_off_on: last day of the period.
        rates: exchange rates.
        ambiguous: `AmbiguousItem`.
    """

    items: pl.DataFrame
    references: pl.DataFrame
    members: pl.DataFrame
    evidence: pl.DataFrame
    evidence_references: pl.DataFrame
    earlier: pl.DataFrame
    cut_off_on: date
    rates: Rates
    ambiguous: pl.DataFrame = field(default_factory=AmbiguousItem.create_empty)


def gather_facts(around: Surroundings) -> pl.DataFrame:
    """Gather the facts of every open item.

    Returns:
        The open `Item` rows with the fact columns; `ambiguous_group` and `ambiguity` (why) are blank for all that is in no ambiguous group.
    """
    still_open = around.items.join(around.members, on=["leg", "item_id"], how="anti")
    facts = still_open.with_columns(
        age_days=(pl.lit(around.cut_off_on) - pl.col("date")).dt.total_days(),
        days_overdue=(pl.lit(around.cut_off_on) - pl.coalesce("expected_on", "date")).dt.total_days(),
    )
    neighborhood = Neighborhood(around.items, around.members, still_open)
    gross_open = still_open.filter((pl.col("component") == "gross") & (pl.col("side") == "stripe") & (pl.col("leg") == "books"))
    facts = facts.with_columns(
        has_open_gross=pl.col("balance_transaction_id").is_in(gross_open["balance_transaction_id"].implode()) & (pl.col("balance_transaction_id") != "")
    )
    arrived = (
        around.items.filter((pl.col("leg") == "cash") & (pl.col("payout_id") != ""))
        .join(around.members, on=["leg", "item_id"], how="semi")["payout_id"]
        .unique()
    )
    facts = facts.with_columns(has_arrived=(pl.col("leg") == "books") & pl.col("payout_id").is_in(arrived.implode()) & (pl.col("category") == "payout"))
    for part in (_repeated(around, still_open), _other_side(around, still_open), _differences(around, still_open), relate_to_neighbors(neighborhood)):
        facts = facts.join(part, on=["leg", "item_id"], how="left")
    unclear = around.ambiguous.select("leg", "item_id", ambiguous_group=pl.col("group").cast(pl.String), ambiguity="evidence")
    facts = facts.join(unclear, on=["leg", "item_id"], how="left").with_columns(pl.col("ambiguous_group", "ambiguity").fill_null(""))
    flags = [name for name, dtype in facts.schema.items() if dtype == pl.Boolean]
    counts = [name for name in facts.columns if name.startswith("n_")]
    return facts.with_columns(*(pl.col(name).fill_null(value=False) for name in flags), *(pl.col(name).fill_null(0) for name in counts)).with_columns(
        usual_lag_days=pl.lit(usual_lag(around))
    )


def usual_lag(around: Surroundings) -> int:
    """Return how many days nearly all postings (95 %) of this month took, at least 2."""
    pairs = around.members.filter(pl.col("leg") == "books").select("leg", "item_id", "match_id")
    pairs = pairs.join(around.items.select("leg", "item_id", "date", "side"), on=["leg", "item_id"])
    lags = pairs.group_by("match_id").agg(
        lag=(pl.col("date").filter(pl.col("side") == "ledger").max() - pl.col("date").filter(pl.col("side") == "stripe").max()).dt.total_days(), n=pl.len()
    )
    usual = lags.filter((pl.col("n") <= 3) & pl.col("lag").is_not_null())["lag"].quantile(0.95, interpolation="higher")
    return max(2, int(usual)) if isinstance(usual, int | float) else 3


def _values(references: pl.DataFrame, items: pl.DataFrame, kinds: list[str]) -> pl.DataFrame:
    """Return `item_id, value` of the references of some items of the books."""
    own = references.join(items.select("item_id"), on="item_id", how="semi")
    return own.filter(pl.col("kind").is_in(kinds) & (pl.col("leg") == "books")).select("item_id", "value").unique()


def _repeated(around: Surroundings, still_open: pl.DataFrame) -> pl.DataFrame:
    """Find, on the item's own side, an earlier line of the same amount with the same reference or the same text."""
    own = still_open.filter((pl.col("leg") == "books") & pl.col("side").is_in(["ledger", "stripe"]) & pl.col("component").is_in(["", "gross"]))
    known = pl.concat(
        [
            around.evidence,
            around.items.filter((pl.col("leg") == "books") & (pl.col("side") == "stripe") & (pl.col("component") == "gross")).select(around.evidence.columns),
        ]
    )
    columns = ["item_id", "side", "currency", "amount_minor", "date", "occurred_at", "account", "counterparty", "description", "category", "document"]
    is_matched = pl.col("item_id").is_in(around.members["item_id"].implode())
    mine = own.select("leg", *columns).with_columns(is_matched=pl.lit(value=False))
    # An entry of ours that was posted twice carries its id twice, often as its document number too.
    named = pl.concat([around.references, around.evidence_references]).filter((pl.col("leg") == "books") & pl.col("kind").is_in([*STRONG, "journal"]))
    values = _values(named, mine, [*STRONG, "journal"]).select("value").unique()
    shared = named.join(values, on="value", how="semi").select("item_id", "kind", "value").unique()
    ours = shared.filter(pl.col("kind") == "journal")["value"].unique()
    shared = shared.select("item_id", "value").unique()
    text = ["side", "currency", "amount_minor", "counterparty", "description"]
    alike = pl.concat([known.join(shared, on="item_id", how="semi"), known.join(mine, on=text, how="semi")])
    others = alike.select(columns).unique("item_id").with_columns(is_matched=is_matched)
    own_documents = (pl.col("value") != pl.col("document").str.to_uppercase().str.replace_all("[^A-Z0-9]", "")) | pl.col("value").is_in(ours.implode())
    by_reference = (
        mine.join(shared, on="item_id").filter(own_documents)
        .join(others.join(shared, on="item_id").filter(own_documents), on=["side", "currency", "amount_minor", "value", "category"], suffix="_other")
    )  # fmt: skip
    by_text = mine.filter((pl.col("counterparty") != "") & (pl.col("side") == "ledger")).join(others, on=text, suffix="_other")
    # Of two charges of a day the later one is the repetition; ids, which know nothing of time, decide only where no instant does.
    is_before = pl.coalesce(pl.col("occurred_at_other") - pl.col("occurred_at"), pl.duration()) < pl.duration()
    is_same_instant = pl.coalesce(pl.col("occurred_at_other") - pl.col("occurred_at"), pl.duration()) == pl.duration()
    comes_first = is_before | (is_same_instant & (pl.col("item_id_other") < pl.col("item_id")))
    earlier = (pl.col("item_id_other") != pl.col("item_id")) & (
        (pl.col("date_other") < pl.col("date")) | ((pl.col("date_other") == pl.col("date")) & (pl.col("is_matched_other") | comes_first))
    )
    near = (pl.col("date") - pl.col("date_other")).dt.total_days() <= NEAR_DAYS
    same_account = (pl.col("account") == pl.col("account_other")) | (pl.col("side") == "stripe")
    found = [frame.filter(earlier & near & same_account).select("leg", "item_id", repeats=pl.col("item_id_other")) for frame in (by_reference, by_text)]
    repeated = pl.concat(found).group_by("leg", "item_id").agg(pl.col("repeats").min(), is_repeated=pl.lit(value=True))
    if "is_repeated" in around.earlier.columns:  # What it repeats may lie in a month that is not looked at again.
        before = around.earlier.filter(pl.col("is_repeated")).select(repeated.columns)
        repeated = pl.concat([repeated, before.join(repeated, on=["leg", "item_id"], how="anti")])
    same_amount = mine.filter(pl.col("counterparty") != "").group_by("leg", "side", "currency", "amount_minor", "counterparty").agg(n_equal=pl.len())
    return (
        mine.join(repeated, on=["leg", "item_id"], how="left")
        .join(same_amount, on=["leg", "side", "currency", "amount_minor", "counterparty"], how="left")
        .select("leg", "item_id", "repeats", "is_repeated", n_equal_same_side=pl.col("n_equal"))
    )


def _other_side(around: Surroundings, still_open: pl.DataFrame) -> pl.DataFrame:
    """Find open items of the other side with the same amount, the same reference, or the same reference and the opposite sign."""
    columns = ["leg", "item_id", "side", "currency", "amount_minor"]
    # An accrual will be reversed by itself: it is no sign that what it accrues was posted.
    mine = still_open.filter(pl.col("side").is_in(["stripe", "ledger", "bank"]) & ~pl.col("is_accrual")).select(columns)
    other = mine.with_columns(is_stripe=pl.col("side") == "stripe")
    amounts = other.group_by("leg", "currency", "amount_minor", "is_stripe").agg(n_equal_other_side=pl.len())
    facts = other.join(amounts.with_columns(is_stripe=~pl.col("is_stripe")), on=["leg", "currency", "amount_minor", "is_stripe"], how="left")
    named = other.join(_values(around.references, other, STRONG), on="item_id")
    pairs = named.join(named.with_columns(is_stripe=~pl.col("is_stripe")), on=["leg", "currency", "value", "is_stripe"], suffix="_other")
    pointed = pairs.group_by("leg", "item_id").agg(
        has_reference_other_side=pl.lit(value=True), is_reversed_sign=(pl.col("amount_minor") == -pl.col("amount_minor_other")).any()
    )
    on_others = around.evidence.filter(pl.col("population") == "evidence")
    elsewhere = on_others.join(_values(around.evidence_references, on_others, STRONG), on="item_id").select("value", "amount_minor", "currency").unique()
    on_other_account = named.filter(pl.col("is_stripe")).join(elsewhere, on=["value", "amount_minor", "currency"], how="semi").select("leg", "item_id").unique()
    return (
        facts.join(pointed, on=["leg", "item_id"], how="left")
        .join(on_other_account.with_columns(is_on_other_account=pl.lit(value=True)), on=["leg", "item_id"], how="left")
        .select("leg", "item_id", "n_equal_other_side", "has_reference_other_side", "is_reversed_sign", "is_on_other_account")
    )


def _differences(around: Surroundings, still_open: pl.DataFrame) -> pl.DataFrame:
    """Relate each residual to its match: members, largest amount, share, exchange rates, digits."""
    residuals = still_open.filter(pl.col("side") == "residual").select("leg", "item_id", difference="amount_minor", match_id="item_id")
    inside = residuals.join(around.members, on=["leg", "match_id"], suffix="_member").join(
        around.items, left_on=["leg", "item_id_member"], right_on=["leg", "item_id"]
    )
    banded = add_translation_band(inside, around.rates)
    of_stripe, of_books = pl.col("side") == "stripe", pl.col("side").is_in(["ledger", "bank"])
    facts = banded.group_by("leg", "item_id", "difference").agg(
        n_members=pl.len(),
        largest_minor=pl.col("amount_minor").abs().max(),
        ledger_minor=pl.col("amount_minor").filter(of_books).sum(),
        low=pl.col("low_minor").filter(of_stripe).sum(),
        high=pl.col("high_minor").filter(of_stripe).sum(),
        is_converted=(pl.col("presentment_text") != "").any(),
        n_stripe=of_stripe.sum(),
        off_minor=(pl.col("amount_minor").abs() - pl.col("difference").abs()).abs().filter(of_stripe).min(),
    )
    named = facts.select(
        "leg",
        "item_id",
        "n_members",
        n_stripe="n_stripe",
        # A sum that is short of about one of its payments may well leave that one out.
        nearest_member=pl.when(pl.col("n_stripe") > 1).then(pl.col("off_minor") / pl.max_horizontal(pl.col("difference").abs(), pl.lit(1))),
        difference_share=pl.col("difference").abs() / pl.max_horizontal("largest_minor", pl.lit(1)),
        is_converted="is_converted",
        is_within_rates=pl.col("is_converted") & (pl.col("low") < pl.col("high")) & pl.col("ledger_minor").is_between("low", "high"),
        is_digit_swap=(pl.col("difference").abs() % 9 == 0) & (pl.col("difference") != 0),
        # Only the sum of several rounded amounts can be off by rounding: half a unit each, or a total typed in by hand.
        is_rounding=pl.col("difference").abs()
        <= pl.max_horizontal(pl.when(pl.col("n_members") >= SUMMARY_MEMBERS_MIN).then(5).otherwise(0), (pl.col("n_members") * 0.5).floor()),
    )
    if not set(named.columns) <= set(around.earlier.columns):
        return named
    known = around.earlier.filter(pl.col("side") == "residual").join(named, on=["leg", "item_id"], how="anti")
    return pl.concat([named, known.select(pl.col(name).cast(dtype) for name, dtype in named.schema.items())])
