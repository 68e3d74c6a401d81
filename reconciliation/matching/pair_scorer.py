"""Candidate pair of a ledger line and a Stripe offer -> the probability that they belong together, and why in words.

Every comparison has a few levels, every level a weight in log-odds; the score is their sum (after Fellegi and Sunter, "A
theory for record linkage", 1969). The weights are fitted on simulated and reviewed matches and stored as a small table
under `models/pair_scorer/`; nothing but additions happens here.
"""

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import orjson
import polars as pl

from reconciliation.errors import DefectError
from reconciliation.matching.blocking import PREFIX_LETTERS, name_letters, name_words
from reconciliation.matching.pool import lag_in_words
from reconciliation.similarity import contained_similarity, name_similarity

MODELS = Path(__file__).resolve().parents[2] / "models" / "pair_scorer"
SAME, CLOSE, NEAR = 0.999, 0.85, 0.7
CUT_LETTERS_MIN = 5
INITIAL = r"(?:^|[ .,])\p{L}(?:[ .,]|$)"
COMPARISONS = ("amount", "name", "number", "text", "lag", "rivals")


@dataclass(frozen=True)
class PairWeights:
    """Weights of a version: `intercept` and, for each comparison, log-odds by level; a level it does not know weighs nothing."""

    version: str
    intercept: float
    levels: dict[str, dict[str, float]]


@lru_cache(maxsize=4)
def load_weights(version: str = "") -> PairWeights:
    """Load the weights of a version, the newest where none is named.

    Raises:
        DefectError: there is no such version, or its file was changed since it was fitted.
    """
    known = sorted((int(path.parent.name) for path in MODELS.glob("*/weights.json")), reverse=True)
    number = version or str(known[0] if known else "")
    place = MODELS / number
    if not number or not (place / "weights.json").exists():
        raise DefectError(
            f"{MODELS}: no version {number or 'at all'} of the pair scorer; it is part of the project: restore the folder, or fit one: reconcile train --pairs"
        )
    content = (place / "weights.json").read_bytes()
    expected = orjson.loads((place / "manifest.json").read_bytes())["sha256"]
    if hashlib.sha256(content).hexdigest() != expected:
        raise DefectError(f"{place / 'weights.json'}: changed since it was fitted (SHA-256 is not the manifest's); restore the file, or fit a new version")
    stored = orjson.loads(content)
    return PairWeights(number, stored["intercept"], stored["levels"])


def compare(pairs: pl.DataFrame) -> pl.DataFrame:
    """Add the level of every comparison to candidate pairs.

    Args:
        pairs: `form, is_translated, states_amount, counterparty, counterparty_stripe, numbers, numbers_stripe (lists), description,
            description_stripe, reference_text_line, reference_stripe, lag, n_lines, n_offers`.
    """
    if pairs.is_empty():
        return pairs.with_columns(**{name: pl.lit("") for name in COMPARISONS}, alike=pl.lit(0.0), shared=pl.lit(""))
    measured = pairs.with_columns(
        alike=name_similarity(pairs["counterparty"], pairs["counterparty_stripe"]),
        contained=contained_similarity(pairs["reference_text_line"], pairs["reference_stripe"]),
        wording=contained_similarity(pairs["description"], pairs["description_stripe"]),
        shared=pl.col("numbers").list.set_intersection("numbers_stripe").list.max(),
        ends=pl.col("numbers")
        .list.eval(pl.element().str.tail(4))
        .list.set_intersection(pl.col("numbers_stripe").list.eval(pl.element().str.tail(4)))
        .list.max(),
    )
    number = (
        pl.when(pl.col("shared").str.len_chars() >= 5).then(pl.lit("same"))
        .when(pl.col("shared").is_not_null()).then(pl.lit("same_short"))
        .when(pl.col("ends").str.len_chars() >= 4).then(pl.lit("ending"))
        .when((pl.col("numbers").list.len() == 0) | (pl.col("numbers_stripe").list.len() == 0)).then(pl.lit("missing"))
        .when(pl.col("contained") >= 0.85).then(pl.lit("alike"))
        .otherwise(pl.lit("other"))
    )  # fmt: skip
    lag = pl.col("lag")
    return measured.with_columns(
        name_levels(measured),
        amount=pl.when("states_amount").then(pl.lit("stated")).when("is_translated").then(pl.lit("translated")).otherwise("form"),
        number=number,
        text=pl.when((pl.col("wording") >= 0.9) & (pl.col("description_stripe").str.len_chars() >= 10)).then(pl.lit("alike")).otherwise(pl.lit("other")),
        lag_level=pl.when(lag < -1).then(pl.lit("earlier")).when(lag == -1).then(pl.lit("-1")).when(lag <= 2).then(lag.cast(pl.String))
        .when(lag <= 5).then(pl.lit("3-5")).otherwise(pl.lit("6+")),
        rivals=pl.when((pl.col("n_lines") == 1) & (pl.col("n_offers") == 1)).then(pl.lit("none"))
        .when(pl.max_horizontal("n_lines", "n_offers") <= 3).then(pl.lit("2-3"))
        .when(pl.max_horizontal("n_lines", "n_offers") <= 10).then(pl.lit("4-10")).otherwise(pl.lit("many")),
    )  # fmt: skip


