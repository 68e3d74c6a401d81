"""Items + references -> matches, residuals, and what stays open.

The order of strategies is the argument: what carries its own proof goes first (a journal id, a reversal that names its
document, a reference with the exact amount), sums before similarities, differences last. Each strategy proposes over what
is still open; overlapping proposals are settled by score.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from functools import partial

import polars as pl

from reconciliation.engine import content_ids
from reconciliation.matching.pool import ByHand, MatchingSettings, Pool, accept_disjoint, channel_of, nothing
from reconciliation.matching.strategies.by_hand import HAND, drop_kept_apart, match_by_hand, settle_by_hand
from reconciliation.matching.strategies.exact_reference import match_equal_references, match_exact_references, match_opening_write_offs
from reconciliation.matching.strategies.fuzzy import match_fuzzily
from reconciliation.matching.strategies.interchangeable import match_interchangeable
from reconciliation.matching.strategies.merged_payouts import match_merged_payouts
from reconciliation.matching.strategies.near_summaries import declare_near_sales, match_near_fees, match_near_sales
from reconciliation.matching.strategies.payout_lines import match_payout_lines, match_payout_references
from reconciliation.matching.strategies.reference_difference import match_cut_references, match_reference_differences
from reconciliation.matching.strategies.reference_groups import match_reference_groups
from reconciliation.matching.strategies.returned_journals import match_changed_journals, match_returned_journals
from reconciliation.matching.strategies.reversals import match_cancelling_lines, match_named_reversals, match_stripe_reversals
from reconciliation.matching.strategies.summaries import match_summaries
from reconciliation.normalize.references import number_runs
from reconciliation.normalize.translation import add_translation_band
from reconciliation.rates import Rates
from reconciliation.schemas.items import EFFECT, AmbiguousItem, ItemReference, MatchMember

logger = logging.getLogger(__name__)

Strategy = Callable[[Pool], pl.DataFrame]
Strategies = tuple[tuple[str, Strategy], ...]
AMBIGUOUS = "ambiguous"
"""Proposals under this name are no matches: their members belong together, stay open, and are shown as one break."""
BOOKS: Strategies = (
    (HAND, match_by_hand),
    ("returned_journal", match_returned_journals),
    ("changed_journal", match_changed_journals),
    ("named_reversal", match_named_reversals),
    ("opening_write_off", match_opening_write_offs),
    ("exact_stripe_id", partial(match_exact_references, kinds=("stripe_id",), score=1.0)),
    ("exact_reference", partial(match_exact_references, kinds=("invoice",), score=0.99)),
    ("interchangeable", partial(match_equal_references, kinds=("stripe_id", "invoice"), score=0.98)),
    ("reference_group", match_reference_groups),
    ("payout_line", partial(match_payout_lines, other_side="ledger")),
    ("summary", match_summaries),
    ("fuzzy", match_fuzzily),
    ("summary", match_summaries),
    ("reference_difference", match_reference_differences),
    ("reference_difference", match_cut_references),
    ("near_summary", match_near_sales),
    (AMBIGUOUS, declare_near_sales),
    ("interchangeable", match_interchangeable),
    ("summary", match_summaries),
    ("fee_journal", match_near_fees),
    ("merged_payouts", partial(match_merged_payouts, other_side="ledger")),
    ("cancelling_lines", match_cancelling_lines),
    ("stripe_reversal", match_stripe_reversals),
)
RESIDUALS: Strategies = (
    (HAND, settle_by_hand),
    ("returned_journal", match_returned_journals),
    ("exact_reference", partial(match_exact_references, kinds=("stripe_id", "invoice", "document"), score=0.97)),
)
CASH: Strategies = (
    (HAND, match_by_hand),
    ("payout_reference", match_payout_references),
    ("payout_to_bank", partial(match_payout_lines, other_side="bank")),
    ("stripe_reversal", match_stripe_reversals),
    ("merged_payouts", partial(match_merged_payouts, other_side="bank")),
)
STRATEGIES: Mapping[str, Strategies] = {"books": BOOKS, "cash": CASH}
SUMS = {"summary", "near_summary", "fee_journal", "reference_group", "merged_payouts"}
PAIRS: Mapping[str, Strategies] = {leg: tuple(pair for pair in strategies if pair[0] not in SUMS) for leg, strategies in STRATEGIES.items()}
"""Without the strategies that add several items up."""
UNREAD = ["book", "population", "source_file", "source_row", "poster", "line"]
"""What no strategy looks at."""
CODED = ["leg", "side", "currency", "account", "stripe_account", "component", "category", "type"]
BEHIND_THE_BAND = ["presentment_amount_minor", "presentment_currency"]
SETTLING = ["stripe_id", "invoice", "document", "journal"]
"""References that the strategies for residuals go by."""
REPEATS = 3
REFERENCED_MEMBERS_MAX = 20


@dataclass(frozen=True)
class Matching:
    """Members of all matches (`MatchMember`), new residual items (`Item`), the residuals' references, and `AmbiguousItem`."""

    members: pl.DataFrame
    residuals: pl.DataFrame
    residual_references: pl.DataFrame
    ambiguous: pl.DataFrame = field(default_factory=AmbiguousItem.create_empty)


