"""What those who run the program see: metrics, alerts, logs, and a run's story."""

import http.server
import json
import logging
import re
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from dagster_shared.error import SerializableErrorInfo
from starlette.applications import Starlette

from assets import jobs, metrics
from assets.alerts import alerts_file, pulls, tell_alerts, watch
from assets.logs import JsonLines, configure_logs
from assets.sensors import describe_failure
from assets.story import tell_story
from reconciliation.config import Watch
from reconciliation.errors import InputsMissingError, SettingsError
from reconciliation.months import month_scope
from reconciliation.watch.alerts import Alert, find_alerts
from reconciliation.watch.measures import measure
from tests.visitor import Visitor, served

MONTH = "2026-08"
LINE = re.compile(r'^reconciliation_[a-z_]+\{([a-z_]+="[^"\n]*",?)*\} -?\d+(\.\d+)?$')


@pytest.fixture
def now(reconciled):
    return pulls(reconciled[0].lake, reconciled[0].settings)["self"] + timedelta(hours=1)


def test_metrics_are_served_as_prometheus_reads_them(reconciled):
    workplace, instance = reconciled
    with served(Starlette(routes=[metrics.route(instance, lambda: workplace.settings)])) as address:
        answer = Visitor(address).get("/metrics")
    text = answer.content.decode()
    lines = text.splitlines()
    assert answer.status == 200
    assert [line for line in lines if not line.startswith("# ") and not LINE.match(line)] == []
    names = {line.split()[2] for line in lines if line.startswith("# TYPE")}
    wanted = (
        "pull_lag_seconds",
        "completeness_proofs",
        "match_rate",
        "exceptions",
        "exceptions_amount",
        "auto_clear_sample",
        "run_seconds",
        "unexplained_amount",
    )
    assert {f"reconciliation_{name}" for name in wanted} <= names
    assert 'reconciliation_runs{job="reconcile",status="success"} 1' in lines


def test_what_is_measured_adds_up_to_the_published_tables(reconciled, now):
    workplace, _ = reconciled
    lake, settings = workplace.lake, workplace.settings
    samples = measure(lake, settings, pulled=pulls(lake, settings), now=now)
    found = {(sample.name, *(value for _, value in sample.labels)): sample.value for sample in samples}
    breaks, items, members = (lake.read(month_scope("main", MONTH), table) for table in ("breaks", "items", "members"))
    assert sum(int(value) for (name, *_), value in found.items() if name == "exceptions") == breaks.height
    pence = sum(round(float(value) * 100) for (name, *_), value in found.items() if name == "exceptions_amount")
    assert pence == breaks["amount_minor"].abs().sum()
    real = items.filter(pl.col("side") != "residual").join(members, on=["leg", "item_id"], how="left")
    for leg in ("books", "cash"):
        of_leg = real.filter(leg=leg)
        assert float(found["match_rate", "main", MONTH, leg]) == pytest.approx(1 - of_leg["match_id"].null_count() / of_leg.height, abs=1e-6)
    assert found["pull_lag_seconds", "self"] == "3600"


def test_the_same_numbers_stand_on_the_statements_page(reconciled):
    instance = reconciled[1]
    metadata = instance.get_latest_materialization_event(dg.AssetKey("statement")).asset_materialization.metadata
    assert 0.5 < metadata["watch/match_rate_books"].value <= 1


def kinds(alerts: list[Alert]) -> set[str]:
    return {alert.kind for alert in alerts}


def test_a_quiet_night_alerts_of_nothing_but_what_is_open(reconciled, now):
    workplace, _ = reconciled
    alerts = find_alerts(workplace.lake, workplace.settings, pulled=pulls(workplace.lake, workplace.settings), now=now)
    assert kinds(alerts) <= {"material_break", "ageing_exception", "unexplained"}


def test_each_trouble_is_told_once_and_again_when_it_comes_back(workplace, instance, core, tmp_path, reconciled):
    source = reconciled[0].lake
    lake = workplace.lake
    scope = month_scope("main", MONTH)
    facts = source.facts(scope)
    tables = {name: lake.stage(name, source.load(file)) for name, file in source.tables(scope).items()}
    lake.publish("pull/self", {}, facts=source.facts("pull/self"))
    through = pulls(lake, workplace.settings)["self"]

    def told(*, hours: int = 1, breaks: pl.DataFrame | None = None, **changed: object) -> list[Alert]:
        staged = tables if breaks is None else {**tables, "breaks": lake.stage("breaks", breaks)}
        lake.publish(scope, staged, facts={**facts, **changed})
        return watch(lake, workplace.settings, now=through + timedelta(hours=hours))

    told()
    assert told() == []
    failed = [{**facts["completeness"][0], "result": "failed"}]
    assert kinds(told(completeness=failed)) == {"failed_proof"}
    assert told(completeness=failed) == []
    assert kinds(told(hours=31)) == {"late_pull"}
    late = {**facts["complete_through"], "bank": "2026-08-20"}
    assert kinds(told(complete_through=late)) == {"late_file"}
    assert kinds(told(clearing={**facts["clearing"], "alarms": ["the scores have moved"]})) == {"drift"}
    breaks = lake.load(tables["breaks"])
    assert kinds(told(breaks=breaks.with_columns(age_days=pl.lit(400, dtype=pl.Int64)))) == {"ageing_exception"}
    assert kinds(told(breaks=breaks.with_columns(amount_minor=pl.lit(10_000_000, dtype=pl.Int64)))) == {"material_break"}
    assert kinds(told(completeness=failed)) >= {"failed_proof"}
    lines = [json.loads(line) for line in alerts_file(workplace.settings).read_text().splitlines()]
    assert {line["alert"] for line in lines} >= {"failed_proof", "late_pull", "late_file", "drift", "ageing_exception", "material_break"}
    names = set(breaks["counterparty"]) - {""}
    assert not any(name in json.dumps(lines, ensure_ascii=False) for name in names)


