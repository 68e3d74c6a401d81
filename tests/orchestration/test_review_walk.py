"""The walk of a reviewer in a real browser: from the page of the breaks to the review page, one decision, twenty at once, gone, in the next package."""

import csv
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pyotp
import pytest

from assets.instance import open_instance
from assets.review import open_desk
from assets.run import run_month
from assets.web import WORKSPACE, describe_workspace
from reconciliation.review.filters import Filters, filter_cases
from reconciliation.review.reviewers import begin_enrollment, enroll
from tests.chromium import Page, browse, find_chromium
from tests.office import KEY

PERIOD = "2026-08"
ASSET = "/assets/breaks?view=events"
needs_browser = pytest.mark.skipif(find_chromium() is None, reason="no Chromium here; on Debian: apt-get install chromium")


@contextmanager
def serving(folder: Path, *arguments: str) -> Iterator[str]:
    """Serve the whole web server of a company, as `reconcile dev` does."""
    home = folder / ".dagster"
    (home / WORKSPACE).write_text(describe_workspace())
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {**os.environ, "DAGSTER_HOME": str(home), "RECONCILIATION_CONFIG": str(folder / "reconciliation.toml"), "DAGSTER_DISABLE_TELEMETRY": "1"}
    command = [sys.executable, "-m", "assets.web", "--port", str(port), "--workspace", str(home / WORKSPACE), *arguments]
    process = subprocess.Popen(command, env=environment, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        base = f"http://127.0.0.1:{port}"
        await_server(base, process)
        yield base
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)


