"""Typed frames for tests, from the few columns a test is about."""

from datetime import date

import polars as pl

from reconciliation.matching.cascade import CODED
from reconciliation.matching.pool import Pool, channel_of
from reconciliation.normalize.components import cast_items
from reconciliation.normalize.lines import ACCRUAL_WORDS
from reconciliation.normalize.references import extract_references
from reconciliation.normalize.translation import add_translation_band
from reconciliation.rates import Rates
from reconciliation.schemas.items import Item
from reconciliation.schemas.journals import ProposedEntry

DAY = date(2026, 10, 15)
NO_JOURNALS = ProposedEntry.create_empty()


def stripe(identity, amount, *, component="gross", category="charge", day=DAY, name="", reference="", currency="GBP", leg="books", **others):
    """Describe a Stripe component; `identity` is the balance transaction's id."""
    item = f"{identity}/{component}" if leg == "books" else identity
    return {
        "leg": leg, "item_id": item, "side": "stripe", "amount_minor": amount, "component": component, "category": category, "type": category, "date": day, "counterparty": name,
        "reference": reference, "currency": currency, "balance_transaction_id": identity, "line": f"{category}.{component}", "source_id": f"ch_{identity}", "text": f"{reference} ch_{identity}",
        **others,
    }  # fmt: skip


def ledger(document, amount, memo="", *, day=DAY, name="", currency="GBP", **others):
    """Describe a ledger line."""
    return {
        "leg": "books", "item_id": f"gl_{document}/1", "side": "ledger", "amount_minor": amount, "document": document, "description": memo, "date": day, "counterparty": name,
        "currency": currency, "account": "1050", "text": f"{document} {memo}", "is_accrual": pl.Series([memo]).str.contains(ACCRUAL_WORDS).item(), **others,
    }  # fmt: skip


def bank(identity, amount, description="", *, day=DAY, currency="GBP"):
    """Describe a bank line."""
    return {
        "leg": "cash",
        "item_id": identity,
        "side": "bank",
        "amount_minor": amount,
        "description": description,
        "date": day,
        "currency": currency,
        "text": description,
    }


def items(*rows):
    """Build `Item` rows with `reference_text`."""
    empty = Item.create_empty()
    defaults = {name: "" if dtype == pl.String else None for name, dtype in empty.schema.items()}
    fixed = {"book": "main", "population": "new", "origin_period": "2026-10", "is_accrual": False}
    full = [{**defaults, **fixed, **{key: value for key, value in row.items() if key != "text"}, "reference_text": row["text"]} for row in rows]
    return cast_items(pl.DataFrame(full, schema={**empty.schema, "reference_text": pl.String}))


def pool(*rows, leg="books"):
    """Build the pool a strategy sees."""
    frame = items(*rows)
    references = extract_references(frame)
    plain = cast_items(frame).drop("reference_text").filter(pl.col("leg") == leg)
    coded = plain.with_columns(pl.col(CODED).cast(pl.Categorical), label=pl.col("item_id"))
    banded = add_translation_band(coded, Rates()).with_columns(channel=channel_of().cast(pl.Categorical))
    known = references.with_columns(pl.col("kind").cast(pl.Categorical), is_own=pl.lit(value=False))
    return Pool(banded, banded, known, date(2026, 10, 31), NO_JOURNALS)


def sets(proposals):
    """Return the proposed member sets."""
    return {frozenset(part["item_id"]) for part in proposals.partition_by("proposal")} if proposals.height else set()
