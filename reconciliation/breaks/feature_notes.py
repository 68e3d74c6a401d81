"""What each feature of the classifier is, in which unit, and what a controller would ask: the table in `models/README.md`.

Training and scoring compute features with the one definition in `breaks.features`; a test holds this list to it.
"""

from dataclasses import dataclass

from reconciliation.breaks.features import FEATURES


@dataclass(frozen=True)
class Note:
    """A feature's unit and meaning."""

    unit: str
    meaning: str


YES_NO = "yes or no"
NOTES: dict[str, Note] = {
    "age_days": Note("days", "from the item's date to the cut-off"),
    "days_beyond_usual_lag": Note("days", "age, less the delay within which nearly all postings of its sort arrive in this company"),
    "days_overdue": Note("days", "since the day the money was expected (available-on or arrival date)"),
    "amount_to_median": Note("ratio", "absolute amount to the median absolute amount of open items of its leg and currency"),
    "n_equal_same_side": Note("items", "open items of the same side, currency, amount and counterparty"),
    "n_equal_other_side": Note("items", "open items of the other side with its currency and amount"),
    "n_items": Note("items", "open items in the break"),
    "difference_share": Note("ratio", "difference of a match to its largest amount; missing for a break that is no difference"),
    "difference_minor_a_member": Note("minor units", "difference of a match per member; missing for a break that is no difference"),
    "days_to_cut_off_of_month": Note("days, at most 31", "age within the month"),
    "months_carried": Note("months, at most 24", "months since the one it belongs to"),
    "share_matched_same_day": Note("ratio", "items of its sort and day that are matched; missing when it is the only one"),
    "share_matched_since": Note("ratio", "items of its sort from that day on that are matched; missing when there is none"),
    "has_reference": Note(YES_NO, "it carries a reference"),
    "has_counterparty": Note(YES_NO, "it names a counterparty"),
    "is_repeated": Note(YES_NO, "an earlier item of its side has the same amount and reference or text"),
    "has_reference_other_side": Note(YES_NO, "an open item of the other side carries its reference"),
    "is_reversed_sign": Note(YES_NO, "an open item of the other side carries its reference and the opposite amount"),
    "is_on_other_account": Note(YES_NO, "its reference and amount are posted on an account that is not reconciled"),
    "is_converted": Note(YES_NO, "the payment was made in another currency"),
    "is_within_rates": Note(YES_NO, "the rates of those days explain the amount posted"),
    "is_digit_swap": Note(YES_NO, "the difference is a multiple of nine minor units"),
    "is_rounding": Note(YES_NO, "the difference is no more than rounding of its members leaves"),
    "is_accrual": Note(YES_NO, "the line says it is an accrual"),
    "is_weekend": Note(YES_NO, "dated on Saturday or Sunday"),
    "is_round_amount": Note(YES_NO, "a multiple of a thousand minor units"),
    "is_debit": Note(YES_NO, "a negative amount, from the Stripe balance's point of view"),
    "kind": Note("category", "kind of break"),
    "category": Note("category", "Stripe's reporting category; empty for ledger and bank lines"),
    "component": Note("category", "part of the balance transaction; empty for ledger and bank lines"),
    "possible_causes": Note("category", "whether its facts allow an expected cause, a true exception, or both"),
}


def render_features() -> str:
    """Return the table of features."""
    rows = [f"| `{name}` | {NOTES[name].unit} | {NOTES[name].meaning} |" for name in FEATURES]
    return "\n".join(["| feature | unit | meaning |", "| --- | --- | --- |", *rows]) + "\n"
