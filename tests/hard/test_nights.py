"""A year of nights ends with the same bytes as one run a month over everything that was there when it was locked.

Each night Stripe stands where it stood then, and the files are those exported by then. Some nights the machine is out, once for five days; on some the
files do not come. On the fourth night of a month the month before is locked, in both offices, and its package compared at once.
The one run is handed the two things that nights leave behind and that nothing can be asked for again: what Stripe's balance was on each night, and under
which number each proposed entry was shown (an entry keeps the number that a person has seen). Everything else it makes by itself.
`RECONCILIATION_NIGHTS` sets how many nights (default 365), `RECONCILIATION_SEED` which year, `RECONCILIATION_OUT` the share of nights on which the machine is
out (default 0.04): 0.9 goes through all months in a fraction of the time.
"""

import gc
import os
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest

from assets.core import Core, Model, StripeAccess
from assets.instance import open_instance
from assets.run import run_month
from reconciliation.beside import OBJECTS_BETWEEN_COLLECTIONS
from reconciliation.breaks.clearing import leave_to_people
from reconciliation.classifier.examples import undecided
from reconciliation.config import read_settings
from reconciliation.connectors.stripe.filing import LOCAL_DAY
from reconciliation.lake import Lake
from reconciliation.months import lock_month, month_scope, write_package
from reconciliation.opening import record_opening
from reconciliation.simulation.company import Company, simulate_company
from reconciliation.simulation.nights import Night, files_at, list_nights, stripe_at, write_files
from reconciliation.simulation.options import SimulationOptions
from reconciliation.simulation.sandbox_server import SandboxServer
from reconciliation.simulation.writer import opening_items, settings_text

NIGHTS = int(os.environ.get("RECONCILIATION_NIGHTS", "365"))
SEED = int(os.environ.get("RECONCILIATION_SEED", "8"))
LOCK_DAY = 4
OUT_SHARE = float(os.environ.get("RECONCILIATION_OUT", "0.04"))
LATE_SHARE = 0.1
LONG_OUTAGE_DAYS = 5


@dataclass(frozen=True)
class Office:
    """A folder where a company is reconciled."""

    folder: Path
    company: Company
    instance: dg.DagsterInstance

    @classmethod
    def open(cls, folder: Path, company: Company, stack: ExitStack) -> "Office":
        folder.mkdir(parents=True)
        (folder / "reconciliation.toml").write_text(settings_text(company))
        (folder / "opening_items.csv").write_bytes(opening_items(company).write_csv().encode())
        made = cls(folder, company, stack.enter_context(open_instance(folder)))
        record_opening(made.lake, made.settings, period=company.options.first_period, ledger=[], items=folder / "opening_items.csv")
        return made

    @property
    def settings(self):
        return read_settings(self.folder / "reconciliation.toml")

    @property
    def lake(self) -> Lake:
        return Lake(self.settings.path(self.settings.storage.lake))

    @property
    def has_files(self) -> bool:
        return any((self.folder / "inbox" / "ledger").glob("*.csv"))

    def deliver(self, night: Night) -> None:
        write_files(self.folder / "inbox", files_at(self.company, night))

    def run(self, night: Night) -> None:
        """Run the open months as they stand on a night."""
        config, stripe = self.folder / "reconciliation.toml", self.folder.parent / "stripe"
        core = Core(load_model=lambda _settings, _lake: Model("none/0", undecided, leave_to_people))
        write_files(stripe, stripe_at(self.company, night).files)
        with SandboxServer(stripe) as server:
            run_month(config, night.period, instance=self.instance, stripe=StripeAccess(config, key="rk_test_nights", api_base=server.url), core=core)

    def lock(self, period: str) -> None:
        lock_month(self.lake, self.settings, period)
        write_package(self.lake, self.settings, period, as_version=True)

    def inherit(self, other: "Office", periods: Sequence[str]) -> None:
        """Take over from another office the readings of Stripe's balance and the numbers of the entries shown so far."""
        day = self.settings.calendar.local_day_of("taken_at").alias(LOCAL_DAY)
        readings = other.lake.read_days("balance_snapshots", account="self").with_columns(day)
        self.lake.write_days("balance_snapshots", account="self", frame=readings, day_column=LOCAL_DAY, days=sorted(set(readings[LOCAL_DAY])))
        for period in periods:
            scope = month_scope("main", period)
            register = self.lake.stage("journal_register", other.lake.read(scope, "journal_register"))
            self.lake.publish(scope, (self.lake.tables(scope) or {}) | {"journal_register": register}, facts=self.lake.facts(scope))

    def package(self, period: str) -> dict[str, bytes]:
        """Return every file of the newest package of a month."""
        place = (self.folder / "close" / period / "latest").resolve(strict=True)
        return {file.name: file.read_bytes() for file in sorted(place.iterdir())}