def match_items(
    items: pl.DataFrame | pl.LazyFrame,
    references: pl.DataFrame | pl.LazyFrame,
    *,
    cut_off_on: date,
    journals: pl.DataFrame,
    rates: Rates | None = None,
    settings: MatchingSettings | None = None,
    strategies: Mapping[str, Strategies] = STRATEGIES,
    hands: ByHand | None = None,
) -> Matching:
    """Match the items of both legs.

    Args:
        items: `Item`; everything that must end matched or open. A scan of files is read by column, so that what matching does not look at needs no memory.
        references: `ItemReference`.
        cut_off_on: last day of the period.
        journals: entries proposed before (`ProposedEntry`).
        rates: daily rates, which bound what the books may hold for a converted payment.
        settings: windows and tolerances.
        strategies: of each leg, in order.
        hands: what people matched and took apart.
    """
    settings = settings or MatchingSettings()
    rates, hands = rates or Rates(), hands or ByHand()
    fill = partial(fill_pool, cut_off_on=cut_off_on, journals=journals, rates=rates, settings=settings)
    (books, left), (cash, _) = (_run(replace(fill(items, references, leg=leg), hands=hands), strategies[leg]) for leg in strategies)
    accepted = pl.concat([books, cash])
    is_ambiguous = pl.col("strategy") == AMBIGUOUS
    ambiguous = AmbiguousItem.validate(accepted.filter(is_ambiguous).select("leg", "item_id", group="proposal", evidence="evidence"), cast=True)
    members = _identify(accepted.filter(~is_ambiguous))
    residuals = _make_residuals(members, items.lazy())
    residual_references = _refer_residuals(members, references.lazy(), residuals)
    settling = pl.concat([_list_settling(left, residual_references), residuals["item_id"]]).to_frame().lazy()
    both = [
        pl.concat([known.lazy().join(settling, on="item_id", how="semi").collect(), new])
        for known, new in ((items, residuals), (references, residual_references))
    ]
    pool = fill(*both, leg="books")
    members = pl.concat([members, _identify(_run(replace(pool, hands=hands), RESIDUALS)[0])])
    # The members of a match stand in the order of their ids already; two stable sorts of two columns cost a third of one of all by three.
    order = members.select("leg", "match_id").with_row_index("place").sort("match_id", maintain_order=True).sort("leg", maintain_order=True)["place"]
    members = members[order]
    n_items, n_matches, n_unclear = items.lazy().select(pl.len()).collect().item(), members["match_id"].n_unique(), ambiguous.height
    logger.info("matched %s of %s items in %s matches, %s residuals, %s ambiguous items", members.height, n_items, n_matches, residuals.height, n_unclear)
    return Matching(MatchMember.validate(members, cast=True), residuals, residual_references, ambiguous)


def fill_pool(
    items: pl.DataFrame | pl.LazyFrame,
    references: pl.DataFrame | pl.LazyFrame,
    *,
    leg: str,
    cut_off_on: date,
    journals: pl.DataFrame,
    rates: Rates,
    settings: MatchingSettings,
) -> Pool:
    """Gather the items of one leg with their references; the ids become numbers in their order, and stay as `label`."""
    known = _number_items(items, leg, rates)
    numbers = known.select("item_id", "label")
    named = _mark_own_documents(_number_references(references, numbers, leg), known)
    waiting = journals.filter(pl.col("posted_period") == "").select(
        "journal_id", "version", "nature", "effect_minor", n_items=pl.col("items").list.len(), label="items"
    )
    made_for = waiting.explode("label", empty_as_null=False).join(numbers, on="label").drop("label")
    return Pool(known, known, named, cut_off_on, made_for, settings=settings)


def _number_items(items: pl.DataFrame | pl.LazyFrame, leg: str, rates: Rates) -> pl.DataFrame:
    """Take what strategies look at of the items of a leg; texts that repeat become codes, in a quarter of their memory."""
    narrow = items.lazy().filter(pl.col("leg") == leg).drop(UNREAD).rename({"item_id": "label"})
    known = add_translation_band(narrow.with_columns(pl.col(CODED).cast(pl.Categorical)).collect(), rates).drop(BEHIND_THE_BAND)
    ordered = known if known["label"].is_sorted() else known.sort("label")
    return ordered.with_row_index("item_id").with_columns(channel=channel_of().cast(pl.Categorical))


