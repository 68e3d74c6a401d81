"""A company with two books, each of a Stripe account of its own: the simulated kind, and a copy of it under other account names."""

import os
import shutil
from pathlib import Path

from reconciliation.config import read_settings
from reconciliation.lake import open_lake
from reconciliation.opening import record_opening
from reconciliation.simulation.company import simulate_company
from reconciliation.simulation.dry_run import deliver
from reconciliation.simulation.options import SimulationOptions
from reconciliation.simulation.writer import write_company

CLOCK = "TEST_STRIPE_CLOCK"
"""Where a process finds the instant at which the simulated Stripe stands."""

SECOND = """
[[books]]
name = "second"
stripe_accounts = ["acct_second"]
bank_match = ["NOTHING OF IT"]

[[books.ledger_accounts]]
account = "1051 Stripe Clearing Shop"
role = "clearing"
currency = "GBP"
"""


def write_two_books(folder: Path, *, seed: int, payments: int) -> Path:
    """Write the company's Stripe objects and deliveries."""
    write_company(simulate_company(SimulationOptions(seed=seed, payments=payments, months=2)), folder)
    second = folder / "stripe" / "accounts" / "acct_second"
    second.mkdir(parents=True)
    for path in (folder / "stripe").glob("*.json*"):
        if path.name != "sandbox.json":
            shutil.copy(path, second / path.name)
    for ledger in folder.glob("deliveries/*/ledger/*.csv"):
        lines = ledger.read_text().splitlines(keepends=True)
        own = [line.replace("1050 Stripe Clearing", "1051 Stripe Clearing Shop") for line in lines if "1050 Stripe Clearing" in line]
        ledger.with_name(f"{ledger.stem}-second.csv").write_text("".join([lines[0], *own]))
    for balances in folder.glob("deliveries/*/balances/*.csv"):
        lines = balances.read_text().splitlines(keepends=True)
        balances.write_text("".join([*lines, *(line.replace("1050 Stripe Clearing", "1051 Stripe Clearing Shop") for line in lines[1:])]))
    return folder


def make_office(company: Path, folder: Path, *, url: str, lake: str) -> Path:
    """Make the folder that a user works in, everything delivered; gives its settings file."""
    folder.mkdir()
    text = (company / "reconciliation.toml").read_text()
    text = text.replace("http://127.0.0.1:12111", url).replace('lake = "lake"', f'lake = "{lake}"').replace("\n[storage]", SECOND + "\n[storage]")
    config = folder / "reconciliation.toml"
    config.write_text(text)
    settings = read_settings(config)
    for month in ("2026-08", "2026-09"):
        deliver(company / "deliveries" / month, settings)
    opened = open_lake(settings)
    opened.prepare(time_zone=settings.entity.timezone)
    record_opening(opened, settings, period="2026-08", ledger=[], items=company / "opening_items.csv")
    return config


def environment(config: Path, **more: str) -> dict[str, str]:
    """Return what a process of the product finds around it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DAGSTER_", "RECONCILIATION_", "AWS_"))}
    return {
        **kept, "RECONCILIATION_CONFIG": str(config), "STRIPE_API_KEY": "rk_test_two_books", "POLARS_MAX_THREADS": "1", "DAGSTER_DISABLE_TELEMETRY": "1", **more,
    }  # fmt: skip
