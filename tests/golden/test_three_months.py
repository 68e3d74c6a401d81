"""Three worked months through the public command line -> exactly the statements, items and matches they must come to.

The story, its steps and the choices behind `expected/` are in `three_months/README.md`. Nothing of the product is imported. A package of ours
names items by its own ids; `Names` turns them into the names of `expected/` (balance transaction and component, payout, ledger document, row
of a bank file, members of the match a residual came from).
"""

import csv
import difflib
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "end_to_end"))
from package_laws import check_package

GOLDEN = Path(__file__).parent / "three_months"
COMMAND = Path(sys.executable).parent / "reconcile"
START_SECONDS_MAX = 60
RUN_SECONDS_MAX = 600

Row = dict[str, str]


@dataclass(frozen=True)
class Step:
    """A month as run once: what is dropped into the inbox before, and the step whose package it follows."""

    period: str
    files: tuple[str, ...]
    before: str | None = None
    locks: bool = False


STEPS = {
    "october_first": Step("2026-10", ("ledger/2026-10_first.csv", "bank/2026-10.csv", "balances/october_first.csv")),
    "october_after_entries": Step("2026-10", ("ledger/2026-10_final.csv", "balances/october_after_entries.csv"), locks=True),
    "november": Step(
        "2026-11",
        ("ledger/2026-10_late.csv", "ledger/2026-11.csv", "bank/2026-11.csv", "balances/november.csv"),
        before="october_after_entries",
        locks=True,
    ),
    "december": Step("2026-12", ("ledger/2026-12.csv", "ledger/2026-12_1051.csv", "bank/2026-12.csv", "balances/december.csv"), before="november"),
}
TOTALS = {  # stripe, ledger, difference, posted into a locked month, in transit opening, in transit closing (GBP)
    "october_first": ("203.91", "2022.20", "-1818.29", "0.00", "800.00", "736.00"),
    "october_after_entries": ("203.91", "215.91", "-12.00", "0.00", "800.00", "736.00"),
    "november": ("494.02", "306.00", "188.02", "120.00", "736.00", "0.00"),
    "december": ("100.00", "571.70", "-471.70", "0.00", "0.00", "471.70"),
}
ITEM_COLUMNS = (
    *("item", "leg", "side", "source_file", "source_row", "date", "amount", "currency"),
    *("kind", "cause", "nature", "origin_period"),
)
ASIDE_COLUMNS = ("source_file", "source_row", "side", "date", "amount", "currency", "account", "rule", "description")


# --- driving the product ------------------------------------------------------------------------------------------


@dataclass
class Company:
    """A folder with the company's settings and inbox, and the sandbox it pulls from."""

    folder: Path
    environment: dict[str, str] = field(default_factory=lambda: environment())

    def reconcile(self, *arguments: str) -> str:
        """Run a command of the product in the company's folder; fail with all it printed."""
        command = [str(COMMAND), *arguments]
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=RUN_SECONDS_MAX, check=False
        )
        assert done.returncode == 0, f"{' '.join(command[1:])} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def open(self) -> None:
        """Set the opening of the first month."""
        self.reconcile("open", "--period", "2026-10", "--ledger", "1050 Stripe Clearing=1312.00", "--items", "opening_items.csv")

    def deliver(self, *files: str) -> None:
        """Drop files into the inbox; a trial balance replaces the one before it."""
        for name in files:
            kind, _, file = name.partition("/")
            target = self.folder / "inbox" / kind / ("balances.csv" if kind == "balances" else file)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(GOLDEN / name, target)

    def package(self, period: str, version: str) -> Path:
        """Return the folder of a close package."""
        return self.folder / "close" / period / version


def environment() -> dict[str, str]:
    """Return the environment of every command: the caller's, with a key of the sandbox and no settings of the caller's own."""
    return {**{name: value for name, value in os.environ.items() if not name.startswith(("RECONCILIATION_", "DAGSTER_"))}, "STRIPE_API_KEY": "rk_test_golden"}


@contextmanager
def sandbox() -> Iterator[str]:
    """Serve the Stripe objects of the fixture on a free port, and end that server afterwards."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(COMMAND), "sandbox", str(GOLDEN / "stripe"), "--port", str(port)]
    with subprocess.Popen(command, env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as server:
        try:
            deadline = time.monotonic() + START_SECONDS_MAX
            while not answers(port):
                if server.poll() is not None:
                    pytest.fail(f"the sandbox ended with {server.returncode}: {server.stderr.read().decode() if server.stderr else ''}")
                if time.monotonic() > deadline:
                    pytest.fail(f"the sandbox does not answer after {START_SECONDS_MAX} s")
                time.sleep(0.1)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


def answers(port: int) -> bool:
    """Tell whether somebody accepts connections on a port of this machine."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def found(folder: Path, api_base: str) -> Company:
    """Make a company's folder: settings that point at the sandbox, opening items, an empty inbox."""
    folder.mkdir(parents=True)
    settings = (GOLDEN / "reconciliation.toml").read_text(encoding="utf-8")
    settings, replaced = re.subn(r'(?m)^api_base = "[^"]*"', f'api_base = "{api_base}"', settings)
    assert replaced == 1
    (folder / "reconciliation.toml").write_text(settings, encoding="utf-8")
    shutil.copyfile(GOLDEN / "opening_items.csv", folder / "opening_items.csv")
    for kind in ("ledger", "bank", "balances"):
        (folder / "inbox" / kind).mkdir(parents=True)
    return Company(folder)


