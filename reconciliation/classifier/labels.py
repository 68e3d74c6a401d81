"""Truth of a simulated company + breaks of a run -> a label per break.

The truth names items as people do (`txn_…/component`, `po_…`, a ledger document, a bank reference; `residual:<members>` and
`<document>;<document>` name each of their members), a run by origin and content. What joins them is the item's own columns,
never its amount or date, so such a label cannot leak from a feature. A break is a true exception when any of its items is one in
the truth of that leg; a residual stands for the members of its match. An item the truth does not name is plainly matched
there: if we left it open, it is no exception. Unless it is what a counted match left over: such a match says of equal items only how
many there are, so the exception that it holds and the equal item that stays open for it have changed places, and the label goes with the place. Which
of several equal items it goes to is decided by the digest in the break's id, which knows nothing of dates: by date the label would leak through the break's age.
The digest is read backward, since examples are thinned by it forward (`training.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from reconciliation.classifier.evaluation import COUNTED

EDGE_COLUMNS = ["leg", "stripe_item", "other_item", "decidable"]
TRUTH_COLUMNS = ["leg", "item", "cause", "nature", "is_true_exception", "story"]


@dataclass(frozen=True)
class Labels:
    """Labels of a run's breaks.

    Attributes:
        frame: `break_id, is_true_exception, true_cause, true_nature, story, is_named`; `is_named` is False when the truth names none
            of the break's items, which is either an ordinary item of ours that stayed open or a fault of the matching.
        unjoined: rows of the truth that met no break, which is right for what was matched and a loss otherwise.
    """

    frame: pl.DataFrame
    unjoined: pl.DataFrame


def read_truth(folder: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Read the truth of a simulated company.

    Args:
        folder: the company's; with `truth/items.csv` and `truth/matches.csv` below it.

    Returns:
        Items and matches, all text but the flags `is_true_exception` and `decidable` (true where the file does not say).

    Raises:
        ValueError: a column is missing, or a flag is neither `true` nor `false`.
    """
    items, matches = (_read(folder / "truth" / name) for name in ("items.csv", "matches.csv"))
    if "decidable" not in matches.columns:
        matches = matches.with_columns(pl.lit("true").alias("decidable"))
    for frame, needed, name in ((items, TRUTH_COLUMNS, "items.csv"), (matches, EDGE_COLUMNS, "matches.csv")):
        _require(frame, needed, place=f"{folder}/truth/{name}")
    return items.with_columns(_flag(items, "is_true_exception")), matches.with_columns(_flag(matches, "decidable"))


def name_items(items: pl.DataFrame) -> pl.DataFrame:
    """Return the names that the truth may use for each item.

    Args:
        items: schema `Item`, of any sides.

    Returns:
        `leg, item_id, name`: one row per item and name. A ledger line answers to its document, a bank line to its reference, each
        word of it, and to its file and row, an opening difference to the number of its account, everything to its own id.
    """
    columns = ["leg", "item_id"]
    keys = [
        items.select(*columns, name="item_id"),
        items.filter(pl.col("side") == "ledger").select(*columns, name="document"),
        items.filter(pl.col("side") == "bank").select(*columns, name="reference"),
        items.filter(pl.col("side") == "bank").select(*columns, name=pl.col("reference").str.split(" ")).explode("name", empty_as_null=True, keep_nulls=True),
        items.filter(pl.col("side") == "opening").select(*columns, name=pl.lit("opening:") + pl.col("account").str.split(" ").list.first()),
        items.filter(pl.col("side") == "bank").select(*columns, name=pl.col("source_file").str.split("/").list.last() + ":" + pl.col("source_row")),
    ]
    return (
        pl.concat([key.select(pl.col("leg").cast(pl.String), pl.col("item_id"), pl.col("name").cast(pl.String)) for key in keys])
        .filter(pl.col("name") != "")
        .unique(maintain_order=True)
    )


def label_breaks(breaks: pl.DataFrame, *, items: pl.DataFrame, members: pl.DataFrame, truth: pl.DataFrame) -> Labels:
    """Label the breaks of a run.

    Args:
        breaks: `break_id, match_id, leg, item_ids` (schema `Break`).
        items: schema `Item`, every item a break or a match names, residuals aside.
        members: `leg, item_id, match_id, strategy` (schema `MatchMember`), of this month and those before.
        truth: `leg, item, cause, nature, is_true_exception, story` of the company's `truth/items.csv`.

    Raises:
        ValueError: the truth lacks a column.
    """
    _require(truth, TRUTH_COLUMNS, place="truth")
    named = truth.select(TRUTH_COLUMNS).with_row_index("truth_row")
    members_named = named.with_columns(pl.col("item").str.strip_prefix("residual:").str.split(";")).explode("item", empty_as_null=True, keep_nulls=True)
    stands_for = _items_of_breaks(breaks, members)
    met = stands_for.join(name_items(items), on=["leg", "item_id"], how="left").with_columns(pl.coalesce("name", "item_id").alias("name"))
    met = met.join(members_named, left_on=["leg", "name"], right_on=["leg", "item"], how="inner")
    left_over = _exceptions_of_leftovers(stands_for.join(met.select("break_id").unique(), on="break_id", how="anti"), items, members, members_named)
    # The exception decides, then the order of the truth file: one break, one story.
    by_rank = ["break_id", pl.col("is_true_exception").not_(), "truth_row"]
    first = pl.concat([met.select(left_over.columns), left_over]).sort(by_rank).group_by("break_id", maintain_order=True).first()
    frame = breaks.select("break_id").join(
        first.select("break_id", "is_true_exception", true_cause="cause", true_nature="nature", story="story", is_named=pl.lit(value=True)),
        on="break_id",
        how="left",
        maintain_order="left",
    )
    frame = frame.with_columns(
        pl.col("is_true_exception", "is_named").fill_null(value=False), pl.col("true_cause", "true_nature", "story").cast(pl.String).fill_null("")
    )
    return Labels(frame=frame, unjoined=named.join(met.select("truth_row").unique(), on="truth_row", how="anti").drop("truth_row"))


