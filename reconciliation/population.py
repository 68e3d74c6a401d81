"""Sources + what the month before carried out -> the items of a month (law 1: each ends matched or open, once).

The population of a leg is: opening open items + items dated in the month + items of locked months that arrived since.
"""

from dataclasses import dataclass, field
from datetime import date, datetime

import polars as pl

from reconciliation.balances import stripe_balances
from reconciliation.calendar import Calendar
from reconciliation.config import Book, Settings
from reconciliation.engine import content_ids
from reconciliation.errors import InputsMissingError
from reconciliation.matching.cascade import match_items
from reconciliation.normalize.components import cast_items, list_cash_items, split_components
from reconciliation.normalize.lines import JOURNAL_ID, list_bank_items, list_ledger_items
from reconciliation.normalize.references import extract_references, sort_references
from reconciliation.schemas.breaks import OpenItem
from reconciliation.schemas.decisions import DecidedItem, HandMatchedItem, KeptApartItem
from reconciliation.schemas.items import Item, ItemReference
from reconciliation.schemas.journals import ProposedEntry
from reconciliation.sources import Sources

LOCKED = ["leg", "item_id", "side", "amount_minor", "currency", "account", "date", "origin_period"]
RESTATED = "/restated/"
"""Marks the id of an item that stands for what a locked ledger line has changed by since: `<item>/restated/<period it is counted in>`."""


@dataclass(frozen=True)
class Month:
    """One accounting month of one book.

    Attributes:
        period: its name.
        book: the book.
        cut_off: instant at which it ends (exclusive); earlier than the calendar's for a month under way.
        cut_off_on: last day counted.
        locked_through: the last locked month, or empty.
    """

    period: str
    book: Book
    settings: Settings
    calendar: Calendar
    cut_off: datetime
    cut_off_on: date
    locked_through: str = ""

    @property
    def is_first(self) -> bool:
        """Whether the book begins with this month."""
        return self.period == self.settings.start.period

    @property
    def takes_late_items(self) -> bool:
        """Whether arrivals for locked months land here: the first open month takes them."""
        return bool(self.locked_through) and self.calendar.following(self.locked_through) == self.period


@dataclass(frozen=True)
class CarriedIn:
    """What a month starts from.

    Attributes:
        items: `Item` rows, population `carried`.
        references: their `ItemReference` rows.
        open_items: the `OpenItem` rows of the month before (causes and journal ids).
        explained: the same items with the facts that explained them; empty in the first month.
        balances: `currency, stripe_minor, ledger_minor`: the closing of the month before.
        locked_items: what locked months knew of every item (`LOCKED`), by the amount they ended with.
        journals: every entry proposed so far (`ProposedEntry`), those of this month's earlier runs included.
        decided: `DecidedItem`: what people decided about breaks.
        by_hand: `HandMatchedItem`: what they matched.
        apart: `KeptApartItem`: what they took apart.
    """

    items: pl.DataFrame
    references: pl.DataFrame
    open_items: pl.DataFrame
    explained: pl.DataFrame
    balances: pl.DataFrame
    locked_items: pl.DataFrame
    journals: pl.DataFrame = field(default_factory=ProposedEntry.create_empty)
    decided: pl.DataFrame = field(default_factory=DecidedItem.create_empty)
    by_hand: pl.DataFrame = field(default_factory=HandMatchedItem.create_empty)
    apart: pl.DataFrame = field(default_factory=KeptApartItem.create_empty)


@dataclass(frozen=True)
class Population:
    """Items of a month with their references, and the evidence around them."""

    items: pl.DataFrame
    references: pl.DataFrame
    evidence: pl.DataFrame
    evidence_references: pl.DataFrame


