"""The lake's state of months: carried in, stored, locked.

A reconciled month of a book is the scope `month/<book>/<period>`; a lock copies its tables under `lock/<period>/<book>`, and
from then on it is what the next month starts from. Files are content-addressed, so a lock costs nothing.
"""

from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from reconciliation.close.coverage import cover_references
from reconciliation.close.disputes import list_disputes
from reconciliation.close.fees import list_fees
from reconciliation.close.later_clearing import find_later_clearing
from reconciliation.close.manifest import RETIRED, combine, describe_month
from reconciliation.close.package import BookState, check_statement, package_files, write_draft, write_version
from reconciliation.close.payouts import list_payouts
from reconciliation.close.restatement import SCHEMA as RESTATEMENT
from reconciliation.close.restatement import compare_versions, describe_status, list_late_changes
from reconciliation.close.show import Show, show_package
from reconciliation.config import Book, LedgerAccount, Settings
from reconciliation.errors import InputsMissingError, LockedPeriodError, SettingsError
from reconciliation.lake import Lake
from reconciliation.lake import lock_scope as lock_scope
from reconciliation.lake import locked_through as locked_through
from reconciliation.lake import month_scope as month_scope
from reconciliation.pipeline import Reconciliation
from reconciliation.population import LOCKED, CarriedIn, Month, in_scope, open_book
from reconciliation.review.controls import settings_in_force
from reconciliation.review.effects import decisions_in_force, decisive_entries
from reconciliation.review.log import open_log
from reconciliation.review.records import approved_unlock, missing_signatures, record_people
from reconciliation.review.situation import package_hash
from reconciliation.schemas.items import Item
from reconciliation.schemas.journals import ProposedEntry
from reconciliation.sources import Sources

TABLES = [
    "items",
    "references",
    "members",
    "explained",
    "open_items",
    "breaks",
    "features",
    "balances",
    "journals",
    "journal_register",
    "statement",
    "payouts",
    "later_clearing",
    "set_aside",
    "carried_items",
    "carried_open",
    "disputes",
    "restatement",
    "audit_sample",
    "fees",
    "coverage",
]


def unlocked_scope(book: str, period: str) -> str:
    """Name the scope that keeps what a month was locked as, once it is open again."""
    return f"unlocked/{period}/{book}"


def months_to_compute(lake: Lake, settings: Settings, period: str) -> list[str]:
    """Return the open months from the first one to `period`, in order; earlier open months are recomputed, they may be stale.

    Raises:
        SettingsError: the period lies before the start.
        LockedPeriodError: the period is locked.
    """
    calendar = settings.calendar
    calendar.first_day(period)
    if period < settings.start.period:
        raise SettingsError(f"period {period} lies before the first month reconciled ([start] period = {settings.start.period})")
    locked = locked_through(lake)
    if locked and period <= locked:
        raise LockedPeriodError(
            f"{period} is locked and does not change any more; its package is in {settings.path(settings.close.folder) / period / 'latest'}, later arrivals stand in {calendar.following(locked)}"
        )
    current = calendar.following(locked) if locked else settings.start.period
    months = [current]
    while months[-1] < period:
        months.append(calendar.following(months[-1]))
    return months


def define_month(lake: Lake, settings: Settings, book: Book, period: str, *, complete_through: datetime, as_of: date | None = None) -> Month:
    """Fix a month's cut-off: its last day, or the last whole day of data for a month under way.

    Raises:
        SettingsError: the month has not begun at Stripe, or `as_of` lies outside of it or of the data.
    """
    settings = settings_in_force(settings, open_log(lake).entries())
    calendar = settings.calendar
    first, last = calendar.first_day(period), calendar.last_day(period)
    whole = calendar.local_day(complete_through) - timedelta(days=1)
    day = min(last, whole) if as_of is None else as_of
    if not first <= day <= last:
        raise SettingsError(
            f"period {period} runs from {first} to {last}, and {'Stripe data ends' if as_of is None else '--as-of is'} {day}; name a month that has begun, or a day inside it"
        )
    if day > whole:
        raise SettingsError(f"--as-of {day}: Stripe's data is complete through {whole}; name that day or an earlier one")
    return Month(period, book, settings, calendar, min(calendar.cut_off(period), calendar.day_start(day + timedelta(days=1))), day, locked_through(lake))


