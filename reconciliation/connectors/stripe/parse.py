"""Raw Stripe pages -> frames of `reconciliation.schemas.stripe`.

Types, categories and statuses stay as Stripe writes them: they are open sets, and an unknown one is kept. Duplicates, which
overlapping pages bring, are removed by id. A page that is not what Stripe documents is refused, never read in part.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import dataframely as dy
import orjson
import polars as pl

from reconciliation.errors import StripeAccessError
from reconciliation.personal import mask_personal, mask_text
from reconciliation.schemas.stripe import BalanceSnapshot, BalanceTransaction, Payout, PayoutMember, StripeSource

SHOWN_IN_BALANCE = ("payments", "refund_and_dispute_prefunding", "issuing")
"""The balance types that Stripe's Balance object shows; `risk_reserved` is not among them."""

IDS_NAMED_MAX = 10

_OWN_COMPONENTS = ("tax", "withheld_tax", "application_fee")

# Fields that are read, with their types: `a` of the object, `a.b` of an object in it, `a[].b` of each object of a list in it.
_TRANSACTION = {
    "id": pl.String,
    "created": pl.Int64,
    "available_on": pl.Int64,
    "amount": pl.Int64,
    "fee": pl.Int64,
    "net": pl.Int64,
    "currency": pl.String,
    "type": pl.String,
    "reporting_category": pl.String,
    "balance_type": pl.String,
    "status": pl.String,
    "source": pl.String,
    "description": pl.String,
}
_PAYOUT = {
    "id": pl.String,
    "amount": pl.Int64,
    "currency": pl.String,
    "created": pl.Int64,
    "arrival_date": pl.Int64,
    "automatic": pl.Boolean,
    "method": pl.String,
    "status": pl.String,
    "reconciliation_status": pl.String,
    "balance_transaction": pl.String,
    "failure_balance_transaction": pl.String,
    "failure_code": pl.String,
    "trace_id.value": pl.String,
    "statement_descriptor": pl.String,
    "destination": pl.String,
}
_SOURCE = {
    "id": pl.String,
    "object": pl.String,
    "created": pl.Int64,
    "amount": pl.Int64,
    "currency": pl.String,
    "charge": pl.String,
    "source_transaction": pl.String,
    "payment_intent": pl.String,
    "customer": pl.String,
    "billing_details.name": pl.String,
    "shipping.name": pl.String,
    "description": pl.String,
    "payment_method_details.card.country": pl.String,
    "payment_method_details.card_present.country": pl.String,
    "presentment_details.presentment_amount": pl.Int64,
    "presentment_details.presentment_currency": pl.String,
    "balance_transaction": pl.String,
    "failure_balance_transaction": pl.String,
    "balance_transactions[].id": pl.List(pl.String),
    "status": pl.String,
    "captured": pl.Boolean,
    "reversed": pl.Boolean,
    "refunded": pl.Boolean,
    "reason": pl.String,
    "failure_reason": pl.String,
    "failure_code": pl.String,
    "metadata": pl.List(pl.Struct({"key": pl.String, "value": pl.String})),
    "invoice": pl.String,
    "receipt_number": pl.String,
    "transfer_group": pl.String,
}

# What makes a metadata value a reference: its key says so, or it looks like a document's number: one to three words of
# letters, digits and joiners with a digit in them, which is neither a date, a time nor a small count.
_REFERENCE_KEY = r"(?i)(invoice|order|reference|document|receipt|number|(^|[^a-z])(ref|no|nr|id|po|so)([^a-z]|$)|[a-z]Id$)"
_REFERENCE_VALUE = r"^[#A-Za-z0-9][A-Za-z0-9]*(?:[-_/.:# ]{1,2}[A-Za-z0-9]+)*$"
_NO_REFERENCE_VALUE = r"^(?:\d{1,2}|\d+[.:]\d{1,2}|\d{4}[-/.]\d{1,2}[-/.]\d{1,2}.*|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}.*|v?\d+(?:\.\d+){2,})$"
_REFERENCE_IN_TEXT = r"#?\b[A-Za-z]{0,12}(?:[-_/#]?[A-Za-z0-9]{1,24})*[-_/#]?\d{2,}(?:[-_/]?[A-Za-z0-9]+)*\b"
REFERENCE_LENGTH_MAX = 64

