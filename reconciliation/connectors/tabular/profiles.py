"""Layouts of exports, declared in TOML -> profiles.

A profile ships with the product; a mapping file of a company is the same thing written by its own people. What a file
has to look like is data here: which header names carry which field, which rows are totals, which types are set aside.
Nothing in this module knows a single system.
"""

import difflib
import tomllib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from reconciliation.connectors.tabular.dates import DateOrder
from reconciliation.errors import SettingsError

MOVEMENT_FIELDS = ("debit", "credit", "amount", "foreign_amount", "foreign_debit", "foreign_credit", "tax_amount")
AMOUNT_FIELDS = (*MOVEMENT_FIELDS, "balance", "base_amount", "opening")
FIELDS = (
    "date", "value_date", "period", "fiscal_year", "type", "document", "line", "account", "account_name", "contra_account", "counterparty", "memo", "reference", "poster",
    "currency", "base_currency", *AMOUNT_FIELDS, "indicator", "exchange_rate", "created_from", "reverses", "posting", "internal_id",
    "clearing_document",
)  # fmt: skip
TOTAL_LABELS = (
    "total",
    "totals",
    "subtotal",
    "sub-total",
    "sub total",
    "grand total",
    "overall total",
    "report total",
    "sum",
    "summe",
    "gesamt",
    "gesamtsumme",
    "somme",
    "suma",
    "total général",
    "total general",
    "totale",
    "totaal",
    "summa",
    "endsumme",
    "zwischensumme",
    "sous-total",
    "subtotaal",
    "eindtotaal",
    "razem",
)
BALANCE_LABELS = (
    "opening balance", "beginning balance", "balance forward", "balance brought forward", "brought forward", "closing balance", "ending balance",
    "balance carried forward", "balance at end of period", "balance at start of period", "carried forward", "history balance",
    "kontostand", "letzter kontostand", "saldo am", "anfangssaldo", "endsaldo", "eröffnungssaldo", "schlusssaldo", "saldovortrag", "anfangsbestand", "endbestand",
    "solde au", "solde initial", "solde final", "solde d'ouverture", "solde de clôture", "solde de début", "report à nouveau", "à reporter",
    "saldo al", "saldo inicial", "saldo final", "saldo de apertura", "saldo de cierre", "saldo anterior", "saldo iniziale", "saldo finale", "saldo precedente",
    "beginsaldo", "openingssaldo", "eindsaldo", "ingående balans", "ingående saldo", "utgående balans", "utgående saldo", "primosaldo", "ultimosaldo", "inngående saldo",
)  # fmt: skip
INDICATORS = (
    "Debit/Credit", "Debit / Credit", "Debit/Credit Indicator", "Debit/Credit ind.", "Debit/Credit ind", "Debit/Credit Code", "Debit Credit Indicator", "D/C", "Dr/Cr",
    "DR/CR", "Dr or Cr", "Db/Cr", "DC", "DC Indicator", "D/C Indicator", "Dr./Cr.", "Credit/Debit", "Cr/Dr", "C/D",
    "S/H", "S/H-Kennzeichen", "S/H-Kennz.", "S/H Kz", "SH-Kz", "Soll/Haben", "Soll-/Haben-Kennzeichen", "Soll/Haben-Kennzeichen", "Soll/Haben-Kennz.", "Soll/Haben-Kz",
    "Sens", "D/H", "Debe/Haber", "Indicador D/H", "Indicador debe/haber", "Debe/Haber ind.", "Dare/Avere", "D/A", "Segno", "Debet/Credit", "Debet/Kredit", "D/K", "Débito/Crédito",
    "Code débit/crédit", "Débit/Crédit", "Code débit-crédit", "SHKZG", "DRCRK",
)  # fmt: skip
"""Headers of a column that says on which side an amount is; every shipped profile with one amount knows them, for without it all of them would be debits."""