@dataclass(frozen=True)
class Story:
    """The company after its last step, and a copy of the package as each step left it."""

    company: Company
    drafts: dict[str, Path]

    def before(self, step: str) -> Path | None:
        """Return the locked package that a step follows."""
        before = STEPS[step].before
        return self.company.package(STEPS[before].period, "v1") if before else None


@pytest.fixture(scope="module")
def api_base() -> Iterator[str]:
    with sandbox() as url:
        yield url


@pytest.fixture(scope="module")
def story(api_base: str, tmp_path_factory: pytest.TempPathFactory) -> Story:
    folder = tmp_path_factory.mktemp("three_months")
    company = found(folder / "company", api_base)
    company.open()
    drafts = {}
    for name, step in STEPS.items():
        company.deliver(*step.files)
        company.reconcile("run", "--period", step.period)
        drafts[name] = folder / name / step.period / "draft"
        shutil.copytree(company.package(step.period, "draft"), drafts[name])
        if step.locks:
            company.reconcile("close", "lock", step.period)
    return Story(company, drafts)


# --- naming and comparing -------------------------------------------------------------------------------------------


def table(path: Path) -> list[Row]:
    """Read a CSV file of a package or of `expected/`."""
    with path.open(encoding="utf-8-sig", newline="") as handle:
        return list(csv.DictReader(handle))


class Names:
    """Our ids -> the names of `expected/`; knows the matches of all steps up to one, since a residual is named by its match's members."""

    def __init__(self, packages: list[Path]) -> None:
        self.members: dict[str, list[str]] = {}
        for package in packages:
            groups: dict[str, list[Row]] = defaultdict(list)
            for row in table(package / "matches.csv"):
                groups[row["match_id"]].append(row)
            for match, rows in groups.items():
                self.members[match] = sorted(self.name(row) for row in rows if row["item_id"] not in groups)

    def name(self, row: Row) -> str:
        """Name an item of a package."""
        if row["side"] == "ledger":
            return row["item_id"].removeprefix("gl_").rpartition("/")[0]
        if row["side"] == "bank":
            return f"{delivered(row['source_file'])}:{row['source_row']}"
        if row["side"] == "residual":
            return "residual:" + ";".join(self.members.get(row["item_id"], ["(a match of no step)"]))
        if row["side"] == "opening":
            return "opening:" + {"GBP": "1050", "EUR": "1051"}[row["currency"]]
        return row["item_id"]


def delivered(path: str) -> str:
    """Turn the place of a file in the inbox into its name in the fixture."""
    return path.removeprefix("inbox/")


def ordered_residual(name: str) -> str:
    """Write the members in the name of a residual in alphabetical order."""
    kind, _, members = name.partition(":")
    return f"residual:{';'.join(sorted(members.split(';')))}" if kind == "residual" else name


def lines(rows: list[Row], columns: tuple[str, ...]) -> list[str]:
    """Write rows as text, one a line."""
    return [" | ".join(row[column] for column in columns) for row in rows]


def match_lines(rows: list[Row], *, match: str, names: list[str]) -> list[str]:
    """Write each match as one line: leg, difference, members by name with amount and currency; sorted."""
    groups: dict[str, list[tuple[Row, str]]] = defaultdict(list)
    for row, name in zip(rows, names, strict=True):
        groups[row[match]].append((row, name))
    return sorted(
        f"{members[0][0]['leg']} {members[0][0]['match_difference']}: "
        + ", ".join(sorted(f"{name} {row['amount']} {row['currency']}" for row, name in members))
        for members in groups.values()
    )


def require_equal(expected: list[str], actual: list[str], *, what: str) -> None:
    """Fail with the lines that differ, the expected ones marked with a minus."""
    if expected != actual:
        difference = difflib.unified_diff(expected, actual, "expected", "actual", lineterm="", n=1)
        pytest.fail(f"{what}\n" + "\n".join(difference), pytrace=False)


def names_until(story: Story, step: str) -> Names:
    """Return the names known at a step."""
    steps = list(STEPS)
    return Names([story.drafts[name] for name in steps[: steps.index(step) + 1]])


def require_statement(package: Path, step: str) -> None:
    """Compare the statement of a package with the expected one, all columns, in order."""
    expected, actual = (table(folder / "statement.csv") for folder in (GOLDEN / "expected" / step, package))
    columns = tuple(expected[0])
    require_equal([" | ".join(columns), *lines(expected, columns)], [" | ".join(actual[0]), *lines(actual, columns)], what=f"{step}: statement.csv")