def name_levels(pairs: pl.DataFrame) -> pl.Series:
    """Say how alike `counterparty` and `counterparty_stripe` of each pair are, whose similarity is `alike`: missing, same, close, near or other.

    Words and letters are looked at only where they can change what the similarity says; to take all names apart costs more than all the rest.
    """
    alike = pl.col("alike")
    names = [pl.col(name) for name in ("counterparty", "counterparty_stripe")]
    known = pairs.select(*names, alike).with_row_index("row")
    may_be_cut = (alike < CLOSE) & (names[0].str.head(1).str.to_uppercase() == names[1].str.head(1).str.to_uppercase())
    cut = known.filter(may_be_cut).filter(_is_cut())["row"]
    has_initial = (alike < SAME) & pl.any_horizontal(name.str.contains(INITIAL) for name in names)
    begun, contradicted = (known.filter(has_initial).filter(test)["row"] for test in _compare_initials())
    return known.select(
        pl.when(alike.is_null()).then(pl.lit("missing"))
        .when(alike >= SAME).then(pl.lit("same"))
        .when(pl.col("row").is_in(contradicted.implode())).then(pl.lit("other"))
        .when((alike >= CLOSE) | pl.col("row").is_in(pl.concat([cut, begun]).implode())).then(pl.lit("close"))
        .when(alike >= NEAR).then(pl.lit("near"))
        .otherwise(pl.lit("other")).alias("name")
    ).to_series()  # fmt: skip


def _is_cut() -> pl.Expr:
    """Tell whether one side has the beginning of the other's name, or all of it without its spaces (`ZebNorden`)."""
    names = [name_letters(pl.col(name)) for name in ("counterparty", "counterparty_stripe")]
    return pl.any_horizontal((one.str.len_chars() >= CUT_LETTERS_MIN) & other.str.starts_with(one) for one, other in (names, names[::-1]))


def _compare_initials() -> tuple[pl.Expr, pl.Expr]:
    """Of names that share a word and differ in one other: whether one has its beginning alone (`O Oakwick`, `Otis Oakwick`), or another initial."""
    line, stripe = (name_words(pl.col(name)) for name in ("counterparty", "counterparty_stripe"))
    is_shared = line.list.set_intersection(stripe).list.eval(pl.element().str.len_chars()).list.max() >= PREFIX_LETTERS
    rests = [line.list.set_difference(stripe), stripe.list.set_difference(line)]
    is_one = is_shared & pl.all_horizontal(rest.list.len() == 1 for rest in rests)
    one, other = (rest.list.first() for rest in rests)
    begins = other.str.starts_with(one) | one.str.starts_with(other)
    return is_one & begins, is_one & ~begins & (pl.min_horizontal(one.str.len_chars(), other.str.len_chars()) == 1)


def score(compared: pl.DataFrame, weights: PairWeights) -> pl.DataFrame:
    """Add `log_odds`, `score` (0 to 1) and the evidence in `words`."""
    parts = [
        pl.col(column_of(name)).replace_strict(list(levels), list(levels.values()), default=0.0, return_dtype=pl.Float64)
        for name, levels in weights.levels.items()
    ]
    named = (
        pl.when(pl.col("name") == "missing")
        .then(pl.lit("no name to compare"))
        .otherwise(pl.format("names {}% alike", (pl.col("alike") * 100).round(0).cast(pl.Int64)))
    )
    numbered = (
        pl.when(pl.col("shared").is_not_null())
        .then(pl.format(", digits {} on both sides", "shared"))
        .when(pl.col("number") == "ending")
        .then(pl.format(", numbers end in {} on both sides", "ends"))
        .otherwise(pl.lit(""))
    )
    amount = pl.col("amount").replace_strict(
        ["single", "net", "stated", "translated"],
        [
            ", amount equals gross, ",
            ", amount equals net of fees, ",
            ", the line states the amount the customer paid, ",
            ", amount within the rates of those days, ",
        ],
        return_dtype=pl.String,
    )
    once = pl.when(pl.col("rivals") == "none").then(pl.lit(", the only such amount open on both sides")).otherwise(pl.lit(""))
    summed = compared.with_columns(log_odds=pl.lit(weights.intercept) + pl.sum_horizontal(*parts))
    return summed.with_columns(score=1 / (1 + (-pl.col("log_odds")).exp()), words=pl.concat_str([named, numbered, amount, lag_in_words(pl.col("lag")), once]))


def column_of(comparison: str) -> str:
    """Return the column that holds a comparison's level; `lag` itself is a number of days."""
    return "lag_level" if comparison == "lag" else comparison