class Preamble(BaseModel):
    """Where a line above the header states what the rows leave out; columns count from 1.

    Attributes:
        starts_with: the first cell of that line.
        first_day: its column with the first day of the export, written 20261001.
        last_day: its column with the last day.
        currency: its column with the currency.
        year_from: its column with the first day of the fiscal year, for lines that leave the days out.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    starts_with: str = Field(min_length=1)
    first_day: int = Field(ge=1)
    last_day: int = Field(ge=1)
    currency: int | None = Field(default=None, ge=1)
    year_from: int | None = Field(default=None, ge=1)


class Profile(BaseModel):
    """How one system's export is laid out.

    Attributes:
        name: as `[ledger] profile` and the reports name it.
        system: the ERP, where it has several exports; `[ledger] profile` may name it too.
        title: what a person calls the export.
        columns: field -> header names in order of preference. A file may have the first, another or none of them.
        others: headers that the system also has and that are not read; they tell it from others.
        is_mapping: a company's own mapping: what it names must be there, and it is not doubted.
        header: of a kept mapping: the whole header it was made for, which alone it is used for.
        required: fields that must be present; `debit+credit|amount` is satisfied by the two or by the one.
        signature: fields whose presence tells this system from others; they raise the confidence.
        constants: field -> value for what the file does not say, such as the one account it was exported for.
        amount_currency: whether debit, credit and amount are in the base currency, or in the one the line states.
        sign: whether a positive signed amount is a debit or a credit.
        decimal_mark: stated, or None to decide it by the file.
        date_order: stated, or None to decide it by the file.
        debit_words: values of the indicator column that mean debit.
        credit_words: values of the indicator column that mean credit.
        currency_names: what the currency column says -> code, for systems that write names.
        total_labels: how a total row begins; such rows are checked, not read.
        balance_labels: how a row with a balance and no movement begins.
        revaluation_types: types that change only the base amount.
        non_posting_types: types that are no entry of the ledger.
        non_posting_words: values of the posting column that mean so.
        reversal_types: types whose `created_from` names the document they reverse.
        reverses_by: what the `reverses` column names: a document, or the number of the entry.
        sections: a row with a single cell begins an account, whose lines stand below it.
        section_pattern: how such a row looks where it holds more, with a group `account`.
        section_totals: how the total of a section begins; the account's name follows.
        carry_down: fields that stand on the first line of a document only; the lines below it up to a total belong to it.
        balanced: what must add to zero: the `document`, or the `file`, unless the export is of one account; empty: nothing.
        type_sides: type -> whether its unsigned amount is a debit or a credit, for systems that say it so.
        contra_types: types whose `contra_account` moves the other way by amount and tax; `*` stands for every type.
        preamble: what a line above the header states.
        unnamed: the field of a first column without a header, where the system leaves it so.
        quotes: `none` where the system writes no quoting, so that a quote in a cell is a quote (unless the header is quoted).
        special_periods: numbers of periods beyond the last month that adjust it; they belong to the twelfth.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, pattern=r"^[\w .-]+$")
    system: str = ""
    title: str = ""
    is_mapping: bool = False
    header: tuple[str, ...] = ()
    columns: dict[str, tuple[str, ...]]
    others: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    required: tuple[str, ...] = ("date", "account", "debit+credit|amount")
    signature: tuple[str, ...] = ()
    constants: dict[Literal["account", "currency"], str] = Field(default_factory=dict)
    amount_currency: Literal["base", "line"] = "base"
    sign: Literal["debit_positive", "credit_positive"] = "debit_positive"
    decimal_mark: Literal[".", ","] | None = None
    date_order: DateOrder | None = None
    debit_words: tuple[str, ...] = ("d", "dr", "debit", "s", "soll", "debe", "débit", "dare", "debet", "débito")
    credit_words: tuple[str, ...] = ("c", "cr", "credit", "h", "haben", "haber", "crédit", "k", "avere", "a", "kredit", "crédito")
    currency_names: dict[str, str] = Field(default_factory=dict)
    total_labels: tuple[str, ...] = TOTAL_LABELS
    balance_labels: tuple[str, ...] = BALANCE_LABELS
    revaluation_types: tuple[str, ...] = ()
    non_posting_types: tuple[str, ...] = ()
    non_posting_words: tuple[str, ...] = ("no", "n", "false", "f", "non-posting", "non posting", "nein", "non", "nee", "não", "nej", "nei")
    reversal_types: tuple[str, ...] = ()
    reverses_by: Literal["document", "internal_id"] = "document"
    sections: bool = False
    section_pattern: str = ""
    section_totals: tuple[str, ...] = (
        "total for", "total of", "total", "net movement", "summe", "summe für", "gesamt für", "gesamtsumme für", "total pour", "total de", "total del", "total du", "totale per",
        "totale di", "totale", "totaal voor", "totaal van", "totaal", "summa för", "summa",
    )  # fmt: skip
    carry_down: tuple[str, ...] = ()
    balanced: Literal["", "document", "file"] = ""
    type_sides: dict[str, Literal["debit", "credit"]] = Field(default_factory=dict)
    contra_types: tuple[str, ...] = ()
    preamble: Preamble | None = None
    unnamed: str = ""
    quotes: Literal["csv", "none"] = "csv"
    special_periods: tuple[int, ...] = ()

    @field_validator("columns", mode="before")
    @classmethod
    def _lists_of_known_fields(cls, value: object) -> object:
        if not isinstance(value, dict):
            return value
        for field in value:
            if field not in FIELDS:
                near = difflib.get_close_matches(str(field), FIELDS, n=1)
                raise ValueError(f"{field!r} is not a field" + (f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(FIELDS)}"))
        return {field: [names] if isinstance(names, str) else names for field, names in value.items()}


@lru_cache(maxsize=10_000)
def header_key(text: str) -> str:
    """Return a header as headers are compared: letter case, spaces, marks of a required column and a trailing colon do not count.

    >>> header_key(" *Document  Number: ")
    'document number'
    """
    return " ".join(text.replace("_", " ").replace("\u00a0", " ").strip().strip("*:").split()).casefold()


def cell_key(text: str) -> str:
    """Return a cell as it is compared with a profile's words."""
    return " ".join(text.split()).casefold()


def read_profile(path: Path) -> Profile:
    """Read one profile or mapping file.

    Raises:
        SettingsError: no such file, not TOML, unknown keys or fields; all at once.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: no mapping file could be read ({error.strerror}); correct [ledger] profile") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not valid TOML: {error}") from error
    try:
        return Profile.model_validate({"name": path.stem, **content})
    except ValidationError as error:
        known = ", ".join(sorted(Profile.model_fields))
        lines = [f"{path}: {'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}" for fault in error.errors()]
        if any(fault["type"] == "extra_forbidden" for fault in error.errors()):
            lines.append(f"{path}: keys known here: {known}")
        raise SettingsError("\n".join(lines)) from None


@lru_cache(maxsize=16)
def shipped_profiles(folder: Path) -> tuple[Profile, ...]:
    """Return the profiles of a folder of the product, by name."""
    return tuple(_with_indicator(read_profile(path)) for path in sorted(folder.glob("*.toml")))


def _with_indicator(profile: Profile) -> Profile:
    """Let a profile with one amount know the column that says on which side it is, under any of its usual names."""
    if "amount" not in profile.columns or profile.type_sides:
        return profile
    names = dict.fromkeys((*profile.columns.get("indicator", ()), *INDICATORS))
    return profile.model_copy(update={"columns": {**profile.columns, "indicator": tuple(names)}})


def kept_mappings(folder: Path) -> tuple[Profile, ...]:
    """Return the mappings of a folder that were made for a header, by name.

    Raises:
        SettingsError: one of them cannot be read.
    """
    found = [_as_mapping(read_profile(path)) for path in sorted(folder.glob("*.toml"))]
    return tuple(mapping for mapping in found if mapping.header)


def _as_mapping(mapping: Profile) -> Profile:
    """Return a company's mapping as one that is not doubted: all it names must be there."""
    required = dict.fromkeys((*mapping.required, *mapping.columns))
    return mapping.model_copy(update={"is_mapping": True, "required": tuple(required)})


def choose_profiles(shipped: Sequence[Profile], *, setting: str, folder: Path) -> tuple[Profile, ...]:
    """Return the profiles to try: all, one by name, or a company's mapping file.

    Args:
        shipped: the product's own.
        setting: `auto`, a name, or the path of a TOML file.
        folder: what the path is relative to.

    Raises:
        SettingsError: neither a shipped name nor a file.
    """
    if setting == "auto":
        return tuple(shipped)
    named = tuple(profile for profile in shipped if setting in (profile.name, profile.system))
    if named:
        return named
    if setting.endswith(".toml"):
        return (_as_mapping(read_profile(folder / setting)),)
    names = [profile.name for profile in shipped]
    near = difflib.get_close_matches(setting, names, n=1)
    raise SettingsError(
        f"[ledger] profile = {setting!r} is not known; "
        + (f"did you mean {near[0]!r}?" if near else f"there are auto, {', '.join(names)}, or a .toml mapping file")
    )