S = TypeVar("S", bound=dy.Schema)


@dataclass(frozen=True)
class ListParser:
    """How pages of a list become a table, in two steps: `read` takes pages as they come, `finish` many rows at once.

    Attributes:
        what: what the list holds, for messages.
        shape: fields that are read, as the pages have them.
        finish: raw rows and the account -> the typed table.
        prepare: mends what no column type holds, row by row.
        derive: whole numbers that are made from several fields, for all rows at once.
    """

    what: str
    shape: Mapping[str, Any]
    finish: Callable[[pl.DataFrame, str], pl.DataFrame]
    prepare: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    derive: Callable[[Sequence[Mapping[str, Any]]], dict[str, list[Any]]] | None = None

    def read(self, pages: Sequence[bytes]) -> pl.DataFrame:
        """Read pages into columns.

        Raises:
            StripeAccessError: a page is no list of such objects.
        """
        rows = _rows(pages)
        return _to_frame(rows if self.prepare is None else list(map(self.prepare, rows)), self.shape, what=self.what, derive=self.derive)


def parse_balance_transactions(pages: Sequence[bytes], *, account: str) -> dy.DataFrame[BalanceTransaction]:
    """Parse pages of `/v1/balance_transactions`.

    Raises:
        StripeAccessError: a page is no list of balance transactions, or a row breaks a law of Stripe's own
            (net = amount - fee, fee = sum of its details).
    """
    return _finish_transactions(TRANSACTIONS.read(pages), account)


def parse_payouts(pages: Sequence[bytes], *, account: str) -> dy.DataFrame[Payout]:
    """Parse pages of `/v1/payouts`.

    Raises:
        StripeAccessError: a page is no list of payouts.
    """
    return _finish_payouts(PAYOUTS.read(pages), account)


def parse_payout_members(pages: Mapping[str, Sequence[bytes]], *, account: str) -> dy.DataFrame[PayoutMember]:
    """Parse what `list(payout=…)` answered.

    Args:
        pages: payout id -> its pages of `/v1/balance_transactions`, which do not name the payout themselves.
        account: the Stripe account.

    Raises:
        StripeAccessError: a page is no list, or a balance transaction is listed under two payouts.
    """
    frames = [
        _to_frame(_rows(listing), {"id": pl.String}, what=f"lines of {payout_id}").with_columns(payout_id=pl.lit(payout_id))
        for payout_id, listing in pages.items()
    ]
    raw = pl.concat([pl.DataFrame(schema={"id": pl.String, "payout_id": pl.String}), *frames]).unique(maintain_order=True)
    twice = raw.filter(pl.col("id").is_duplicated())
    if twice.height:
        named = name_ids(twice.sort("id").select(pl.format("{} under {}", "id", "payout_id")).to_series())
        raise StripeAccessError(
            f"/v1/balance_transactions?payout=…: listed under more than one payout: {named}; a balance transaction belongs to one at most. Repeat the run"
        )
    return _checked(PayoutMember, raw.select(stripe_account=pl.lit(account), payout_id="payout_id", balance_transaction_id="id"), key="balance_transaction_id")


def parse_sources(pages: Sequence[bytes], *, account: str) -> dy.DataFrame[StripeSource]:
    """Parse pages of charges, refunds, disputes, transfers, application fees and top-ups, for names and references.

    A charge carries its own id as `charge_id`; a refund, dispute or application fee that of its charge, a transfer that of
    the charge it passes on.

    Raises:
        StripeAccessError: a page is no list of such objects.
    """
    return _finish_sources(SOURCES.read(pages), account)


