"""The command line without the work behind it: help, refusals, exit codes, results for machines."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import typer.testing

from assets.cli.main import app, main
from reconciliation.config import read_settings
from reconciliation.errors import BusyError, ReconciliationError, SettingsError
from reconciliation.lake import Lake
from reconciliation.simulation.sandbox_server import SandboxServer


def list_commands(group, prefix: str = "") -> list[str]:
    """Return every command of a group and of the groups in it, as one types it."""
    found = []
    for name, command in group.commands.items():
        found += list_commands(command, f"{prefix}{name} ") if hasattr(command, "commands") else [f"{prefix}{name}"]
    return found


COMMANDS = list_commands(typer.main.get_command(app))
TOML = """
[entity]
name = "Example Ltd"
timezone = "Europe/London"
currency = "GBP"
[start]
period = "2026-10"
[[books]]
[[books.ledger_accounts]]
account = "1050 Stripe Clearing"
currency = "GBP"
"""
ITEMS = "leg,side,date,amount,currency\nbooks,stripe,2026-09-29,-800.00,GBP\n"


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    (tmp_path / "reconciliation.toml").write_text(TOML)
    monkeypatch.chdir(tmp_path)
    for name in ("RECONCILIATION_CONFIG", "STRIPE_API_KEY", "DAGSTER_POSTGRES_URL"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def call(*arguments: str) -> typer.testing.Result:
    return typer.testing.CliRunner().invoke(app, list(arguments))


def lake_of(folder: Path) -> Lake:
    settings = read_settings(folder / "reconciliation.toml")
    return Lake(settings.path(settings.storage.lake))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command):
    shown = call(*command.split(), "--help")
    assert shown.exit_code == 0
    assert f"Example: reconcile {command}" in " ".join(shown.output.split())


def test_help_does_not_load_the_orchestrator():
    code = (
        "import sys\nfrom assets.cli.main import app\nprint([name for name in ('dagster', 'great_expectations', 'altair', 'sklearn') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(("arguments", "code"), [(["run"], 2), (["run", "--period", "2026-10", "--wrong"], 2), (["nothing"], 2)])
def test_a_wrong_flag_is_asked_wrongly(folder, arguments, code):
    assert call(*arguments).exit_code == code


@pytest.mark.parametrize(("error", "code"), [(SettingsError("set it"), 2), (BusyError("wait for it"), 1)])
def test_a_refusal_is_printed_without_a_traceback_and_with_its_exit_code(monkeypatch, capsys, error: ReconciliationError, code):
    def refuse():
        raise error

    monkeypatch.setattr("assets.cli.main.app", refuse)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == code
    assert capsys.readouterr().err == f"reconcile: {error}\n"


def test_the_opening_is_stored_and_told_for_a_machine(folder):
    (folder / "items.csv").write_text(ITEMS)
    done = call("open", "--period", "2026-10", "--ledger", "1050 Stripe Clearing=1312.00", "--items", "items.csv", "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["items"] == 1
    assert lake_of(folder).facts("opening/main")["ledger"] == {"1050 Stripe Clearing|GBP": 131200}


def test_settings_elsewhere_are_taken_with_their_own_folder(folder, monkeypatch, tmp_path_factory):
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert call("open", "--period", "2026-10", "--config", str(folder / "reconciliation.toml")).exit_code == 0
    assert lake_of(folder).tables("opening/main") is not None
    assert list(Path.cwd().iterdir()) == []


def test_the_state_of_a_month_says_what_to_do_next(folder):
    assert call("close", "status", "2026-10").stdout == "2026-10: open, not reconciled yet; next: reconcile run --period 2026-10\n"
    lake_of(folder).publish("month/main/2026-10", {})
    assert json.loads(call("close", "status", "2026-10", "--json").stdout)["state"] == "open, reconciled"
    lake_of(folder).publish("lock/2026-10/main", {})
    assert json.loads(call("close", "status", "2026-10", "--json").stdout)["state"] == "locked"


def test_locking_a_month_that_was_not_reconciled_is_refused(folder):
    refused = call("close", "lock", "2026-10")
    assert "reconcile run --period 2026-10" in str(refused.exception)


def test_a_file_that_is_refused_is_told_on_one_line_and_ends_with_one(folder):
    (folder / "odd.csv").write_text("a,b\n1,2\n")
    done = call("check", "--json", "odd.csv")
    assert done.exit_code == 1
    [line] = done.stdout.splitlines()
    assert json.loads(line)["file"] == "odd.csv"
    assert json.loads(line)["refused"]["message"]


def test_the_doctor_names_what_is_wrong_and_the_next_step(folder):
    done = call("doctor", "--json")
    found = {finding["check"]: finding for finding in map(json.loads, done.stdout.splitlines())}
    assert done.exit_code == 1
    assert found["settings"]["state"] == "ok"
    assert (found["Stripe"]["state"], "restricted, read-only key" in found["Stripe"]["message"]) == ("wrong", True)
    assert (found["ledger inbox"]["state"], found["lake"]["state"]) == ("wrong", "ok")
    assert "reconcile open --period 2026-10" in found["opening"]["message"]


def test_the_doctor_tries_the_key_and_keeps_kinds_of_money_apart(folder, monkeypatch):
    objects = folder / "stripe"
    objects.mkdir()
    (objects / "balance_transactions.jsonl").write_bytes(b"")

    def stripe_findings(key: str) -> list[tuple[str, str]]:
        monkeypatch.setenv("STRIPE_API_KEY", key)
        found = map(json.loads, call("doctor", "--json").stdout.splitlines())
        return [(finding["state"], finding["message"]) for finding in found if finding["check"].startswith("Stripe")]

    with SandboxServer(objects) as server:
        (folder / "reconciliation.toml").write_text(TOML + f'[stripe]\napi_base = "{server.url}"\n')
        states = stripe_findings("rk_test_reads")
        assert [state for state, _ in states] == ["ok", "ok"]
        assert "test key; it may read everything" in states[0][1]
        [(state, message), *_] = stripe_findings("sk_test_all")
        assert (state, "full secret key" in message) == ("warning", True)
        assert stripe_findings("rk_live_wrong")[0][0] == "wrong"
        lake_of(folder).publish("stripe_mode", {}, facts={"is_live": True})
        [(state, message)] = stripe_findings("rk_test_reads")
        assert (state, "holds live data" in message) == ("wrong", True)


def test_the_doctor_without_settings_says_where_to_start(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RECONCILIATION_CONFIG", raising=False)
    done = call("doctor")
    assert done.exit_code == 1
    assert "--config" in done.stdout


@pytest.mark.parametrize("command", [["dev"], ["sandbox", "."]])
def test_a_busy_port_is_refused_with_what_to_do(folder, command):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = call(*command, "--port", str(port))
    assert f"--port {port}: something else listens there; name another port" in str(refused.exception)


def test_the_sandbox_misbehaves_slows_down_and_turns_away_when_asked_to(folder, monkeypatch):
    (folder / "balance_transactions.jsonl").write_bytes(b'{"id":"txn_1","created":5}')
    served = []
    monkeypatch.setattr("reconciliation.simulation.sandbox_server.serve", lambda *arguments: served.append(arguments))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    done = call("sandbox", ".", "--port", str(port), "--faults", "7", "--latency-ms", "150", "--requests-per-second", "25")
    assert done.exit_code == 0
    assert "misbehaving by seed 7" in done.stderr
    [(answering, _, manner)] = served
    assert (answering.plan.seed, manner.latency_seconds, manner.requests_per_second) == (7, 0.15, 25.0)


def test_a_company_is_simulated_into_a_new_folder_only(folder):
    made = call("simulate", "--out", "company", "--payments", "20", "--months", "1", "--json")
    assert made.exit_code == 0
    assert (folder / "company" / "deliveries" / "2026-08" / "ledger").is_dir()
    assert "not empty" in str(call("simulate", "--out", "company").exception)


def test_the_demo_empties_no_folder_that_it_did_not_make(folder):
    (folder / "mine").mkdir()
    (folder / "mine" / "ledger.csv").write_text("precious")
    (folder / "sample" / "deliveries").mkdir(parents=True)
    refused = call("demo", "--sample", "sample", "--work", "mine")
    assert "no demo made" in str(refused.exception)
    assert (folder / "mine" / "ledger.csv").read_text() == "precious"


def test_a_collection_of_a_family_that_does_not_exist_names_those_that_do(tmp_path: Path):
    result = call("collect", "--family", "moon_base", "--out", str(tmp_path / "collected"))
    assert result.exit_code == 2
    assert "moon_base" in result.output
    assert "ticket_office" in result.output
    assert not (tmp_path / "collected").exists()
