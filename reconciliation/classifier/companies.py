"""The folder of a simulated company -> its months, reconciled and closed in order as finance would, for labeling.

The same reading, matching and explaining as every night; only the way to Stripe is shorter (its objects are read from the
folder instead of from a server). Every month is locked before the next begins, so late arrivals behave as in life.
"""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import orjson
import polars as pl

from reconciliation.classifier.training import MonthRun
from reconciliation.config import Settings, read_settings
from reconciliation.connectors.stripe.parse import parse_balance, parse_balance_transactions, parse_payout_members, parse_payouts, parse_sources
from reconciliation.lake import Lake
from reconciliation.months import carry_in, complete_book, define_month, lock_month, month_scope
from reconciliation.opening import record_opening
from reconciliation.pipeline import Reconciliation, Scorer, reconcile_month
from reconciliation.rates import Rates
from reconciliation.sources import assemble_sources, read_files, register_deliveries

OWN_ACCOUNT = "self"
SOURCE_FILES = ("charges", "refunds", "disputes", "transfers", "application_fees")
CARRIED_TABLES = ("items", "references", "members", "open_items", "breaks", "balances")


def reconcile_company(folder: Path) -> list[MonthRun]:
    """Reconcile all months of a simulated company of one book and its own Stripe account, oldest first.

    Args:
        folder: with `reconciliation.toml`, `stripe/`, `deliveries/<period>/` and `opening_items.csv`; the inbox and the lake that the
            settings name are made in it.

    Raises:
        ReconciliationError: whatever the core refuses.
    """
    return [
        MonthRun(
            period=result.month.period,
            features=result.features,
            breaks=_with_possible_causes(result),
            items=result.items,
            members=result.members,
        )
        for result in reconcile_months(folder, score=undecided)
    ]


def reconcile_months(folder: Path, *, score: Scorer) -> list[Reconciliation]:
    """Reconcile all months of a simulated company, as `reconcile_company`, and return them whole."""
    settings = read_settings(folder / "reconciliation.toml")
    lake = Lake(settings.path(settings.storage.lake))
    lake.prepare(time_zone=settings.entity.timezone)
    stripe, now = read_objects(folder / "stripe")
    periods = sorted(path.name for path in (folder / "deliveries").iterdir() if path.is_dir())
    opening = folder / "opening_items.csv"
    record_opening(lake, settings, period=settings.start.period, ledger=[], items=opening if opening.is_file() else None)
    results = []
    for period in periods:
        _deliver(folder / "deliveries" / period, settings)
        files = read_files(settings, register_deliveries(lake, settings))
        book = complete_book(settings.books[0], files["ledger_lines"])
        sources = assemble_sources(stripe, files, book, complete_through=now)
        month = define_month(lake, settings, book, period, complete_through=now)
        result = reconcile_month(sources, month, carry_in(lake, sources, month), score=score, rates=Rates())
        _close(lake, settings, result)
        results.append(result)
    return results


def read_objects(folder: Path) -> tuple[dict[str, pl.DataFrame], datetime]:
    """Read a folder of Stripe objects as the sandbox serves them: tables by name, and the instant they are complete through.

    Args:
        folder: `balance_transactions.jsonl`, …, `balance.json`, `payout_balance_transactions.json`, `sandbox.json`.
    """
    members = {payout: [_page(list(map(_as_row, ids)))] for payout, ids in orjson.loads((folder / "payout_balance_transactions.json").read_bytes()).items()}
    now = datetime.fromtimestamp(orjson.loads((folder / "sandbox.json").read_bytes())["now"], tz=UTC)
    payouts = parse_payouts([_lines(folder, "payouts")], account=OWN_ACCOUNT)
    itemised = payouts.filter(pl.col("is_automatic") & (pl.col("reconciliation_status") == "completed"))["payout_id"].to_list()
    tables = {
        "balance_transactions": parse_balance_transactions([_lines(folder, "balance_transactions")], account=OWN_ACCOUNT),
        "payouts": payouts,
        "payout_members": parse_payout_members({payout: pages for payout, pages in members.items() if payout in set(itemised)}, account=OWN_ACCOUNT),
        "stripe_sources": parse_sources([_lines(folder, name) for name in SOURCE_FILES], account=OWN_ACCOUNT),
        "balance_snapshots": parse_balance((folder / "balance.json").read_bytes(), account=OWN_ACCOUNT, taken_at=now),
    }
    return {name: pl.DataFrame(frame) for name, frame in tables.items()}, now


def undecided(features: pl.DataFrame) -> pl.DataFrame:
    """Score nothing: what a run for labeling uses in the place of a model, so that no model shapes its successor's labels."""
    return features.select("break_id", probability_true_exception=pl.lit(0.0), reasons=pl.lit([], dtype=pl.List(pl.String)))


def _deliver(delivery: Path, settings: Settings) -> None:
    """Copy what finance drops for a month; a trial balance replaces the one before it, exports keep their month in their name."""
    for kind, inbox in (("ledger", settings.ledger.inbox), ("bank", settings.bank.inbox), ("balances", settings.ledger.balances)):
        target = settings.path(inbox)
        target.mkdir(parents=True, exist_ok=True)
        for file in sorted((delivery / kind).glob("*")) if (delivery / kind).is_dir() else []:
            shutil.copyfile(file, target / (file.name if kind == "balances" else f"{delivery.name}_{file.name}"))


def _close(lake: Lake, settings: Settings, result: Reconciliation) -> None:
    """Store of a month what the next one starts from, and lock it."""
    frames = {name: getattr(result, name) for name in CARRIED_TABLES}
    lake.publish(month_scope(result.month.book.name, result.month.period), {name: lake.stage(name, frame) for name, frame in frames.items()})
    lock_month(lake, settings, result.month.period)


def _with_possible_causes(result: Reconciliation) -> pl.DataFrame:
    """Add the two causes that the facts of each break's largest item allow, since that item gave the features."""
    largest = result.explained.sort(pl.col("amount_minor").abs(), "item_id", descending=[True, False]).unique("break_id", keep="first", maintain_order=True)
    causes = largest.select("break_id", pl.col("expected_cause", "exception_cause").fill_null(""))
    return result.breaks.join(causes, on="break_id", how="left").with_columns(pl.col("expected_cause", "exception_cause").fill_null(""))


def _lines(folder: Path, name: str) -> bytes:
    path = folder / f"{name}.jsonl"
    rows = [orjson.loads(line) for line in path.read_bytes().splitlines() if line.strip()] if path.is_file() else []
    return _page(rows)


def _page(rows: list[dict[str, object]]) -> bytes:
    return orjson.dumps({"object": "list", "has_more": False, "data": rows})


def _as_row(transaction_id: str) -> dict[str, object]:
    return {"id": transaction_id}
