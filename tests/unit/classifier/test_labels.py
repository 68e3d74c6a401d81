"""Labels: the truth's names meet the run's ids, per leg, and the exception decides."""

from datetime import date
from pathlib import Path

import polars as pl
import pytest

from reconciliation.classifier.evaluation import match_quality
from reconciliation.classifier.labels import label_breaks, name_items, name_members, read_truth

ITEMS = pl.DataFrame(
    [
        ("books", "txn_1/gross", "stripe", "", "", "", ""),
        ("books", "txn_1/fee", "stripe", "", "", "", ""),
        ("books", "gl_JE-7/1", "ledger", "JE-7", "", "ledger/2026-10.csv", "12"),
        ("books", "gl_JE-7/2", "ledger", "JE-7", "", "ledger/2026-10.csv", "13"),
        ("books", "glh_00ff/1", "ledger", "", "INV-3", "ledger/2026-10.csv", "14"),
        ("books", "po_1", "stripe", "", "", "", ""),
        ("cash", "po_1", "stripe", "", "", "", ""),
        ("books", "op_1", "opening", "", "", "", ""),
        ("cash", "bk_aa/1", "bank", "", "REF-1 BR-2", "bank/2026-10.xml", "3"),
    ],
    schema=["leg", "item_id", "side", "document", "reference", "source_file", "source_row"],
    orient="row",
).with_columns(account=pl.lit("1050 Stripe Clearing"), currency=pl.lit("GBP"), amount_minor=pl.lit(2500), date=pl.lit(date(2026, 10, 5)))
MEMBERS = pl.DataFrame(
    {
        "leg": ["books"] * 2,
        "item_id": ["txn_1/gross", "gl_JE-7/1"],
        "match_id": ["mt_1", "mt_1"],
        "strategy": ["exact_reference"] * 2,
        "difference_minor": [0] * 2,
    }
)


def make_truth(*rows: tuple[str, str, str, bool]) -> pl.DataFrame:
    """Return truth from leg, item, cause, whether a true exception; as text, as the file holds it."""
    return pl.DataFrame(
        [(leg, item, cause, "entry", "true" if is_exception else "false", f"{cause}_story") for leg, item, cause, is_exception in rows],
        schema=dict.fromkeys(["leg", "item", "cause", "nature", "is_true_exception", "story"], pl.String),
        orient="row",
    ).with_columns(pl.col("is_true_exception") == "true")


def label(item_ids: list[str], truth: pl.DataFrame, *, leg: str = "books", match_id: str = "") -> tuple[bool, str, bool]:
    """Return label, true cause and whether the truth names the break."""
    breaks = pl.DataFrame({"break_id": ["br_1"], "match_id": [match_id], "leg": [leg], "item_ids": [item_ids]})
    row = label_breaks(breaks, items=ITEMS, members=MEMBERS, truth=truth).frame.row(0, named=True)
    return row["is_true_exception"], row["true_cause"], row["is_named"]


@pytest.mark.parametrize(
    ("item_ids", "leg", "name"),
    [
        (["txn_1/gross"], "books", "txn_1/gross"),
        (["gl_JE-7/2"], "books", "JE-7"),
        (["glh_00ff/1"], "books", "glh_00ff/1"),
        (["po_1"], "cash", "po_1"),
        (["bk_aa/1"], "cash", "REF-1 BR-2"),
        (["bk_aa/1"], "cash", "BR-2"),
        (["bk_aa/1"], "cash", "2026-10.xml:3"),
        (["op_1"], "books", "opening:1050"),
        (["txn_1/fee"], "books", "residual:txn_1/gross;txn_1/fee;JE-1"),
        (["gl_JE-7/1"], "books", "JE-6;JE-7"),
    ],
    ids=[
        "component",
        "ledger document",
        "line without document",
        "payout",
        "bank reference",
        "word of a bank reference",
        "bank file and row",
        "opening",
        "member of a residual",
        "one of several documents",
    ],
)
def test_each_kind_of_item_is_met_by_its_name(item_ids: list[str], leg: str, name: str) -> None:
    assert label(item_ids, make_truth((leg, name, "missing_posting", True)), leg=leg) == (True, "missing_posting", True)


def test_any_true_exception_among_the_items_makes_the_break_one() -> None:
    truth = make_truth(("books", "txn_1/fee", "processing_fee", False), ("books", "txn_1/gross", "wrong_amount", True))
    assert label(["txn_1/fee", "txn_1/gross"], truth) == (True, "wrong_amount", True)


def test_a_residual_stands_for_the_members_of_its_match() -> None:
    truth = make_truth(("books", "JE-7", "wrong_amount", True))
    assert label(["mt_1"], truth, match_id="mt_1") == (True, "wrong_amount", True)
    assert label(["mt_1"], truth) == (True, "wrong_amount", True)


def test_the_truth_of_another_leg_says_nothing() -> None:
    assert label(["po_1"], make_truth(("books", "po_1", "missing_posting", True)), leg="cash") == (False, "", False)


def test_an_item_the_truth_does_not_name_is_ordinary_and_counted() -> None:
    assert label(["glh_00ff/1"], make_truth(("books", "JE-1", "wrong_amount", True))) == (False, "", False)


