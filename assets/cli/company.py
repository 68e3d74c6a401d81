"""Commands of simulated companies: simulate, demo."""

import fcntl
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from assets.cli.options import Json
from assets.cli.output import say, say_json, statement_rows, statement_text, tell
from expectations.runner import load_library
from reconciliation.beside import second_process
from reconciliation.config import read_settings
from reconciliation.errors import BusyError, InputsMissingError, SettingsError
from reconciliation.lake import open_lake

SAMPLE = Path("data/sample")
WORK = Path("data/demo")
DEMO_KEY = "rk_test_sample_company"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(demo)
    app.command()(simulate)


def simulate(
    out: Annotated[Path, typer.Option("--out", help="Folder to write; must not hold anything yet.")],
    payments: Annotated[int, typer.Option("--payments", min=1, help="Payments over all months.")] = 1000,
    seed: Annotated[int, typer.Option("--seed", help="Same seed, same bytes.")] = 1,
    months: Annotated[int, typer.Option("--months", min=1, max=36)] = 3,
    first_period: Annotated[str, typer.Option("--first-period")] = "2026-08",
    sample: Annotated[bool, typer.Option("--sample", help="Write the sample company of data/sample/ instead; the other options are not used.")] = False,
    json: Json = False,
) -> None:
    """Simulate a company's months: Stripe objects, ledger exports, bank statements, and the truth.

    Example: reconcile simulate --out /tmp/company --payments 3000 --seed 7
    """
    from reconciliation.simulation.company import sample_options, simulate_company
    from reconciliation.simulation.options import SimulationOptions
    from reconciliation.simulation.writer import write_company

    if out.exists() and any(out.iterdir()):
        raise SettingsError(f"--out {out}: the folder is not empty; name a new one")
    options = sample_options() if sample else SimulationOptions(seed=seed, payments=payments, months=months, first_period=first_period, stories=months > 1)
    write_company(simulate_company(options), out)
    if json:
        say_json({"out": str(out), "payments": options.payments, "months": options.months, "seed": options.seed})
        return
    say(f"{out}: {options.payments} payments over {options.months} months from {options.first_period}; serve it with: reconcile sandbox {out / 'stripe'}")


def demo(
    sample: Annotated[Path, typer.Option("--sample", help="Folder of a simulated company.")] = SAMPLE,
    work: Annotated[Path, typer.Option("--work", help="Folder of the demo's own inbox, lake and close packages; emptied first.")] = WORK,
    json: Json = False,
) -> None:
    """Reconcile the sample company: serve its Stripe, pull, reconcile its months, write the close packages, print the statements.

    Example: reconcile demo
    """
    with second_process(load_library):
        _reconcile_sample(sample, work, json=json)


def _reconcile_sample(sample: Path, work: Path, *, json: bool) -> None:
    from assets.core import StripeAccess
    from assets.instance import open_instance
    from assets.run import run_month
    from reconciliation.months import lock_month, month_scope, write_package
    from reconciliation.opening import record_opening
    from reconciliation.simulation.dry_run import deliver
    from reconciliation.simulation.sandbox_server import SandboxProcess

    if not (sample / "deliveries").is_dir():
        raise InputsMissingError(
            f"{sample}: no sample company there; run this in the project's folder, or make one: reconcile simulate --out {sample} --sample"
        )
    began = time.monotonic()
    with _own_folder(work):
        shutil.copy(sample / "reconciliation.toml", work)
        config = work / "reconciliation.toml"
        settings = read_settings(config)
        lake = open_lake(settings)
        lake.prepare(time_zone=settings.entity.timezone)
        record_opening(lake, settings, period=settings.start.period, ledger=[], items=sample / "opening_items.csv")
        months = sorted(path.name for path in (sample / "deliveries").iterdir())
        with SandboxProcess(sample / "stripe") as server, open_instance(Path.cwd()) as instance:
            access = replace(StripeAccess(config), key=DEMO_KEY, api_base=server.url)
            for period in months:
                deliver(sample / "deliveries" / period, settings)
                outcome = run_month(config, period, instance=instance, stripe=access, pull=period == months[0], tell=tell)
                statement = lake.read(month_scope(settings.books[0].name, period), "statement")
                if statement is None:
                    raise InputsMissingError(f"{period}: no statement was stored")
                if json:
                    say_json({"period": period, "package": str(outcome.package), "statement": statement_rows(statement)})
                else:
                    say(statement_text(statement, period=period, entity=settings.entity.name) + "\n")
                if period != months[-1]:
                    lock_month(lake, settings, period)
                    tell(f"{period} is locked: {write_package(lake, settings, period, as_version=True)}")
    tell(f"done in {time.monotonic() - began:.1f} s; close packages: {work / 'close'}")


@contextmanager
def _own_folder(work: Path) -> Iterator[None]:
    """Empty a folder of the demo's own and hold it; its mark keeps any other folder from being emptied."""
    work.parent.mkdir(parents=True, exist_ok=True)
    mark = ".reconcile-demo"
    if work.exists() and any(work.iterdir()) and not (work / mark).exists():
        raise SettingsError(f"--work {work}: the folder holds files that no demo made; name a new one")
    with (work.parent / f".{work.name}.lock").open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(f"{work}: another demo is running there; wait for it, or name another folder with --work") from None
        for path in sorted(work.iterdir()) if work.exists() else []:
            if path.name != mark:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        work.mkdir(exist_ok=True)
        (work / mark).touch()
        yield
