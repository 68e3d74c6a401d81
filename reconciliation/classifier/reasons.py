"""Contributions + feature values -> the three strongest reasons of each break, in a controller's words.

The words belong to the features and not to a model version, so a new version explains itself without new text. A reason
states the fact and which way it moved the risk; the three are those whose contributions are largest, either way.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from reconciliation.breaks.features import CAUSES, EXCEPTION_ALONE
from reconciliation.classifier.scoring import Scores
from reconciliation.learning.tables import Feature

REASONS_MAX = 3
CONTRIBUTION_MIN = 0.05
"""A feature that moves the odds by less than five percent is no reason."""
RAISES, LOWERS = " (raises the risk)", " (lowers the risk)"
RISK_LEVELS = ((0.5, "High"), (0.1, "Medium"), (0.0, "Low"))


@dataclass(frozen=True)
class Words:
    """How a feature is said.

    Attributes:
        fact: the sentence where the value is present (a boolean: true); `{value}` stands for the value.
        otherwise: the sentence where it is missing, an empty category or false.
        shown_as: how a number is written: whole, one decimal, or as a percentage.
        values: how the values of a closed list are said; others as they are, without underscores.
    """

    fact: str
    otherwise: str
    shown_as: Literal["whole", "decimal", "percent"] = "whole"
    values: tuple[tuple[str, str], ...] = ()


WORDS: dict[str, Words] = {
    "age_days": Words("Open for {value} days at the cut-off", "How long it is open is not known"),
    "days_overdue": Words("{value} days past the day the money was expected", "No day is known on which the money was expected"),
    "n_equal_same_side": Words("Open lines of this counterparty with the same amount: {value}", "No line of this counterparty has the same amount"),
    "n_equal_other_side": Words("Open lines on the other side with the same amount: {value}", "No line on the other side has the same amount"),
    "days_to_cut_off_of_month": Words("Dated {value} days before the cut-off (31 means earlier)", "Its date is not known"),
    "months_carried": Words("Months since the one it belongs to: {value}", "How long it was carried is not known"),
    "share_matched_same_day": Words("{value} of what is like it that day found a partner", "Nothing else like it came that day", "percent"),
    "share_matched_since": Words("{value} of what is like it since that day found a partner", "Nothing like it came that day or later", "percent"),
    "n_members": Words("Items in the match whose difference it is: {value}", "It is no difference of a match"),
    "nearest_member": Words("The nearest amount in its match is {value} away from the difference", "Its match holds one payment", "percent"),
    "nearest_other_side": Words("The nearest open amount on the other side is {value} away", "Nothing is open on the other side", "percent"),
    "nearest_reversed": Words("The nearest open amount on the other side is {value} away from its opposite", "Nothing is open on the other side", "percent"),
    "nearest_to_day": Words(
        "The nearest open line on the other side is {value} away from all that is open that day", "Nothing is open on the other side", "percent"
    ),
    "nearest_to_reversed_day": Words(
        "The nearest open line on the other side is {value} away from the opposite of all that is open that day", "Nothing is open on the other side", "percent"
    ),
    "open_other_side_to_own": Words("In the days around it, {value} times as much is open on the other side", "No side is open around it", "decimal"),
    "has_counterparty": Words("It names a counterparty", "It names no counterparty"),
    "has_reference_other_side": Words("An open line on the other side carries its reference", "No open line on the other side carries its reference"),
    "is_within_rates": Words("The exchange rates of those days explain the amount", "No exchange rate explains the amount"),
    "is_rounding": Words("The difference is no more than rounding leaves", "The difference is more than rounding leaves"),
    "is_accrual": Words("It is marked as an accrual", "It is not marked as an accrual"),
    "is_debit": Words("It lowers its side's balance", "It raises its side's balance"),
    "possible_causes": Words(
        "Its facts fit {value}",
        "Its facts say nothing of a cause",
        values=(
            ("expected", "an expected difference only"),
            ("exception", "an error only"),
            ("double_charge", "a charge made twice, unless the customer bought the same again"),
            ("both", "an expected difference as well as an error"),
            ("unknown", "no cause that is known"),
        ),
    ),
}


MATCH_SIZE = "n_members"
OF_DIFFERENCES = (MATCH_SIZE, "nearest_member", "is_within_rates", "is_rounding")
"""What says something of the difference that a match leaves, and nothing of any other break."""
OF_OPEN_ITEMS = (
    "share_matched_same_day", "share_matched_since", "nearest_other_side", "nearest_reversed", "nearest_to_day", "nearest_to_reversed_day", "open_other_side_to_own",
    "nearest_member",
)  # fmt: skip
"""What is missing of the difference that a match leaves, because it is one (the last where the match holds one payment)."""


def explain_scores(scores: Scores, frame: pl.DataFrame, features: tuple[Feature, ...]) -> pl.Series:
    """Return up to three reasons for every row, the strongest first.

    Of a break that is no difference of a match none is about such differences; of one that is, what it lacks for that counts with the
    size of its match. One that can only be an error has this one reason, with which counts what its missing facts contribute.

    Args:
        scores: of the frame.
        frame: the feature frame that was scored.
        features: the model's features; one without words is said by its name.
    """
    weights = np.column_stack([scores.contributions[feature.name].to_numpy() for feature in features]) if features else np.zeros((frame.height, 0))
    names = [feature.name for feature in features]
    unsaid = np.zeros(weights.shape, dtype=bool)
    if CAUSES in names:
        # Nothing else is told of these (`breaks.features`): that the rest is missing there says what this says.
        is_error_only = frame.select(pl.col(CAUSES).is_in(EXCEPTION_ALONE).fill_null(value=False)).to_series().to_numpy()
        weights[is_error_only, names.index(CAUSES)] = weights[is_error_only].sum(axis=1)
        unsaid |= np.outer(is_error_only, [name != CAUSES for name in names])
    if MATCH_SIZE in frame.columns:
        is_none = frame.select(pl.col(MATCH_SIZE).fill_null(0) == 0).to_series().to_numpy()
        unsaid |= np.outer(is_none, [name in OF_DIFFERENCES for name in names])
        for place in [place for place, name in enumerate(names) if name in OF_OPEN_ITEMS and MATCH_SIZE in names]:
            is_lacking = ~is_none & frame[names[place]].cast(pl.Float64).fill_null(np.nan).is_nan().to_numpy()
            weights[is_lacking, names.index(MATCH_SIZE)] += weights[is_lacking, place]
            unsaid[is_lacking, place] = True
    strength = np.where(unsaid, -1.0, np.abs(weights))
    parts = []
    rows = np.arange(frame.height)
    for rank in range(min(REASONS_MAX, len(features))):
        strongest = strength.argmax(axis=1)
        kept = strength[rows, strongest] >= CONTRIBUTION_MIN
        parts.append(
            pl.DataFrame(
                {
                    "row": rows[kept],
                    "rank": np.full(int(kept.sum()), rank, dtype=np.int8),
                    "place": strongest[kept],
                    "raises": weights[rows, strongest][kept] > 0,
                }
            )
        )
        strength[rows, strongest] = -1.0
    empty = pl.DataFrame(schema={"row": pl.Int64, "rank": pl.Int8, "place": pl.Int64, "raises": pl.Boolean})
    chosen = pl.concat([empty, *parts])
    said = [_say(chosen.filter(pl.col("place") == place), frame[feature.name], feature) for place, feature in enumerate(features)]
    texts = pl.concat([empty.select("row", "rank", text=pl.lit("")), *said]).sort("row", "rank").group_by("row", maintain_order=True).agg("text")
    placed = pl.DataFrame({"row": rows}).join(texts, on="row", how="left", maintain_order="left")
    return placed.select(reasons=pl.col("text").fill_null(pl.lit([], dtype=pl.List(pl.String)))).to_series()


def risk_level(probability: pl.Expr) -> pl.Expr:
    """Say a probability as High (at least one in two), Medium (one in ten) or Low: nobody should read digits into it."""
    (high, first), (medium, second), (_, third) = RISK_LEVELS
    return pl.when(probability >= high).then(pl.lit(first)).when(probability >= medium).then(pl.lit(second)).otherwise(pl.lit(third))


def _say(chosen: pl.DataFrame, column: pl.Series, feature: Feature) -> pl.DataFrame:
    name = feature.name.replace("_", " ")
    plain = Words(f"{name}: yes", f"{name}: no") if feature.type == "boolean" else Words(f"{name}: {{value}}", f"{name}: none")
    words = WORDS.get(feature.name, plain)
    before, _, after = words.fact.partition("{value}")
    values = chosen.with_columns(value=column.gather(chosen["row"]))
    value = pl.col("value")
    if feature.type == "boolean":
        fact, absent = pl.lit(words.fact), ~value.fill_null(value=False)
    else:
        shown = _number(value.cast(pl.Float64), words) if feature.type == "numeric" else _category(value.cast(pl.String), words)
        absent = value.cast(pl.Float64).is_nan().fill_null(value=True) if feature.type == "numeric" else value.cast(pl.String).fill_null("") == ""
        fact = pl.concat_str([pl.lit(before), shown, pl.lit(after)])
    text = pl.when(absent).then(pl.lit(words.otherwise)).otherwise(fact.str.replace(r"\b1 days\b", "1 day"))
    direction = pl.when("raises").then(pl.lit(RAISES)).otherwise(pl.lit(LOWERS))
    return values.select("row", "rank", text=pl.concat_str([text, direction]))


def _category(value: pl.Expr, words: Words) -> pl.Expr:
    said = dict(words.values)
    return value.replace_strict(list(said), list(said.values()), default=value.str.replace_all("_", " ")) if said else value.str.replace_all("_", " ")


def _number(value: pl.Expr, words: Words) -> pl.Expr:
    if words.shown_as == "percent":
        return pl.concat_str([(value * 100).round(2).cast(pl.String), pl.lit(" %")])
    return value.round(1).cast(pl.String) if words.shown_as == "decimal" else value.round(0).cast(pl.Int64, strict=False).cast(pl.String)