def parse_balance(body: bytes, *, account: str, taken_at: datetime) -> dy.DataFrame[BalanceSnapshot]:
    """Parse `/v1/balance`: available + pending, per currency and balance type.

    Raises:
        StripeAccessError: the body is no balance.
    """
    balance = _decode(body, what="a balance")
    prefunding = balance.get("refund_and_dispute_prefunding") or {}
    issuing = balance.get("issuing") or {}
    sections = {"payments": balance, "refund_and_dispute_prefunding": prefunding, "issuing": issuing}
    parts = [{**part, "balance_type": name} for name, section in sections.items() for state in ("available", "pending") for part in section.get(state) or []]
    raw = _to_frame(parts, {"currency": pl.String, "amount": pl.Int64, "balance_type": pl.String}, what="a balance")
    return _checked(
        BalanceSnapshot,
        raw.group_by(pl.col("currency").str.to_uppercase(), "balance_type")
        .agg(amount_minor=pl.col("amount").sum())
        .sort("currency", "balance_type")
        .select(
            stripe_account=pl.lit(account),
            taken_at=pl.lit(taken_at).cast(pl.Datetime("us", "UTC")),
            currency="currency",
            balance_type="balance_type",
            amount_minor="amount_minor",
        ),
        key="currency",
    )


def shape_transactions(raw: pl.DataFrame, account: str) -> pl.DataFrame:
    """Give raw fields, named as Stripe names them, the columns of `BalanceTransaction`; nothing is checked yet.

    Args:
        raw: the fields of a balance transaction, and the sums of its fee's details by type.
        account: the Stripe account.
    """
    return (
        mask_personal(raw, ["description"])
        .select(
            *_common(account, balance_transaction_id="id"),
            available_at=_instant("available_on"),
            amount_minor="amount",
            fee_minor="fee",
            net_minor="net",
            fee_tax_minor="tax",
            withheld_tax_minor="withheld_tax",
            application_fee_minor="application_fee",
            fee_details_minor="fee_details",
            currency=pl.col("currency").str.to_uppercase(),
            type="type",
            # Old API versions have no balance types: everything was payments.
            reporting_category=pl.col("reporting_category").fill_null(pl.col("type")),
            balance_type=pl.col("balance_type").fill_null("payments"),
            status="status",
            source_id="source",
            description=pl.col("description").fill_null(""),
        )
        .select(BalanceTransaction.column_names())
    )


def _finish_transactions(raw: pl.DataFrame, account: str) -> dy.DataFrame[BalanceTransaction]:
    fixed = ("created_at", "amount_minor", "fee_minor", "net_minor", "currency", "balance_type")
    return _checked(BalanceTransaction, shape_transactions(raw, account), key="balance_transaction_id", fixed=fixed)


def _finish_payouts(raw: pl.DataFrame, account: str) -> dy.DataFrame[Payout]:
    return _checked(
        Payout,
        raw.select(
            *_common(account, payout_id="id"),
            amount_minor="amount",
            currency=pl.col("currency").str.to_uppercase(),
            arrival_on=pl.from_epoch("arrival_date", "s").dt.date(),
            is_automatic=pl.col("automatic").fill_null(False),
            method=pl.col("method").fill_null(""),
            status="status",
            reconciliation_status=pl.col("reconciliation_status").fill_null("not_applicable"),
            balance_transaction_id="balance_transaction",
            failure_balance_transaction_id="failure_balance_transaction",
            failure_code="failure_code",
            trace_id="trace_id.value",
            statement_descriptor="statement_descriptor",
            destination_id="destination",
        ),
        key="payout_id",
    )


def _prepare_source(row: dict[str, Any]) -> dict[str, Any]:
    """Turn metadata, whose keys are free, into a list of pairs."""
    return {
        **row,
        "metadata": [
            {"key": key, "value": mask_text(value) if isinstance(value, str) else value} for key, value in sorted((row.get("metadata") or {}).items())
        ],
    }


