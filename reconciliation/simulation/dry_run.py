"""A simulated company's folder -> its reconciled months, without Dagster and without a network.

For training, evaluation and the tests of the laws: the objects are parsed as if they had been pulled, and the deliveries of
each month are put into the inbox before it is reconciled and locked, as the demo does. The folder is not written to.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import orjson
import polars as pl

from reconciliation.breaks.clearing import Policy, leave_to_people
from reconciliation.close.show import Show, show_package
from reconciliation.config import Settings, read_settings
from reconciliation.connectors.stripe.completeness import prove_complete
from reconciliation.connectors.stripe.parse import parse_balance, parse_balance_transactions, parse_payout_members, parse_payouts, parse_sources
from reconciliation.lake import Lake, open_lake
from reconciliation.months import carry_in, complete_book, define_month, lock_month, store_month, write_package
from reconciliation.opening import record_opening
from reconciliation.pipeline import Reconciliation, Scorer, reconcile_month
from reconciliation.rates import Rates, read_rates
from reconciliation.simulation.sandbox import read_clock
from reconciliation.sources import Sources, assemble_sources, read_files, register_deliveries

SOURCE_LISTS = ["charges", "refunds", "disputes", "transfers", "application_fees"]


MakePolicy = Callable[[Settings, Lake], Policy]


def no_policy(settings: Settings, lake: Lake) -> Policy:
    """Accept nothing without a person."""
    del settings, lake
    return leave_to_people


@dataclass(frozen=True)
class DryMonth:
    """A reconciled month, what it was computed from, and the package written for it."""

    result: Reconciliation
    sources: Sources
    package: Path


def read_stripe_folder(folder: Path) -> tuple[dict[str, pl.DataFrame], datetime]:
    """Parse the objects of a sandbox folder as if they had been pulled; returns the tables and the sandbox's clock."""
    clock = datetime.fromtimestamp(read_clock(folder), UTC)
    members = orjson.loads((folder / "payout_balance_transactions.json").read_bytes())
    tables: dict[str, pl.DataFrame] = {
        "balance_transactions": parse_balance_transactions([_page(folder / "balance_transactions.jsonl")], account="self"),
        "payouts": parse_payouts([_page(folder / "payouts.jsonl")], account="self"),
        "payout_members": parse_payout_members(
            {payout: [orjson.dumps({"object": "list", "data": [{"id": i} for i in ids]})] for payout, ids in members.items()}, account="self"
        ),
        "stripe_sources": parse_sources([_page(folder / f"{name}.jsonl") for name in SOURCE_LISTS], account="self"),
        "balance_snapshots": parse_balance((folder / "balance.json").read_bytes(), account="self", taken_at=clock),
    }
    return tables, clock


@contextmanager
def dry_company(
    folder: Path, *, score: Scorer, lock: bool = True, make_policy: MakePolicy = no_policy, show: Show = show_package
) -> Iterator[Iterator[DryMonth]]:
    """Reconcile a company's months in order, in a scratch folder that is gone afterwards.

    Args:
        folder: as `write_company` made it.
        score: the classifier.
        lock: lock every month before the next one is reconciled.
        make_policy: settings and lake -> what may be accepted without a person.
        show: makes workbook and report.
    """
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        shutil.copy(folder / "reconciliation.toml", work)
        yield run_in_folder(folder, work, score=score, lock=lock, make_policy=make_policy, show=show)


def run_in_folder(
    folder: Path, work: Path, *, score: Scorer, lock: bool = True, make_policy: MakePolicy = no_policy, show: Show = show_package
) -> Iterator[DryMonth]:
    """Reconcile a company's months in order, in a folder that stays and holds its settings already; otherwise as `dry_company`."""
    settings = read_settings(work / "reconciliation.toml")
    lake = open_lake(settings)
    stripe, clock = read_stripe_folder(folder / "stripe")
    if (folder / "opening_items.csv").exists():
        record_opening(lake, settings, period=settings.start.period, ledger=[], items=folder / "opening_items.csv")
    rates, policy = read_rates(settings.path(settings.fx.rates)), make_policy(settings, lake)
    for delivery in sorted((folder / "deliveries").iterdir()):
        deliver(delivery, settings)
        yield dry_month(lake, settings, delivery.name, stripe=stripe, clock=clock, score=score, rates=rates, policy=policy, show=show)
        if lock:
            lock_month(lake, settings, delivery.name)


def deliver(delivery: Path, settings: Settings) -> None:
    """Put a month's files into the inboxes, as a person would drop them there."""
    for name, inbox in (("ledger", settings.ledger.inbox), ("bank", settings.bank.inbox), ("balances", settings.ledger.balances)):
        if (delivery / name).is_dir():
            target = settings.path(inbox)
            target.mkdir(parents=True, exist_ok=True)
            for file in sorted((delivery / name).iterdir()):
                shutil.copy(file, target / file.name)


def dry_month(
    lake: Lake,
    settings: Settings,
    period: str,
    *,
    stripe: dict[str, pl.DataFrame],
    clock: datetime,
    score: Scorer,
    rates: Rates,
    policy: Policy = leave_to_people,
    show: Show = show_package,
) -> DryMonth:
    """Reconcile one month from what lies in the inboxes, and write its draft."""
    files = read_files(settings, register_deliveries(lake, settings))
    book = complete_book(settings.books[0], files["ledger_lines"])
    sources = assemble_sources(stripe, files, book, complete_through=clock.astimezone(UTC))
    month = define_month(lake, settings, book, period, complete_through=clock)
    proofs = prove_complete(
        transactions=sources.transactions,
        payouts=sources.payouts,
        members=sources.members,
        sources=sources.stripe_sources,
        snapshots=sources.snapshots,
        complete_through=clock,
    )
    result = reconcile_month(sources, month, carry_in(lake, sources, month), score=score, rates=rates, policy=policy)
    store_month(lake, result, sources, proofs=proofs, model="dry run", accept_incomplete=False)
    return DryMonth(result, sources, write_package(lake, settings, period, show=show))


def _page(path: Path) -> bytes:
    """Make one list page of a file of objects; a missing file is an empty list."""
    lines = path.read_bytes().splitlines() if path.exists() else []
    return b'{"object":"list","has_more":false,"data":[' + b",".join(line for line in lines if line.strip()) + b"]}"
