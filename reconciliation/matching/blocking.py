"""Lines and offers -> candidate pairs, blocked by currency, amount and a token, with the pairs of every key counted first.

A record answers to several tokens, from the coarsest (its amount alone) to the finest (its full name, its number). A key
whose pairs would exceed the cap is dropped and left to the finer ones (the beginning of a word to the whole word), so that ten
thousand equal payments cost linear time; what no key can tell apart is left to the interchangeable pools.
"""

import polars as pl

PREFIX_LETTERS = 4
BEGINNING_LETTERS = 6
SUFFIX_DIGITS = 4
STATED_AMOUNT = r"\b[A-Z]{3} ?\d[\d,]*(?:\.\d+)?\b|\b\d[\d,]*(?:\.\d+)? ?[A-Z]{3}\b"


def block_equal_amounts(lines: pl.DataFrame, offers: pl.DataFrame, *, pairs_max: int) -> pl.DataFrame:
    """Return the pairs `line, offer` that share currency, amount and a token.

    Args:
        lines: `line, currency, amount_minor, token, finer`, a row for each token of a line (`list_tokens`).
        offers: `offer, currency, amount_minor, token`, the same of offers.
        pairs_max: most pairs of one key.
    """
    return _pairs(lines, offers, ["currency", "amount_minor", "token"], pairs_max)


def block_translated_amounts(lines: pl.DataFrame, offers: pl.DataFrame, *, pairs_max: int) -> pl.DataFrame:
    """Return the pairs `line, offer` that share currency and a token that says who or what, and whose amount the rates allow.

    Args:
        lines: as above.
        offers: as above, of converted payments, with `low_minor, high_minor`.
        pairs_max: most pairs of one key.
    """
    is_telling = ~pl.col("token").str.contains(r"^(?:\*|p:)")
    lines, offers = lines.filter(is_telling), offers.filter(is_telling)
    pairs = _pairs(lines, offers, ["currency", "token"], pairs_max)
    amounts = lines.select("line", "amount_minor").unique(), offers.select("offer", "low_minor", "high_minor").unique()
    bounded = pairs.join(amounts[0], on="line").join(amounts[1], on="offer")
    return bounded.filter(pl.col("amount_minor").is_between("low_minor", "high_minor")).select("line", "offer").sort("line", "offer")


def list_tokens(records: pl.DataFrame, *, row: str) -> pl.DataFrame:
    """List everything each record answers to: its amount alone, name prefixes, full name and its beginning, numbers and their ends, foreign amounts it states.

    Args:
        records: `counterparty, numbers` (list of the digits of its references), `stated` (list of foreign amounts, `EUR25.00`) and the column `row`.
        row: the records' row number.

    Returns:
        The row number, `token` and `finer`: what a prefix is told apart by where too many share it; null where nothing is finer.
    """
    named = records.select(row, word=name_words(pl.col("counterparty")))
    words, numbers = _long(named, row, "word"), _long(records, row, "numbers")
    word = pl.col("token")
    prefixes = words.filter(word.str.len_chars() >= 3).select(row, token=pl.lit("p:") + word.str.head(PREFIX_LETTERS), finer=pl.lit("w:") + word).unique()
    return pl.concat(
        [
            records.select(row, token=pl.lit("*")),
            prefixes,
            named.filter(pl.col("word").list.len() > 0).select(row, token=pl.lit("f:") + pl.col("word").list.join(" ")),
            _beginnings(records, row),
            numbers.select(row, token=pl.lit("n:") + pl.col("token")),
            numbers.select(row, token=pl.lit("s:") + pl.col("token").str.tail(SUFFIX_DIGITS)).unique(),
            _long(records, row, "stated").select(row, token=pl.lit("x:") + pl.col("token")).unique(),
        ],
        how="diagonal",
    )


def _beginnings(records: pl.DataFrame, row: str) -> pl.DataFrame:
    """List how each name begins without its spaces: `ADAELD` of `AdaEldwin` and of `Ada Eldw`, which share no word with `Ada Eldwin`."""
    known = records.select(row, letters=name_letters(pl.col("counterparty"))).filter(pl.col("letters").str.len_chars() >= BEGINNING_LETTERS)
    return known.select(row, token=pl.lit("b:") + pl.col("letters").str.head(BEGINNING_LETTERS))


def _long(records: pl.DataFrame, row: str, name: str) -> pl.DataFrame:
    return records.select(row, token=name).explode("token", empty_as_null=False)


def stated_amounts(text: pl.Expr) -> pl.Expr:
    """List the amounts of a currency that a text states, as `EUR25.00`, whichever comes first in the text."""
    plain = pl.element().str.replace_all("[ ,]", "").str.replace(r"^([\d.]+)([A-Z]{3})$", "${2}${1}")
    return text.str.extract_all(STATED_AMOUNT).list.eval(plain)


def name_letters(names: pl.Expr) -> pl.Expr:
    """Write a name in upper case without spaces and punctuation."""
    return names.str.to_uppercase().str.replace_all(r"[^\p{L}\p{N}]", "")


def name_words(names: pl.Expr) -> pl.Expr:
    """Split a name into its words in alphabetical order, upper case, without punctuation."""
    return names.str.to_uppercase().str.extract_all(r"[\p{L}\p{N}]+").list.sort()


def _pairs(lines: pl.DataFrame, offers: pl.DataFrame, key: list[str], pairs_max: int) -> pl.DataFrame:
    found = []
    while not lines.is_empty() and not offers.is_empty():
        counts = lines.group_by(key).agg(n=pl.len()).join(offers.group_by(key).agg(m=pl.len()), on=key)
        is_bearable = pl.col("n").cast(pl.UInt64) * pl.col("m") <= pairs_max
        found.append(lines.join(counts.filter(is_bearable).select(key), on=key, how="semi").join(offers, on=key).select("line", "offer"))
        crowded = counts.filter(~is_bearable).select(key)
        lines, offers = (_refine(side.join(crowded, on=key, how="semi")) for side in (lines, offers))
    empty = pl.DataFrame(schema={"line": pl.UInt32, "offer": pl.UInt32})
    return pl.concat([empty, *found]).unique().sort("line", "offer")


def _refine(tokens: pl.DataFrame) -> pl.DataFrame:
    """Put what is finer in the place of each token; what has nothing finer falls away."""
    finer = tokens.filter(pl.col("finer").is_not_null()).drop("token").rename({"finer": "token"})
    return finer.with_columns(finer=pl.lit(None, dtype=pl.String)).unique()
