"""Items with their texts -> a table of normalized references (item, kind, value).

Kinds, from the strongest: `stripe_id`; `journal`, an id we gave to a proposed journal; `document`, a ledger line's own
document; `invoice`, a prefixed number such as an invoice or order; `trace`, a bank's trace id; `number`, the digits of a
prefixed or bare number, for references that lost their prefix on the way.

    'INV-1042 refund of ch_3Nq, 03/08/2026'  ->  stripe_id CH_3NQ, invoice INV1042, number 1042
"""

import polars as pl

from reconciliation.normalize.lines import JOURNAL_ID

KEY = ["leg", "item_id"]
ROWS_PER_PART = 500_000
"""Texts whose references are extracted together: what is found on the way is ten times what is kept."""
KINDS = pl.Enum(["document", "invoice", "journal", "number", "stripe_id", "trace"])
STRIPE_ID = r"\b(?:txn|ch|py|pi|re|pyr|dp|du|po|tr|tu|fee)_[A-Za-z0-9_]+"
DATE = r"\b(?:\d{4}-\d{2}-\d{2}|\d{1,2}[/.]\d{1,2}[/.]\d{2,4})\b"
DECIMAL = r"\b\d+[.,]\d{2,4}\b"
PREFIXED = r"\b[A-Za-z]{1,10}[-_/#.]{0,2}\d{3,}[A-Za-z0-9-]*"
NAMED = r"(?i)\b(?:inv|invoice|order|ord|bill|rg|so)[ .:#_/-]{0,3}\d+\b"
BARE = r"\b#?\d{4,}\b"
TRACE = r"\b[A-Za-z]*\d[A-Za-z0-9]{5,}\b|\b[A-Za-z]{1,4}\d{6,}\b"


def extract_references(items: pl.DataFrame) -> pl.DataFrame:
    """Extract every reference from the items' texts.

    Args:
        items: `Item` with `reference_text`.

    Returns:
        `ItemReference`, each value once per item and kind.
    """
    known = _in_order(items.select(*KEY, "document", raw="reference_text"))
    return pl.concat([_extract(part) for part in known.iter_slices(ROWS_PER_PART)] or [_extract(known)])


def _extract(known: pl.DataFrame) -> pl.DataFrame:
    """Extract the references of a part of the items, which stand in order."""
    without_ids = pl.col("raw").str.replace_all(STRIPE_ID, " ").str.replace_all(JOURNAL_ID, " ").str.replace_all(DATE, " ").str.replace_all(DECIMAL, " ")
    texts = known.select("leg", "document", "raw", row=(_is_first(KEY).cum_sum() - 1).cast(pl.UInt32), rest=without_ids)
    books = pl.col("leg") == "books"
    found = [
        _explode(texts, pl.col("raw").str.extract_all(STRIPE_ID), "stripe_id", keep="_"),
        _explode(texts.filter(books), pl.col("raw").str.extract_all(JOURNAL_ID), "journal"),
        _explode(texts.filter(books & (pl.col("document") != "")), pl.concat_list("document"), "document"),
        _explode(texts.filter(books), pl.col("rest").str.extract_all(PREFIXED), "invoice"),
        _explode(texts.filter(books), pl.col("rest").str.extract_all(NAMED), "invoice"),
        _explode(texts.filter(~books), pl.col("rest").str.extract_all(TRACE), "trace"),
        _explode(texts.filter(books), pl.col("rest").str.extract_all(PREFIXED), "number", digits=True),
        _explode(texts.filter(books), pl.col("rest").str.extract_all(BARE), "number", digits=True),
    ]
    values = pl.concat(found).filter(pl.col("value").str.len_chars() >= 3)
    return _place(values, first_of_runs(known, KEY))


def sort_references(references: pl.DataFrame) -> pl.DataFrame:
    """Sort by leg, item, kind and value; sorting millions of rows by four texts costs ten times what numbering the items first does."""
    known = _in_order(first_of_runs(references, KEY).select(KEY).unique())
    rows = number_runs(references, known.with_row_index("row"), KEY)
    return _place(references.select(rows, pl.col("kind").cast(KINDS), "value"), known)


def number_runs(references: pl.DataFrame, numbers: pl.DataFrame, key: list[str]) -> pl.Series:
    """Look up the number of each row's item, once for each run of rows of one item; null where it has none.

    Args:
        references: the rows of an item mostly stand together.
        numbers: `key` and, as the only other column, the number.
        key: what names an item.
    """
    name = next(column for column in numbers.columns if column not in key)
    # A number given twice would put the references of one item on another.
    found = first_of_runs(references, key).select(key).join(numbers, on=key, how="left", maintain_order="left", validate="m:1")
    return found[name].gather(references.select(_is_first(key).cum_sum() - 1).to_series())


def first_of_runs(references: pl.DataFrame, key: list[str]) -> pl.DataFrame:
    """Return the first row of each run of rows of one item."""
    return references.filter(_is_first(key))


def _is_first(key: list[str]) -> pl.Expr:
    return pl.any_horizontal(pl.col(name) != pl.col(name).shift(1) for name in key).fill_null(value=True)


def _in_order(items: pl.DataFrame) -> pl.DataFrame:
    # Two stable sorts by one column each cost a third of one sort by both.
    return items.sort("item_id").sort("leg", maintain_order=True)


def _place(values: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """Give rows of `row, kind, value` the ids of their items, each value once, in order; most values stand alone or twice, so texts are hardly sorted."""
    key = pl.col("row").cast(pl.UInt64) * len(KINDS.categories) + pl.col("kind").to_physical()
    keyed = values.select("value", key=key).sort("key", maintain_order=True)
    again = (pl.col("key") == pl.col("key").shift(1)) & (pl.col("value") == pl.col("value").shift(1))
    once = keyed.filter(~again.fill_null(value=False))
    is_several = ((pl.col("key") == pl.col("key").shift(1)) | (pl.col("key") == pl.col("key").shift(-1))).fill_null(value=False)
    alone, several = once.filter(~is_several), once.filter(is_several).unique().sort("key", "value")
    ordered = pl.concat([alone, several]).sort("key", maintain_order=True)
    places = ordered.select(row=pl.col("key") // len(KINDS.categories), kind=(pl.col("key") % len(KINDS.categories)).cast(pl.UInt8))
    ids = known.select(KEY)[places["row"]]
    return ids.with_columns(places["kind"].cat.to(KINDS).cast(pl.String), ordered["value"])


def _explode(texts: pl.DataFrame, values: pl.Expr, kind: str, *, keep: str = "", digits: bool = False) -> pl.DataFrame:
    exploded = texts.select("row", value=values).explode("value", empty_as_null=False).drop_nulls("value")
    if digits:
        # `0185` is 185, and also the end of 210185.
        figures = exploded.with_columns(value=pl.col("value").str.extract(r"(\d{3,})", 1))
        exploded = pl.concat([figures.with_columns(pl.col("value").str.strip_chars_start("0")), figures.filter(pl.col("value").str.starts_with("0"))])
        cleaned = pl.col("value")
    else:
        cleaned = pl.col("value").str.to_uppercase().str.replace_all(r"[^A-Z0-9" + keep + "]", "")
    return exploded.with_columns(value=cleaned, kind=pl.lit(kind, dtype=KINDS)).drop_nulls("value").select("row", "kind", "value")
