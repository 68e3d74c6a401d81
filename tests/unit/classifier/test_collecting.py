"""Collections of labeled companies: they go on where they stopped, know what made them, and keep apart who is judged."""

from datetime import date
from pathlib import Path

import polars as pl
import pytest

from reconciliation.classifier.collecting import STAMP, collect_parts, program_digest, read_parts
from reconciliation.classifier.examples import MonthRun, World
from reconciliation.errors import FileRefusedError

WORLDS = [World(f"shop_{n:02d}", "shop", seed=100 + n) for n in range(4)]


def simulate(world: World, scratch: Path) -> Path:
    """Write a company of one true exception."""
    truth = scratch / world.name / "truth"
    truth.mkdir(parents=True)
    (truth / "items.csv").write_text(f"leg,item,cause,nature,is_true_exception,story\nbooks,txn_{world.seed},missing_posting,entry,true,\n")
    (truth / "matches.csv").write_text("leg,stripe_item,other_item\n")
    return truth.parent


def reconcile(folder: Path) -> list[MonthRun]:
    """Return the one break of a company."""
    item = pl.read_csv(folder / "truth" / "items.csv")["item"][0]
    text = dict.fromkeys(("document", "reference", "source_file", "source_row", "account"), "")
    breaks = pl.DataFrame({"break_id": [f"br_{item}"], "match_id": [""], "leg": ["books"], "item_ids": [[item]], "amount_minor": [100]})
    money = {"currency": "GBP", "amount_minor": 100, "date": date(2026, 10, 5)}
    items = pl.DataFrame({"leg": ["books"], "item_id": [item], "side": ["stripe"], **text, **money})
    members = pl.DataFrame(schema={"leg": pl.String, "item_id": pl.String, "match_id": pl.String, "strategy": pl.String})
    return [MonthRun("2026-10", pl.DataFrame({"break_id": [f"br_{item}"], "age_days": [3.0], "kind": ["missing_in_ledger"]}), breaks, items, members)]


def collect(worlds: list[World], folder: Path) -> list[str]:
    """Collect companies and return the names of the files that were made."""
    return [place.name for place in collect_parts(worlds, folder, simulate=simulate, reconcile_company=reconcile)]


def test_a_collection_goes_on_where_it_stopped_and_ends_as_if_it_never_had(tmp_path: Path) -> None:
    stopped = collect_parts(WORLDS, tmp_path / "a", simulate=simulate, reconcile_company=reconcile)
    next(stopped)
    stopped.close()
    assert len(collect(WORLDS, tmp_path / "a")) == 3
    assert collect(WORLDS, tmp_path / "a") == []
    collect(WORLDS, tmp_path / "b")
    assert [path.read_bytes() for path in sorted((tmp_path / "a").iterdir())] == [path.read_bytes() for path in sorted((tmp_path / "b").iterdir())]


def test_a_company_that_is_judged_teaches_nothing(tmp_path: Path) -> None:
    collect(WORLDS, tmp_path)
    assert read_parts(tmp_path).height == 4
    assert read_parts(tmp_path, without=["br_txn_101", "br_of_another"])["break_id"].to_list() == ["br_txn_100", "br_txn_102", "br_txn_103"]


def test_breaks_of_other_matching_rules_are_not_mixed_with_todays(tmp_path: Path) -> None:
    collect(WORLDS[:1], tmp_path)
    assert (tmp_path / STAMP).read_text().strip() == program_digest()
    (tmp_path / STAMP).write_text("other code\n")
    with pytest.raises(FileRefusedError, match="other matching rules"):
        collect(WORLDS, tmp_path)


def test_an_empty_folder_is_refused_with_the_command_that_fills_it(tmp_path: Path) -> None:
    with pytest.raises(FileRefusedError, match="reconcile collect"):
        read_parts(tmp_path)


def test_a_document_number_that_recurs_in_another_company_does_not_make_it_the_judged_one(tmp_path: Path) -> None:
    collect(WORLDS[:1], tmp_path)
    place = next(tmp_path.glob("*.parquet"))
    pl.read_parquet(place).with_columns(kind=pl.lit("missing_in_stripe")).write_parquet(place)
    assert read_parts(tmp_path, without=["br_txn_100"]).height == 1
