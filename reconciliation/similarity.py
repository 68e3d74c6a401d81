"""RapidFuzz over columns: the only door to it. Scores are 0 to 1; a missing text gives null, not zero."""

from typing import Any

import polars as pl
from rapidfuzz import fuzz, process, utils


def name_similarity(left: pl.Series, right: pl.Series) -> pl.Series:
    """Score names row by row, whatever the order of their words (`BROWN, ADA` and `Ada Brown`).

    >>> name_similarity(pl.Series(["BROWN, ADA"]), pl.Series(["Ada Brown"])).to_list()
    [1.0]
    """
    return _score(left, right, fuzz.token_sort_ratio)


def contained_similarity(text: pl.Series, part: pl.Series) -> pl.Series:
    """Score how well a text contains a part (`Payment INV-10O2` contains `INV-1002` nearly)."""
    return _score(text, part, fuzz.partial_ratio)


def _score(left: pl.Series, right: pl.Series, scorer: Any) -> pl.Series:
    pairs = pl.DataFrame({"left": left.fill_null(""), "right": right.fill_null("")})
    distinct = pairs.unique(maintain_order=True)
    scores = process.cpdist(distinct["left"].to_list(), distinct["right"].to_list(), scorer=scorer, processor=utils.default_process, workers=1, score_cutoff=0)
    known = (pl.col("left") != "") & (pl.col("right") != "")
    scored = distinct.with_columns(score=pl.Series(scores, dtype=pl.Float64) / 100).with_columns(score=pl.when(known).then("score"))
    return pairs.join(scored, on=["left", "right"], how="left", maintain_order="left")["score"]
