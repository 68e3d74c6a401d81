"""Commands that serve: dev, sandbox."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from assets.cli.options import Config
from assets.cli.output import tell
from reconciliation.config import DEFAULT_FILE, read_settings
from reconciliation.errors import SettingsError

STOP_SECONDS = 20.0


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(dev)
    app.command()(sandbox)


def sandbox(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of Stripe objects, as `reconcile simulate` writes one below stripe/.")],
    port: Annotated[int, typer.Option("--port", min=1, max=65535)] = 12111,
    faults: Annotated[
        int | None,
        typer.Option("--faults", metavar="SEED", help="Misbehave by this seed: errors, cut-off pages, rows twice, late, never or behind their state."),
    ] = None,
    latency_ms: Annotated[int, typer.Option("--latency-ms", min=0, max=60_000, help="How long each answer takes.")] = 0,
    requests_per_second: Annotated[
        float | None, typer.Option("--requests-per-second", min=1, help="Answer 429 beyond this for one endpoint; Stripe's own is 25.")
    ] = None,
) -> None:
    """Serve a Stripe-compatible read API over a folder of objects, on this machine only, until stopped.

    Example: reconcile sandbox data/sample/stripe --port 12111 --faults 7
    """
    from reconciliation.simulation.faults import Answering, Faulty, draw_plan
    from reconciliation.simulation.sandbox import read_sandbox
    from reconciliation.simulation.sandbox_server import Manner, serve

    _require_free(port)
    served = read_sandbox(folder)
    answering: Answering = served
    how = ""
    if faults is not None:
        lists = served.own.listings
        plan = draw_plan(faults, transactions=lists["balance_transactions"].ids, others=lists["payouts"].ids + lists["charges"].ids, late_seconds=90.0)
        answering, how = Faulty(served, plan), f", misbehaving by seed {faults}"
    tell(f"sandbox of {folder}{how}: http://127.0.0.1:{port} (any key that starts with rk_test_ or sk_test_); Ctrl-C stops it")
    serve(answering, port, Manner(latency_ms / 1000, requests_per_second))


def dev(
    config: Config = None,
    port: Annotated[int, typer.Option("--port", min=1, max=65535)] = 3000,
    read_only: Annotated[bool, typer.Option("--read-only", help="Nobody launches or changes anything in Dagster; the review page stays writable.")] = False,
) -> None:
    """Serve the Dagster UI with its schedules and sensors, and the review page at /review, on this machine only, until stopped.

    Example: reconcile dev --port 3000
    """
    from assets.instance import open_instance, prepare_home
    from assets.web import WORKSPACE, describe_workspace
    from reconciliation.lake import write_atomically

    settings = read_settings(config)
    _require_free(port)
    home = prepare_home(Path.cwd())
    write_atomically(home / WORKSPACE, describe_workspace().encode())
    with open_instance(Path.cwd()):
        pass  # Its databases are made before two processes open them at once.
    environment = {
        **os.environ,
        "DAGSTER_HOME": str(home),
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "RECONCILIATION_CONFIG": str((config or Path(os.environ.get("RECONCILIATION_CONFIG", DEFAULT_FILE))).resolve()),
    }
    tell(f"{settings.entity.name}: http://127.0.0.1:{port}, review at http://127.0.0.1:{port}/review; Ctrl-C stops it")
    web = ["-m", "assets.web", "--host", "127.0.0.1", "--port", str(port), "--workspace", str(home / WORKSPACE), *(["--read-only"] if read_only else [])]
    daemon = ["-m", "dagster._daemon", "run", "--log-level", "warning", "--workspace", str(home / WORKSPACE)]
    raise typer.Exit(_run_until_stopped([web, daemon], environment))


def _run_until_stopped(commands: list[list[str]], environment: dict[str, str]) -> int:
    """Run Python processes side by side; when one ends or somebody stops us, all end. Returns the exit code."""
    # A child of a background job inherits an ignored SIGINT, and Dagster then ignores SIGTERM too: it gets the defaults back.
    begin = "import os,signal,sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    children = [subprocess.Popen([sys.executable, "-c", begin, *command], env=environment, start_new_session=True) for command in commands]
    asked = []

    def stop(number: int, frame: object) -> None:
        asked.append(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    while not asked and all(child.poll() is None for child in children):
        time.sleep(0.2)
    for child in children:
        child.terminate()
    for child in children:
        try:
            child.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
    return 0 if asked else 1


def _require_free(port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise SettingsError(f"--port {port}: something else listens there; name another port, or stop what uses it") from error
