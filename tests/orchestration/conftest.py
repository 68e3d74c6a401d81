"""A small simulated company behind a sandbox server, its folder as a user has it, and a scorer in the place of the model."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest

from assets.core import Core, Model, StripeAccess
from assets.instance import open_instance
from assets.run import run_month
from reconciliation.breaks.clearing import leave_to_people
from reconciliation.classifier.examples import undecided
from reconciliation.config import Settings, read_settings
from reconciliation.lake import Lake
from reconciliation.opening import record_opening
from reconciliation.simulation.company import simulate_company
from reconciliation.simulation.dry_run import deliver
from reconciliation.simulation.options import SimulationOptions
from reconciliation.simulation.sandbox_server import SandboxServer
from reconciliation.simulation.writer import write_company

MONTH = "2026-08"


@dataclass(frozen=True)
class Workplace:
    """A company's folder, ready for its first month."""

    folder: Path
    company: Path
    stripe: StripeAccess

    @property
    def config(self) -> Path:
        return self.folder / "reconciliation.toml"

    @property
    def settings(self) -> Settings:
        return read_settings(self.config)

    @property
    def lake(self) -> Lake:
        return Lake(self.settings.path(self.settings.storage.lake))

    def deliver(self, period: str) -> None:
        deliver(self.company / "deliveries" / period, self.settings)


@pytest.fixture(scope="session")
def company(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("company")
    write_company(simulate_company(SimulationOptions(seed=5, payments=60, months=2)), folder)
    return folder


@pytest.fixture(scope="session")
def sandbox_url(company: Path) -> Iterator[str]:
    with SandboxServer(company / "stripe") as server:
        yield server.url


def make_workplace(company: Path, sandbox_url: str, folder: Path) -> Workplace:
    folder.mkdir()
    shutil.copy(company / "reconciliation.toml", folder)
    config = folder / "reconciliation.toml"
    made = Workplace(folder, company, StripeAccess(config, key="rk_test_orchestration", api_base=sandbox_url))
    record_opening(made.lake, made.settings, period=MONTH, ledger=[], items=company / "opening_items.csv")
    made.deliver(MONTH)
    return made


@pytest.fixture
def workplace(company: Path, sandbox_url: str, tmp_path: Path) -> Workplace:
    return make_workplace(company, sandbox_url, tmp_path / "workplace")


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "1000")
    with open_instance(tmp_path) as made:
        yield made


@pytest.fixture(scope="session")
def core() -> Core:
    return Core(load_model=lambda _settings, _lake: Model("none/0", undecided, leave_to_people))


@pytest.fixture(scope="module")
def reconciled(company: Path, sandbox_url: str, core: Core, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Workplace, dg.DagsterInstance]]:
    """A workplace whose first month was run once; tests only look at it."""
    made = make_workplace(company, sandbox_url, tmp_path_factory.mktemp("reconciled") / "workplace")
    with pytest.MonkeyPatch.context() as patch, open_instance(made.folder) as kept:
        patch.setenv("DAGSTER_EVENT_BATCH_SIZE", "1000")
        run_month(made.config, MONTH, instance=kept, stripe=made.stripe, core=core)
        yield made, kept


@pytest.fixture(scope="session")
def busy(core: Core, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workplace]:
    """A larger company whose first month was run once, for what takes dozens of cases; tests work on copies."""
    folder = tmp_path_factory.mktemp("busy")
    write_company(simulate_company(SimulationOptions(seed=5, payments=1100, months=2)), folder / "company")
    with SandboxServer(folder / "company" / "stripe") as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_EVENT_BATCH_SIZE", "1000")
        made = make_workplace(folder / "company", server.url, folder / "workplace")
        with open_instance(made.folder) as kept:
            run_month(made.config, MONTH, instance=kept, stripe=made.stripe, core=core)
        yield made
