"""A year of nights ends with the same bytes as one run a month over everything that was there when it was locked.

Each night Stripe stands where it stood then, and the files are those exported by then. Some nights the machine is out, once for five days; on some the
files do not come. On the fourth night of a month the month before is locked. `RECONCILIATION_NIGHTS` sets how many nights (default 365).
"""

import os
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from assets.core import Core, Model, StripeAccess
from assets.instance import open_instance
from assets.run import run_month
from reconciliation.breaks.clearing import leave_to_people
from reconciliation.classifier.training import undecided
from reconciliation.config import read_settings
from reconciliation.lake import Lake
from reconciliation.months import lock_month, write_package
from reconciliation.opening import record_opening
from reconciliation.simulation.company import Company, simulate_company
from reconciliation.simulation.nights import Night, files_at, list_nights, stripe_at, write_files
from reconciliation.simulation.options import SimulationOptions
from reconciliation.simulation.sandbox_server import SandboxServer
from reconciliation.simulation.writer import opening_items, settings_text

NIGHTS = int(os.environ.get("RECONCILIATION_NIGHTS", "365"))
SEED = int(os.environ.get("RECONCILIATION_SEED", "8"))
LOCK_DAY = 4
MINUTES_MAX = 45


@dataclass(frozen=True)
class Office:
    """A folder where a company is reconciled."""

    folder: Path
    company: Company

    @classmethod
    def open(cls, folder: Path, company: Company) -> "Office":
        folder.mkdir()
        (folder / "reconciliation.toml").write_text(settings_text(company))
        (folder / "opening_items.csv").write_bytes(opening_items(company).write_csv().encode())
        made = cls(folder, company)
        record_opening(made.lake, made.settings, period=company.options.first_period, ledger=[], items=folder / "opening_items.csv")
        return made

    @property
    def settings(self):
        return read_settings(self.folder / "reconciliation.toml")

    @property
    def lake(self) -> Lake:
        return Lake(self.settings.path(self.settings.storage.lake))

    def run(self, night: Night, instance) -> None:
        """Run the open months as they stand on a night."""
        config = self.folder / "reconciliation.toml"
        core = Core(load_model=lambda _settings, _lake: Model("none/0", undecided, leave_to_people))
        write_files(self.folder.parent / "stripe", stripe_at(self.company, night).files)
        with SandboxServer(self.folder.parent / "stripe") as server:
            run_month(config, night.period, instance=instance, stripe=StripeAccess(config, key="rk_test_nights", api_base=server.url), core=core)

    def lock(self, period: str) -> None:
        """Lock a month."""
        lock_month(self.lake, self.settings, period)
        write_package(self.lake, self.settings, period, as_version=True)

    def packages(self) -> dict[str, bytes]:
        """Return every file of every locked version and of the last draft."""
        close = self.folder / "close"
        found = {}
        for month in sorted(close.iterdir()):
            place = (month / "latest").resolve(strict=True)
            found |= {
                f"{month.name}/{'draft' if place.name.startswith('.') else place.name}/{file.name}": file.read_bytes() for file in sorted(place.iterdir())
            }
        return found


def months_before(company: Company, night: Night) -> str:
    return company.log.horizon.calendar.preceding(night.period)


def is_lock_night(company: Company, night: Night) -> bool:
    return night.day.day == LOCK_DAY and night.period != company.options.first_period


def live_through(office: Office, nights: Sequence[Night]) -> tuple[int, int]:
    """Run every night that is no outage; returns how many ran, and on how many of them files were late."""
    chance = random.Random(SEED)
    long_outage = {night.day for night in nights[len(nights) // 2 :] if LOCK_DAY + 2 <= night.day.day <= LOCK_DAY + 6} if len(nights) > 60 else set()
    long_outage = set(sorted(long_outage)[:5])
    ran = late = 0
    with open_instance(office.folder) as instance:
        for night in nights:
            is_fixed = is_lock_night(office.company, night) or night == nights[-1]
            is_out, is_late = chance.random() < 0.04, chance.random() < 0.1
            if not is_fixed and (is_out or night.day in long_outage):
                continue
            if is_fixed or not is_late or night == nights[0]:
                write_files(office.folder / "inbox", files_at(office.company, night))
            else:
                late += 1
            if not any((office.folder / "inbox" / "ledger").glob("*.csv")):
                continue
            office.run(night, instance)
            ran += 1
            if is_lock_night(office.company, night):
                office.lock(months_before(office.company, night))
    return ran, late


def run_over_everything(office: Office, nights: Sequence[Night]) -> None:
    """Reconcile each month once, from what was there when it was locked, and the last one as it stands."""
    with open_instance(office.folder) as instance:
        last_of: dict[str, Night] = {}
        for night in nights:
            last_of[night.period] = night
            if is_lock_night(office.company, night) or night == nights[-1]:
                for earlier in [*[known for known in last_of.values() if known.period != night.period], night]:
                    write_files(office.folder / "inbox", files_at(office.company, earlier))
                office.run(night, instance)
                if is_lock_night(office.company, night):
                    office.lock(months_before(office.company, night))


@pytest.mark.parametrize("nights", [pytest.param(NIGHTS, marks=pytest.mark.hard, id="a year")])
def test_nights_end_with_the_bytes_of_one_run_over_everything(nights, tmp_path, monkeypatch):
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "1000")
    months = -(-nights // 28) if nights < 365 else 12
    company = simulate_company(SimulationOptions(seed=SEED, payments=100 * months, months=months, first_period="2026-01", stories=months > 1))
    every = list_nights(company)[:nights]
    began, cpu = time.monotonic(), time.process_time()
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    office = Office.open(tmp_path / "a" / "nights", company)
    ran, late = live_through(office, every)
    minutes, cpu_minutes = (time.monotonic() - began) / 60, (time.process_time() - cpu) / 60
    whole = Office.open(tmp_path / "b" / "whole", company)
    run_over_everything(whole, every)
    found, expected = office.packages(), whole.packages()
    assert found.keys() == expected.keys()
    differing = [name for name in expected if found[name] != expected[name]]
    said = f"seed {SEED}: {len(every)} nights, {ran} run, {late} with late files: {minutes:.1f} minutes, {cpu_minutes:.1f} of CPU; lake {sum(f.stat().st_size for f in (office.folder / 'lake').rglob('*') if f.is_file()) / 1e6:.0f} MB"
    print(said)
    assert differing == [], f"{said}; repeat with RECONCILIATION_SEED={SEED} RECONCILIATION_NIGHTS={nights} pytest -m hard tests/hard/test_nights.py"
    assert cpu_minutes < MINUTES_MAX
    locked = pl.Series(sorted({name.split("/")[0] for name in found if "/v1/" in name}))
    assert locked.len() == sum(is_lock_night(company, night) for night in every)
