"""The lake and the inboxes -> everything a month of a book is computed from."""

from dataclasses import dataclass
from datetime import datetime

import polars as pl

from reconciliation.config import Book, Settings
from reconciliation.connectors.bank.reader import SUFFIXES as BANK_SUFFIXES
from reconciliation.connectors.bank.reader import read_bank
from reconciliation.connectors.inbox import InboxFile, read_inbox
from reconciliation.connectors.ledger.balances import read_balances, tie_balances
from reconciliation.connectors.ledger.reader import SUFFIXES as LEDGER_SUFFIXES
from reconciliation.connectors.ledger.reader import read_ledger
from reconciliation.errors import InputsMissingError
from reconciliation.lake import Lake
from reconciliation.money import format_minor
from reconciliation.schemas.stripe import BalanceSnapshot, BalanceTransaction, Payout, PayoutMember, StripeSource

DELIVERIES = "deliveries"
STRIPE_TABLES = {
    "balance_transactions": BalanceTransaction,
    "payouts": Payout,
    "payout_members": PayoutMember,
    "stripe_sources": StripeSource,
    "balance_snapshots": BalanceSnapshot,
}


@dataclass(frozen=True)
class Sources:
    """Everything a month of a book is computed from; schemas as named in `reconciliation.schemas`."""

    transactions: pl.DataFrame
    payouts: pl.DataFrame
    members: pl.DataFrame
    stripe_sources: pl.DataFrame
    snapshots: pl.DataFrame
    ledger_lines: pl.DataFrame
    ledger_balances: pl.DataFrame
    bank_lines: pl.DataFrame
    set_aside: pl.DataFrame
    files: pl.DataFrame
    complete_through: datetime


def read_stripe_tables(lake: Lake, book: Book) -> dict[str, pl.DataFrame]:
    """Read what was pulled for the book's Stripe accounts.

    Raises:
        InputsMissingError: an account was never pulled.
    """
    tables: dict[str, list[pl.DataFrame]] = {name: [schema.create_empty()] for name, schema in STRIPE_TABLES.items()}
    for account in book.stripe_accounts:
        for name, frames in tables.items():
            frame = lake.read_days(name, account=account)
            if frame is None:
                raise InputsMissingError(f"{lake.place}: nothing was pulled from Stripe account {account!r} ({name}); run without --no-pull")
            frames.append(frame.select(frames[0].columns).cast(frames[0].schema))
    return {name: pl.concat(frames).unique(maintain_order=True) for name, frames in tables.items()}


def register_deliveries(lake: Lake, settings: Settings) -> dict[str, int]:
    """Give every file content in the inboxes its ordinal of arrival, once; what is there together arrived together."""
    folders = ((settings.ledger.inbox, LEDGER_SUFFIXES), (settings.ledger.balances, LEDGER_SUFFIXES), (settings.bank.inbox, BANK_SUFFIXES))

    def register(known: dict[str, int]) -> dict[str, int]:
        found = [
            file.sha256 for folder, suffixes in folders for file in read_inbox(settings.path(folder), base=settings.folder, suffixes=suffixes, deliveries=known)
        ]
        return known | dict.fromkeys(sorted(set(found) - set(known)), max(known.values(), default=0) + 1)

    known = lake.facts(DELIVERIES)
    # Books that are read at the same time must not give one ordinal twice, nor forget each other's files.
    return known if register(known) == known else lake.change_facts(DELIVERIES, register)


def read_files(settings: Settings, deliveries: dict[str, int]) -> dict[str, pl.DataFrame]:
    """Read the inboxes: ledger exports, trial balances and bank statements.

    Raises:
        InputsMissingError: there is no ledger export or no bank statement at all.
        FileRefusedError: a file contradicts itself or cannot be read with certainty.
    """

    def inbox(folder: str, suffixes: frozenset[str]) -> list[InboxFile]:
        return read_inbox(settings.path(folder), base=settings.folder, suffixes=suffixes, deliveries=deliveries)

    ledger_files, bank_files = inbox(settings.ledger.inbox, LEDGER_SUFFIXES), inbox(settings.bank.inbox, BANK_SUFFIXES)
    empty = [
        f"{settings.path(folder)}: no {what}; drop the {what} of the month there"
        for files, folder, what in (
            (ledger_files, settings.ledger.inbox, "ledger export (CSV or XLSX)"),
            (bank_files, settings.bank.inbox, "bank statement (CAMT, MT940, BAI2, OFX or CSV)"),
        )
        if not files
    ]
    if empty:
        raise InputsMissingError("\n".join(empty))
    ledger, bank = read_ledger(ledger_files, settings=settings), read_bank(bank_files, settings=settings)
    balances, balance_files = read_balances(inbox(settings.ledger.balances, LEDGER_SUFFIXES), settings=settings)
    balance_files = _note_ties(balance_files, tie_balances(balances, ledger.lines))
    return {
        "ledger_lines": ledger.lines,
        "bank_lines": bank.lines,
        "ledger_balances": balances,
        "set_aside": pl.concat([ledger.set_aside, bank.set_aside]),
        "files": pl.concat([ledger.files, bank.files, balance_files]),
    }


def _note_ties(files: pl.DataFrame, ties: pl.DataFrame) -> pl.DataFrame:
    """Say of each trial balance whether the lines lead from balance to balance; where not, the statement shows it as unexplained."""
    off = ties.filter(pl.col("difference_minor") != 0).sort("account", "currency", "period")
    texts: dict[str, list[str]] = {}
    for account, currency, period, file, difference in off.iter_rows():
        texts.setdefault(file, []).append(f"{account} {period}: the lines miss {format_minor(difference, currency)} {currency}")
    held = sorted(set(ties["source_file"]) - set(texts))
    noted = {file: "; ".join(found) for file, found in texts.items()}
    proved = pl.when(pl.col("source_file").is_in(held)).then(pl.concat_str(["proofs", pl.lit("lines_lead_to_balances")], separator=";").str.strip_chars(";"))
    missed = pl.col("source_file").replace_strict(noted, default=None, return_dtype=pl.String)
    return files.with_columns(proofs=proved.otherwise("proofs"), evidence=pl.concat_str(["evidence", missed], separator="; ", ignore_nulls=True))


def with_card_country(sources: pl.DataFrame) -> pl.DataFrame:
    """Add the card's country where a lake of an earlier version has none."""
    return sources if "card_country" in sources.columns else sources.with_columns(card_country=pl.lit(None, dtype=pl.String))


def assemble_sources(stripe: dict[str, pl.DataFrame], files: dict[str, pl.DataFrame], book: Book, *, complete_through: datetime) -> Sources:
    """Put together what one book is computed from: its own ledger accounts' lines of all that was read."""
    accounts = [account.account for account in book.ledger_accounts]
    own = pl.col("account").is_in(accounts) if accounts else pl.lit(value=True)
    return Sources(
        transactions=stripe["balance_transactions"],
        payouts=stripe["payouts"],
        members=stripe["payout_members"],
        stripe_sources=with_card_country(stripe["stripe_sources"]),
        # A balance read after the last transaction that was pulled cannot be worked back.
        snapshots=stripe["balance_snapshots"].filter(pl.col("taken_at") <= complete_through),
        ledger_lines=files["ledger_lines"].filter(own),
        ledger_balances=files["ledger_balances"].filter(own),
        bank_lines=files["bank_lines"],
        set_aside=files["set_aside"],
        files=files["files"],
        complete_through=complete_through,
    )