def list_all_items(sources: Sources, month: Month) -> pl.DataFrame:
    """List every item of the book that is dated before the cut-off, whatever its month (`Item` + `reference_text`)."""
    calendar, book = month.calendar, month.book.name
    booked = sources.transactions.filter(pl.col("created_at") < month.cut_off)
    payouts = sources.payouts.filter(pl.col("created_at") < month.cut_off)
    members = sources.members.join(payouts, on=["stripe_account", "payout_id"], how="semi")
    components = split_components(in_scope(booked, month.book), sources=sources.stripe_sources, payouts=payouts, members=members, calendar=calendar, book=book)
    cash = list_cash_items(payouts, transactions=booked, calendar=calendar, book=book)
    ledger = list_ledger_items(sources.ledger_lines, book=book).filter(
        (pl.col("date") <= month.cut_off_on) | (pl.col("origin_period") < month.period) | _ended(month)
    )
    bank = list_bank_items(sources.bank_lines, book=book, period_of_day=calendar.period_of_day("date")).filter(pl.col("date") <= month.cut_off_on)
    return pl.concat([components, cash, ledger, bank])


def _ended(month: Month) -> pl.Expr:
    """A month that ended holds every line of its posting period, also one dated after its last day."""
    return pl.lit(month.cut_off_on >= month.calendar.last_day(month.period))


def in_scope(transactions: pl.DataFrame, book: Book) -> pl.DataFrame:
    """Keep the balance types that the book's ledger accounts stand for; a currency without an account keeps all."""
    mapped = pl.DataFrame(
        [(account.currency, balance_type) for account in book.ledger_accounts for balance_type in account.balance_types],
        schema={"currency": pl.String, "balance_type": pl.String},
        orient="row",
    ).unique()
    has_account = pl.col("currency").is_in(mapped["currency"].unique().implode())
    return pl.concat([transactions.join(mapped, on=["currency", "balance_type"], how="semi"), transactions.filter(~has_account)])


def build_population(sources: Sources, month: Month, carried: CarriedIn) -> Population:
    """Select the items of the month and extract their references."""
    listed = list_all_items(sources, month)
    known = carried.locked_items
    # A line that a locked month counted and that was moved here since is counted once, in that month.
    new = listed.filter(pl.col("origin_period") == month.period).join(known, on=["leg", "item_id"], how="anti")
    late = listed.clear()
    if month.takes_late_items:
        locked = pl.col("origin_period").is_between(pl.lit(month.settings.start.period), pl.lit(month.locked_through))
        arrived_late = listed.filter(locked).join(known, on=["leg", "item_id"], how="anti")
        late = pl.concat([arrived_late, list_restated_lines(sources, month, listed, known)]).with_columns(population=pl.lit("late"))
    arrived = _mark_accruals(pl.concat([new, late]), carried.journals)
    brought = _refresh_payouts(carried.items.join(arrived, on=["leg", "item_id"], how="anti"), listed)
    items = pl.concat([brought, cast_items(arrived).drop("reference_text")]).sort("leg", "item_id")
    evidence, evidence_references = list_evidence(sources, month, listed=listed)
    key = ["leg", "item_id"]
    # The evidence holds every ledger line, with its references.
    found = pl.concat(
        [extract_references(arrived.join(evidence, on=key, how="anti")), evidence_references.join(arrived, on=key, how="semi", maintain_order="left")]
    )
    brought_references = carried.references.join(found, on=found.columns, how="anti").join(items, on=key, how="semi")
    references = sort_references(pl.concat([brought_references, found]))
    return Population(Item.validate(items, cast=True), ItemReference.validate(references, cast=True), evidence, evidence_references)