ALERT = Alert("late_file", "late_file/x", "the bank inbox ends early", {"book": "main"})
AT = datetime(2026, 10, 15, tzinfo=UTC)


def test_a_program_gets_the_line_and_one_that_fails_loses_nothing(workplace, caplog):
    keep = [sys.executable, "-c", "import pathlib, sys; pathlib.Path('told').write_text(sys.stdin.read())"]
    for command in (keep, ["/nonexistent"], [sys.executable, "-c", "raise SystemExit(3)"]):
        settings = workplace.settings.model_copy(update={"watch": Watch(alert_command=tuple(command))})
        tell_alerts(settings, [ALERT], at=AT)
    line = (workplace.folder / "told").read_text()
    assert json.loads(line) == {
        "at": "2026-10-15T00:00:00Z",
        "alert": "late_file",
        "key": "late_file/x",
        "message": "the bank inbox ends early",
        "book": "main",
    }
    assert len(alerts_file(workplace.settings).read_text().splitlines()) == 3
    assert [record.message for record in caplog.records if record.levelno == logging.ERROR] != []


def test_an_address_gets_the_line_only_where_one_is_set(workplace, monkeypatch, caplog):
    got: list[bytes] = []

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Receiver) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        tell_alerts(workplace.settings, [ALERT], at=AT)
        assert got == []
        monkeypatch.setenv("RECONCILIATION_ALERT_WEBHOOK", f"http://127.0.0.1:{server.server_port}/hook-secret")
        tell_alerts(workplace.settings, [ALERT], at=AT)
        server.shutdown()
    assert [json.loads(line)["key"] for line in got] == ["late_file/x"]
    monkeypatch.setenv("RECONCILIATION_ALERT_WEBHOOK", "http://127.0.0.1:9/hook-secret")
    tell_alerts(workplace.settings, [ALERT], at=AT)
    assert "hook-secret" not in caplog.text
    assert len(alerts_file(workplace.settings).read_text().splitlines()) == 3


def test_a_failed_run_is_told_by_the_names_of_its_errors_and_quotes_nothing():
    run = dg.DagsterRun(job_name=jobs.RECONCILE, tags={"dagster/partition": "main|2026-08"})
    inner = SerializableErrorInfo("ledger.csv: Anna Schmidt 12.00", [], "IncompletePullError", None, None)
    alert = describe_failure(run, [wrapped(inner)])
    assert alert.kind == "failed_proof"
    assert "Anna" not in json.dumps(alert.to_json(at=AT))
    assert describe_failure(run, []).kind == "failed_run"


def wrapped(inner: SerializableErrorInfo) -> SerializableErrorInfo:
    return SerializableErrorInfo("step failed", [], "DagsterExecutionStepExecutionError", inner, None)


def test_a_run_tells_its_whole_story_from_its_id(reconciled):
    workplace, instance = reconciled
    by_job = {run.job_name: run for run in instance.get_runs()}
    pull = tell_story(instance, by_job[jobs.PULL].run_id)
    assert pull["run"]["partition"].startswith("self|")
    assert {made["asset"]: made["partitions"] for made in pull["made"]}["balance_transactions"] == 75
    month = tell_story(instance, by_job[jobs.RECONCILE].run_id[:12])
    assert [step["status"] for step in month["steps"]] == ["success"] * len(month["steps"])
    assert {made["asset"] for made in month["made"]} >= {"ledger_lines", "matches", "breaks", "statement"}
    assert {check["check"] for check in month["checks"]} == {"must_hold", "usually_holds"}
    assert [other["job"] for other in month["belongs_to"]] == [jobs.CLOSE]
    close = tell_story(instance, by_job[jobs.CLOSE].run_id)
    manifest = json.loads((workplace.folder / "close" / MONTH / "draft" / "manifest.json").read_bytes())
    assert close["package"]["package_sha256"] == manifest["package_sha256"]
    assert close["package"]["decision_log"] == manifest["decision_log"]
    assert {one["path"] for one in close["package"]["inputs"]} == {one["path"] for book in manifest["books"] for one in book["inputs"]}
    with pytest.raises(InputsMissingError, match="give the whole id"):
        tell_story(instance, "")


def test_the_command_tells_it_in_lines(reconciled):
    workplace, instance = reconciled
    run = next(run for run in instance.get_runs() if run.job_name == jobs.CLOSE)
    done = subprocess.run([Path(sys.executable).with_name("reconcile"), "story", run.run_id], cwd=workplace.folder, capture_output=True, text=True, check=True)
    assert "package_sha256" in done.stdout
    assert "input inbox/ledger/2026-08.csv" in done.stdout


def test_logs_are_json_lines_where_that_is_asked_for(monkeypatch, capsys):
    monkeypatch.setenv("RECONCILIATION_LOG", "xml")
    with pytest.raises(SettingsError, match="it is text"):
        configure_logs()
    record = logging.LogRecord("assets.run", logging.INFO, "f", 1, "run of %s ended", ("pull",), None)
    record.facts = {"run_id": "1"}
    content = json.loads(JsonLines().format(record))
    assert {name: content[name] for name in ("level", "logger", "message", "run_id")} == {
        "level": "info",
        "logger": "assets.run",
        "message": "run of pull ended",
        "run_id": "1",
    }