def complete_book(book: Book, lines: pl.DataFrame) -> Book:
    """Return the book with its ledger accounts; without any in the settings, the one account found in the files.

    Raises:
        SettingsError: several accounts were found and none is mapped.
    """
    if book.ledger_accounts:
        return book
    found = lines.select("account", "currency").unique().sort("account", "currency")
    if found["account"].n_unique() != 1:
        names = ", ".join(found["account"].unique().sort()) or "none"
        raise SettingsError(f"book {book.name!r} maps no ledger account and the exports hold {names}; name the clearing account in [[books.ledger_accounts]]")
    accounts = tuple(LedgerAccount(account=row["account"], currency=row["currency"]) for row in found.to_dicts())
    return book.model_copy(update={"ledger_accounts": accounts})


def carry_in(lake: Lake, sources: Sources, month: Month) -> CarriedIn:
    """Load what the month starts from: the opening, or what the month before carried out (as locked, if it is).

    Raises:
        InputsMissingError: the opening is unknown, or the month before was never reconciled.
    """
    name = month.book.name
    locked_items = _locked_items(lake, name)
    decisions = decisions_in_force(open_log(lake).entries())
    people = {"decided": decisions.decided, "by_hand": decisions.by_hand, "apart": decisions.apart}
    if month.is_first:
        scope = f"opening/{name}"
        given = lake.read(scope, "items")
        opened = open_book(sources, month, opening_items=given, opening_balances=dict(lake.facts(scope).get("ledger", {})))
        return replace(opened, locked_items=locked_items, journals=_known_journals(lake, month, {}), **people)
    before = month.calendar.preceding(month.period)
    scope = lock_scope(name, before) if lake.tables(lock_scope(name, before)) else month_scope(name, before)
    tables = lake.tables(scope)
    if tables is None:
        raise InputsMissingError(f"{before} was not reconciled yet and {month.period} starts from it; run: reconcile run --period {before}")
    items, open_items, references = (lake.load(tables[table]) for table in ("items", "open_items", "references"))
    key = ["leg", "item_id"]
    carried = items.join(open_items.select(key), on=key, how="semi").with_columns(population=pl.lit("carried"))
    closing = lake.load(tables["balances"]).select("currency", stripe_minor="stripe_closing_minor", ledger_minor="ledger_closing_minor")
    journals = _known_journals(lake, month, tables)
    known = references.join(open_items.select(key), on=key, how="semi")
    return CarriedIn(carried, known, open_items, lake.load(tables["explained"]), closing, locked_items, journals, **people)


def _known_journals(lake: Lake, month: Month, before: dict[str, str]) -> pl.DataFrame:
    """Load the entries proposed so far: by the months before, and by the nights before in this one (whether they came back in it is found anew)."""
    own = lake.read(month_scope(month.book.name, month.period), "journal_register")
    frames = [lake.load(before["journal_register"])] if "journal_register" in before else []
    if own is not None:
        came_now = pl.col("posted_period") == month.period
        frames.append(own.with_columns(posted_period=pl.when(came_now).then(pl.lit("")).otherwise("posted_period")))
    if not frames:
        return ProposedEntry.create_empty()
    # What the month before says stands first: it may have been run again since, and found an entry posted.
    return pl.concat(frames).unique(["journal_id", "version"], keep="first", maintain_order=True).sort("journal_id", "version")


def store_month(lake: Lake, result: Reconciliation, sources: Sources, *, proofs: pl.DataFrame, model: str, accept_incomplete: bool) -> None:
    """Publish a reconciled month of a book, with what its package needs beside it, in one step.

    Args:
        lake: where it is stored.
        result: the month.
        sources: what it was computed from.
        proofs: `CompletenessProof`.
        model: label of the model version that scored.
        accept_incomplete: whether an incomplete pull was accepted.
    """
    month = result.month
    frames = {
        "items": result.items,
        "references": result.references,
        "members": result.members,
        "explained": result.explained,
        "open_items": result.open_items,
        "breaks": result.breaks,
        "features": result.features,
        "balances": result.balances,
        "journals": result.journals,
        "journal_register": result.journal_register,
        "statement": result.statement,
        "payouts": list_payouts(sources, month, result.items, result.members),
        "set_aside": set_aside_of_month(sources, month),
        "later_clearing": find_later_clearing(sources, month, result.items, result.references, result.open_items),
        "carried_items": result.carried.items,
        "carried_open": result.carried.open_items,
        "disputes": list_disputes(sources, month, before=_before(lake, month, "disputes")),
        "restatement": list_restatement(lake, result),
        "audit_sample": result.audit_sample,
        "fees": list_fees(sources, month),
        "coverage": cover_references(sources, result.items, result.references, result.members),
    }
    described = describe_month(sources, month, model=model, proofs=proofs, accept_incomplete=accept_incomplete)
    description = {**described, "clearing": result.clearing}
    lake.publish(month_scope(month.book.name, month.period), {name: lake.stage(name, frame) for name, frame in frames.items()}, facts=description)