def list_evidence(sources: Sources, month: Month, *, listed: pl.DataFrame | None = None) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return what is looked at around a month and never counted, with its references: the ledger lines of all months, and those on other accounts."""
    known = list_all_items(sources, month) if listed is None else listed
    around = pl.concat([known.filter(pl.col("side") == "ledger"), other_account_lines(sources, month)])
    return cast_items(around).drop("reference_text"), extract_references(around)


def list_restated_lines(sources: Sources, month: Month, listed: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """Make an item for every ledger line that a locked month counted and that has another amount now, or is gone.

    Its amount is what changed since, so that the ledger's opening as locked and its lines still lead to its closing. A line is gone only where a current export
    covers its account and day without it; an export that was cleared away proves nothing.

    Args:
        sources: everything read.
        month: the month that takes late items.
        listed: from `list_all_items`.
        known: `LOCKED` columns of the locked months' items.

    Returns:
        Rows as `listed` has them, `<item>/restated/<period>`.
    """
    lines = known.filter(pl.col("side") == "ledger").with_columns(origin=pl.col("item_id").str.split(RESTATED).list.first())
    counted = lines.group_by("leg", "currency", item_id="origin").agg(
        counted=pl.col("amount_minor").sum(),
        **{f"{name}_then": pl.col(name).sort_by(pl.col("item_id").str.len_chars()).first() for name in ("account", "date", "origin_period")},
    )
    key = ["leg", "item_id", "currency"]
    changed = listed.filter(pl.col("side") == "ledger").join(counted, on=key).filter(pl.col("amount_minor") != pl.col("counted"))
    deltas = changed.with_columns(
        amount_minor=pl.col("amount_minor") - pl.col("counted"),
        item_id=pl.concat_str(["item_id", pl.lit(RESTATED + month.period)]),
        description=pl.concat_str([pl.lit("changed after the close: "), "description"]),
    )
    missing = counted.filter(pl.col("counted") != 0).join(listed, on=["leg", "item_id"], how="anti")
    gone = missing.join(_covered_days(sources), left_on=["account_then", "origin_period_then"], right_on=["account", "month"])
    vanished = gone.filter(pl.col("date_then").is_between("covers_from", "covers_to")).unique(key).sort("item_id")
    removed = vanished.select(
        *key,
        amount_minor=-pl.col("counted"),
        account="account_then",
        date="date_then",
        origin_period="origin_period_then",
        description=pl.concat_str([pl.lit("removed after the close: "), "item_id"]),
        document=pl.col("item_id").str.strip_prefix("gl_").str.replace(r"/[^/]*$", ""),
    ).with_columns(
        item_id=pl.concat_str(["item_id", pl.lit(RESTATED + month.period)]), reference_text="document", side=pl.lit("ledger"), book=pl.lit(month.book.name)
    )
    schema = listed.schema
    blank = {name: pl.lit("") if dtype == pl.String else pl.lit(None, dtype=dtype) for name, dtype in schema.items() if name not in removed.columns}
    complete = removed.with_columns(**{**blank, "is_accrual": pl.lit(value=False), "presentment_currency": pl.lit(None, dtype=pl.String)})
    return pl.concat([deltas.select(listed.columns), complete.select(pl.col(name).cast(dtype) for name, dtype in schema.items())])


def _covered_days(sources: Sources) -> pl.DataFrame:
    """Return `account, month, covers_from, covers_to` of the current exports: the days of an account's month that each of them shows."""
    exports = sources.files.filter(pl.col("kind").cast(pl.String) == "ledger").select("source_file", "covers_from", "covers_to")
    shown = sources.ledger_lines.with_columns(source_file=pl.col("source_file").str.replace(r"!.*$", "")).join(exports, on="source_file")
    inside = shown.filter(pl.col("posting_on").is_between("covers_from", "covers_to"))
    return (
        inside.group_by("source_file", "account", "month").agg(covers_from=pl.col("posting_on").min(), covers_to=pl.col("posting_on").max()).drop("source_file")
    )


