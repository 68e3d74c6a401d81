"""The state of a month -> the close package: CSVs and the manifest, whole or not at all.

An open month is written to a folder of its own and `draft` is pointed at it in one step; a lock writes `v1`, `v2`, …, which
never change. `latest` points at the newest.
"""

import hashlib
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from reconciliation.breaks.clearing import audit_finding
from reconciliation.close import controls, disputes, restatement
from reconciliation.close.csv_file import csv_bytes
from reconciliation.close.import_files import ImportFiles, choose_layout, write_import_files
from reconciliation.close.receipts import COLUMNS as RECEIPTS
from reconciliation.close.receipts import MONEY as RECEIPT_MONEY
from reconciliation.close.receipts import list_receipts
from reconciliation.close.records import DECISIONS, SIGNOFFS, Records
from reconciliation.close.roll_forward import roll_forward
from reconciliation.close.seal import auditor, seal_manifest, sign_manifest
from reconciliation.close.show import Content, Show, show_package
from reconciliation.config import Settings
from reconciliation.errors import DefectError
from reconciliation.lake import sync_folder, told_as_storage, write_atomically
from reconciliation.money import format_minor
from reconciliation.schemas.items import EFFECT, MatchMember

ACCEPTED = ["auto_cleared", "cleared_by_reviewer", "written_off", "settled"]
STATEMENT = ["book", "currency", "section", "line", "nature", "cause", "items", "stripe", "ledger", "bank", "difference", "accepted", "awaiting"]
MATCHES = [
    "match_id", "book", "leg", "strategy", "score", "side", "item_id", "stripe_account", "balance_transaction_id", "component", "payout_id", "source_file", "source_row",
    "date", "amount", "currency", "counterparty", "reference", "description", "presentment_amount", "presentment_currency", "evidence", "match_difference",
]  # fmt: skip
OPEN_ITEMS = [
    "item_id", "book", "leg", "side", "stripe_account", "balance_transaction_id", "component", "payout_id", "source_file", "source_row", "date", "age_days", "age_bucket",
    "amount", "currency", "counterparty", "reference", "description", "break_id", "kind", "cause", "nature", "disposition", "origin_period", "journal_id",
    "cleared_after_cutoff_on", "cleared_by_item",
]  # fmt: skip
BREAKS = [
    "break_id", "match_id", "book", "leg", "kind", "cause", "nature", "side", "item_ids", "balance_transaction_ids", "source_rows", "stripe_account", "amount", "currency",
    "counter_amount", "counter_currency", "date", "age_days", "counterparty", "reference", "probability_true_exception", "money_at_risk", "disposition", "reasons",
    "suggested_action", "prepared_by", "prepared_at", "approved_by", "approved_at", "decision_reason",
]  # fmt: skip
SET_ASIDE = ["source_file", "source_row", "side", "date", "amount", "currency", "account", "rule", "description"]
PAYOUTS = [
    "book", "stripe_account", "payout_id", "currency", "created", "arrival_date", "method", "automatic", "itemised", "solutions", "status_at_cutoff", "status_latest",
    "failure_code", "returned_on", "amount", "lines", "gross", "fees", "refunds", "disputes", "other", "lines_net", "lines_difference", "bank_file", "bank_row", "bank_date",
    "bank_amount", "bank_difference", "ledger_row", "ledger_date", "ledger_amount", "ledger_difference", "in_transit_at_cutoff", "trace_id", "statement_descriptor",
]  # fmt: skip
PAYOUT_MONEY = [
    "amount", "gross", "fees", "refunds", "disputes", "other", "lines_net", "lines_difference", "bank_amount", "bank_difference", "ledger_amount", "ledger_difference", "in_transit_at_cutoff",
]  # fmt: skip
JOURNALS = [
    "journal_id", "line", "type", "status", "posting_date", "period", "reverses_on", "reverses_journal", "entity", "account", "account_role", "debit", "credit", "currency",
    "memo", "break_ids", "items", "prepared_by", "approved_by",
]  # fmt: skip
ROLL_FORWARD = [
    "book", "leg", "currency", "cause", "carried_in", "carried_in_count", "new", "new_count", "settled", "settled_count", "carried_out", "carried_out_count",
]  # fmt: skip
AUDIT = ["place", "drawn_from", "finding", *BREAKS]
INCOMPLETE = "incomplete_pull"
"""The last column of every file of a package whose pull is not complete and was accepted; other packages do not have it."""
SIDE_ORDER = {"stripe": 0, "opening": 1, "residual": 2, "ledger": 3, "bank": 4}
AGE_BUCKETS = [(3, "0-3"), (7, "4-7"), (30, "8-30"), (60, "31-60"), (90, "61-90")]


