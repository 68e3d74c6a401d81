"""Open items with causes -> proposed entries, one per cause, currency and period, each balanced.

An entry is proposed for what does not clear by itself: nature `entry`, `reclass` and `correction`, and timing items where
`[journals] post_timing_above` asks for it (those reverse on the first day of the next period). An item that already has a
journal keeps it until the entry shows up in the ledger: nothing is proposed twice.
"""

from dataclasses import dataclass

import polars as pl

from reconciliation.money import parse_minor
from reconciliation.population import CarriedIn, Month
from reconciliation.schemas.breaks import OpenItem
from reconciliation.schemas.items import EFFECT

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
_COLUMNS: dict[str, pl.DataType | type[pl.DataType]] = {
    **dict.fromkeys(["journal_id"], pl.String),
    "line": pl.Int64,
    **dict.fromkeys(["type", "status"], pl.String),
    "posting_date": pl.Date,
    "period": pl.String,
    "reverses_on": pl.Date,
    **dict.fromkeys(["reverses_journal", "entity", "account", "account_role"], pl.String),
    **dict.fromkeys(["debit_minor", "credit_minor"], pl.Int64),
    **dict.fromkeys(["currency", "memo"], pl.String),
    **dict.fromkeys(["break_ids", "items"], pl.List(pl.String)),
    **dict.fromkeys(["prepared_by", "approved_by"], pl.String),
}
LINE_SCHEMA = pl.Schema(_COLUMNS)


@dataclass(frozen=True)
class Journals:
    """Lines of the proposed entries (`LINE_SCHEMA`), and the open items with their journal ids (`OpenItem`)."""

    lines: pl.DataFrame
    open_items: pl.DataFrame


def propose_journals(scored: pl.DataFrame, carried: CarriedIn, month: Month) -> Journals:
    """Propose entries for the open items of the books leg.

    Args:
        scored: open items with cause and nature.
        carried: carries the journal ids of earlier months.
        month: which month.
    """
    earlier = carried.open_items.filter((pl.col("journal_id") != "") & (pl.col("leg") == "books")).select("leg", "item_id", "journal_id")
    posting = _to_post(scored, month).join(earlier, on=["leg", "item_id"], how="left").with_columns(effect=EFFECT)
    entries = _number(posting, month)
    numbered = entries.select("journal_id", item_id="items").explode("item_id", empty_as_null=False)
    open_items = (
        scored.join(numbered.with_columns(leg=pl.lit("books")), on=["leg", "item_id"], how="left")
        .with_columns(pl.col("journal_id").fill_null(""))
        .select(OpenItem.column_names())
    )
    return Journals(_lines(entries, month), OpenItem.validate(open_items.sort("leg", "item_id"), cast=True))


def _to_post(scored: pl.DataFrame, month: Month) -> pl.DataFrame:
    books = scored.filter(pl.col("leg") == "books")
    permanent = books.filter(pl.col("nature").is_in(POSTED_NATURES))
    above = month.settings.journals.post_timing_above
    if not above:
        return permanent
    limit = parse_minor(above, month.settings.entity.currency)
    timing = books.filter((pl.col("nature") == "timing") & (pl.col("side") == "stripe") & (pl.col("amount_minor").abs() >= limit))
    return pl.concat([permanent, timing])


def _number(posting: pl.DataFrame, month: Month) -> pl.DataFrame:
    """Group items into entries and give new entries the next numbers of the period."""
    order = pl.col("nature").replace_strict(["correction", "entry", "reclass", "timing"], [0, 1, 2, 3], default=4, return_dtype=pl.Int64)
    grouped = (
        posting.with_columns(order=order)
        .group_by("order", "nature", "cause", "currency", "journal_id")
        .agg(
            pl.col("effect").sum(),
            items=pl.col("item_id").sort(),
            break_ids=pl.col("break_id").unique().sort(),
            account=pl.col("account").filter(pl.col("side") == "ledger").min(),
            references=pl.col("reference").filter(pl.col("reference") != "").unique().sort().head(3),
        )
        .filter(pl.col("effect") != 0)
        .sort("order", "cause", "currency", "journal_id")
    )
    kept, made = grouped.filter(pl.col("journal_id").is_not_null()), grouped.filter(pl.col("journal_id").is_null())
    named = made.with_columns(journal_id=pl.format("RC-{}-{}", pl.lit(month.period), pl.int_range(1, pl.len() + 1).cast(pl.String).str.zfill(4)))
    merged = kept.group_by("journal_id", "currency", maintain_order=True).agg(
        *(pl.col(name).first() for name in ("order", "nature", "cause", "account")),
        pl.col("effect").sum(),
        *(pl.col(name).explode(empty_as_null=False).unique().sort() for name in ("items", "break_ids")),
        references=pl.col("references").explode(empty_as_null=False).unique().sort().head(3),
    )
    return pl.concat([merged, named.select(merged.columns)]).filter(pl.col("effect") != 0).sort("journal_id", "currency")


def _lines(entries: pl.DataFrame, month: Month) -> pl.DataFrame:
    """Write two lines per entry: the clearing account and its counter account."""
    if entries.is_empty():
        return pl.DataFrame(schema=LINE_SCHEMA)
    clearing = {account.currency: account.account for account in reversed(month.book.ledger_accounts) if account.role == "clearing"}
    accounts = month.settings.journals.accounts
    role = pl.col("cause").replace_strict(list(COUNTER_ROLES), list(COUNTER_ROLES.values()), default=OTHER_ROLE, return_dtype=pl.String)
    reverses_on = month.calendar.first_day(month.calendar.following(month.period))
    described = entries.with_columns(
        role=role,
        own_account=pl.coalesce(
            "account", pl.col("currency").replace_strict(list(clearing), list(clearing.values()), default="clearing", return_dtype=pl.String)
        ),
        memo=pl.concat_str(
            [pl.col("journal_id"), pl.col("cause").str.replace_all("_", " "), pl.col("references").list.join(" ")], separator=" "
        ).str.strip_chars_end(),
    )
    sides = [
        described.with_columns(line=pl.lit(1), account=pl.col("own_account"), account_role=pl.lit("clearing"), signed=pl.col("effect")),
        described.with_columns(
            line=pl.lit(2),
            account=pl.col("role").replace_strict(list(accounts), list(accounts.values()), default=pl.col("role"), return_dtype=pl.String)
            if accounts
            else pl.col("role"),
            account_role=pl.col("role"),
            signed=-pl.col("effect"),
        ),
    ]
    return (
        pl.concat(sides)
        .with_columns(
            type=pl.col("nature"),
            status=pl.lit("proposed"),
            posting_date=pl.lit(month.cut_off_on),
            period=pl.col("journal_id").str.slice(3, 7),
            reverses_on=pl.when(pl.col("nature") == "timing").then(pl.lit(reverses_on)),
            reverses_journal=pl.lit(""),
            entity=pl.lit(month.settings.entity.name),
            debit_minor=pl.max_horizontal("signed", pl.lit(0)),
            credit_minor=pl.max_horizontal(-pl.col("signed"), pl.lit(0)),
            prepared_by=pl.lit(""),
            approved_by=pl.lit(""),
        )
        .sort("journal_id", "currency", "line")
        .select(pl.col(name).cast(dtype) for name, dtype in LINE_SCHEMA.items())
    )
