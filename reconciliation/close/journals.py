"""Open items with causes -> proposed entries, one per cause, currency and period, each balanced.

An entry is proposed for what does not clear by itself: nature `entry`, `reclass` and `correction`, what a person writes off, and timing
items where `[journals] post_timing_above` asks for it (those reverse on the first day of the next period). An entry keeps its id from the
night it was first shown (`ProposedEntry`): it grows while nobody has approved it, is frozen once somebody has, and is over once a ledger
line carries its id. What is open after that gets an entry of its own, with another id.
"""

from dataclasses import dataclass

import polars as pl

from reconciliation.breaks.explain import Explained
from reconciliation.close.journal_lines import make_lines
from reconciliation.money import currency_exponent, parse_minor
from reconciliation.population import CarriedIn, Month
from reconciliation.rates import Rates
from reconciliation.schemas.breaks import OpenItem
from reconciliation.schemas.items import EFFECT
from reconciliation.schemas.journals import ProposedEntry

POSTED_NATURES = ["correction", "entry", "reclass"]
COUNTER_ROLES = {
    "processing_fee": "processing_fees",
    "billing_fee": "billing_fees",
    "tax": "fee_tax",
    "withheld_tax": "withheld_tax",
    "dispute_fee": "dispute_fees",
    "dispute_held": "disputes_receivable",
    "dispute_won": "disputes_receivable",
    "unrecorded_dispute": "disputes_receivable",
    "unrecorded_refund": "refunds",
    "refund_failed": "refunds",
    "fx": "fx_gain_loss",
    "rounding": "rounding",
    "payout_in_transit": "payouts_in_transit",
    "reserve": "reserve",
    "minimum_balance": "reserve",
    "bank_charge": "bank_charges",
    "application_fee": "application_fees",
    "connect_transfer": "transfers",
    "opening_difference": "write_off",
}
OTHER_ROLE = "unapplied_receipts"
NUMBERS_PER_BOOK = 1000
"""Books of one entity post into one ERP, so that each numbers from a thousand of its own."""
GROUP = ["nature", "cause", "role", "currency", "account", "is_approved"]
ITEM_IN_ENTRY = ["item_id", "cause", "role", "account"]


@dataclass(frozen=True)
class Journals:
    """What is proposed.

    Attributes:
        lines: lines of the month's entries (`LINE_SCHEMA`): those to post, and those that came back in this month.
        open_items: the open items with their journal ids (`OpenItem`).
        register: every version of every entry known by now (`ProposedEntry`).
    """

    lines: pl.DataFrame
    open_items: pl.DataFrame
    register: pl.DataFrame


def propose_journals(scored: pl.DataFrame, explained: Explained, carried: CarriedIn, month: Month, *, rates: Rates) -> Journals:
    """Propose entries for the open items of the books leg.

    Args:
        scored: open items with cause, nature and disposition; with `prepared_by`, `approved_by` and `is_entry_approved` where people have decided.
        explained: all items of the month and their references, to see which entries came back.
        carried: carries the entries of earlier nights and months.
        month: which month.
        rates: translate the amount above which timing items are posted.
    """
    known = carried.journals
    back = _returned_lines(explained, known)
    posted_ids = back.filter(~pl.col("is_reversal"))["journal_id"].unique()
    newly_posted = (pl.col("posted_period") == "") & pl.col("journal_id").is_in(posted_ids.implode())
    known = known.with_columns(posted_period=pl.when(newly_posted).then(pl.lit(month.period)).otherwise("posted_period"))
    accruals = _open_accruals(scored, back, known)
    accrued = _accrued_items(known, month)
    candidates = _to_post(scored, month, rates).join(accrued, on="item_id", how="anti")
    live = _make_entries(candidates, known, month)
    made_for = pl.concat(
        [
            live.select("journal_id", item_id="items").explode("item_id", empty_as_null=False),
            accruals.filter(pl.col("is_due")).select(journal_id=pl.format("{}-R", "journal_id"), item_id="item_id"),
            _posted_accruals(scored, accruals, accrued),
        ]
    )
    open_items = (
        scored.join(made_for.with_columns(leg=pl.lit("books")), on=["leg", "item_id"], how="left")
        .with_columns(pl.col("journal_id").fill_null(""))
        .select(OpenItem.column_names())
    )
    register = _remember(known, live)
    next_period = pl.lit(month.calendar.following(month.period)).alias("reversal_period")
    lines = make_lines(
        live=live.with_columns(next_period),
        posted=_posted_entries(known, back, month).with_columns(next_period),
        reversals=_reversals(register, accruals, back).with_columns(reversal_period=pl.lit(month.period)),
        entity=month.settings.entity.name,
        accounts=month.settings.journals.accounts,
    )
    return Journals(lines, OpenItem.validate(open_items.sort("leg", "item_id"), cast=True), ProposedEntry.validate(register, cast=True))


