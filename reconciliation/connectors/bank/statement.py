"""What every bank format is read into, and the proof that a statement's entries lead from its opening to its closing balance."""

from dataclasses import dataclass

import polars as pl

LINES_SCHEMA = {
    "statement": pl.Int64,
    "row": pl.Int64,
    "bank_account": pl.String,
    "booked_on": pl.Date,
    "value_on": pl.Date,
    "currency": pl.String,
    "amount_minor": pl.Int64,
    "counterparty": pl.String,
    "reference": pl.String,
    "description": pl.String,
    "is_booked": pl.Boolean,
}
"""`row` is the row a person sees, or the entry's ordinal in the file; `statement` numbers the statements of a file from 1."""


@dataclass(frozen=True)
class BankFile:
    """A bank file as read.

    Attributes:
        file: name, with the sheet for workbooks.
        profile: format.
        confidence, encoding, decimal_mark, date_order: how it was read.
        lines: entries as in `LINES_SCHEMA`; money in is positive.
        proofs: what the file says about itself and holds.
        evidence: how profile, decimal mark and date order were told.
        delimiter: what separates cells, where there are any.
    """

    file: str
    profile: str
    confidence: float
    encoding: str
    decimal_mark: str
    date_order: str
    lines: pl.DataFrame
    proofs: tuple[tuple[str, bool], ...]
    evidence: str = "the format is marked in the file"
    delimiter: str = ""


def account_identity(text: str) -> str:
    """Return an account number as accounts are compared and stored: no spaces, upper case.

    >>> account_identity("gb29 nwbk 6016 1331 9268 19")
    'GB29NWBK60161331926819'
    """
    return "".join(text.split()).upper()