def _finish_sources(raw: pl.DataFrame, account: str) -> dy.DataFrame[StripeSource]:
    moved_back = pl.when(pl.col("reversed")).then(pl.lit("reversed")).when(pl.col("refunded")).then(pl.lit("refunded"))
    return _checked(
        StripeSource,
        mask_personal(raw, ["description", "billing_details.name", "shipping.name"]).select(
            *_common(account, source_id="id"),
            object="object",
            charge_id=pl.when(pl.col("object") == "charge").then("id").otherwise(pl.coalesce("charge", "source_transaction")),
            payment_intent_id="payment_intent",
            customer_id="customer",
            counterparty=pl.coalesce(_not_blank(pl.col("billing_details.name")), _not_blank(pl.col("shipping.name")), pl.lit("")),
            description=pl.col("description").fill_null(""),
            references=_references(),
            presentment_amount_minor=pl.coalesce("presentment_details.presentment_amount", "amount"),
            presentment_currency=pl.coalesce("presentment_details.presentment_currency", "currency").str.to_uppercase(),
            # Stripe calls an authorization that was never captured succeeded too; it moved no money.
            status=pl.when(pl.col("captured").not_()).then(pl.lit("uncaptured")).otherwise(pl.coalesce("status", moved_back, pl.lit(""))),
            reason=pl.coalesce("reason", "failure_reason", "failure_code"),
            balance_transaction_ids=pl.concat_list(pl.concat_list("balance_transaction", "failure_balance_transaction"), "balance_transactions[].id")
            .list.drop_nulls()
            .list.unique()
            .list.sort(),
            card_country=pl.coalesce("payment_method_details.card.country", "payment_method_details.card_present.country"),
        ),
        key="source_id",
    )


def name_ids(ids: pl.Series) -> str:
    """Name the first ids and how many there are in all.

    >>> name_ids(pl.Series(["txn_1", "txn_2"]))
    'txn_1, txn_2'
    """
    named = ", ".join(ids.head(IDS_NAMED_MAX).to_list())
    return named if ids.len() <= IDS_NAMED_MAX else f"{named}, … ({ids.len()} in all)"


def _decode(body: bytes, *, what: str) -> dict[str, Any]:
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise StripeAccessError(f"an answer that should hold {what} is no JSON ({error}); check [stripe] api_base") from error
    if not isinstance(content, dict):
        raise StripeAccessError(f"an answer that should hold {what} is a {type(content).__name__}, expected an object; check [stripe] api_base")
    return content


def _rows(pages: Sequence[bytes]) -> list[dict[str, Any]]:
    rows = [row for page in pages for row in _decode(page, what="a list").get("data") or []]
    if not set(map(type, rows)) <= {dict}:
        raise StripeAccessError("an answer that should hold a list of objects holds something else; check [stripe] api_base")
    return rows


def _to_frame(
    rows: Sequence[Mapping[str, Any]],
    shape: Mapping[str, Any],
    *,
    what: str,
    derive: Callable[[Sequence[Mapping[str, Any]]], dict[str, list[Any]]] | None = None,
) -> pl.DataFrame:
    """Put fields into columns, strictly: what is of another type than Stripe's is refused and never converted."""
    columns, field = [], "fee_details"
    try:
        columns += [pl.Series(name, values, dtype=pl.Int64, strict=True) for name, values in (derive(rows) if derive else {}).items()]
        for field, kind in shape.items():
            columns.append(pl.Series(field, _values(rows, field), dtype=kind, strict=True))
    except (pl.exceptions.PolarsError, TypeError, AttributeError, KeyError, OverflowError) as error:
        if "Float" in str(error):
            raise StripeAccessError(
                f"an answer that should hold {what} has an amount or a time ({field}) that is no whole number; Stripe writes integers. Check [stripe] api_base"
            ) from None
        raise StripeAccessError(
            f"an answer that should hold {what} does not have Stripe's shape ({field}: {type(error).__name__}); check [stripe] api_base and the API version"
        ) from None
    return pl.DataFrame(columns)


def _values(rows: Sequence[Mapping[str, Any]], field: str) -> list[Any]:
    outer, is_list, inner = field.partition("[].")
    if is_list:
        return [[item.get(inner) for item in row.get(outer) or ()] for row in rows]
    outer, is_nested, inner = field.partition(".")
    if is_nested:
        return _values([row.get(outer) or {} for row in rows], inner)
    return [row.get(field) for row in rows]