def _mark_accruals(arrived: pl.DataFrame, journals: pl.DataFrame) -> pl.DataFrame:
    """Mark the lines that carry the id of an accrual of ours, whatever the ERP made of its memo: with its sign it is the accrual, against it the reversal."""
    accruals = journals.filter(pl.col("nature") == "timing").group_by("journal_id").agg(sign=pl.col("effect_minor").last().sign())
    named = pl.col("reference_text").str.extract(f"({JOURNAL_ID})", 1)
    is_ledger = (pl.col("leg") == "books") & (pl.col("side") == "ledger")
    known = arrived.with_columns(journal_id=pl.when(is_ledger).then(named)).join(accruals, on="journal_id", how="left", maintain_order="left")
    is_ours, with_sign = pl.col("sign").is_not_null(), pl.col("amount_minor").sign() == pl.col("sign")
    return known.with_columns(
        is_accrual=pl.when(is_ours).then(with_sign).otherwise("is_accrual"),
        reverses=pl.when(is_ours).then(pl.when(with_sign).then(pl.lit("")).otherwise("journal_id")).otherwise("reverses"),
    ).drop("journal_id", "sign")


def _refresh_payouts(carried: pl.DataFrame, listed: pl.DataFrame) -> pl.DataFrame:
    """Give carried Stripe items the payout that has swept them since, and payouts the arrival expected by now."""
    key = ["leg", "item_id"]
    now = listed.filter(pl.col("side") == "stripe").select(*key, payout_now="payout_id", expected_now="expected_on")
    placed = carried.join(now, on=key, how="left", maintain_order="left")
    payout = pl.when(pl.col("payout_id") == "").then(pl.coalesce("payout_now", "payout_id")).otherwise("payout_id")
    return placed.with_columns(payout_id=payout, expected_on=pl.coalesce("expected_now", "expected_on")).drop("payout_now", "expected_now")


def other_account_lines(sources: Sources, month: Month) -> pl.DataFrame:
    """List the ledger rows on other accounts as evidence: that is how a wrong account is found."""
    rows = sources.set_aside.filter((pl.col("rule") == "other_account") & (pl.col("side") == "ledger") & pl.col("date").is_not_null())
    blank = ["document", "counterparty", "reference", "poster", "type"]
    lines = rows.filter(pl.col("date") <= month.cut_off_on).with_columns(
        *(pl.lit("").alias(name) for name in blank),
        item_id=pl.concat_str(["source_file", "source_row"], separator=":"),
        posting_on=pl.col("date"),
        month=pl.coalesce("month", pl.col("date").dt.strftime("%Y-%m")),
        memo=pl.col("description"),
        reverses_document=pl.lit(None, dtype=pl.String),
    )
    return list_ledger_items(lines, book=month.book.name).with_columns(population=pl.lit("evidence"))


def open_book(sources: Sources, month: Month, *, opening_items: pl.DataFrame | None, opening_balances: dict[str, int]) -> CarriedIn:
    """Make what the first month starts from: the opening balances and the old open items.

    What old open items do not explain becomes one opening difference per currency.

    Args:
        sources: everything read.
        month: the first month.
        opening_items: open items of the last manual reconciliation, or None: then the lookback is searched for the partners of this month's postings.
        opening_balances: `account|currency` -> ledger balance given by `reconcile open`.

    Raises:
        InputsMissingError: neither a trial balance nor `reconcile open` gives the opening of an account.
    """
    first_day = month.calendar.first_day(month.period)
    stripe = balances_by_currency(sources, month, month.calendar.day_start(first_day))
    ledger = _opening_ledger(sources, month, opening_balances, stripe)
    listed = list_all_items(sources, month)
    before = listed.filter(pl.col("origin_period") < month.period)
    items = _find_lookback_items(listed, month) if opening_items is None else _complete_opening_items(opening_items, before, month)
    items = items.with_columns(population=pl.lit("carried"))
    effect = pl.when(pl.col("side") == "ledger").then(-pl.col("amount_minor")).otherwise(pl.col("amount_minor"))
    explained = items.filter(pl.col("leg") == "books").group_by("currency").agg(explained_minor=effect.sum())
    balances = stripe.join(ledger, on="currency", how="full", coalesce=True).with_columns(pl.col("stripe_minor", "ledger_minor").fill_null(0))
    differences = balances.join(explained, on="currency", how="left").with_columns(
        amount_minor=pl.col("stripe_minor") - pl.col("ledger_minor") - pl.col("explained_minor").fill_null(0)
    )
    opening = _opening_differences(differences.filter(pl.col("amount_minor") != 0), month)
    references = extract_references(items)
    both = pl.concat([cast_items(items).drop("reference_text"), opening])
    return CarriedIn(
        both,
        references,
        OpenItem.create_empty(),
        pl.DataFrame(),
        balances.select("currency", "stripe_minor", "ledger_minor"),
        Item.create_empty().select(LOCKED),
    )