@dataclass(frozen=True)
class BookState:
    """What is stored of a reconciled month of a book, as needed for its package.

    Attributes:
        items, members, open_items, breaks, journals, statement, payouts: as in `pipeline.Reconciliation`.
        set_aside: rows read and not reconciled.
        later_clearing: open items that have cleared since.
        carried_items: `Item` rows carried in.
        carried_open: their `OpenItem` rows.
        balances: from `close_balances`.
        disputes: from `list_disputes`.
        restatement: what changed in locked months.
        audit_sample: breaks drawn for audit among those accepted without a person.
        fees: from `list_fees`.
        coverage: from `cover_references`.
        facts: cut-off and the like, for the manifest.
    """

    items: pl.DataFrame
    members: pl.DataFrame
    open_items: pl.DataFrame
    breaks: pl.DataFrame
    journals: pl.DataFrame
    statement: pl.DataFrame
    payouts: pl.DataFrame
    set_aside: pl.DataFrame
    later_clearing: pl.DataFrame
    carried_items: pl.DataFrame
    carried_open: pl.DataFrame
    balances: pl.DataFrame
    disputes: pl.DataFrame
    restatement: pl.DataFrame
    audit_sample: pl.DataFrame
    fees: pl.DataFrame
    coverage: pl.DataFrame
    facts: dict[str, Any]


def package_files(states: list[BookState], manifest: dict[str, Any], records: Records, settings: Settings, *, show: Show = show_package) -> dict[str, bytes]:
    """Make the content of every file of a package.

    Args:
        states: one per book, in the settings' order.
        manifest: what is known about inputs, settings, model and completeness.
        records: what people decided and signed.
        settings: how entries are laid out for the ERP.
        show: makes workbook and report.

    Returns:
        File name -> bytes; the same input gives the same bytes.
    """

    def all_books(make: Callable[[BookState], pl.DataFrame]) -> pl.DataFrame:
        return pl.concat([make(state) for state in states], how="vertical_relaxed")

    breaks = all_books(_breaks)
    is_accepted = pl.col("disposition").is_in(ACCEPTED)
    by_currency = {"amount": "currency"}
    tables: dict[str, tuple[pl.DataFrame, list[str], dict[str, str], tuple[str, ...]]] = {
        "statement.csv": (all_books(lambda s: s.statement), STATEMENT, dict.fromkeys(["stripe", "ledger", "bank", "difference", "accepted", "awaiting"], "currency"), ()),
        "matches.csv": (
            all_books(_matches), MATCHES, {**by_currency, "presentment_amount": "presentment_currency", "match_difference": "currency"}, ("score",),
        ),
        "open_items.csv": (all_books(_open_items), OPEN_ITEMS, by_currency, ()),
        "exceptions.csv": (breaks.filter(~is_accepted), BREAKS, _break_money(), ("probability_true_exception",)),
        "expected_variances.csv": (breaks.filter(is_accepted), BREAKS, _break_money(), ("probability_true_exception",)),
        "set_aside.csv": (all_books(_set_aside).unique(["source_file", "source_row"], maintain_order=True), SET_ASIDE, by_currency, ()),
        "payouts.csv": (all_books(lambda s: s.payouts), PAYOUTS, dict.fromkeys(PAYOUT_MONEY, "currency"), ()),
        "journal_entries.csv": (
            all_books(lambda s: s.journals.rename({"debit_minor": "debit", "credit_minor": "credit"})), JOURNALS, {"debit": "currency", "credit": "currency"}, (),
        ),
        "audit_sample.csv": (all_books(_audit_sample), AUDIT, _break_money(), ("probability_true_exception",)),
        "rollforward.csv": (
            all_books(lambda s: roll_forward(s.carried_items, s.carried_open, s.items, s.open_items)),
            ROLL_FORWARD, dict.fromkeys(["carried_in", "new", "settled", "carried_out"], "currency"), (),
        ),
        "receipts_to_apply.csv": (all_books(lambda s: list_receipts(s.items, s.open_items, s.facts["cut_off_on"])), RECEIPTS, RECEIPT_MONEY, ()),
        "disputes.csv": (all_books(lambda s: s.disputes), list(disputes.SCHEMA), dict.fromkeys(disputes.MONEY, "currency"), ()),
        "restatement.csv": (all_books(lambda s: s.restatement), list(restatement.SCHEMA), dict.fromkeys(restatement.MONEY, "currency"), ()),
        "controls.csv": (all_books(controls.list_controls), controls.COLUMNS, {}, ()),
        "decisions.csv": (records.decisions, DECISIONS, {}, ()),
        "signoffs.csv": (records.signoffs, SIGNOFFS, {}, ()),
    }  # fmt: skip
    mark = [INCOMPLETE] if manifest["accepted_incomplete"] else []
    files = {
        name: csv_bytes(frame.with_columns(pl.lit("accepted").alias(column) for column in mark), columns + mark, money=money, ratios=ratios)
        for name, (frame, columns, money, ratios) in tables.items()
    }
    imports = _import_files(states, manifest, settings)
    files.update(imports.files)
    rows = {**{name: table[0].height for name, table in tables.items()}, **{name: content.count(b"\r\n") - 1 for name, content in imports.files.items()}}
    described = {"layout": imports.layout, "control": list(imports.control), "reasons": list(imports.reasons)}
    complete = {**manifest, **records.manifest, "control_totals": _control_totals(states), "journal_import": described}
    files["audit.py"] = auditor()
    signed = sign_manifest(complete, files, rows=rows)
    shown = {**{name: table[0] for name, table in tables.items()}, "fees": all_books(lambda s: s.fees), "coverage": all_books(lambda s: s.coverage)}
    files |= show(Content(shown, {name: table[2] for name, table in tables.items()}, signed))
    files["manifest.json"] = seal_manifest(sign_manifest(complete, files, rows=rows))
    return files


