"""A run that is killed at any point leaves the old state or the new one, and its repeat ends with the bytes of a run that was not killed.

Two stories: the first run of a month, from an empty lake, with the pull; and a run that publishes a month anew after a file came late.
Two hundred seeded points of both by `make hard`, every kind of point among them; every day a publication alone, at a few of its points. A failure
names its point:

    RECONCILIATION_POINT=late:117 pytest tests/hard/test_crashes.py
"""

import os
import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson
import pytest

from reconciliation.config import read_settings
from reconciliation.lake import Lake
from reconciliation.months import month_scope
from reconciliation.opening import record_opening
from reconciliation.simulation.company import simulate_company
from reconciliation.simulation.dry_run import deliver
from reconciliation.simulation.options import SimulationOptions
from reconciliation.simulation.sandbox_server import SandboxServer
from reconciliation.simulation.writer import write_company
from tests.hard.crashing import KILLED, View, left_over, publish, read_view, run

MONTH = "2026-08"
SCOPE = month_scope("main", MONTH)
POINTS = 200
NAMED = os.environ.get("RECONCILIATION_POINT", "")


@dataclass(frozen=True)
class Story:
    """A folder before a run, what a reader sees of it, and what it sees after an unbroken run."""

    name: str
    folder: Path
    url: str
    old: View
    new: View
    kinds: list[str]


def view(folder: Path) -> View:
    return read_view(folder, Lake(folder / "lake"), SCOPE, MONTH)


@pytest.fixture(scope="module")
def stories(tmp_path_factory) -> Iterator[dict[str, Story]]:
    folder = tmp_path_factory.mktemp("crashes")
    company, first = folder / "company", folder / "first"
    write_company(simulate_company(SimulationOptions(seed=5, payments=40, months=1)), company)
    first.mkdir()
    shutil.copy(company / "reconciliation.toml", first)
    settings = read_settings(first / "reconciliation.toml")
    record_opening(Lake(first / "lake"), settings, period=MONTH, ledger=[], items=company / "opening_items.csv")
    deliver(company / "deliveries" / MONTH, settings)
    with SandboxServer(company / "stripe") as server:
        made = {"first": make_story("first", first, server.url)}
        late = folder / "late"
        shutil.copytree(folder / "first-whole", late, symlinks=True)
        [ledger] = (late / "inbox" / "ledger").iterdir()
        ledger.write_text("".join(line for number, line in enumerate(ledger.read_text().splitlines(keepends=True)) if number != 7))
        shutil.copy(company / "deliveries" / MONTH / "ledger" / ledger.name, late / "inbox" / "ledger" / "whole_month.csv")
        made["late"] = make_story("late", late, server.url)
        yield made


def make_story(name: str, folder: Path, url: str) -> Story:
    """Run a copy of a folder to its end and note its points."""
    whole, note = folder.parent / f"{name}-whole", folder.parent / f"{name}.json"
    shutil.copytree(folder, whole, symlinks=True)
    assert run(whole / "reconciliation.toml", MONTH, url, note=note) == 0
    story = Story(name, folder, url, view(folder), view(whole), orjson.loads(note.read_bytes()))
    assert story.new.package
    assert story.new != story.old
    assert left_over(whole) == []
    return story


def die_and_repeat(story: Story, point: int, folder: Path) -> None:
    """Kill a run of a story at a point, look, repeat it, look again."""
    said = f"{story.name}:{point} ({story.kinds[point - 1]}); repeat with RECONCILIATION_POINT={story.name}:{point} pytest tests/hard/test_crashes.py"
    shutil.copytree(story.folder, folder, symlinks=True)
    config = folder / "reconciliation.toml"
    assert run(config, MONTH, story.url, die_at=point) == KILLED, said
    seen = view(folder)
    assert seen.package in (story.old.package, story.new.package), f"a mixed package: {said}"
    assert seen.month in (story.old.month, story.new.month), f"a mixed month: {said}"
    assert run(config, MONTH, story.url) == 0, said
    assert view(folder) == story.new, f"other bytes after the repeat: {said}"
    assert left_over(folder) == [], said
    shutil.rmtree(folder)


def choose(story: Story, count: int, seed: int) -> list[int]:
    """Draw points of a story: one of every kind first, then any."""
    chance = random.Random(seed)
    places = {kind: [place for place, other in enumerate(story.kinds, 1) if other == kind] for kind in sorted(set(story.kinds))}
    drawn = [chance.choice(found) for found in places.values()]
    rest = sorted(set(range(1, len(story.kinds) + 1)) - set(drawn))
    return (drawn + chance.sample(rest, min(len(rest), max(0, count - len(drawn)))))[:count]


def test_a_publication_that_dies_anywhere_leaves_the_old_or_the_new(tmp_path):
    views = []
    for number in (1, 2):
        assert publish(tmp_path / "whole", number, note=tmp_path / "kinds") == 0
        views.append(view(tmp_path / "whole"))
    points = len(orjson.loads((tmp_path / "kinds").read_bytes()))
    assert points > 60
    for point in random.Random(0).sample(range(1, points + 1), 8):
        folder = tmp_path / str(point)
        assert publish(folder, 1) == 0
        assert publish(folder, 2, die_at=point) == KILLED
        seen = view(folder)
        assert seen.package in [one.package for one in views], point
        assert seen.month in [one.month for one in views], point
        assert publish(folder, 2) == 0
        assert view(folder) == views[1], point
        assert left_over(folder) == [], point


@pytest.mark.hard
@pytest.mark.skipif(bool(NAMED), reason="one point is named")
@pytest.mark.parametrize("part", range(10))
def test_two_hundred_deaths_leave_the_old_or_the_new(stories, part, tmp_path):
    drawn = {name: choose(story, POINTS // 2, seed=1) for name, story in stories.items()}
    assert sum(map(len, drawn.values())) == POINTS
    for name, points in drawn.items():
        for point in points[part::10]:
            die_and_repeat(stories[name], point, tmp_path / f"{name}-{point}")


@pytest.mark.skipif(not NAMED, reason="no point is named")
def test_the_named_point(stories, tmp_path):
    name, _, point = NAMED.partition(":")
    die_and_repeat(stories[name], int(point), tmp_path / "named")


@pytest.mark.hard
def test_the_points_are_all_there(stories):
    kinds = set(stories["first"].kinds) | set(stories["late"].kinds)
    assert {"before fsync", "torn before fsync", "after fsync", "before replace", "after replace", "before rename", "after rename", "before commit"} <= kinds
    assert {"before symlink", "after symlink", "before mkdir", "after mkdir"} <= kinds