def _number_references(references: pl.DataFrame | pl.LazyFrame, numbers: pl.DataFrame, leg: str) -> pl.DataFrame:
    """Put numbers in the place of ids; the references of an item stand together, so each id is looked up once."""
    own = references.lazy().filter(pl.col("leg") == leg).select(pl.col("kind").cast(pl.Categorical), "value", label="item_id").collect()
    return own.with_columns(number_runs(own, numbers, ["label"])).drop_nulls("item_id").drop("label")


def _mark_own_documents(references: pl.DataFrame, items: pl.DataFrame) -> pl.DataFrame:
    """Mark what a ledger line's own document number says of it (`is_own`), unless Stripe names that document too."""
    own = items.filter((pl.col("side") == "ledger") & (pl.col("document") != "")).select(
        "item_id",
        own=pl.col("document").str.to_uppercase().str.replace_all("[^A-Z0-9]", ""),
        digits=pl.col("document").str.extract(r"(\d{3,})", 1).str.strip_chars_start("0"),
    )
    told = references.join(own, on="item_id", how="left", maintain_order="left")
    is_name = (pl.col("kind") == "invoice") & (pl.col("value") == pl.col("own"))
    names = told.filter(is_name).select("value").unique()
    of_stripe = references.join(names, on="value", how="semi").join(items.filter(pl.col("side") == "stripe").select("item_id"), on="item_id", how="semi")
    is_own = (is_name & ~pl.col("value").is_in(of_stripe["value"].unique().implode())) | ((pl.col("kind") == "number") & (pl.col("value") == pl.col("digits")))
    return told.with_columns(is_own=is_own.fill_null(value=False)).drop("own", "digits")


def _list_settling(left: Pool, residual_references: pl.DataFrame) -> pl.Series:
    """List the ids of open items that the strategies for residuals may match: those that share a reference with a residual or the other side, and what was decided."""
    named = left.references.filter(pl.col("kind").is_in(SETTLING)).join(left.items.select("item_id", "side"), on="item_id")
    is_line = pl.col("side") == "ledger"
    both_sides = named.filter(is_line).select("value").unique().join(named.filter(~is_line), on="value", how="semi")
    values = pl.concat([both_sides, residual_references.select("value")])
    sharing = named.join(values, on="value", how="semi")["item_id"]
    ours = named.filter(pl.col("kind") == "journal")["item_id"]
    numbers = pl.concat([sharing, ours, left.journals["item_id"]]).to_frame()
    decided = left.items.filter(pl.col("label").is_in(left.hands.matched["item_id"].implode()))["label"]
    return pl.concat([left.items.join(numbers, on="item_id", how="semi")["label"], decided]).rename("item_id")


def _run(pool: Pool, strategies: Strategies) -> tuple[pl.DataFrame, Pool]:
    """Run strategies in order over what is still open; returns the members of accepted proposals, and what is left."""
    described = pool.items.select("item_id", pl.col("leg").cast(pl.String), "label", effect=EFFECT)
    accepted = [nothing(pool).with_columns(strategy=pl.lit(""))]
    count = 0
    for name, strategy in strategies:
        for _ in range(REPEATS if name.startswith("exact") else 1):
            taken = accept_disjoint(drop_kept_apart(strategy(pool), pool))
            if taken.is_empty():
                break
            kind = pl.col("strategy") if "strategy" in taken.columns else pl.lit(name)
            numbered = taken.with_columns(proposal=(pl.col("proposal") + count).cast(pl.UInt32), strategy=kind)
            count = int(numbered.select(pl.col("proposal").max() + 1).item())
            accepted.append(numbered.select(accepted[0].columns))
            still_open = pool.items.join(taken.select("item_id"), on="item_id", how="anti", maintain_order="left")
            sums_net = pool.sums_net or (name == "summary" and _holds_sales_and_fees(taken, pool))
            pool = replace(pool, items=still_open, net_channels=pool.net_channels | _net_channels(taken, pool), sums_net=sums_net)
    members = pl.concat(accepted).sort("proposal", "item_id").join(described, on="item_id", maintain_order="left")
    # What is matched is not looked at again.
    return members.drop("item_id").rename({"label": "item_id"}), replace(pool, everything=pool.items, derived={})


def _net_channels(taken: pl.DataFrame, pool: Pool) -> frozenset[str]:
    """Find channels whose payments were mostly posted net of fees: their fees are in no fee journal."""
    stripe = pool.items.filter((pl.col("side") == "stripe") & (pl.col("category") == "charge"))
    posted = taken.join(stripe.select("item_id", "balance_transaction_id", "channel", "component"), on="item_id")
    payments = posted.group_by("proposal", "balance_transaction_id").agg(
        pl.col("channel").first(), is_net=pl.len() > 1, has_gross=(pl.col("component") == "gross").any()
    )
    alone = payments.filter(pl.col("has_gross") & (pl.len().over("proposal") == 1))
    habits = alone.group_by("channel").agg(share=pl.col("is_net").mean())
    return frozenset(habits.filter(pl.col("share") > 0.5)["channel"])


