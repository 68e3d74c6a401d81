"""The vocabulary of causes -> the words people read, one set for the page, the workbook and the report.

CSV files keep the vocabulary itself. Causes are an open set: one that is not listed is said as it is, without its underscores.
"""

import polars as pl

CAUSE_WORDS = {
    "fx": "exchange difference",
    "timing": "posted after the cut-off",
    "dispute_held": "dispute, amount held",
    "dispute_won": "dispute won, amount returned",
    "top_up": "top-up",
    "reversed_sign": "debit and credit swapped",
    "posted_after_close": "posted into a closed month",
    "changed_after_close": "changed in a closed month",
    "fee_off_contract": "fee differs from the contract",
    "undetermined": "not known yet",
}


def say_cause(cause: str) -> str:
    """Name a cause.

    >>> say_cause("fx"), say_cause("double_charge")
    ('exchange difference', 'double charge')
    """
    return CAUSE_WORDS.get(cause, cause.replace("_", " "))


def say_causes(column: str = "cause") -> pl.Expr:
    """Name the causes of a column."""
    cause = pl.col(column)
    return cause.replace_strict(list(CAUSE_WORDS), list(CAUSE_WORDS.values()), default=cause.str.replace_all("_", " "))


def say_line(nature: str, cause: str) -> str:
    """Name a line of the bridge.

    >>> say_line("timing", "timing"), say_line("opening_difference", "opening_difference"), say_line("", "undetermined")
    ('timing: posted after the cut-off', 'opening difference', 'not known yet')
    """
    said = say_cause(cause)
    return said if nature in ("", cause) and cause != "timing" else f"{nature.replace('_', ' ')}: {said}"
