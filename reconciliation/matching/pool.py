"""What a strategy sees, and what it returns.

A strategy takes a `Pool` (the items still open, and their references) and returns proposals: one row per member, with
`proposal` (a number, the best first), `item_id`, `score` (0 to 1) and `evidence` in a controller's words; one whose matches are of
several kinds says in `strategy` which. Proposals may overlap; `accept_disjoint` decides. Inside the cascade `item_id` is a number in the order of the ids: joins on numbers cost
half of joins on text.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date

import polars as pl

from reconciliation.schemas.decisions import HandMatchedItem, KeptApartItem

PAYOUT_CATEGORIES = ["payout", "payout_reversal", "topup", "topup_reversal"]
REFUND_WORDS = r"(?i)\brefund(?:ed|s)?\b"
SAYS_REFUND = pl.concat_str([pl.col("description"), pl.col("reference")], separator=" ").str.contains(REFUND_WORDS)
IS_POSTING = (pl.col("side") == "ledger") & ~pl.col("is_accrual") & (pl.col("reverses") == "")


@dataclass(frozen=True)
class MatchingSettings:
    """Windows and tolerances, each with its reason.

    Attributes:
        posting_lag_days: a posting is looked for up to this long after its payment; a month-end batch is rarely later.
        posting_lead_days: or this long before it: books in another zone, sales posted when the order is taken.
        payout_window_days: a payout reaches bank and books within this time of its expected arrival.
        difference_window_days: same reference, other amount: beyond this it is more likely another event.
        fuzzy_score_min: below it a pair stays open; a controller would not defend it.
        pair_scorer: version of the pair scorer; the newest where none is named.
        pairs_per_key_max: candidate pairs of one currency and amount before the next key must refine them.
        rows_per_part: rows that a stage looks at together (`parts`); it bounds memory and changes no result.
        summary_rounding_minor: a summary posted by hand may be off by this much and still be the same total.
        fees_share_max: a fee journal further off than this share of its total is another journal.
        sales_share_max: a summary of sales that names its day or payout is that day's also when mistyped or incomplete; beyond this, hardly.
        reversal_window_days: two lines that cancel without a link are a posting and its reversal within this time.
        unrecorded_pair_age_days: a charge and its refund cancel on Stripe's side only when both are this old.
    """

    posting_lag_days: int = 14
    posting_lead_days: int = 3
    payout_window_days: int = 10
    difference_window_days: int = 31
    fuzzy_score_min: float = 0.7
    pair_scorer: str = ""
    pairs_per_key_max: int = 64
    rows_per_part: int = 500_000
    summary_rounding_minor: int = 5
    fees_share_max: float = 0.05
    sales_share_max: float = 0.25
    reversal_window_days: int = 31
    unrecorded_pair_age_days: int = 5


@dataclass(frozen=True)
class ByHand:
    """What people decided about matches.

    Attributes:
        matched: `HandMatchedItem`.
        apart: `KeptApartItem`.
    """

    matched: pl.DataFrame = field(default_factory=HandMatchedItem.create_empty)
    apart: pl.DataFrame = field(default_factory=KeptApartItem.create_empty)


@dataclass(frozen=True)
class Pool:
    """The open items of one leg and what is known about them.

    Attributes:
        items: the columns of `Item` that strategies look at, of what is still open, with `label` (the id as text), `channel` (`channel_of`) and the columns
            of `add_translation_band`; texts that repeat are categories.
        everything: all of them, before anything was matched.
        references: `ItemReference` rows of this leg, with `is_own`: a ledger line's own document number, which points nowhere.
        cut_off_on: last day of the period.
        journals: `journal_id, version, nature, effect_minor, n_items, item_id`: the items that entries proposed before were made for, a row each.
        net_channels: channels (`channel_of`) whose payments were found to be posted net of fees.
        sums_net: whether a summary of sales was found to be posted net of fees.
        settings: windows and tolerances.
        hands: what people matched and took apart.
        derived: what was worked out from `everything` and `references` alone, which holds for the whole run.
    """

    items: pl.DataFrame
    everything: pl.DataFrame
    references: pl.DataFrame
    cut_off_on: date
    journals: pl.DataFrame
    net_channels: frozenset[str] = frozenset()
    sums_net: bool = False
    settings: MatchingSettings = field(default_factory=MatchingSettings)
    hands: ByHand = field(default_factory=ByHand)
    derived: dict[str, pl.DataFrame] = field(default_factory=dict, repr=False)

    def once(self, name: str, work_out: Callable[[], pl.DataFrame]) -> pl.DataFrame:
        """Return what is known under a name; work it out the first time. It must not depend on what is still open."""
        if name not in self.derived:
            self.derived[name] = work_out()
        return self.derived[name]

    def side(self, name: str) -> pl.DataFrame:
        """Return the open items of one side."""
        return self.items.filter(pl.col("side") == name)

    def postings(self) -> pl.DataFrame:
        """Return the ledger lines that may stand for something in Stripe: no accruals, no reversals of other lines."""
        return self.items.filter(IS_POSTING)

    def values(self, *kinds: str) -> pl.DataFrame:
        """Return `item_id, value` of the references of some kinds."""
        return self.once(f"values {' '.join(kinds)}", lambda: self._values(kinds))

    def _values(self, kinds: tuple[str, ...]) -> pl.DataFrame:
        found = self.references.filter(pl.col("kind").is_in(kinds) & ~pl.col("is_own")).select("item_id", "value")
        # Of one kind an item has each value once.
        return found.unique() if len(kinds) > 1 else found


def nothing(pool: Pool) -> pl.DataFrame:
    """Return no proposals."""
    return pl.DataFrame(schema=pl.Schema({"proposal": pl.UInt32(), "item_id": pool.items.schema["item_id"], "score": pl.Float64(), "evidence": pl.String()}))


def pair_proposals(pairs: pl.DataFrame) -> pl.DataFrame:
    """Turn rows of `members` (list of item ids), `score`, `evidence` and perhaps `strategy` into proposals, numbered from the best to the worst."""
    ranked = pairs.select("members", "score", "evidence", "^strategy$").sort("score", "members", "evidence", descending=[True, False, False])
    return (
        ranked.with_row_index("proposal").rename({"members": "item_id"}).explode("item_id", empty_as_null=False).with_columns(pl.col("score").cast(pl.Float64))
    )


def accept_disjoint(proposals: pl.DataFrame) -> pl.DataFrame:
    """Accept proposals from the best on, using every item at most once.

    The result equals the greedy walk down their order; it is found in rounds, each accepting every proposal that is the
    best one of all its items.
    """
    accepted: list[pl.DataFrame] = []
    left = proposals
    while not left.is_empty():
        best = left.with_columns(is_best=pl.col("proposal") == pl.col("proposal").min().over("item_id"))
        refused = best.filter(~pl.col("is_best")).select("proposal").unique()
        taken = best.join(refused, on="proposal", how="anti").drop("is_best")
        accepted.append(taken)
        blocked = left.join(taken.select("item_id"), on="item_id", how="semi").select("proposal").unique()
        left = left.join(blocked, on="proposal", how="anti")
    return pl.concat(accepted) if accepted else proposals


def variants(stripe: pl.DataFrame) -> pl.DataFrame:
    """List what a ledger line may stand for: each Stripe item alone, and a balance transaction's open components together.

    Returns:
        `key_id, form (single/net), members, currency, amount_minor, date` and the describing columns of the (gross) item, whose id is `key_id`.
    """
    described = [
        "currency",
        "date",
        "occurred_at",
        "counterparty",
        "reference",
        "description",
        "category",
        "channel",
        "component",
        "expected_on",
        "presentment_text",
        "payout_id",
        "balance_transaction_id",
    ]
    single = stripe.select(
        "amount_minor", "low_minor", "high_minor", *described, members=pl.concat_list("item_id"), form=pl.lit("single"), key_id=pl.col("item_id")
    )
    several = (
        stripe.filter((pl.col("balance_transaction_id") != "") & (pl.col("side") == "stripe"))
        .sort(pl.col("component") != "gross", "item_id")
        .group_by("stripe_account", "balance_transaction_id", maintain_order=True)
        .agg(
            pl.col("amount_minor", "low_minor", "high_minor").sum(),
            *(pl.col(name).first() for name in described if name != "balance_transaction_id"),
            members=pl.col("item_id"),
            key_id=pl.col("item_id").first(),
        )
        .filter((pl.col("members").list.len() > 1) & (pl.col("component") == "gross"))
        .select("amount_minor", "low_minor", "high_minor", *described, members="members", form=pl.lit("net"), key_id="key_id")
    )
    return pl.concat([single, several])


def channel_of() -> pl.Expr:
    """Name the channel of a Stripe item: its description without numbers, and the letters of its reference.

    `Marketplace order INV-1002` and `Invoice INV-1001` are two channels; a company that uses one wording for all has one.
    """
    words = pl.col("description").str.replace_all(r"\S*\d\S*", "").str.strip_chars().str.to_lowercase()
    return pl.concat_str([words, pl.col("reference").str.extract(r"^([A-Za-z]+)", 1).fill_null("").str.to_lowercase()], separator="|")


def lag_in_words(lag_days: pl.Expr) -> pl.Expr:
    """Say how long after the payment a line was posted."""
    return (
        pl.when(lag_days == 0)
        .then(pl.lit("posted the same day"))
        .when(lag_days == 1)
        .then(pl.lit("posted 1 day later"))
        .when(lag_days > 1)
        .then(pl.format("posted {} days later", lag_days))
        .when(lag_days == -1)
        .then(pl.lit("posted 1 day earlier"))
        .otherwise(pl.format("posted {} days earlier", -lag_days))
    )
