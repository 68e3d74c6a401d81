import json
import random
import shutil
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from reconciliation.errors import LogDamagedError, SettingsError
from reconciliation.review.log import FIRST, DecisionLog

KEY = "k" * 40
NOW = datetime(2026, 11, 3, 9, 0, tzinfo=UTC)


@pytest.fixture
def log(tmp_path):
    """A log of six entries."""
    log = DecisionLog(tmp_path / "review", KEY)
    for number in range(6):
        log.append("comment", "anna", {"text": f"Note {number} – ü", "items": [["books", "txn_1/gross", 100 * number]]}, at=NOW)
    return log


def test_entries_come_back_as_they_were_written_and_chained(log):
    entries = log.entries()
    assert [entry.number for entry in entries] == [1, 2, 3, 4, 5, 6]
    assert entries[2].body == {"text": "Note 2 – ü", "items": [["books", "txn_1/gross", 200]]}
    assert [entry.previous for entry in entries] == [FIRST, *(entry.digest for entry in entries[:-1])]
    assert log.head() == entries[-1].digest


def test_an_empty_log_needs_no_key(tmp_path):
    assert DecisionLog(tmp_path / "none").entries() == []
    assert DecisionLog(tmp_path / "none").head() == ""


def test_nothing_is_written_or_read_without_the_key(log):
    with pytest.raises(SettingsError, match="RECONCILIATION_REVIEW_KEY"):
        DecisionLog(log.root).append("comment", "anna", {}, at=NOW)
    with pytest.raises(SettingsError, match="6 entries"):
        DecisionLog(log.root).entries()


def test_another_key_verifies_nothing(log):
    with pytest.raises(LogDamagedError):
        DecisionLog(log.root, "x" * 40).entries()


def flip_one_byte(root, random_source):
    """Change one byte of one file of the log; returns the file."""
    files = [*sorted((root / "entries").iterdir()), root / "head.json"]
    path = random_source.choice(files)
    content = bytearray(path.read_bytes())
    place = random_source.randrange(len(content))
    content[place] ^= random_source.randrange(1, 256)
    path.write_bytes(bytes(content))
    return path


@pytest.mark.parametrize("trials", [60, pytest.param(500, marks=pytest.mark.hard)])
def test_every_change_of_one_byte_is_found_and_placed(log, tmp_path, trials):
    source = random.Random(7)
    found = 0
    for trial in range(trials):
        copy = tmp_path / f"copy{trial}"
        shutil.copytree(log.root, copy)
        changed = flip_one_byte(copy, source)
        with pytest.raises(LogDamagedError) as refused:
            DecisionLog(copy, KEY).entries()
        assert changed.name in str(refused.value) or changed.name == "head.json"
        shutil.rmtree(copy)
        found += 1
    assert found == trials


@pytest.mark.parametrize(
    "damage",
    [
        lambda root: (root / "entries/00000006.json").unlink(),
        lambda root: (root / "entries/00000003.json").unlink(),
        lambda root: (root / "entries/00000001.json").unlink(),
        lambda root: (root / "head.json").unlink(),
        lambda root: (root / "entries/notes.txt").write_text("x"),
        lambda root: shutil.copy(root / "entries/00000003.json", root / "entries/00000004.json"),
        lambda root: shutil.copy(root / "entries/00000006.json", root / "entries/00000007.json"),
        lambda root: shutil.rmtree(root / "entries"),
    ],
    ids=["last one gone", "one gone", "first gone", "head gone", "a file more", "another order", "one repeated", "all gone"],
)
def test_missing_moved_and_added_files_are_found(log, damage):
    damage(log.root)
    with pytest.raises(LogDamagedError):
        log.entries()


def test_a_well_sealed_entry_that_does_not_follow_is_found(log, tmp_path):
    other = DecisionLog(tmp_path / "other", KEY)
    for _ in range(6):
        other.append("comment", "boris", {"text": "another history"}, at=NOW)
    shutil.copy(other.root / "entries/00000004.json", log.root / "entries/00000004.json")
    with pytest.raises(LogDamagedError, match="entry 4 does not follow"):
        log.entries()


def test_the_same_entry_spelled_otherwise_is_found(log):
    path = log.root / "entries/00000002.json"
    path.write_text(json.dumps(json.loads(path.read_text())))
    with pytest.raises(LogDamagedError, match="entry 2 is not written"):
        log.entries()


def test_a_writer_killed_before_the_head_leaves_a_good_log(log):
    before = (log.root / "head.json").read_bytes()
    log.append("comment", "anna", {}, at=NOW)
    (log.root / "head.json").write_bytes(before)
    assert len(log.entries()) == 7
    log.append("comment", "anna", {}, at=NOW)
    assert len(log.entries()) == 8


def test_many_writers_at_once_lose_nothing(log):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: log.append("comment", f"p{number}", {"n": number}, at=NOW), range(40)))
    assert sorted(entry.body["n"] for entry in log.entries()[6:]) == list(range(40))


def test_a_fraction_is_refused_since_it_has_several_spellings(log):
    with pytest.raises(TypeError, match="single spelling"):
        log.append("comment", "anna", {"amount": 1.5}, at=NOW)
    assert len(log.entries()) == 6
