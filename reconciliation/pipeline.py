"""THE page to read: a month of a book, one line per stage, in the order money flows.

    Stripe + ledger + bank  ->  proofs  ->  items  ->  matches  ->  breaks  ->  causes  ->  balances  ->  statement

Everything is a plain function on frames. The Dagster graph in `assets/` calls the same functions, one per asset, and a
test requires equal frames from both.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import polars as pl

from reconciliation.breaks.clearing import Clearing, Policy, apply_clearing, draw_audit_sample, leave_to_people, list_for_policy
from reconciliation.breaks.explain import Explained, describe_breaks, explain_breaks, score_breaks
from reconciliation.close.balances import close_balances
from reconciliation.close.journals import propose_journals
from reconciliation.close.statement import state_month
from reconciliation.matching.cascade import Matching, match_items
from reconciliation.matching.pool import ByHand
from reconciliation.population import CarriedIn, Month, Population, build_population
from reconciliation.rates import Rates
from reconciliation.review.effects import apply_decisions, apply_to_matches
from reconciliation.sources import Sources

Scorer = Callable[[pl.DataFrame], pl.DataFrame]
"""Features (`break_id` + `breaks.features.FEATURES`) -> `break_id, probability_true_exception, reasons`."""


@dataclass(frozen=True)
class Reconciliation:
    """A reconciled month of a book.

    Attributes:
        month: which month.
        carried: what it started from.
        items: every item of the population and the residuals (`Item`).
        references: their references.
        members: `MatchMember`.
        explained: open items with their facts, kinds and possible causes.
        open_items: `OpenItem`.
        breaks: `Break`.
        features: what the classifier saw, by break.
        balances: opening and closing of Stripe and ledger by currency, with `unexplained_minor`.
        journals: lines of proposed entries.
        journal_register: every version of every entry proposed so far (`ProposedEntry`).
        statement: lines of the statement, as in `statement.csv`, money in minor units.
        audit_sample: breaks accepted without a person and drawn for a person's audit (`AUDIT_SAMPLE`).
        clearing: what the policy says of the month, for the manifest.
    """

    month: Month
    carried: CarriedIn
    items: pl.DataFrame
    references: pl.DataFrame
    members: pl.DataFrame
    explained: pl.DataFrame
    open_items: pl.DataFrame
    breaks: pl.DataFrame
    features: pl.DataFrame
    balances: pl.DataFrame
    journals: pl.DataFrame
    journal_register: pl.DataFrame
    statement: pl.DataFrame
    audit_sample: pl.DataFrame
    clearing: dict[str, Any]


def reconcile_month(sources: Sources, month: Month, carried: CarriedIn, *, score: Scorer, rates: Rates, policy: Policy = leave_to_people) -> Reconciliation:
    """Reconcile one month of one book.

    Args:
        sources: everything read; proven complete by the caller.
        month: which month, and its cut-off.
        carried: what the month before carried out, or the opening of the first month.
        score: the classifier.
        rates: exchange rates for the tolerance of translated postings.
        policy: what may be accepted or proposed without a person.
    """
    return reconcile_population(build_population(sources, month, carried), sources, month, carried, score=score, rates=rates, policy=policy)


def reconcile_population(
    population: Population, sources: Sources, month: Month, carried: CarriedIn, *, score: Scorer, rates: Rates, policy: Policy = leave_to_people
) -> Reconciliation:
    """Reconcile given items of a month; a replay takes them from the month as it was closed."""
    matching = match_population(population, carried, month, rates)
    explained = explain_breaks(population, matching, carried, month, rates)
    judged = score_breaks(explained, score(explained.features))
    clearing = policy(list_for_policy(judged), explained.features, month)
    scored = apply_decisions(apply_clearing(judged, clearing), carried.decided, period=month.period)
    balances = close_balances(sources, month, carried, population)
    journals = propose_journals(scored, explained, carried, month, rates=rates)
    breaks = list_breaks(scored, explained, carried, month)
    statement = state_month(explained.items, matching.members, scored, balances, month)
    return Reconciliation(
        month,
        carried,
        explained.items,
        explained.references,
        matching.members,
        scored,
        journals.open_items,
        breaks,
        explained.features,
        balances,
        journals.lines,
        journals.register,
        statement,
        draw_audit_sample(breaks, clearing, month),
        clearing.to_json(),
    )


def match_population(population: Population, carried: CarriedIn, month: Month, rates: Rates) -> Matching:
    """Match the items of the month; entries that were proposed before may have come back."""
    hands = ByHand(carried.by_hand, carried.apart)
    return match_items(population.items, population.references, cut_off_on=month.cut_off_on, journals=carried.journals, rates=rates, hands=hands)


def list_breaks(scored: pl.DataFrame, explained: Explained, carried: CarriedIn, month: Month) -> pl.DataFrame:
    """Describe the breaks of the month with what people decided about them (`Break`)."""
    return apply_to_matches(describe_breaks(scored, explained, month), explained.items, carried.decided, period=month.period)


__all__ = ["Clearing", "Explained", "Policy", "Reconciliation", "Scorer", "list_breaks", "match_population", "reconcile_month", "reconcile_population"]
