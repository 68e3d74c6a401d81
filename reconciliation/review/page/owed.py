"""What the month still lacks -> "what I still owe you", for the one who exports from the ERP and the bank."""

from datetime import date, datetime

from reconciliation.review.desk import View
from reconciliation.review.page import words

KINDS = (("ledger", "Ledger export"), ("bank", "Bank statement"))


def list_owed(view: View) -> list[dict[str, str]]:
    """List what is missing for a month, what is not, and how old the last file is.

    A source owes nothing once its lines reach the cut-off, or, at a bank that was silent at the end, once a line lies after it. A balance
    owes nothing once the trial balance names the month.
    """
    facts = next(iter(view.months.values())).facts
    cut_off = date.fromisoformat(facts["cut_off_on"])
    known = facts.get("complete_through", {})
    listed = []
    for kind, what in KINDS:
        through = known.get(kind)
        last = datetime.fromisoformat(through).date() if through else None
        if last is None:
            listed.append({"what": what, "words": f"none was read for {words.month(view.period)}.", "tone": "bad"})
        elif last < cut_off and (cut_off - last).days > QUIET_DAYS[kind]:
            listed.append({"what": what, "words": f"ends {words.day(last)}, {(cut_off - last).days} days before the cut-off.", "tone": "bad"})
        else:
            listed.append({"what": what, "words": f"is there through {words.day(last)}.", "tone": "good"})
    has_balance = any(file["kind"] == "balances" for file in facts.get("inputs", []))
    listed.append(
        {"what": "Trial balance", "words": "is there.", "tone": "good"}
        if has_balance
        else {"what": "Trial balance", "words": "none was read; the closing balance is the opening plus the postings.", "tone": "warn"}
    )
    return listed


QUIET_DAYS = {"ledger": 0, "bank": 4}
"""A ledger is posted to the last day; a bank line may lie a long weekend back."""


def count_owed(view: View) -> int:
    """Count what is missing."""
    return sum(one["tone"] == "bad" for one in list_owed(view))