def balances_by_currency(sources: Sources, month: Month, instant: datetime) -> pl.DataFrame:
    """Return `currency, stripe_minor`: the balance the book's accounts stand for at an instant."""
    scoped = in_scope(stripe_balances(instant, snapshots=sources.snapshots, transactions=sources.transactions), month.book)
    return scoped.group_by("currency").agg(stripe_minor=pl.col("amount_minor").sum()).sort("currency")


def ledger_closing(sources: Sources, period: str) -> pl.DataFrame:
    """Return `account, currency, ledger_minor` from the trial balance of a period."""
    return sources.ledger_balances.filter(pl.col("period") == period).select("account", "currency", ledger_minor="closing_balance_minor")


def _opening_ledger(sources: Sources, month: Month, given: dict[str, int], stripe: pl.DataFrame) -> pl.DataFrame:
    before = ledger_closing(sources, month.calendar.preceding(month.period))
    known = {(row["account"], row["currency"]): row["ledger_minor"] for row in before.to_dicts()}
    active = set(sources.ledger_lines.filter(pl.col("month") <= month.period)["account"].unique().to_list())
    stripe_by_currency = dict(stripe.iter_rows())
    rows, missing = [], []
    for account in month.book.ledger_accounts:
        key = (account.account, account.currency)
        value = given.get("|".join(key), known.get(key))
        if value is None and (account.account in active or stripe_by_currency.get(account.currency, 0) != 0):
            missing.append(account)
        rows.append((account.currency, value or 0))
    if missing:
        example = " ".join(f'--ledger "{account.account} {account.currency}=0.00"' for account in missing)
        names = ", ".join(account.account for account in missing)
        raise InputsMissingError(
            f"opening of {names}: no trial balance of {month.calendar.preceding(month.period)} and no opening was given, so nothing says what the ledger held before {month.period}; "
            f"drop that trial balance into {month.settings.ledger.balances}, or run: reconcile open --period {month.period} {example} (with the true balance)"
        )
    return pl.DataFrame(rows, schema={"currency": pl.String, "ledger_minor": pl.Int64}, orient="row").group_by("currency").agg(pl.col("ledger_minor").sum())


def _complete_opening_items(given: pl.DataFrame, before: pl.DataFrame, month: Month) -> pl.DataFrame:
    """Take opening items as given, filled from the lookback where it holds the same item."""
    keys = ["leg", "item_id"]
    known = before.join(given.select(keys), on=keys, how="semi")
    unknown = given.join(known, on=keys, how="anti").with_columns(book=pl.lit(month.book.name), population=pl.lit("carried"))
    return pl.concat([known, unknown.select(known.columns).cast(known.schema)])


def _find_lookback_items(listed: pl.DataFrame, month: Month) -> pl.DataFrame:
    """Find the items before the first month whose partner on the other side came in it: they were open at the start."""
    if listed.filter(pl.col("origin_period") < month.period).is_empty():
        return listed.clear()
    references = extract_references(listed)
    plain = cast_items(listed).drop("reference_text")
    members = match_items(plain, references, cut_off_on=month.cut_off_on, journals=ProposedEntry.create_empty()).members
    placed = members.join(plain.select("leg", "item_id", "side", "origin_period"), on=["leg", "item_id"])
    is_old = pl.col("origin_period") < month.period
    crossing = placed.filter(
        is_old.any().over("leg", "match_id") & (~is_old).any().over("leg", "match_id") & (pl.col("side").n_unique().over("leg", "match_id") > 1)
    )
    return listed.join(crossing.filter(is_old), on=["leg", "item_id"], how="semi")