def test_truth_that_meets_no_break_is_returned() -> None:
    breaks = pl.DataFrame({"break_id": ["br_1"], "match_id": [""], "leg": ["books"], "item_ids": [["txn_1/gross"]]})
    truth = make_truth(("books", "txn_1/gross", "timing", False), ("books", "JE-404", "unknown_entry", True))
    assert label_breaks(breaks, items=ITEMS, members=MEMBERS, truth=truth).unjoined["item"].to_list() == ["JE-404"]


def test_a_break_stands_once_whatever_it_meets() -> None:
    breaks = pl.DataFrame({"break_id": ["br_2", "br_1"], "match_id": ["", "mt_1"], "leg": ["books"] * 2, "item_ids": [["gl_JE-7/1", "gl_JE-7/2"], ["mt_1"]]})
    truth = make_truth(("books", "JE-7", "timing", False), ("books", "JE-7", "wrong_amount", True))
    assert label_breaks(breaks, items=ITEMS, members=MEMBERS, truth=truth).frame["break_id"].to_list() == ["br_2", "br_1"]


def test_truth_without_a_column_is_refused() -> None:
    with pytest.raises(ValueError, match="lacks story"):
        label_breaks(pl.DataFrame(), items=ITEMS, members=MEMBERS, truth=make_truth(("books", "JE-7", "timing", False)).drop("story"))


def test_an_item_answers_to_no_empty_name() -> None:
    assert "" not in name_items(ITEMS)["name"].to_list()


def test_matches_are_named_as_the_truth_names_its_edges() -> None:
    truth = pl.DataFrame({"leg": ["books", "books"], "stripe_item": ["txn_1/gross", "txn_1/fee"], "other_item": ["JE-7", "JE-7"], "decidable": [True, True]})
    named = name_members(MEMBERS, ITEMS, truth)
    assert sorted(named["item"].to_list()) == ["JE-7", "txn_1/gross"]
    quality = match_quality(named, truth, items=8)
    assert (quality.edges_right, quality.recall, quality.precision) == (1, 0.5, 1.0)


def test_flags_of_the_truth_are_read_and_edges_are_decidable_unless_it_says_otherwise(tmp_path: Path) -> None:
    (tmp_path / "truth").mkdir()
    (tmp_path / "truth" / "items.csv").write_text(
        "leg,item,cause,nature,is_true_exception,story\nbooks,JE-7,timing,timing,False,\nbooks,JE-8,wrong_amount,correction,true,slip\n"
    )
    (tmp_path / "truth" / "matches.csv").write_text("leg,stripe_item,other_item\nbooks,txn_1/gross,JE-7\n")
    items, matches = read_truth(tmp_path)
    assert items["is_true_exception"].to_list() == [False, True]
    assert items["story"].to_list() == ["", "slip"]
    assert matches["decidable"].to_list() == [True]


def test_a_flag_that_is_neither_true_nor_false_is_refused(tmp_path: Path) -> None:
    (tmp_path / "truth").mkdir()
    (tmp_path / "truth" / "items.csv").write_text("leg,item,cause,nature,is_true_exception,story\nbooks,JE-7,timing,timing,maybe,\n")
    (tmp_path / "truth" / "matches.csv").write_text("leg,stripe_item,other_item\n")
    with pytest.raises(ValueError, match="'maybe'; it must be true or false"):
        read_truth(tmp_path)


COUNTED = pl.DataFrame(
    [
        ("books", "txn_8/gross", "stripe", 2500, date(2026, 10, 3)),
        ("books", "gl_JE-8/1", "ledger", 2500, date(2026, 10, 4)),
        ("books", "txn_9/gross", "stripe", 2500, date(2026, 10, 5)),
        ("books", "txn_7/gross", "stripe", 2600, date(2026, 10, 5)),
        ("books", "txn_6/gross", "stripe", 2500, date(2026, 10, 6)),
    ],
    schema=["leg", "item_id", "side", "amount_minor", "date"],
    orient="row",
).with_columns(currency=pl.lit("GBP"), account=pl.lit("1050"), **dict.fromkeys(["document", "reference", "source_file", "source_row"], pl.lit("")))


@pytest.mark.parametrize("forward", [True, False])
@pytest.mark.parametrize(("strategy", "expected"), [("interchangeable", ["br_6"]), ("fuzzy", [])], ids=["counted", "paired"])
def test_what_a_counted_match_leaves_over_stands_for_the_exception_it_holds(strategy: str, expected: list[str], *, forward: bool) -> None:
    """The line was the one payment's, another was never posted; counted, the match took the wrong one of equals. Which of the equals left open
    stands for it is not told by dates, which features know: the same one when all dates run backward.
    """
    members = pl.DataFrame({"leg": ["books"] * 2, "item_id": ["txn_8/gross", "gl_JE-8/1"], "match_id": ["mt_8"] * 2, "strategy": [strategy] * 2})
    breaks = pl.DataFrame(
        {"break_id": ["br_6", "br_7", "br_9"], "match_id": [""] * 3, "leg": ["books"] * 3, "item_ids": [["txn_6/gross"], ["txn_7/gross"], ["txn_9/gross"]]}
    )
    items = COUNTED if forward else COUNTED.with_columns(pl.col("date").reverse())
    found = label_breaks(breaks, items=items, members=members, truth=make_truth(("books", "txn_8/gross", "missing_posting", True))).frame
    assert found.filter("is_true_exception")["break_id"].to_list() == expected
    assert found.filter("is_named")["true_cause"].to_list() == ["missing_posting"] * len(expected)