def list_restatement(lake: Lake, result: Reconciliation) -> pl.DataFrame:
    """List what changed in locked months since (`restatement.SCHEMA`), and how a re-opened month differs from its locked version."""
    month = result.month
    now = describe_status(result.items, result.open_items)
    late = list_late_changes(result.items, now.select("leg", "item_id", "status"), result.carried.locked_items, period=month.period)
    scope = unlocked_scope(month.book.name, month.period)
    items, open_items = lake.read(scope, "items"), lake.read(scope, "open_items")
    if items is None or open_items is None:
        return late
    return pl.concat([late, compare_versions(describe_status(items, open_items), now, period=month.period, book=month.book.name)])


def changes_since_lock(lake: Lake, settings: Settings, period: str) -> pl.DataFrame:
    """Return `posted_into, change, currency, items, difference`: what has changed in a locked month since, as the later months found it."""
    found = [pl.DataFrame(schema=RESTATEMENT)]
    for scope in lake.scopes("month"):
        rows = lake.read(scope, "restatement")
        if rows is not None and scope.split("/")[1] in {book.name for book in settings.books}:
            found.append(rows.filter((pl.col("period") == period) & (pl.col("posted_into") != "") & (pl.col("leg") == "books")))
    grouped = pl.concat(found).group_by("posted_into", "change", "currency").agg(items=pl.len(), difference=pl.col("difference").sum())
    return grouped.sort("posted_into", "change", "currency")


def _before(lake: Lake, month: Month, table: str) -> pl.DataFrame | None:
    """Read a table of the month before, as locked if it is; None in the first month."""
    if month.is_first:
        return None
    before = month.calendar.preceding(month.period)
    locked = lake.read(lock_scope(month.book.name, before), table)
    return locked if locked is not None else lake.read(month_scope(month.book.name, before), table)


def set_aside_of_month(sources: Sources, month: Month) -> pl.DataFrame:
    """Return the rows of the month that were read and are not reconciled (`SetAsideRow`): those of the month's own files, and balance types no account stands for."""
    own = pl.coalesce("month", pl.col("date").dt.strftime("%Y-%m")) == month.period
    rows = sources.set_aside.filter(own & ~pl.col("rule").is_in(RETIRED) & (pl.col("date").is_null() | (pl.col("date") <= month.cut_off_on)))
    booked = sources.transactions.filter(pl.col("created_at") < month.cut_off).with_columns(date=month.calendar.local_day_of("created_at"))
    unmapped = booked.join(in_scope(booked, month.book), on=["stripe_account", "balance_transaction_id"], how="anti").with_columns(
        month=month.calendar.period_of_day("date")
    )
    stripe = unmapped.filter(pl.col("month") == month.period).select(
        source_file=pl.concat_str([pl.lit("stripe/"), pl.col("stripe_account"), pl.lit("/balance_transactions")]),
        source_row=pl.col("balance_transaction_id"),
        side=pl.lit("stripe").cast(rows.schema["side"]),
        date="date",
        month="month",
        amount_minor="net_minor",
        currency="currency",
        account="balance_type",
        rule=pl.lit("other_balance_type"),
        description="description",
    )
    return pl.concat([rows, stripe.select(rows.columns)])


def write_package(lake: Lake, settings: Settings, period: str, *, as_version: bool = False, show: Show = show_package) -> Path:
    """Write the close package of a month from what is stored: the draft, or the next version of a locked month; `show` makes workbook and report.

    Raises:
        DefectError: the statement does not foot.
        InputsMissingError: a book was not reconciled.
        LockedPeriodError: the figures to be locked are not those that were signed; the month stays open.
    """
    make_scope = lock_scope if as_version else month_scope
    states = [read_state(lake, make_scope(book.name, period)) for book in settings.books]
    for state in states:
        check_statement(state)
    entries = open_log(lake).entries()
    # Sessions and certifications change no draft; a version shows everything up to its lock.
    shown = entries if as_version else decisive_entries(entries, period)
    records = record_people(shown, period, manifest={"carried_from": carried_from(settings, period)})
    files = package_files(states, combine([state.facts for state in states]), records, settings, show=show)
    folder = settings.path(settings.close.folder) / period
    if as_version:
        signed_hash = orjson.loads(files["manifest.json"])["package_sha256"]
        if missing_signatures(entries, period, signed_hash):
            _withdraw_lock(lake, settings, period)
            raise LockedPeriodError(
                f"{period} is not locked: the figures in the lake are not those that were signed; run: reconcile run --period {period}, and certify its package"
            )
        return write_version(folder, files)
    return write_draft(folder, files)


