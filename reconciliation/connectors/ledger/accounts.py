"""Settings + accounts found in exports -> which lines are on a mapped account, and in which currency their amount is.

An account is one account, whether an export writes its number, its name or both, and whatever stands between the two.
"""

import re

import polars as pl

from reconciliation.config import Settings
from reconciliation.errors import SettingsError

ACCOUNTS_SHOWN_MAX = 20

_SUB_ACCOUNT = ":"
"""Stands between an account and its sub-account, which is an account of its own."""

_NUMBERED = re.compile(r"(?P<number>[0-9]+(?:[.-][0-9]+)*)(?:[\W_]+(?P<name>.*))?")
_NUMBER_BEHIND = re.compile(r"(?P<name>.*\D)[\W_]*\((?P<number>[0-9]+(?:[.-][0-9]+)*)\)")


def account_key(column: str) -> pl.Expr:
    """Return an expression for an account's name as accounts are compared: runs of any white space count as one space."""
    return pl.col(column).str.replace_all(r"[\s\u00a0\u2000-\u200a\u202f\u3000]+", " ").str.strip_chars()


def mapped_accounts(settings: Settings) -> pl.DataFrame:
    """List the ledger accounts of all books.

    Returns:
        `account_key`, `account` (as the settings spell it), `mapped_currency`.
    """
    rows = [(account.account, account.currency) for book in settings.books for account in book.ledger_accounts]
    frame = pl.DataFrame(rows, schema={"account": pl.String, "mapped_currency": pl.String}, orient="row").unique()
    return frame.with_columns(account_key=account_key("account")).sort("account_key", "mapped_currency")


def name_as_mapped(rows: pl.DataFrame, mapped: pl.DataFrame) -> pl.DataFrame:
    """Give lines the key that the settings have for their account: `1050 - Stripe Clearing` is `1050 Stripe Clearing`, and either is `1050`.

    A name alone stands for an account only while the lines know it under one number.

    Args:
        rows: `account_key`, and `account_name`: what a second column says of the account ("" where none does).
        mapped: as `mapped_accounts` gives it.

    Returns:
        The rows with `account_key` replaced where the settings spell it in another way.
    """
    exact = set(mapped["account_key"])
    wanted = {key: _parts(key) for key in sorted(exact)}
    found: dict[tuple[str, str], tuple[str, bool]] = {}
    for account, name in rows.select("account_key", "account_name").unique().sort("account_key", "account_name").iter_rows():
        if account not in exact and (match := _match_account(account, name, wanted)):
            found[(account, name)] = match
    by_name: dict[str, set[str]] = {}
    for (account, _), (key, is_by_name) in found.items():
        if is_by_name:
            by_name.setdefault(key, set()).add(account)
    pairs = [(*pair, key) for pair, (key, is_by_name) in found.items() if not is_by_name or len(by_name[key]) == 1]
    if not pairs:
        return rows
    known = pl.DataFrame(pairs, schema={"account_key": pl.String, "account_name": pl.String, "as_mapped": pl.String}, orient="row")
    joined = rows.join(known, on=["account_key", "account_name"], how="left", maintain_order="left")
    return joined.with_columns(account_key=pl.coalesce("as_mapped", "account_key")).drop("as_mapped")


def _match_account(account: str, name: str, wanted: dict[str, tuple[str, str]]) -> tuple[str, bool] | None:
    """Return the one mapped account that an export means, and whether only its name says so."""
    number, own_name = _parts(account)
    if not number and name:
        number, own_name = _parts(name)[0], own_name or _parts(name)[1]
    names = {own_name, _parts(name)[1]} - {""}
    by_number = [
        key for key, (other, text) in wanted.items() if number and other == number and (text in names or not names or not (text or _SUB_ACCOUNT in own_name))
    ]
    if by_number:
        return (by_number[0], False) if len(by_number) == 1 else None
    by_name = [key for key, (other, text) in wanted.items() if text in names and not (number and other)]
    return (by_name[0], True) if len(by_name) == 1 else None


def _parts(account: str) -> tuple[str, str]:
    """Return an account's number and name as they are compared; either may be "".

    >>> _parts("1050 - Stripe Clearing") == _parts("Stripe clearing (1050)") == ("1050", "stripe clearing")
    True
    >>> _parts("0000105000"), _parts("Assets:Stripe")
    (('105000', ''), ('', 'assets:stripe'))
    """
    found = _NUMBERED.fullmatch(account) or _NUMBER_BEHIND.fullmatch(account)
    number, name = (found["number"], found["name"] or "") if found else ("", account)
    return (number.lstrip("0") or number), " ".join(name.casefold().strip(" -·|:()").split())


def found_accounts(rows: pl.DataFrame, *, settings: Settings) -> pl.DataFrame:
    """Take the one account that exports are on for the mapped one, where the settings map none.

    Args:
        rows: `account_key` and `currency_stated` ("" where the export names none) of every line of every export.
        settings: gives the currency of an export that names none.

    Raises:
        SettingsError: there are several accounts, or several currencies on the one.
    """
    pairs = rows.select("account_key", "currency_stated").unique().sort("account_key", "currency_stated")
    names = pairs["account_key"].unique(maintain_order=True).to_list()
    if len(names) > 1:
        listed = ", ".join(repr(name) for name in names[:ACCOUNTS_SHOWN_MAX]) + (
            f" and {len(names) - ACCOUNTS_SHOWN_MAX} more" if len(names) > ACCOUNTS_SHOWN_MAX else ""
        )
        raise SettingsError(
            f"[[books.ledger_accounts]] lists no account, and the ledger exports have lines on {len(names)}: {listed}; "
            "list the ones that stand for Stripe balances"
        )
    currencies = [currency for currency in pairs["currency_stated"] if currency]
    if len(currencies) > 1:
        raise SettingsError(
            f"[[books.ledger_accounts]] lists no account, and {names[0]!r} has lines in {', '.join(currencies)}; list it with its currency, once for each"
        )
    currency = currencies[0] if currencies else settings.entity.currency
    schema = {"account": pl.String, "mapped_currency": pl.String, "account_key": pl.String}
    return pl.DataFrame([(name, currency, name) for name in names], schema=schema, orient="row")


def resolve_currency(rows: pl.DataFrame, mapped: pl.DataFrame, *, base_currency: str) -> pl.DataFrame:
    """Say for every line whether its account is mapped and which currency the account's amount is in.

    An account listed once has that currency, whatever currency a document on it was written in; for an account listed in
    several the line's own currency chooses.

    Args:
        rows: `account_key`, `currency_stated`.
        mapped: as `mapped_accounts` gives it.
        base_currency: of the books.

    Returns:
        The rows with `account` (the settings' spelling where mapped), `is_mapped`, and `currency` (null where a mapped account has several
        currencies and the line states none of them).
    """
    listed = mapped.group_by("account_key").agg(pl.col("account").first().alias("mapped_account"), pl.col("mapped_currency").alias("listed"))
    joined = rows.join(listed, on="account_key", how="left", maintain_order="left")
    only = pl.when(pl.col("listed").list.len() == 1).then(pl.col("listed").list.first())
    stated = pl.when(pl.col("listed").list.contains(pl.col("currency_stated"))).then("currency_stated")
    unmapped = pl.when(pl.col("currency_stated") != "").then("currency_stated").otherwise(pl.lit(base_currency))
    return joined.with_columns(
        is_mapped=pl.col("listed").is_not_null(),
        currency=pl.when(pl.col("listed").is_null()).then(unmapped).otherwise(pl.coalesce(stated, only)),
        account=pl.coalesce("mapped_account", "account_key"),
    ).drop("listed", "mapped_account")