@dataclass(frozen=True)
class Plan:
    """What happens on a night."""

    night: Night
    is_out: bool
    is_late: bool
    locks: str | None
    is_last: bool


def plan_nights(company: Company, nights: Sequence[Night]) -> Iterator[Plan]:
    """Decide what happens on every night; on one that locks a month, on the first and on the last all goes well."""
    chance = random.Random(SEED)
    later = [night.day for night in nights[len(nights) // 2 :] if night.day.day > LOCK_DAY + 1]
    outage = set(later[:LONG_OUTAGE_DAYS]) if len(nights) > 60 else set()
    for night in nights:
        is_first_month = night.period == company.options.first_period
        locks = company.log.horizon.calendar.preceding(night.period) if night.day.day == LOCK_DAY and not is_first_month else None
        is_fixed = locks is not None or night in (nights[0], nights[-1])
        is_out, is_late = chance.random() < OUT_SHARE or night.day in outage, chance.random() < LATE_SHARE
        yield Plan(night, is_out and not is_fixed, is_late and not is_fixed, locks, night == nights[-1])


def differing(found: dict[str, bytes], expected: dict[str, bytes]) -> list[str]:
    return sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))


@pytest.mark.hard
def test_nights_end_with_the_bytes_of_one_run_over_everything(tmp_path, monkeypatch):
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "1000")
    months = max(2, -(-NIGHTS // 28)) if NIGHTS < 337 else 12
    company = simulate_company(SimulationOptions(seed=SEED, payments=100 * months, months=months, first_period="2026-01", stories=True))
    nights = list_nights(company)[:NIGHTS]
    ran = late = locked = 0
    began, cpu = time.monotonic(), 0.0
    thresholds = gc.get_threshold()
    with ExitStack() as stack:
        gc.set_threshold(*OBJECTS_BETWEEN_COLLECTIONS)
        stack.callback(gc.set_threshold, *thresholds)
        office, whole = (Office.open(tmp_path / name / "company", company, stack) for name in ("nights", "whole"))
        for plan in plan_nights(company, nights):
            late += plan.is_late
            if not plan.is_late:
                office.deliver(plan.night)
            if not plan.is_out and office.has_files:
                start = time.process_time()
                office.run(plan.night)
                cpu += time.process_time() - start
                ran += 1
                print(f"{plan.night.day}: {(time.monotonic() - began) / 60:.1f} minutes, {cpu / 60:.2f} of CPU in {ran} nights", flush=True)
            if plan.locks is None and not plan.is_last:
                continue
            periods = sorted({plan.locks or plan.night.period, plan.night.period})
            whole.inherit(office, periods)
            whole.deliver(plan.night)
            whole.run(plan.night)
            for one in (office, whole):
                if plan.locks is not None:
                    one.lock(plan.locks)
            for period in periods:
                names = differing(office.package(period), whole.package(period))
                assert names == [], (
                    f"{period} on {plan.night.day}; repeat with RECONCILIATION_SEED={SEED} RECONCILIATION_NIGHTS={NIGHTS} RECONCILIATION_OUT={OUT_SHARE} pytest -m hard tests/hard/test_nights.py"
                )
            locked += plan.locks is not None
    disk = sum(file.stat().st_size for file in (office.folder / "lake").rglob("*") if file.is_file()) / 1e6
    print(f"seed {SEED}: {len(nights)} nights, {ran} run, {late} with late files, {locked} months locked; {cpu / 60:.1f} minutes of CPU; lake {disk:.0f} MB")
    assert locked == sum(plan.locks is not None for plan in plan_nights(company, nights))