def await_server(base: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        assert process.poll() is None, "the web server ended"
        try:
            with urllib.request.urlopen(f"{base}/server_info", timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    raise AssertionError("the web server did not answer")


class Phone:
    """An authenticator: shows a code that was not used before."""

    def __init__(self, log, name: str) -> None:
        enrollment = begin_enrollment(KEY, name, issuer="Example Ltd")
        self._totp, self._last = pyotp.parse_uri(enrollment.uri), ""
        # Enrolled with the code of a minute ago: the one of now is still good.
        before = datetime.fromtimestamp(time.time() - 60, UTC)
        enroll(log, enrollment, code=self._totp.at(before), at=before, is_bootstrap=True)

    def code(self) -> str:
        while self._totp.now() == self._last:
            time.sleep(0.5)
        self._last = self._totp.now()
        return self._last


@pytest.fixture
def shop(busy, tmp_path, monkeypatch):
    """A copy of a company that was reconciled once, with its instance, at an address of its own."""
    monkeypatch.setenv("RECONCILIATION_REVIEW_KEY", KEY)
    folder = tmp_path / "shop"
    shutil.copytree(busy.folder, folder, symlinks=True, ignore=shutil.ignore_patterns(".dagster"))
    return folder


def sign_in(page: Page, name: str, phone: Phone) -> None:
    page.choose("select[name=reviewer]", name)
    page.type("input[name=code]", phone.code())
    page.click("button.primary")


def walk(page: Page, base: str, phone: Phone, pictures: Path | None) -> tuple[set[str], list[float]]:
    """Go the whole way; returns the cases decided, and how long each step made the person wait."""
    waits: list[float] = []

    def step(act, name: str = "") -> None:
        began = time.perf_counter()
        act()
        waits.append(time.perf_counter() - began)
        if pictures is not None and name:
            page.picture(pictures / f"review_{name}.png")

    page.open(base + ASSET)
    page.wait_for("[...document.querySelectorAll('a')].some(one => one.getAttribute('href')?.startsWith('/review/'))")
    step(lambda: None, "asset")
    address = page.run("[...document.querySelectorAll('a')].find(one => one.getAttribute('href').startsWith('/review/')).href")
    page.open(address)
    sign_in(page, "anna", phone)
    assert page.count("tr[data-row]") > 0, page.text
    page.open(f"{base}/review/?month={PERIOD}&tab=root")
    step(lambda: None, "root_causes")
    page.open(f"{base}/review/?month={PERIOD}&tab=all&cause=timing&high=900")
    before = picks(page)
    assert len(before) >= 21
    page.press("j")
    step(lambda: page.press("Enter"), "case")
    assert all(word in page.text for word in ("Stripe", "Ledger", "Bank", "Why", "The entry it would create"))
    page.type("#reason", "Posted in the first days of September.")
    step(lambda: page.click("#decide"))
    page.open(f"{base}/review/?month={PERIOD}&tab=all&cause=timing&high=900")
    left = picks(page)
    assert len(left) == len(before) - 1
    small = smallest(page, 20)
    for key in ["j"] * len(left):
        page.press(key)
    page.run(f"for (const one of document.querySelectorAll('input[name=pick]')) if ({small!r}.includes(one.value)) one.click()")
    assert page.run("document.getElementById('chosen').textContent").startswith("20 selected, ")
    step(lambda: None, "twenty")
    step(lambda: page.press("a"), "confirm")
    assert "20 cases" in page.text
    page.type("#reason", "Late postings of the web shop, all in the September export.")
    step(lambda: page.click("#decide"), "decided")
    assert "20 cases" in page.text
    page.open(f"{base}/review/?month={PERIOD}&tab=all&cause=timing&high=900")
    assert len(picks(page)) == len(before) - 21
    return set(before) - set(picks(page)), waits


def picks(page: Page) -> list[str]:
    return [value.partition(":")[0] for value in page.run("[...document.querySelectorAll('input[name=pick]')].map(one => one.value)")]


def smallest(page: Page, count: int) -> list[str]:
    """Return the picks of the smallest amounts, so that together they stay below the limit of two people."""
    rows = page.run(
        "[...document.querySelectorAll('tr[data-row]')].map(row => [Math.abs(Number(row.dataset.net)), row.querySelector('input[name=pick]').value])"
    )
    return [value for _, value in sorted(rows)[:count]]


@needs_browser
@pytest.mark.parametrize("arguments", [pytest.param([], marks=pytest.mark.hard), ["--read-only"]], ids=["writable", "read-only"])
def test_a_reviewer_walks_from_the_breaks_to_decisions_that_stand_in_the_next_package(shop, busy, core, tmp_path, arguments):
    config = shop / "reconciliation.toml"
    pictures = Path(os.environ["RECONCILIATION_PICTURES"]) if "RECONCILIATION_PICTURES" in os.environ else None
    desk = open_desk(config)
    phone = Phone(desk.log, "anna")
    with open_instance(shop) as instance:
        run_month(config, PERIOD, instance=instance, stripe=busy.stripe, core=core, pull=False)
        with serving(shop, *arguments) as base, browse(tmp_path / "profile", height=1000) as page:
            decided, waits = walk(page, base, phone, pictures)
            assert max(waits) * 50 < 180 * 4, waits
            launch = page_says_read_only(base)
            assert launch == bool(arguments)
        run_month(config, PERIOD, instance=instance, stripe=busy.stripe, core=core, pull=False)
    package = shop / "close" / PERIOD / "draft"
    accepted, open_ones = read_ids(package / "expected_variances.csv"), read_ids(package / "exceptions.csv")
    assert len(decided) == 21
    assert decided <= accepted
    assert not decided & open_ones
    waiting = filter_cases(desk.view(PERIOD).cases, Filters(tab="all"), reviewer="anna", materiality_minor=0)
    assert waiting.filter(pl.col("break_id").is_in(decided)).is_empty()


def page_says_read_only(base: str) -> bool:
    """Whether Dagster refuses to launch."""
    body = b'{"query": "{ permissions { permission value } }"}'
    request = urllib.request.Request(f"{base}/graphql", data=body, headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        import json

        values = {one["permission"]: one["value"] for one in json.load(answer)["data"]["permissions"]}
    return not values["launch_pipeline_execution"]


def read_ids(path: Path) -> set[str]:
    with path.open(encoding="utf-8-sig", newline="") as handle:
        return {row["break_id"] for row in csv.DictReader(handle)}


@needs_browser
def test_the_page_decides_without_javascript(shop, busy, core, tmp_path):
    from starlette.applications import Starlette
    from starlette.routing import Mount

    from reconciliation.review.page.app import build_app
    from tests.visitor import served

    desk = open_desk(shop / "reconciliation.toml")
    phone = Phone(desk.log, "anna")
    with served(Starlette(routes=[Mount("/review", app=build_app(desk))])) as base, browse(tmp_path / "profile", has_script=False) as page:
        page.open(f"{base}/review/?tab=all&cause=timing&high=300")
        sign_in(page, "anna", phone)
        before = len(picks(page))
        page.click("tr[data-row] input[name=pick]")
        page.click("tr[data-row]:nth-child(2) input[name=pick]")
        page.click("button[name=do][value=accept]")
        assert "2 cases" in page.text
        page.type("#reason", "Both posted on the first.")
        page.click("#decide")
        assert "accepted the explanation of 2 cases" in page.text
        assert len(picks(page)) == before - 2
        page.click(".notice button")
        assert len(picks(page)) == before