def _import_files(states: list[BookState], manifest: dict[str, Any], settings: Settings) -> ImportFiles:
    """Write the approved entries of all books in the layout of the system whose exports were read."""
    exports = [entry for book in manifest["books"] for entry in book["inputs"] if entry["kind"] == "ledger"]
    by_use = sorted(exports, key=lambda entry: (-entry["rows_used"], entry["path"]))
    layout = choose_layout(settings, [entry["profile"] for entry in by_use])
    order = by_use[0]["date_order"] if by_use else ""
    return write_import_files(pl.concat([state.journals for state in states]), settings, layout=layout, date_order=order)


def check_statement(state: BookState) -> None:
    """Check that the statement foots before anything is written.

    Raises:
        DefectError: a column or the bridge does not add up; nothing was published.
    """
    faults = []
    for (currency,), part in state.statement.partition_by("currency", as_dict=True).items():
        books, bridge, cash = (part.filter(pl.col("section") == name) for name in ("books", "bridge", "cash"))
        for column in ("stripe", "ledger", "difference"):
            lines = int(books.filter(pl.col("line") != "closing")[column].sum())
            closing = int(books.filter(pl.col("line") == "closing")[column].item())
            if lines != closing:
                faults.append(
                    f"books {currency} {column}: lines add to {format_minor(lines, str(currency))}, closing is {format_minor(closing, str(currency))}"
                )
        total, closing = bridge.filter(pl.col("line") == "total")["difference"].item(), books.filter(pl.col("line") == "closing")["difference"].item()
        if total != closing:
            faults.append(f"bridge {currency}: causes add to {format_minor(total, str(currency))}, the difference is {format_minor(closing, str(currency))}")
        moved = int(cash.filter(pl.col("line") != "in_transit_closing")["difference"].sum())
        left = int(cash.filter(pl.col("line") == "in_transit_closing")["difference"].item())
        if moved != left:
            faults.append(f"cash {currency}: lines add to {format_minor(moved, str(currency))}, in transit is {format_minor(left, str(currency))}")
    if faults:
        raise DefectError("the statement does not foot, so nothing was written; please report this:\n" + "\n".join(faults))


def write_draft(folder: Path, files: dict[str, bytes]) -> Path:
    """Write the package of an open month and point `draft` and `latest` at it in one step each.

    The package before it is kept, so that somebody who began to read it can finish: resolve the link once, then read.
    """
    _remove_leftovers(folder)
    digest = hashlib.sha256(b"".join(name.encode() + files[name] for name in sorted(files))).hexdigest()[:16]
    target = folder / f".draft-{digest}"
    link = folder / "draft"
    before = folder / link.readlink() if link.is_symlink() else target
    _write_folder(target, files)
    _point(link, target.name)
    _point(folder / "latest", "draft")
    for old in folder.glob(".draft-*"):
        if old not in (target, before):
            shutil.rmtree(old)
    return link