def latest_versions(register: pl.DataFrame) -> pl.DataFrame:
    """Keep the newest version of every entry."""
    return register.sort("journal_id", "version").unique("journal_id", keep="last", maintain_order=True)


def _returned_lines(explained: Explained, known: pl.DataFrame) -> pl.DataFrame:
    """Find the ledger lines of the month that carry the id of an entry of ours.

    Returns:
        `journal_id, item_id, amount_minor, date, population, is_reversal`; a line against an accrual's own sign reverses it.
    """
    entries = latest_versions(known).select("journal_id", "effect_minor", "nature", value=pl.col("journal_id").str.replace_all("[^A-Z0-9]", ""))
    lines = explained.items.filter((pl.col("leg") == "books") & (pl.col("side") == "ledger"))
    values = explained.references.filter(pl.col("kind") == "journal").select("item_id", "value")
    against = (pl.col("nature") == "timing") & (pl.col("amount_minor").sign() != pl.col("effect_minor").sign())
    return (
        lines.join(values, on="item_id")
        .join(entries, on="value")
        .select("journal_id", "item_id", "amount_minor", "date", "population", is_reversal=against)
        .sort("journal_id", "item_id")
    )


def _open_accruals(scored: pl.DataFrame, back: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """Find the accruals of ours that stand in the ledger unreversed; those of an earlier month are due."""
    timing = latest_versions(known).filter(pl.col("nature") == "timing").select("journal_id")
    lines = back.filter(~pl.col("is_reversal")).join(timing, on="journal_id", how="semi")
    still_open = lines.join(scored.filter(pl.col("leg") == "books").select("item_id"), on="item_id", how="semi")
    return still_open.select("journal_id", "item_id", "amount_minor", is_due=pl.col("population") == "carried").unique(
        "journal_id", keep="first", maintain_order=True
    )


def _accrued_items(known: pl.DataFrame, month: Month) -> pl.DataFrame:
    """Return `journal_id, item_id` of the timing items whose accrual was posted in this month: they stay open and need no other entry."""
    posted = latest_versions(known).filter((pl.col("nature") == "timing") & (pl.col("posted_period") == month.period) & (pl.col("period") == month.period))
    return posted.select("journal_id", item_id="items").explode("item_id", empty_as_null=False)


def _posted_accruals(scored: pl.DataFrame, accruals: pl.DataFrame, accrued: pl.DataFrame) -> pl.DataFrame:
    """Return `journal_id, item_id` of accruals posted in this month with the items they accrue, where both cancel; else neither is taken care of."""
    effects = scored.filter(pl.col("leg") == "books").select("item_id", effect=EFFECT)
    both = pl.concat([accruals.filter(~pl.col("is_due")).select("journal_id", "item_id"), accrued]).unique("item_id", keep="first", maintain_order=True)
    placed = both.join(effects, on="item_id")
    return placed.filter(pl.col("effect").sum().over("journal_id") == 0).select("journal_id", "item_id")


def _to_post(scored: pl.DataFrame, month: Month, rates: Rates) -> pl.DataFrame:
    """Select the open items that need an entry, with the role of their counter account and who decided."""
    defaults = {"prepared_by": pl.lit(""), "approved_by": pl.lit(""), "is_entry_approved": pl.lit(value=False), "is_entry_wanted": pl.lit(value=True)}
    books = scored.filter(pl.col("leg") == "books").with_columns(**{name: value for name, value in defaults.items() if name not in scored.columns})
    is_written_off = pl.col("disposition") == "written_off"
    permanent = (pl.col("nature").is_in(POSTED_NATURES) & pl.col("is_entry_wanted")) | is_written_off
    limits = _timing_limits(books["currency"].unique().to_list(), month, rates)
    limit = pl.col("currency").replace_strict(list(limits), list(limits.values()), default=None, return_dtype=pl.Int64)
    timing = (pl.col("nature") == "timing") & (pl.col("side") == "stripe") & (pl.col("amount_minor").abs() >= limit).fill_null(value=False)
    clearing = {account.currency: account.account for account in reversed(month.book.ledger_accounts) if account.role == "clearing"}
    own = pl.col("currency").replace_strict(list(clearing), list(clearing.values()), default="clearing", return_dtype=pl.String)
    role = pl.col("cause").replace_strict(COUNTER_ROLES, default=OTHER_ROLE, return_dtype=pl.String)
    return books.filter(permanent | timing).with_columns(
        effect=EFFECT,
        role=pl.when(is_written_off).then(pl.lit("write_off")).otherwise(role),
        nature=pl.when(is_written_off & ~pl.col("nature").is_in(POSTED_NATURES)).then(pl.lit("entry")).otherwise("nature"),
        account=pl.when((pl.col("side") == "ledger") & (pl.col("account") != "")).then("account").otherwise(own),
        is_approved=pl.col("is_entry_approved"),
    )


def _timing_limits(currencies: list[str], month: Month, rates: Rates) -> dict[str, int]:
    """Translate the amount above which timing items are posted; a currency without a rate has none, its items are listed only."""
    settings = month.settings
    if not settings.journals.post_timing_above:
        return {}
    base = settings.entity.currency
    limit = parse_minor(settings.journals.post_timing_above, base)
    found = {}
    for currency in currencies:
        rate = 1.0 if currency == base else rates.rate(base, currency, month.cut_off_on)
        if rate is not None:
            found[currency] = round(limit * rate * 10.0 ** (currency_exponent(currency) - currency_exponent(base)))
    return found


def _make_entries(candidates: pl.DataFrame, known: pl.DataFrame, month: Month) -> pl.DataFrame:
    """Group items into entries: each item stays with the entry that was shown for it, the others share a new one (`ProposedEntry`)."""
    usable = (pl.col("posted_period") == "") & ((pl.col("nature") != "timing") | (pl.col("period") == month.period))
    claims = (
        latest_versions(known)
        .filter(usable)
        .select("cause", "role", "account", item_id="items", claim="journal_id", claim_period="period", is_frozen="is_approved")
    )
    by_item = claims.explode("item_id", empty_as_null=False).group_by(ITEM_IN_ENTRY, maintain_order=True)
    first_claims = by_item.agg(pl.col("claim").alias("claims"), pl.col("claim", "claim_period", "is_frozen").first())
    claimed = candidates.join(first_claims, on=ITEM_IN_ENTRY, how="left")
    stays = (pl.col("claim_period") < month.period) | (pl.col("is_approved") & pl.col("is_frozen"))
    name = pl.when(pl.col("reference") != "").then("reference").otherwise("document")
    names = name.filter(name != "").unique().sort().head(3)
    grouped = (
        _one_group_an_entry(claimed.with_columns(entry=pl.when(stays).then("claim")))
        .group_by(*GROUP, "entry")
        .agg(
            effect_minor=pl.col("effect").sum(),
            items=pl.col("item_id").sort(),
            break_ids=pl.col("break_id").unique().sort(),
            references=names,
            claims=pl.col("claims").explode().drop_nulls().unique().sort(),
            first_on=pl.col("date").min(),
            prepared_by=pl.col("prepared_by").filter(pl.col("prepared_by") != "").unique().sort().str.join(", "),
            approved_by=pl.col("approved_by").filter(pl.col("approved_by") != "").unique().sort().str.join(", "),
        )
        .filter(pl.col("effect_minor") != 0)
    )
    return _version(_number(grouped, known, month), known, month)


def _one_group_an_entry(placed: pl.DataFrame) -> pl.DataFrame:
    """Leave an entry of an earlier night to one group, what was approved of it first; the rest of it is posted with whatever is new.

    The rest would be so on the next night anyway, when its id is one of this month: the same decisions must say the same twice.
    """
    groups = placed.filter(pl.col("entry").is_not_null()).group_by(*GROUP, "entry").agg(first=pl.col("item_id").min())
    keeps = groups.sort("entry", ~pl.col("is_approved"), "first", *GROUP).unique("entry", keep="first", maintain_order=True)
    kept = placed.join(keeps.select(*GROUP, "entry", keeps=pl.lit(value=True)), on=[*GROUP, "entry"], how="left", maintain_order="left")
    return kept.with_columns(entry=pl.when(pl.col("keeps")).then("entry")).drop("keeps")


def _number(grouped: pl.DataFrame, known: pl.DataFrame, month: Month) -> pl.DataFrame:
    """Give each entry the id it was shown with, or the next free number: corrections first, accruals and write-offs of an opening last, each by date."""
    rank = (
        pl.when(pl.col("nature") == "correction").then(0)
        .when(pl.col("cause") == "opening_difference").then(4)
        .when((pl.col("nature") == "timing") & (pl.col("cause") == "payout_in_transit")).then(3)
        .when(pl.col("nature") == "timing").then(2)
        .otherwise(1)
    )  # fmt: skip
    order = ["rank", "first_on", "nature", "cause", "role", "currency", "account"]
    claim = pl.col("claims").list.first()
    first_come = [pl.col("entry").is_null(), ~pl.col("is_approved"), *order, claim, "items"]
    named = _keep_ids(grouped.with_columns(rank=rank).sort(first_come, nulls_last=True)).drop("claims")
    kept = named.filter(pl.col("journal_id").is_not_null())
    made = named.filter(pl.col("journal_id").is_null()).sort(*order, "is_approved", "items")
    prefix = f"RC-{month.period}-"
    names = [book.name for book in month.settings.books]
    first = (names.index(month.book.name) if month.book.name in names else 0) * NUMBERS_PER_BOOK
    used = known.filter(pl.col("journal_id").str.starts_with(prefix))["journal_id"].str.slice(len(prefix)).cast(pl.Int64).max()
    start = max(first, used if isinstance(used, int) else 0) + 1
    number = (start + pl.int_range(pl.len())).cast(pl.String).str.zfill(4)
    numbered = made.with_columns(journal_id=pl.concat_str([pl.lit(prefix), number]))
    return pl.concat([kept, numbered.select(kept.columns)]).sort("journal_id")


def _keep_ids(grouped: pl.DataFrame) -> pl.DataFrame:
    """Give each entry, first come first served, the first id that one of its items was shown under and that no other entry has tonight, or none.

    An id that lost its items to another entry is free again, so that the night after, with the same items, says the same.
    """
    taken: list[str] = []
    ids: list[str | None] = []
    for entry, claims in grouped.select("entry", "claims").iter_rows():
        free = next((claim for claim in [entry, *claims] if claim is not None and claim not in taken), None)
        ids.append(free)
        taken += [free] if free is not None else []
    return grouped.with_columns(pl.Series("journal_id", ids, dtype=pl.String))


def _version(entries: pl.DataFrame, known: pl.DataFrame, month: Month) -> pl.DataFrame:
    """Give an entry that holds other items than last night the next version."""
    before = latest_versions(known).select("journal_id", last="version", last_items="items", last_effect="effect_minor", period="period")
    joined = entries.join(before, on="journal_id", how="left", maintain_order="left")
    is_same = (pl.col("items") == pl.col("last_items")) & (pl.col("effect_minor") == pl.col("last_effect"))
    is_timing = pl.col("nature") == "timing"
    reverses_on = month.calendar.first_day(month.calendar.following(month.period))
    return joined.with_columns(
        version=pl.when(is_same).then("last").otherwise(pl.col("last").fill_null(0) + 1),
        period=pl.lit(month.period),
        posting_on=pl.lit(month.cut_off_on),
        reverses_on=pl.when(is_timing).then(pl.lit(reverses_on)),
        posted_period=pl.lit(""),
    ).select(pl.col(name).cast(dtype) for name, dtype in ProposedEntry.create_empty().schema.items())


def _remember(known: pl.DataFrame, live: pl.DataFrame) -> pl.DataFrame:
    """Add tonight's versions to those known; an entry keeps the period it was first shown in, whichever month it is posted in."""
    key = ["journal_id", "version"]
    first_shown = known.group_by("journal_id").agg(first_period=pl.col("period").min())
    tonight = live.join(first_shown, on="journal_id", how="left").with_columns(period=pl.coalesce("first_period", "period")).select(live.columns)
    return pl.concat([known.join(tonight, on=key, how="anti"), tonight.select(known.columns)]).sort(key)


def _posted_entries(known: pl.DataFrame, back: pl.DataFrame, month: Month) -> pl.DataFrame:
    """Return the entries that came back in this month, in the version whose amount came back, else the last one."""
    came = back.filter(~pl.col("is_reversal")).group_by("journal_id", maintain_order=True).agg(pl.col("amount_minor", "date").first())
    versions = known.filter(pl.col("posted_period") == month.period).join(came, on="journal_id")
    fitting = versions.sort("journal_id", pl.col("effect_minor") == pl.col("amount_minor"), "version").unique("journal_id", keep="last", maintain_order=True)
    return fitting.with_columns(posting_on="date", period="posted_period").drop("amount_minor", "date")


def _reversals(register: pl.DataFrame, accruals: pl.DataFrame, back: pl.DataFrame) -> pl.DataFrame:
    """Return the reversals to post (`is_posted` false) and those that came back, as entries of their own."""
    due = accruals.filter(pl.col("is_due")).select("journal_id", "amount_minor", line="item_id", is_posted=pl.lit(value=False))
    came = back.filter(pl.col("is_reversal") & (pl.col("population") != "carried")).unique("journal_id", keep="first", maintain_order=True)
    came = came.select("journal_id", amount_minor=-pl.col("amount_minor"), line="item_id", is_posted=pl.lit(value=True))
    both = pl.concat([due, came.join(due, on="journal_id", how="anti")])
    return both.join(latest_versions(register), on="journal_id").with_columns(effect_minor="amount_minor")