def gbp_totals(package: Path) -> tuple[str, ...]:
    """Return the totals of a statement in the order of `TOTALS`."""
    statement = {(row["section"], row["line"]): row for row in table(package / "statement.csv") if row["currency"] == "GBP"}
    closing, late = statement["books", "closing"], statement["books", "posted_into_locked_month"]
    transit = (statement["cash", line]["difference"] for line in ("in_transit_opening", "in_transit_closing"))
    return closing["stripe"], closing["ledger"], closing["difference"], late["ledger"], *transit


# --- tests ----------------------------------------------------------------------------------------------------------


def test_the_inputs_and_the_expected_files_agree_with_each_other() -> None:
    done = subprocess.run([sys.executable, str(GOLDEN / "check.py")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("step", STEPS)
def test_the_statement_is_the_expected_one(story: Story, step: str) -> None:
    require_statement(story.drafts[step], step)


@pytest.mark.parametrize("step", STEPS)
def test_the_totals_are_those_a_controller_worked_out(story: Story, step: str) -> None:
    assert gbp_totals(story.drafts[step]) == TOTALS[step]


@pytest.mark.parametrize("step", STEPS)
def test_the_open_items_are_the_expected_ones(story: Story, step: str) -> None:
    names = names_until(story, step)
    expected = [{**row, "item": ordered_residual(row["item"])} for row in table(GOLDEN / "expected" / step / "open_items.csv")]
    actual = [{**row, "item": names.name(row), "source_file": delivered(row["source_file"])} for row in table(story.drafts[step] / "open_items.csv")]
    require_equal(sorted(lines(expected, ITEM_COLUMNS)), sorted(lines(actual, ITEM_COLUMNS)), what=f"{step}: open_items.csv ({', '.join(ITEM_COLUMNS)})")


@pytest.mark.parametrize("step", STEPS)
def test_the_same_items_are_matched_with_each_other(story: Story, step: str) -> None:
    names = names_until(story, step)
    expected, actual = table(GOLDEN / "expected" / step / "matches.csv"), table(story.drafts[step] / "matches.csv")
    require_equal(
        match_lines(expected, match="match", names=[ordered_residual(row["item"]) for row in expected]),
        match_lines(actual, match="match_id", names=[names.name(row) for row in actual]),
        what=f"{step}: matches.csv",
    )


@pytest.mark.parametrize("step", STEPS)
def test_the_same_rows_are_set_aside_by_the_same_rules(story: Story, step: str) -> None:
    expected = table(GOLDEN / "expected" / step / "set_aside.csv")
    actual = [{**row, "source_file": delivered(row["source_file"])} for row in table(story.drafts[step] / "set_aside.csv")]
    require_equal(sorted(lines(expected, ASIDE_COLUMNS)), sorted(lines(actual, ASIDE_COLUMNS)), what=f"{step}: set_aside.csv")


@pytest.mark.parametrize("step", STEPS)
def test_the_package_keeps_the_laws(story: Story, step: str) -> None:
    violations = check_package(story.drafts[step], before=story.before(step))
    assert not violations, "\n".join(violations)


@pytest.mark.parametrize("step", [step for step in STEPS if STEPS[step].locks])
def test_the_locked_package_is_the_draft_that_was_locked(story: Story, step: str) -> None:
    locked = story.company.package(STEPS[step].period, "v1")
    require_statement(locked, step)
    tables = sorted(path.name for path in locked.glob("*.csv"))
    assert [(locked / name).read_bytes() == (story.drafts[step] / name).read_bytes() for name in tables] == [True] * len(tables)
    assert tables == sorted(path.name for path in story.drafts[step].glob("*.csv"))
    violations = check_package(locked, before=story.before(step))
    assert not violations, "\n".join(violations)


def test_a_second_run_of_a_month_changes_no_byte(story: Story) -> None:
    story.company.reconcile("run", "--period", "2026-12")
    again = story.company.package("2026-12", "draft")
    first = {path.name: path.read_bytes() for path in story.drafts["december"].iterdir()}
    second = {path.name: path.read_bytes() for path in again.iterdir()}
    assert sorted(name for name in first.keys() | second.keys() if first.get(name) != second.get(name)) == []


def test_october_left_open_takes_the_late_line_itself(api_base: str, tmp_path: Path) -> None:
    """The same line that lands in November's `posted_into_locked_month` belongs to October as long as October is not locked."""
    company = found(tmp_path / "company", api_base)
    company.open()
    company.deliver("ledger/2026-10_late.csv", "bank/2026-10.csv", "balances/november.csv")
    company.reconcile("run", "--period", "2026-10")
    package = company.package("2026-10", "draft")
    assert gbp_totals(package)[:4] == ("203.91", "335.91", "-132.00", "0.00")
    assert check_package(package, before=None) == []
