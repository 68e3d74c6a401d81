"""Deciding through Dagster: the typed job, the sensors, the links, and the page's place in the web server."""

import json
import shutil
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import dagster as dg
import polars as pl
import pyotp
import pytest
from starlette.routing import Mount
from typer.testing import CliRunner

from assets.cli.main import app
from assets.definitions import Overrides, build_defs
from assets.instance import open_instance
from assets.links import launchpad_address, link_review
from assets.review import JOB, ReviewConfig, open_desk
from assets.web import ReviewWebserver, make_application
from reconciliation.review.reviewers import begin_enrollment, enroll
from tests.office import KEY

PERIOD = "2026-08"


@pytest.fixture
def shop(busy, tmp_path, monkeypatch):
    """A copy of a reconciled company's desk, its settings file, and the codes of one reviewer's phone."""
    monkeypatch.setenv("RECONCILIATION_REVIEW_KEY", KEY)
    folder = tmp_path / "shop"
    shutil.copytree(busy.folder, folder, symlinks=True, ignore=shutil.ignore_patterns(".dagster"))
    desk = open_desk(folder / "reconciliation.toml")
    enrollment = begin_enrollment(KEY, "anna", issuer="Example Ltd")
    phone = pyotp.parse_uri(enrollment.uri)
    before = datetime.now(UTC) - timedelta(seconds=90)
    enroll(desk.log, enrollment, code=phone.at(before), at=before, is_bootstrap=True)
    return desk, folder, phone


def small_cases(desk, count):
    cases = desk.view(PERIOD).cases
    return cases.filter((pl.col("amount_minor").abs() < 20_000) & (pl.col("cause") == "timing"))["break_id"].to_list()[:count]


def test_the_job_decides_and_refuses_in_words(shop, tmp_path):
    desk, folder, phone = shop
    job = build_defs(Overrides(folder / "reconciliation.toml")).resolve_job_def(JOB)
    chosen = small_cases(desk, 2)

    def run(code):
        config = {"period": PERIOD, "decision": "CARRY_FORWARD", "breaks": chosen, "reason": "Clears in September.", "reviewer": "anna", "code": code}
        return job.execute_in_process(run_config={"ops": {"decide": {"config": config}}}, instance=instance, raise_on_error=False)

    with open_instance(tmp_path) as instance:
        assert not run("000000").success
        assert run(phone.now()).success
        assert not run(phone.now()).success
    entries = desk.log.entries()
    assert [entry.kind for entry in entries] == ["enroll", "carry_forward"]
    assert [one["break_id"] for one in entries[-1].body["shown"]] == sorted(chosen)


def test_a_decision_is_followed_by_one_run_and_a_sign_in_by_none(shop, tmp_path):
    desk, folder, phone = shop
    definitions = build_defs(Overrides(folder / "reconciliation.toml"))
    sensor = definitions.resolve_sensor_def("after_decisions")
    with open_instance(tmp_path) as instance:

        def tick(cursor):
            with dg.build_sensor_context(instance=instance, cursor=cursor, resources={"settings": definitions.resources["settings"]}) as context:
                return sensor(context)

        assert "Nothing was decided" in tick(None).skip_message
        from reconciliation.review.plain import PlainDecision, decide_plainly

        decide_plainly(desk, PlainDecision(PERIOD, "carry_forward", tuple(small_cases(desk, 1)), (), "anna", phone.now(), reason="x"))
        first = tick(None)
        assert [request.partition_key for request in first.run_requests] == [f"main|{PERIOD}"]
        assert "Nothing was decided" in tick(first.cursor).skip_message


def test_the_asset_leads_to_the_page_by_relative_links(shop):
    desk, _, _ = shop
    breaks = desk.view(PERIOD).months["main"].breaks
    text = link_review(breaks, PERIOD)["review"].md_str
    assert f"(/review/?month={PERIOD})" in text
    assert len(text) < 1000
    config = json.loads(parse_qs(urlsplit(launchpad_address(PERIOD, ["br_1"])).query)["config"][0])
    assert set(config["ops"]["decide"]["config"]) <= set(ReviewConfig.model_fields)
    assert config["ops"]["decide"]["config"]["breaks"] == ["br_1"]


def test_the_page_stands_before_dagsters_own_routes(shop, tmp_path):
    from dagster._core.workspace.context import WorkspaceProcessContext
    from dagster._core.workspace.load_target import EmptyWorkspaceTarget

    desk, _, _ = shop
    with open_instance(tmp_path) as instance, WorkspaceProcessContext(instance, EmptyWorkspaceTarget()) as context:
        routes = ReviewWebserver(context, desk).build_routes()
        assert isinstance(routes[0], Mount)
        assert routes[0].path == "/review"
        assert [route.path for route in routes[-2:]] == ["/{path:path}", "/"]
        assert "/graphql" in [getattr(route, "path", "") for route in routes]
        assert make_application(context, desk).routes


def test_a_workbook_goes_out_and_back_by_command(shop, tmp_path, monkeypatch):
    desk, folder, phone = shop
    monkeypatch.chdir(tmp_path)
    config = ["--config", str(folder / "reconciliation.toml")]
    runner = CliRunner()
    out = runner.invoke(app, ["review", "export", "--period", PERIOD, "--out", "r.xlsx", "--json", *config])
    assert json.loads(out.stdout)["cases"] == desk.view(PERIOD).cases.height
    back = runner.invoke(app, ["review", "import", "r.xlsx", "--by", "anna", "--code", phone.now(), "--json", *config])
    assert json.loads(back.stdout) | {"result": ""} == {"taken": [], "entries": [], "refused": [], "blank": desk.view(PERIOD).cases.height, "result": ""}
    assert (tmp_path / "r-result.xlsx").exists()
    missing = runner.invoke(app, ["review", "import", "none.xlsx", "--by", "anna", *config])
    assert "there is no such file" in str(missing.exception)


def test_the_inbox_sensor_looks_at_a_file_once(shop, tmp_path):
    _, folder, _ = shop
    inbox = folder / "data" / "inbox" / "review"
    inbox.mkdir(parents=True)
    (inbox / "x.xlsx").write_bytes(b"PK\x03\x04 no workbook")
    definitions = build_defs(Overrides(folder / "reconciliation.toml"))
    sensor = definitions.resolve_sensor_def("review_inbox")
    only_settings = {"settings": definitions.resources["settings"]}
    with open_instance(tmp_path) as instance, dg.build_sensor_context(instance=instance, resources=only_settings) as context:
        told = sensor(context)
    assert "wait on the review page" in str(told.skip_message)
    assert (inbox / "x.xlsx").exists()
