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
    "days_overdue": Note("days", "since the day the money was expected (available-on or arrival date)"),
    "n_equal_same_side": Note("items", "open items of the same side, currency, amount and counterparty"),
    "n_equal_other_side": Note("items", "open items of the other side with its currency and amount"),
    "days_to_cut_off_of_month": Note("days, at most 31", "age within the month"),
    "months_carried": Note("months, at most 24", "months since the one it belongs to"),
    "share_matched_same_day": Note("ratio", "items of its sort and day that are matched; missing when it is the only one"),
    "share_matched_since": Note("ratio", "items of its sort from that day on that are matched; missing when there is none"),
    "nearest_other_side": Note("ratio", "distance to the nearest open amount of the other side; missing when nothing is open there"),
    "nearest_reversed": Note("ratio", "the same distance from its amount with the opposite sign"),
    "nearest_to_day": Note("ratio", "the same distance from the sum of what is open of its sort and day"),
    "nearest_to_reversed_day": Note("ratio", "the same distance from that sum with the opposite sign"),
    "open_other_side_to_own": Note("ratio", "money open on the other side to that on its own, of its sign and within three days"),
    "n_members": Note("items", "how many items the match holds whose difference this is; 0 when it is none"),
    "nearest_member": Note("ratio", "distance of the difference to the nearest amount among the payments of its match; missing when it holds one or none"),
    "has_counterparty": Note(YES_NO, "it names a counterparty"),
    "has_reference_other_side": Note(YES_NO, "an open item of the other side carries its reference"),
    "is_within_rates": Note(YES_NO, "the rates of those days explain the amount posted"),
    "is_rounding": Note(YES_NO, "the difference is no more than rounding of its members leaves"),
    "is_accrual": Note(YES_NO, "the line says it is an accrual"),
    "is_debit": Note(YES_NO, "a negative amount, from the Stripe balance's point of view"),
    "possible_causes": Note("category", "whether its facts allow an expected cause, a true exception, a double charge alone, both, or no cause that is known"),
}


def render_features() -> str:
    """Return the table of features."""
    rows = [f"| `{name}` | {NOTES[name].unit} | {NOTES[name].meaning} |" for name in FEATURES]
    return "\n".join(["| feature | unit | meaning |", "| --- | --- | --- |", *rows]) + "\n"