def write_version(folder: Path, files: dict[str, bytes]) -> Path:
    """Write the package of a lock as the next version; versions never change."""
    _remove_leftovers(folder)
    number = 1 + max((int(path.name[1:]) for path in folder.glob("v[0-9]*") if path.name[1:].isdigit()), default=0)
    target = folder / f"v{number}"
    _write_folder(target, files)
    _point(folder / "latest", target.name)
    (folder / "draft").unlink(missing_ok=True)
    for old in folder.glob(".draft-*"):
        shutil.rmtree(old)
    return target


def _write_folder(target: Path, files: dict[str, bytes]) -> None:
    """Write a folder so that it exists whole or not at all."""
    if target.exists():
        return
    staging = target.parent / f".staging-{os.getpid()}"
    for name, content in files.items():
        write_atomically(staging / name, content)
    with told_as_storage(target):
        staging.rename(target)
        sync_folder(target.parent)


def _remove_leftovers(folder: Path) -> None:
    """Remove what a killed run left under a temporary name; the caller is the only writer."""
    for left in folder.glob(".staging-*"):
        shutil.rmtree(left)
    for link in folder.glob(".*.tmp"):
        link.unlink()


def _point(link: Path, target: str) -> None:
    temporary = link.with_name(f".{link.name}.{os.getpid()}.tmp")
    with told_as_storage(link):
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(target)
        temporary.replace(link)
        sync_folder(link.parent)


def _matches(state: BookState) -> pl.DataFrame:
    order = pl.col("side").replace_strict(list(SIDE_ORDER), list(SIDE_ORDER.values()), return_dtype=pl.Int64)
    described = state.members.select(MatchMember.column_names()).join(state.items, on=["leg", "item_id"])
    ordered = described.with_columns(order=order).sort("leg", "match_id", "order", "item_id")
    first = pl.int_range(pl.len()).over("leg", "match_id") == 0
    return ordered.with_columns(
        amount=pl.col("amount_minor"),
        presentment_amount=pl.col("presentment_amount_minor"),
        evidence=pl.when(first).then("evidence").otherwise(pl.lit("")),
        match_difference=pl.when(first).then("difference_minor"),
    )


def _open_items(state: BookState) -> pl.DataFrame:
    cut_off_on = pl.lit(state.facts["cut_off_on"]).str.to_date("%Y-%m-%d")
    age = (cut_off_on - pl.col("date")).dt.total_days()
    bucket = pl.lit("91+")
    for last, name in reversed(AGE_BUCKETS):
        bucket = pl.when(pl.col("age_days") <= last).then(pl.lit(name)).otherwise(bucket)
    return (
        state.open_items.join(state.items, on=["leg", "item_id"])
        .join(state.later_clearing, on=["leg", "item_id"], how="left")
        .with_columns(age_days=age, amount=pl.col("amount_minor"))
        .with_columns(age_bucket=bucket)
        .sort("leg", "currency", "nature", "cause", "date", "item_id")
    )


def _breaks(state: BookState) -> pl.DataFrame:
    return state.breaks.with_columns(
        amount=pl.col("amount_minor"),
        counter_amount=pl.col("counter_amount_minor"),
        money_at_risk=pl.col("money_at_risk_minor"),
    ).sort("currency", "money_at_risk_minor", "age_days", "break_id", descending=[False, True, True, False])


def _audit_sample(state: BookState) -> pl.DataFrame:
    return (
        state.audit_sample.select("break_id", "place", "drawn_from")
        .join(_breaks(state), on="break_id")
        .with_columns(finding=audit_finding())
        .sort("book", "place")
    )


def _break_money() -> dict[str, str]:
    return {"amount": "currency", "counter_amount": "counter_currency", "money_at_risk": "currency"}


def _set_aside(state: BookState) -> pl.DataFrame:
    return state.set_aside.with_columns(amount=pl.col("amount_minor"), side=pl.col("side").cast(pl.String)).sort(
        "side", "date", "currency", "amount_minor", "description", "rule", "source_file", "source_row"
    )


def _control_totals(states: list[BookState]) -> list[dict[str, Any]]:
    """Count and add up items, matched and open, by book, leg, currency and side."""
    totals = []
    for state in states:
        key = ["book", "leg", "currency", "side"]
        matched = state.members.select("leg", "item_id", is_matched=pl.lit(value=True))
        sums = state.items.join(matched, on=["leg", "item_id"], how="left").with_columns(pl.col("is_matched").fill_null(value=False), effect=EFFECT)
        counted = sums.group_by([*key, "is_matched"]).agg(count=pl.len(), amount=pl.col("amount_minor").sum()).sort([*key, "is_matched"])
        totals += [{**row, "amount": format_minor(row["amount"], row["currency"])} for row in counted.to_dicts()]
    return totals