def _opening_differences(differences: pl.DataFrame, month: Month) -> pl.DataFrame:
    """Make one opening item per currency, named after its clearing account."""
    accounts = {account.currency: account.account for account in reversed(month.book.ledger_accounts)}
    day = month.calendar.first_day(month.period)
    slug = pl.col("account").str.replace_all(r"[^A-Za-z0-9]+", "_").str.strip_chars("_")
    named = differences.sort("currency").with_columns(
        account=pl.col("currency").replace_strict(list(accounts), list(accounts.values()), default="", return_dtype=pl.String)
    )
    made = named.with_columns(
        item_id=pl.concat_str([pl.lit("open"), slug, pl.col("currency")], separator="_"),
        leg=pl.lit("books"),
        book=pl.lit(month.book.name),
        side=pl.lit("opening"),
        population=pl.lit("carried"),
        origin_period=pl.lit(month.calendar.preceding(month.period)),
        date=pl.lit(day).dt.offset_by("-1d"),
        description=pl.lit("opening difference not itemized"),
        is_accrual=pl.lit(value=False),
    )
    empty = Item.create_empty()
    blank = {name: pl.lit("") if dtype == pl.String else pl.lit(None, dtype=dtype) for name, dtype in empty.schema.items() if name not in made.columns}
    return made.with_columns(**blank).select(pl.col(name).cast(dtype) for name, dtype in empty.schema.items())


def read_opening_items(rows: pl.DataFrame, *, calendar: Calendar) -> pl.DataFrame:
    """Turn rows of an `open_items.csv` (text columns) into `Item` columns with `reference_text`.

    Needed: leg, side, date, amount (already `amount_minor`), currency. An item without an id gets one from its content.
    """
    empty = Item.create_empty()
    text = [name for name, dtype in empty.schema.items() if dtype == pl.String]
    filled = rows.with_columns(
        *(pl.lit("").alias(name) for name in text if name not in rows.columns),
        *(pl.col(name).fill_null("") for name in text if name in rows.columns),
    )
    content = filled.select(
        content=pl.concat_str(["leg", "side", pl.col("date").cast(pl.String), pl.col("amount_minor").cast(pl.String), "currency", "description"], separator="|")
    )
    numbered = filled.with_columns(made=content_ids(content, prefix="op_")).with_columns(
        made=pl.concat_str(["made", pl.int_range(1, pl.len() + 1).over("made").cast(pl.String)], separator="/")
    )
    complete = numbered.with_columns(
        item_id=pl.when(pl.col("item_id") == "").then("made").otherwise("item_id"),
        population=pl.lit("carried"),
        category=pl.when(pl.col("payout_id") != "").then(pl.lit("payout")).otherwise(pl.lit("")),
        origin_period=pl.when(pl.col("origin_period") != "").then("origin_period").otherwise(calendar.period_of_day("date")),
        line=pl.when((pl.col("payout_id") != "") & (pl.col("leg") == "books")).then(pl.lit("payout.gross")).otherwise("line"),
        source_id=pl.when(pl.col("payout_id") != "").then("payout_id").otherwise("source_id"),
        occurred_at=pl.lit(None, dtype=empty.schema["occurred_at"]),
        presentment_amount_minor=pl.lit(None, dtype=pl.Int64),
        expected_on=pl.lit(None, dtype=pl.Date),
        is_accrual=pl.lit(value=False),
        reference_text=pl.concat_str(["item_id", "balance_transaction_id", "payout_id", "reference", "description"], separator=" "),
    ).with_columns(presentment_currency=pl.lit(None, dtype=pl.String))
    return complete.select(*(pl.col(name).cast(dtype) for name, dtype in empty.schema.items()), "reference_text")
