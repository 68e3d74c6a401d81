"""Lines and offers -> candidate pairs, blocked by currency, amount and a token, with the pairs of every key counted first.

A record answers to several tokens, from the coarsest (its amount alone) to the finest (its full name, its number). A key
whose pairs would exceed the cap is dropped and left to the finer ones, so that ten thousand equal payments cost linear
time; what no key can tell apart is left to the interchangeable pools.
"""

import polars as pl

PREFIX_LETTERS = 4
SUFFIX_DIGITS = 4
STATED_AMOUNT = r"\b[A-Z]{3} ?\d[\d,]*(?:\.\d+)?\b|\b\d[\d,]*(?:\.\d+)? ?[A-Z]{3}\b"


def block_equal_amounts(lines: pl.DataFrame, offers: pl.DataFrame, *, pairs_max: int) -> pl.DataFrame:
    """Return the pairs `line, offer` that share currency, amount and a token.

    Args:
        lines: `line` (row number), `currency, amount_minor, tokens` (list of text).
        offers: `offer` (row number), `currency, amount_minor, tokens`.
        pairs_max: most pairs of one key.
    """
    return _pairs(lines, offers, ["currency", "amount_minor"], pairs_max)


def block_translated_amounts(lines: pl.DataFrame, offers: pl.DataFrame, *, pairs_max: int) -> pl.DataFrame:
    """Return the pairs `line, offer` that share currency and a token that says who or what, and whose amount the rates allow.

    Args:
        lines: as above.
        offers: as above, of converted payments, with `low_minor, high_minor`.
        pairs_max: most pairs of one key.
    """
    telling = pl.col("tokens").list.eval(pl.element().filter(~pl.element().str.starts_with("*") & ~pl.element().str.starts_with("p:")))
    pairs = _pairs(lines.with_columns(telling), offers.with_columns(telling), ["currency"], pairs_max)
    bounded = pairs.join(lines.select("line", "amount_minor"), on="line").join(offers.select("offer", "low_minor", "high_minor"), on="offer")
    return bounded.filter(pl.col("amount_minor").is_between("low_minor", "high_minor")).select("line", "offer")


def tokens(names: pl.Expr, numbers: pl.Expr, stated: pl.Expr) -> pl.Expr:
    """Name everything a record answers to.

    Args:
        names: the counterparty.
        numbers: list of the digits of its references.
        stated: list of foreign amounts it states (`EUR25.00`).
    """
    words = name_words(names)
    return pl.concat_list(
        pl.lit(["*"]),
        words.list.eval(pl.lit("p:") + pl.element().filter(pl.element().str.len_chars() >= 3).str.head(PREFIX_LETTERS)),
        pl.when(words.list.len() > 0).then(pl.concat_list(pl.lit("f:") + words.list.join(" "))).otherwise(pl.lit([], dtype=pl.List(pl.String))),
        numbers.list.eval(pl.lit("n:") + pl.element()),
        numbers.list.eval(pl.lit("s:") + pl.element().str.tail(SUFFIX_DIGITS)),
        stated.list.eval(pl.lit("x:") + pl.element()),
    ).list.unique(maintain_order=True)


def stated_amounts(text: pl.Expr) -> pl.Expr:
    """List the amounts of a currency that a text states, as `EUR25.00`, whichever comes first in the text."""
    plain = pl.element().str.replace_all("[ ,]", "").str.replace(r"^([\d.]+)([A-Z]{3})$", "${2}${1}")
    return text.str.extract_all(STATED_AMOUNT).list.eval(plain)


def name_words(names: pl.Expr) -> pl.Expr:
    """Split a name into its words in alphabetical order, upper case, without punctuation."""
    return names.str.to_uppercase().str.extract_all(r"[\p{L}\p{N}]+").list.sort()


def _pairs(lines: pl.DataFrame, offers: pl.DataFrame, key: list[str], pairs_max: int) -> pl.DataFrame:
    left = lines.select("line", *key, word="tokens").explode("word", empty_as_null=False)
    right = offers.select("offer", *key, word="tokens").explode("word", empty_as_null=False)
    full = [*key, "word"]
    counts = left.group_by(full).agg(n=pl.len()).join(right.group_by(full).agg(m=pl.len()), on=full)
    bearable = counts.filter(pl.col("n").cast(pl.UInt64) * pl.col("m") <= pairs_max).select(full)
    return left.join(bearable, on=full, how="semi").join(right, on=full).select("line", "offer").unique().sort("line", "offer")
