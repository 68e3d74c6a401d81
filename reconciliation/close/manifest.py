"""What an auditor asks of a package: period, cut-off, inputs with hashes, proofs, versions (`manifest.json`)."""

import hashlib
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from reconciliation import __version__
from reconciliation.config import Settings
from reconciliation.population import Month, in_scope
from reconciliation.sources import Sources

RETIRED = ["retired", "superseded"]


def hash_settings(settings: Settings) -> str:
    """Hash everything in the settings that can change a result: not where or how fast Stripe is reached, where folder and lake lie, or whom alerts reach."""
    content = settings.model_dump(mode="json", exclude={"folder": True, "watch": True, "storage": True, "stripe": {"api_base", "requests_per_second"}})
    # One place stands for every other, so that a package of the same settings from before this was so has the same hash.
    content["storage"] = {"lake": "lake"}
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()


def describe_month(sources: Sources, month: Month, *, model: str, proofs: pl.DataFrame, accept_incomplete: bool) -> dict[str, Any]:
    """Describe what a month of a book was computed from.

    Returns:
        Plain values for the manifest; the same inputs give the same bytes.
    """
    return {
        "book": month.book.name,
        "period": month.period,
        "first_day": month.calendar.first_day(month.period).isoformat(),
        "cut_off": month.cut_off.isoformat(),
        "cut_off_on": month.cut_off_on.isoformat(),
        "accepted_incomplete": accept_incomplete and "failed" in proofs["result"].cast(pl.String),
        "complete_through": {
            "stripe": sources.complete_through.isoformat(),
            "ledger": _last_day(sources.ledger_lines, "posting_on"),
            "bank": _last_day(sources.bank_lines, "booked_on"),
        },
        "completeness": [
            {**row, "complete_through": row["complete_through"].isoformat() if row["complete_through"] else None}
            for row in proofs.with_columns(pl.col("result").cast(pl.String)).sort("stripe_account", "currency", "balance_type", "check").to_dicts()
        ],
        "model": model,
        "code_version": __version__,
        "settings_sha256": hash_settings(month.settings),
        "entity": month.settings.entity.name,
        "materiality": f"{month.settings.close.materiality} {month.settings.entity.currency}",
        "inputs": [*_files(sources), *_stripe(sources, month)],
    }


def summarize_manifest(folder: Path) -> dict[str, Any]:
    """Return what identifies a written package: the hash that is signed, versions, the head of the decision log, and each input with its hash."""
    manifest = orjson.loads((folder / "manifest.json").read_bytes())
    inputs = [
        {"book": book["book"], **{name: one[name] for name in ("path", "sha256", "rows", "rows_used")}} for book in manifest["books"] for one in book["inputs"]
    ]
    return {**{name: manifest[name] for name in ("package_sha256", "settings_sha256", "code_version", "model", "decision_log")}, "inputs": inputs}


def combine(descriptions: list[dict[str, Any]]) -> dict[str, Any]:
    """Combine the descriptions of the books into one manifest; what they share stands once."""
    first = descriptions[0]
    shared = ["period", "first_day", "cut_off", "cut_off_on", "accepted_incomplete", "model", "code_version", "settings_sha256", "entity", "materiality"]
    own = ["complete_through", "completeness", "clearing", "inputs"]
    accepted = any(one["accepted_incomplete"] for one in descriptions)
    return {
        **{name: first[name] for name in shared},
        "accepted_incomplete": accepted,
        "books": [{"book": one["book"], **{name: one[name] for name in own}} for one in descriptions],
    }


def _last_day(frame: pl.DataFrame, column: str) -> str | None:
    last = frame[column].max()
    return str(last) if last is not None else None


def _files(sources: Sources) -> list[dict[str, Any]]:
    columns = {
        "path": "source_file",
        "kind": "kind",
        "profile": "profile",
        "confidence": "confidence",
        "evidence": "evidence",
        "other_names": "other_names",
        "encoding": "encoding",
        "delimiter": "delimiter",
        "decimal_mark": "decimal_mark",
        "date_order": "date_order",
        "proofs": "proofs",
        "sha256": "sha256",
        "rows": "rows_in",
        "rows_used": "rows_used",
        "rows_set_aside": "rows_set_aside",
        "rows_retired": "rows_retired",
        "rows_by_rule": "rows_by_rule",
        "totals": "totals",
    }
    rows = (
        sources.files.select(pl.col(column).alias(name) for name, column in columns.items())
        .with_columns(pl.col("kind").cast(pl.String))
        .sort("path")
        .to_dicts()
    )
    return [{**row, **_unfolded(row)} for row in rows]


def _unfolded(row: dict[str, Any]) -> dict[str, Any]:
    """Return the cells of a file's row that hold lists."""
    lists = {name: [part for part in row[name].split(";") if part] for name in ("proofs", "other_names", "totals", "rows_by_rule")}
    pairs = {name: dict(part.rsplit("=", 1) for part in lists[name]) for name in ("totals", "rows_by_rule")}
    return {**lists, "totals": pairs["totals"], "rows_by_rule": {rule: int(count) for rule, count in pairs["rows_by_rule"].items()}}


def _stripe(sources: Sources, month: Month) -> list[dict[str, Any]]:
    """Describe what was pulled up to the cut-off, by account, with a hash of the ids and nets."""
    described = []
    booked = sources.transactions.filter(pl.col("created_at") < month.cut_off)
    used = in_scope(booked, month.book).group_by("stripe_account").agg(n=pl.len())
    used_rows = dict(used.iter_rows())
    for (account,), rows in sorted(booked.partition_by("stripe_account", as_dict=True).items()):
        ordered = rows.sort("balance_transaction_id")
        content = ordered.select("balance_transaction_id", "currency", "amount_minor", "fee_minor", "net_minor").write_csv().encode()
        described.append({
            "path": f"stripe/{account}/balance_transactions", "kind": "stripe", "profile": "api", "sha256": hashlib.sha256(content).hexdigest(), "rows": rows.height,
            "rows_used": used_rows.get(account, 0), "rows_set_aside": rows.height - used_rows.get(account, 0), "rows_retired": 0,
        })  # fmt: skip
    return described