def _checked(schema: type[S], frame: pl.DataFrame, *, key: str, fixed: Sequence[str] = ()) -> dy.DataFrame[S]:
    """Remove duplicates, which overlapping pages bring, and check what Stripe promises about its own rows.

    Of two readings of a row the later one counts; what can never change must be the same in both.
    """
    last = frame.select(schema.column_names()).unique(schema.primary_key(), keep="last", maintain_order=True)
    if fixed and last.height < frame.height:
        readings = frame.select(*schema.primary_key(), *fixed).unique()
        torn = readings.filter(pl.struct(schema.primary_key()).is_duplicated())[key].unique().sort()
        if torn.len():
            raise StripeAccessError(
                f"Stripe answered two different readings of balance transactions: {name_ids(torn)}; repeat the run, and if it stays, ask Stripe"
            )
    result = schema.filter(last, cast=True)
    counts = result.failure.counts()
    if counts:
        rules = ", ".join(f"{rule} ({count})" for rule, count in sorted(counts.items()))
        ids = name_ids(result.failure.invalid()[key].fill_null("?"))
        raise StripeAccessError(f"Stripe's answer breaks {rules}: {ids}; repeat the run, and if it stays, report the ids to Stripe")
    return result.result


def _common(account: str, **key: str) -> list[pl.Expr]:
    """Return what every object of Stripe's has: whose it is, its id under the table's own name, and when it was made."""
    return [pl.lit(account).alias("stripe_account"), *(pl.col(field).alias(name) for name, field in key.items()), _instant("created").alias("created_at")]


def _instant(column: str) -> pl.Expr:
    return pl.from_epoch(column, "s").dt.replace_time_zone("UTC").dt.cast_time_unit("us")


def _sum_details(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Add up the details of each row's fee: all of them, and by the types that become components of their own.

    In plain integers and before the columns are made: a column of lists of objects costs more than all the others together.
    """
    details = [row.get("fee_details") or () for row in rows]
    kinds = {detail["type"] for listed in details for detail in listed}
    sums = {"fee_details": [sum([detail["amount"] for detail in listed]) for listed in details]}
    for kind in _OWN_COMPONENTS:
        sums[kind] = [sum([detail["amount"] for detail in listed if detail["type"] == kind]) for listed in details] if kind in kinds else [0] * len(rows)
    return sums


def _not_blank(text: pl.Expr) -> pl.Expr:
    return pl.when(text.str.strip_chars() != "").then(text.str.strip_chars())


def _references() -> pl.Expr:
    """Collect what may name a document, most telling first: metadata, the invoice field, numbers in the description, other fields."""
    key, value = pl.element().struct.field("key"), pl.element().struct.field("value").str.strip_chars()
    looks_right = value.str.contains(_REFERENCE_VALUE) & (value.str.count_matches(" ") <= 2)
    is_number = looks_right & value.str.contains(r"\d") & ~value.str.contains(_NO_REFERENCE_VALUE)
    is_named = looks_right & key.str.contains(_REFERENCE_KEY) & (value.str.len_chars() >= 3)
    from_metadata = (
        pl.col("metadata").list.eval(pl.when((is_number | is_named) & (value.str.len_chars() <= REFERENCE_LENGTH_MAX)).then(value)).list.drop_nulls()
    )
    words = pl.col("description").fill_null("").str.extract_all(_REFERENCE_IN_TEXT)
    from_text = words.list.eval(
        pl.when(~pl.element().str.contains(_NO_REFERENCE_VALUE) & (pl.element().str.len_chars() <= REFERENCE_LENGTH_MAX)).then(pl.element())
    ).list.drop_nulls()
    fields = pl.concat_list("receipt_number", "transfer_group").list.drop_nulls()
    return pl.concat_list(from_metadata, pl.concat_list("invoice").list.drop_nulls(), from_text, fields).list.unique(maintain_order=True)


TRANSACTIONS = ListParser("balance transactions", _TRANSACTION, _finish_transactions, derive=_sum_details)
PAYOUTS = ListParser("payouts", _PAYOUT, _finish_payouts)
SOURCES = ListParser("charges, refunds, disputes, transfers, application fees or top-ups", _SOURCE, _finish_sources, _prepare_source)
