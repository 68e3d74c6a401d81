"""Items + matches -> open items with facts, kinds and features; scores -> causes; both -> breaks.

The classifier stands between the two halves: `explain_breaks` gives it features, `score_breaks` takes its probabilities.
"""

from dataclasses import dataclass

import polars as pl

from reconciliation.breaks.facts import Surroundings, gather_facts
from reconciliation.breaks.features import compute_features
from reconciliation.breaks.grouping import find_period_differences, group_breaks
from reconciliation.breaks.kinds import choose_cause, name_kinds
from reconciliation.matching.cascade import Matching
from reconciliation.normalize.references import sort_references
from reconciliation.population import CarriedIn, Month, Population
from reconciliation.rates import Rates
from reconciliation.schemas.breaks import Break
from reconciliation.schemas.items import EFFECT

ACTIONS = {
    "timing": "Carry forward; it clears by itself.",
    "entry": "Post the proposed entry.",
    "reclass": "Post the proposed reclassification.",
    "correction": "Correct in the ERP; an entry is proposed.",
    "claim": "Ask Stripe, the bank or the customer.",
    "restatement": "Decide whether the locked month must be restated.",
    "": "Find out what it is.",
}
ACTION_AMBIGUOUS = "Find out which of them belong together, and match those by hand."
PEOPLE = ["prepared_by", "prepared_at", "approved_by", "approved_at", "decision_reason"]
"""Who decided about a break, when and why; blank until somebody has."""


@dataclass(frozen=True)
class Explained:
    """Open items with facts and kinds, matches across months, and the features of each break.

    Attributes:
        items: all items of the month, residuals included.
        references: all references, the residuals' included.
        open_facts: open items with facts, kind, possible causes and `break_id`.
        across: matches across months.
        features: one row per break of open items.
    """

    items: pl.DataFrame
    references: pl.DataFrame
    open_facts: pl.DataFrame
    across: pl.DataFrame
    features: pl.DataFrame


def explain_breaks(population: Population, matching: Matching, carried: CarriedIn, month: Month, rates: Rates) -> Explained:
    """Find what is open, why it could be, and what the classifier may look at."""
    items = pl.concat([population.items, matching.residuals]).sort("leg", "item_id")
    new = matching.residual_references
    references = population.references if new.is_empty() else sort_references(pl.concat([population.references, new]))
    around = Surroundings(
        items, references, matching.members, population.evidence, population.evidence_references, carried.explained, month.cut_off_on, rates, matching.ambiguous
    )
    open_facts = group_breaks(name_kinds(gather_facts(around))).sort("leg", "item_id")
    features = compute_features(open_facts, period_first_day=pl.lit(month.calendar.first_day(month.period)))
    return Explained(items, references, open_facts, find_period_differences(matching.members, items), features)


def score_breaks(explained: Explained, scores: pl.DataFrame) -> pl.DataFrame:
    """Give every open item its cause and nature by the probability of its break.

    Args:
        explained: from `explain_breaks`.
        scores: `break_id, probability_true_exception, reasons`.

    Returns:
        The open items with facts, `probability_true_exception`, `reasons`, `cause`, `nature`, `disposition`; nobody has decided yet,
        so that `prepared_by` and what follows it is blank, and an entry is wanted and not approved.
    """
    scored = choose_cause(explained.open_facts.join(scores, on="break_id", how="left"))
    undecided = {**dict.fromkeys(PEOPLE, pl.lit("")), "is_entry_approved": pl.lit(value=False), "is_entry_wanted": pl.lit(value=True)}
    return scored.with_columns(disposition=pl.lit("needs_review"), **undecided)


def describe_breaks(scored: pl.DataFrame, explained: Explained, month: Month) -> pl.DataFrame:
    """Describe every break: open ones from their largest item, and matches across months (`Break`)."""
    effect = EFFECT
    ordered = scored.with_columns(effect=effect).sort(pl.col("amount_minor").abs(), "item_id", descending=[True, False])
    source_row = pl.concat_str(["source_file", "source_row"], separator=":").filter(pl.col("source_file") != "").unique().sort()
    described = ordered.group_by("break_id", maintain_order=True).agg(
        *(
            pl.col(name).first()
            for name in (
                "book",
                "leg",
                "kind",
                "cause",
                "nature",
                "side",
                "currency",
                "probability_true_exception",
                "disposition",
                "reasons",
                "counterparty",
                "reference",
                "ambiguity",
                *PEOPLE,
            )
        ),
        match_id=pl.when(pl.col("side") == "residual").then("item_id").otherwise(pl.lit("")).first(),
        item_ids=pl.col("item_id").sort(),
        balance_transaction_ids=pl.col("balance_transaction_id").filter(pl.col("balance_transaction_id") != "").unique().sort(),
        source_rows=source_row,
        stripe_account=pl.col("stripe_account").max(),
        amount_minor=pl.col("effect").sum(),
        counter_amount_minor=pl.col("presentment_amount_minor").filter(pl.col("presentment_currency") != pl.col("currency")).first(),
        counter_currency=pl.col("presentment_currency").filter(pl.col("presentment_currency") != pl.col("currency")).first().fill_null(""),
        date=pl.col("date").min(),
    )
    across = explained.across.select(
        "break_id", "book", "match_id", "item_ids", "balance_transaction_ids", "source_rows", "currency", "date", "stripe_account", "counterparty", "reference",
        leg=pl.lit("books"),
        kind=pl.lit("period_difference"),
        cause=pl.lit("posted_after_close"),
        nature=pl.lit("restatement"),
        side=pl.lit("ledger"),
        probability_true_exception=pl.lit(1.0),
        disposition=pl.lit("needs_review"),
        reasons=pl.lit(["The line was posted into a locked month; its payment belongs to a later one."]),
        amount_minor=pl.lit(0, dtype=pl.Int64),
        counter_amount_minor="moved_minor",
        counter_currency="currency",
        **dict.fromkeys(PEOPLE, pl.lit("")),
    )  # fmt: skip
    both = pl.concat([described, across], how="diagonal_relaxed")
    at_stake = pl.when(pl.col("kind") == "period_difference").then(pl.col("counter_amount_minor").abs()).otherwise(pl.col("amount_minor").abs())
    complete = both.with_columns(
        reasons=pl.when(pl.col("kind") == "ambiguous_match").then(pl.concat_list("ambiguity", "reasons")).otherwise("reasons"),
        age_days=(pl.lit(month.cut_off_on) - pl.col("date")).dt.total_days(),
        money_at_risk_minor=(at_stake * pl.col("probability_true_exception") + 0.5).floor().cast(pl.Int64),
        suggested_action=pl.when(pl.col("kind") == "ambiguous_match")
        .then(pl.lit(ACTION_AMBIGUOUS))
        .otherwise(pl.col("nature").replace_strict(list(ACTIONS), list(ACTIONS.values()), default=ACTIONS[""], return_dtype=pl.String)),
    )
    return Break.validate(complete.select(Break.column_names()).sort("break_id"), cast=True)