def _exceptions_of_leftovers(unnamed: pl.DataFrame, items: pl.DataFrame, members: pl.DataFrame, truth: pl.DataFrame) -> pl.DataFrame:
    """Give the exceptions that counted matches hold to the equal items left open, in the order of the digests in their breaks' ids.

    Args:
        unnamed: `break_id, leg, item_id` of breaks that the truth does not name.
        items: as given to `label_breaks`.
        members: as given to `label_breaks`.
        truth: its rows with `truth_row`, one for each item they name.

    Returns:
        `break_id, is_true_exception, truth_row, cause, nature, story`.
    """
    key = ["leg", "side", "currency", "amount_minor"]
    facts = items.select(pl.col("leg", "item_id", "side", "currency").cast(pl.String), "amount_minor").filter(pl.col("side").is_in(["stripe", "ledger"]))
    counted = members.filter(pl.col("strategy") == COUNTED).select(pl.col("leg", "item_id").cast(pl.String)).unique()
    held = facts.join(counted, on=["leg", "item_id"], how="semi").join(name_items(items), on=["leg", "item_id"])
    exceptions = held.join(truth.filter("is_true_exception"), left_on=["leg", "name"], right_on=["leg", "item"]).unique(["leg", "item_id"])
    place = pl.int_range(pl.len()).over(key)
    ranked = exceptions.sort("item_id").with_columns(place=place)
    open_now = unnamed.join(facts, on=["leg", "item_id"]).sort(pl.col("break_id").str.reverse(), "item_id").with_columns(place=place)
    return open_now.join(ranked.drop("item_id"), on=[*key, "place"]).select("break_id", "is_true_exception", "truth_row", "cause", "nature", "story")


def name_members(members: pl.DataFrame, items: pl.DataFrame, truth_matches: pl.DataFrame) -> pl.DataFrame:
    """Return matches with items named as the truth's edges name them, for `match_quality`.

    Args:
        members: `leg, item_id, match_id, strategy, difference_minor`.
        items: schema `Item`.
        truth_matches: `leg, stripe_item, other_item`; decides which of an item's names is used.

    Returns:
        `match_id, leg, strategy, difference_minor, side, item`.
    """
    used = _names_of_edges(truth_matches)
    names = name_items(items).join(used, on=["leg", "name"], how="semi").group_by("leg", "item_id").agg(pl.col("name").sort().first())
    sides = items.select(pl.col("leg").cast(pl.String), "item_id", pl.col("side").cast(pl.String))
    placed = (
        members.select("match_id", pl.col("leg").cast(pl.String), "item_id", "strategy", "difference_minor")
        .join(sides, on=["leg", "item_id"])
        .join(names, on=["leg", "item_id"], how="left")
    )
    return placed.select("match_id", "leg", "strategy", "difference_minor", "side", item=pl.coalesce("name", "item_id"))


def name_amounts(items: pl.DataFrame, truth_matches: pl.DataFrame) -> pl.DataFrame:
    """Return the amounts of the items that true edges name, for `match_quality`: `leg, item, amount_minor`, the lines of one document as one sum.

    Args:
        items: schema `Item`.
        truth_matches: `leg, stripe_item, other_item`.
    """
    used = _names_of_edges(truth_matches)
    amounts = items.select(pl.col("leg").cast(pl.String), "item_id", "amount_minor").join(name_items(items), on=["leg", "item_id"])
    return amounts.join(used, on=["leg", "name"], how="semi").group_by("leg", item="name").agg(pl.col("amount_minor").sum())


def _names_of_edges(truth_matches: pl.DataFrame) -> pl.DataFrame:
    return pl.concat([truth_matches.select("leg", name=column) for column in ("stripe_item", "other_item")]).with_columns(pl.all().cast(pl.String)).unique()


def _items_of_breaks(breaks: pl.DataFrame, members: pl.DataFrame) -> pl.DataFrame:
    base = breaks.select("break_id", pl.col("leg").cast(pl.String), "match_id", "item_ids")
    direct = base.select("break_id", "leg", pl.col("item_ids").alias("item_id")).explode("item_id")
    in_match = members.select(pl.col("leg").cast(pl.String), "item_id", "match_id")
    # A residual's id is its match's, and a break across months is named by its match: both stand for the match's members.
    by_match = (
        pl.concat([base.select("break_id", "leg", "match_id"), direct.select("break_id", "leg", match_id="item_id")]).filter(pl.col("match_id") != "").unique()
    )
    return pl.concat([direct, by_match.join(in_match, on=["leg", "match_id"]).select("break_id", "leg", "item_id")]).unique()


def _read(path: Path) -> pl.DataFrame:
    return pl.read_csv(path, infer_schema=False).with_columns(pl.all().fill_null(""))


def _require(frame: pl.DataFrame, columns: Sequence[str], *, place: str) -> None:
    absent = [name for name in columns if name not in frame.columns]
    if absent:
        raise ValueError(f"{place} lacks {', '.join(absent)}; it has {', '.join(frame.columns)}")


def _flag(frame: pl.DataFrame, name: str) -> pl.Series:
    text = frame[name].str.to_lowercase()
    strange = text.filter(~text.is_in(["true", "false"])).unique().sort().to_list()
    if strange:
        raise ValueError(f"{name} holds {', '.join(map(repr, strange))}; it must be true or false")
    return (text == "true").alias(name)
