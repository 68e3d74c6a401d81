"""Rows -> a hash of their content: the identity of what carries no number of its own."""

import hashlib
from collections.abc import Sequence

import polars as pl

_UNIT = "\x1f"


def content_hash(rows: pl.DataFrame, columns: Sequence[str]) -> pl.Series:
    """Return 16 hexadecimal digits for each row that depend on the columns alone, never on a file or a place in it."""
    text = rows.select(pl.concat_str([pl.col(name).cast(pl.String).fill_null("") for name in columns], separator=_UNIT)).to_series()
    distinct = text.unique()
    digests = [hashlib.sha256(value.encode()).hexdigest()[:16] for value in distinct]
    return text.replace_strict(distinct, digests, return_dtype=pl.String) if rows.height else pl.Series([], dtype=pl.String)