def _holds_sales_and_fees(taken: pl.DataFrame, pool: Pool) -> bool:
    """Tell whether a summary holds charges together with their fees."""
    charges = pool.items.filter((pl.col("side") == "stripe") & (pl.col("category") == "charge")).select("item_id", "component")
    parts = (
        taken.join(charges, on="item_id").group_by("proposal").agg(gross=(pl.col("component") == "gross").any(), fees=(pl.col("component") != "gross").any())
    )
    return bool((parts["gross"] & parts["fees"]).any())


def _identify(accepted: pl.DataFrame) -> pl.DataFrame:
    """Give each match its id from its members, which stand together in the order of their ids, and compute its difference."""
    groups = (
        accepted.group_by("leg", "proposal", maintain_order=True)
        .agg(members=pl.col("item_id"), difference_minor=pl.col("effect").sum())
        .with_columns(content=pl.concat_str(["leg", pl.col("members").list.join(";")], separator="|"))
    )
    named = groups.with_columns(match_id=content_ids(groups, prefix="mt_")).select("leg", "proposal", "match_id", "difference_minor")
    return accepted.join(named, on=["leg", "proposal"], maintain_order="left").with_columns(pl.col("score").round(4)).select(MatchMember.column_names())


def _make_residuals(members: pl.DataFrame, items: pl.LazyFrame) -> pl.DataFrame:
    """Make an item of every difference that a match leaves.

    It is dated like the later of its members, stands on the statement line of the largest component, and names the
    counterparty of its match.
    """
    columns = items.collect_schema()
    differing = members.lazy().filter(pl.col("difference_minor") != 0).join(items, on=["leg", "item_id"]).collect()
    largest = [pl.col("side").is_in(["stripe", "residual", "opening"]), pl.col("amount_minor").abs()]
    ordered = differing.sort(*largest, "item_id", descending=[True, True, False])
    first = [
        "book", "origin_period", "currency", "account", "stripe_account", "balance_transaction_id", "category", "type", "line", "source_id", "charge_id", "payout_id",
        "counterparty", "reference", "presentment_amount_minor", "presentment_currency",
    ]  # fmt: skip
    made = ordered.group_by("leg", "match_id", maintain_order=True).agg(
        *(pl.col(name).first() for name in first if name != "origin_period"),
        amount_minor=pl.col("difference_minor").first(),
        date=pl.col("date").max(),
        origin_period=pl.col("origin_period").max(),
        description=pl.col("description").filter(pl.col("side").is_in(["ledger", "bank"])).first(),
        documents=pl.col("document").filter(pl.col("document") != "").unique().sort().str.join(" "),
    )
    return made.select(
        "leg",
        item_id=pl.col("match_id"),
        **{name: pl.col(name) for name in first},
        side=pl.lit("residual"),
        population=pl.lit("new"),
        date=pl.col("date"),
        occurred_at=pl.lit(None, dtype=columns["occurred_at"]),
        amount_minor=pl.col("amount_minor"),
        component=pl.lit(""),
        document=pl.lit(""),
        source_file=pl.lit(""),
        source_row=pl.lit(""),
        description=pl.concat_str([pl.lit("difference of a match with"), pl.col("documents"), pl.col("description").fill_null("")], separator=" "),
        poster=pl.lit(""),
        expected_on=pl.lit(None, dtype=pl.Date),
        is_accrual=pl.lit(value=False),
        reverses=pl.lit(""),
    ).select(columns.names())


def _refer_residuals(members: pl.DataFrame, references: pl.LazyFrame, residuals: pl.DataFrame) -> pl.DataFrame:
    """Give residuals the references of their match's members; of a large match, those of its ledger lines."""
    sized = members.join(residuals.select("leg", match_id="item_id"), on=["leg", "match_id"], how="semi").with_columns(n=pl.len().over("leg", "match_id"))
    used = sized.filter((pl.col("n") <= REFERENCED_MEMBERS_MAX) | pl.col("item_id").str.starts_with("gl"))
    found = used.lazy().join(references, on=["leg", "item_id"]).select("leg", item_id="match_id", kind="kind", value="value").collect()
    return (
        found.filter(pl.col("kind").is_in(["stripe_id", "invoice", "document"]))
        .unique()
        .sort("leg", "item_id", "kind", "value")
        .select(ItemReference.column_names())
    )
