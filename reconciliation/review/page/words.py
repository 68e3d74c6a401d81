"""The vocabulary of the package -> the words an accountant reads on the page.

Causes and kinds are open sets: a word that is not listed is shown as it is, without its underscores.
"""

from datetime import date, datetime

from reconciliation.close.cause_words import say_cause
from reconciliation.money import readable_money

KINDS = {
    "missing_in_ledger": "In Stripe, not in the ledger",
    "missing_in_stripe": "In the ledger, not at Stripe",
    "amount_difference": "Amounts differ",
    "currency_difference": "Currencies differ",
    "period_difference": "Posted in another month",
    "duplicate_in_ledger": "Twice in the ledger",
    "duplicate_in_stripe": "Charged twice at Stripe",
    "payout_lines_difference": "Payout differs from its lines",
    "payout_not_in_bank": "Payout not at the bank",
    "bank_amount_difference": "Bank received another amount",
    "bank_not_in_stripe": "At the bank, no payout known",
    "opening_difference": "Difference from the opening",
    "ambiguous_match": "Several matches fit equally well",
}
NATURES = {
    "timing": ("Timing", "clears by itself, no entry"),
    "entry": ("Entry to post", "right at Stripe, to be posted once"),
    "reclass": ("Reclassification", "moves between balance-sheet accounts"),
    "correction": ("Correction", "the books are wrong"),
    "claim": ("Claim", "Stripe, the bank or the customer must act"),
    "restatement": ("Restatement", "touches a closed month"),
    "opening_difference": ("Opening difference", "carried from before the start"),
    "none": ("None", "nothing to do"),
    "": ("Not known", "to be found out"),
}
STATUSES = {
    "needs_review": "To decide",
    "reopened": "Changed, decide again",
    "confirmed_exception": "Confirmed, in progress",
    "proposed_clear": "Explanation proposed",
    "awaiting_second": "Waits for a second person",
    "cleared_by_reviewer": "Accepted",
    "auto_cleared": "Accepted by policy",
    "written_off": "Written off",
    "settled": "Settled",
}
SIDES = {"stripe": "Stripe", "ledger": "Ledger", "bank": "Bank", "residual": "Difference", "opening": "Opening"}
ROLES = {"clearing": "Stripe clearing"}


def money(amount_minor: int | None, currency: str) -> str:
    """Write money, negative with a true minus sign.

    >>> money(-123456, "GBP"), money(None, "GBP")
    ('−1,234.56', '')
    """
    return "" if amount_minor is None else readable_money(amount_minor, currency).replace("-", "−")


def plain(word: str) -> str:
    """Write a word of our vocabulary without underscores."""
    return word.replace("_", " ")


def kind(word: str) -> str:
    """Say what a kind of break is."""
    return KINDS.get(word, plain(word).capitalize())


def cause(word: str) -> str:
    """Name a cause."""
    return say_cause(word)


def nature(word: str) -> str:
    """Name a nature."""
    return NATURES[word][0] if word in NATURES else plain(word).capitalize()


def status(word: str) -> str:
    """Name a disposition."""
    return STATUSES.get(word, plain(word).capitalize())


def side(word: str) -> str:
    """Name a side."""
    return SIDES.get(word, plain(word).capitalize())


def day(value: date | None) -> str:
    """Write a day as `3 Nov 2026`.

    >>> day(date(2026, 11, 3)), day(None)
    ('3 Nov 2026', '')
    """
    return "" if value is None else f"{value.day} {value:%b %Y}"


def moment(value: datetime) -> str:
    """Write an instant as `3 Nov 2026, 08:12`.

    >>> moment(datetime(2026, 11, 3, 8, 12))
    '3 Nov 2026, 08:12'
    """
    return f"{day(value.date())}, {value:%H:%M}"


def month(period: str) -> str:
    """Name an accounting month.

    >>> month("2026-10")
    'October 2026'
    """
    return f"{date.fromisoformat(period + '-01'):%B %Y}"


def reason(text: str) -> str:
    """Leave out of a reason of the classifier which way it pulls, when a mark beside it says so.

    >>> reason("It names no counterparty (lowers the risk)")
    'It names no counterparty'
    """
    return text.removesuffix(" (raises the risk)").removesuffix(" (lowers the risk)")