def carried_from(settings: Settings, period: str) -> dict[str, str] | None:
    """Name the package that a month begins with: period and signed hash of the newest one of the month before; None for the first month."""
    if period == settings.start.period:
        return None
    before = settings.calendar.preceding(period)
    manifest = settings.path(settings.close.folder) / before / "latest" / "manifest.json"
    found = orjson.loads(manifest.read_bytes()) if manifest.exists() else {}
    return {"period": before, "package_sha256": str(found.get("package_sha256", ""))}


def read_state(lake: Lake, scope: str) -> BookState:
    """Read the stored state of a month for its package.

    Raises:
        InputsMissingError: the month was never reconciled.
    """
    tables = lake.tables(scope)
    if tables is None:
        raise InputsMissingError(f"{scope}: not reconciled yet; run: reconcile run --period {scope.rsplit('/', 1)[-1]}")
    loaded = {name: lake.load(tables[name]) for name in TABLES}
    used = [
        "items",
        "members",
        "open_items",
        "breaks",
        "journals",
        "statement",
        "payouts",
        "set_aside",
        "later_clearing",
        "carried_items",
        "carried_open",
        "balances",
        "disputes",
        "restatement",
        "audit_sample",
        "fees",
        "coverage",
    ]
    return BookState(**{name: loaded[name] for name in used}, facts=lake.facts(scope))


def lock_month(lake: Lake, settings: Settings, period: str) -> None:
    """Freeze a month: all books, in order of months.

    Where reviewers are enrolled, preparer and reviewer have certified its package first.

    Raises:
        LockedPeriodError: it is locked already, an earlier month is still open, or its package is not certified.
        InputsMissingError: it was not reconciled.
    """
    locked = locked_through(lake)
    if locked and period <= locked:
        raise LockedPeriodError(f"{period} is locked already")
    expected = settings.calendar.following(locked) if locked else settings.start.period
    if period != expected:
        raise LockedPeriodError(f"{period} cannot be locked before {expected}; lock {expected} first")
    scopes = {book.name: lake.tables(month_scope(book.name, period)) for book in settings.books}
    missing = [name for name, tables in scopes.items() if tables is None]
    if missing:
        raise InputsMissingError(f"{period} was not reconciled for {', '.join(missing)}; run: reconcile run --period {period}")
    entries, signed_hash = open_log(lake).entries(), package_hash(settings, period)
    unsigned = missing_signatures(entries, period, signed_hash)
    if unsigned:
        raise LockedPeriodError(
            f"{period} cannot be locked: its package {signed_hash[:16]}… is not certified by {' and '.join(unsigned)}; run: reconcile close certify {period}"
        )
    for name, tables in scopes.items():
        facts: dict[str, Any] = lake.facts(month_scope(name, period))
        lake.publish(lock_scope(name, period), tables or {}, facts={**facts, "log_entries": len(entries)})


def unlock_month(lake: Lake, settings: Settings, period: str) -> None:
    """Re-open the last locked month; what it was locked as stays, as a version of the package and for the diff of the next one.

    Raises:
        LockedPeriodError: it is not the last locked month, or two people have not asked for it in the log since it was locked.
    """
    last = locked_through(lake)
    if period != last:
        raise LockedPeriodError(f"{period} cannot be re-opened: the last locked month is {last or 'none'}, and months are re-opened from the last one back")
    locked = {book.name: lock_scope(book.name, period) for book in settings.books}
    after = max(int(lake.facts(scope).get("log_entries", 0)) for scope in locked.values())
    if approved_unlock(open_log(lake).entries(), period, after=after) is None:
        raise LockedPeriodError(
            f"{period} stays locked: re-opening takes a reason and a second person since the lock; run: reconcile close unlock {period} --reason …"
        )
    for name, scope in locked.items():
        lake.publish(unlocked_scope(name, period), lake.tables(scope) or {}, facts=lake.facts(scope))
    _withdraw_lock(lake, settings, period)


def _withdraw_lock(lake: Lake, settings: Settings, period: str) -> None:
    for book in settings.books:
        lake.withdraw(lock_scope(book.name, period))


def _locked_items(lake: Lake, book: str) -> pl.DataFrame:
    """Read what the locked months knew of every item (`population.LOCKED`); one that was carried on is known once."""
    frames = [Item.create_empty().select(LOCKED)]
    for scope in lake.scopes("lock"):
        if scope.endswith(f"/{book}"):
            items = lake.read(scope, "items")
            if items is not None:
                frames.append(items.filter(pl.col("population") != "carried").select(LOCKED))
                frames.append(items.filter(pl.col("population") == "carried").select(LOCKED))
    return pl.concat(frames).unique(["leg", "item_id"], keep="first", maintain_order=True)
