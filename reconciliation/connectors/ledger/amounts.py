"""Debit, credit, signed and foreign amounts of an export -> one amount a line, in the currency of its account.

Where an export has an amount in foreign currency, its debit and credit are in the base currency, and the foreign one is
the account's. Everything that an export says twice must agree; a contradiction refuses it.
"""

import polars as pl

from reconciliation.connectors.tabular.amounts import to_minor
from reconciliation.connectors.tabular.faults import Faults
from reconciliation.connectors.tabular.profiles import Profile
from reconciliation.connectors.tabular.table import Table
from reconciliation.connectors.tabular.totals import show_thousandths


def base_amounts(rows: pl.DataFrame, table: Table, faults: Faults) -> pl.DataFrame:
    """Add `base` and `foreign`, the line's amounts in thousandths with debit positive; null where the export gives none.

    Args:
        rows: the table's lines with `is_revaluation`.
        table: what the lines come from.
        faults: takes contradictions.
    """
    rows = _base_amount(rows, table, faults)
    return _foreign_amount(rows, table, faults)


def has_foreign_amounts(table: Table) -> bool:
    """Tell whether the export has amounts in foreign currency beside the base amounts."""
    return bool({"foreign_amount", "foreign_debit", "foreign_credit"} & set(table.layout.fields))


def account_amounts(rows: pl.DataFrame, table: Table, *, base_currency: str, faults: Faults) -> pl.DataFrame:
    """Add `amount_minor` and `base_amount_minor` (null where the export does not give it) to lines with their currency.

    Args:
        rows: the table's lines with `base`, `foreign`, `currency`, `currency_stated`, `is_mapped`, `is_revaluation`, `is_non_posting`.
        table: what the lines come from.
        base_currency: of the books.
        faults: takes amounts that do not fit their currency.
    """
    has_foreign = has_foreign_amounts(table)
    is_base = pl.col("currency") == base_currency
    nothing = pl.col("base").is_null() & pl.col("foreign").is_null()
    faults.add_rows(
        rows.filter(nothing & ~pl.col("is_non_posting")), column=_money_header(table), message="the line has no amount; give it one, or leave it out"
    )
    twice = (pl.col("currency_stated") == base_currency) & ~pl.col("is_revaluation") & (pl.col("foreign") != 0) & (pl.col("foreign") != pl.col("base"))
    message = f"differs from the amount in {base_currency}, though the line is in {base_currency} too; export it again"
    faults.add_rows(rows.filter(twice), column=table.layout.header(_foreign_field(table)), message=message)
    rows = rows.with_columns(base=pl.col("base").fill_null(0))
    foreign_missing = (
        ~is_base & pl.col("is_mapped") & pl.col("foreign").is_null() & (pl.col("base") != 0) & ~pl.col("is_revaluation") & ~pl.col("is_non_posting")
    )
    if has_foreign:
        faults.add_rows(
            rows.filter(foreign_missing),
            column=table.layout.header(_foreign_field(table)),
            message="is empty on an account in foreign currency, whose amount is not the base amount; export it",
        )
        amount = _amount_beside_foreign(base_currency)
    else:
        _refuse_base_only(rows.filter(foreign_missing), table, faults)
        amount = pl.col("base")
    rows = rows.with_columns(amount=amount, base_currency=pl.lit(base_currency))
    base_is_known = pl.lit(True) if has_foreign else is_base
    rows = rows.with_columns(amount_minor=to_minor("amount", "currency"), base_amount_minor=pl.when(base_is_known).then(to_minor("base", "base_currency")))
    unfit = rows.filter(pl.col("amount_minor").is_null() & pl.col("currency").is_not_null())
    for record in unfit.head(21).iter_rows(named=True):
        fields = ("foreign_amount", "foreign_debit", "foreign_credit", "debit", "credit", "amount")
        column = next((table.layout.header(field) for field in fields if record[field]), "")
        row, currency, amount_text = record["row"], record["currency"], record["amount"]
        faults.add(
            row=row,
            column=column,
            message=f"{show_thousandths(amount_text)} has more decimals than {currency} has, or is larger than any amount that is accepted; correct it",
        )
    _check_hints(rows, table, base_currency, faults)
    return rows.drop("base", "foreign", "amount", "base_currency")


def _amount_beside_foreign(base_currency: str) -> pl.Expr:
    """Choose the account's amount: the base amount on an account in base currency, else the foreign one.

    A document in another currency than its account's (a revaluation is written in the base currency) moves no money of
    the account unless it says so in that currency.
    """
    in_account_currency = (pl.col("currency_stated") == pl.col("currency")) | (pl.col("currency_stated") == "") | ~pl.col("is_mapped")
    foreign = pl.when(in_account_currency).then(pl.col("foreign")).otherwise(pl.lit(0, dtype=pl.Int64)).fill_null(0)
    unmapped = pl.coalesce("foreign", "base")
    return pl.when(~pl.col("is_mapped")).then(unmapped).when(pl.col("currency") == base_currency).then("base").otherwise(foreign)


def _base_amount(rows: pl.DataFrame, table: Table, faults: Faults) -> pl.DataFrame:
    """Add `base`, the signed amount in thousandths with debit positive; null where the line has none."""
    fields, profile = table.layout.fields, table.layout.profile
    debit, credit = pl.col("debit_thousandths"), pl.col("credit_thousandths")
    split = pl.when(debit.is_null() & credit.is_null()).then(None).otherwise(debit.fill_null(0) - credit.fill_null(0))
    if "amount" not in fields:
        _refuse_both_filled(rows, table, faults)
        return rows.with_columns(base=split)
    rows = _signed_amount(rows, table, profile, faults)
    if "debit" not in fields or "credit" not in fields:
        return rows.with_columns(base=pl.col("signed")).drop("signed")
    differs = split.is_not_null() & pl.col("signed").is_not_null() & (split.abs() != pl.col("signed").abs())
    for record in rows.filter(differs).select("row", split.alias("split"), "signed").head(21).iter_rows(named=True):
        faults.add(
            row=record["row"],
            column=table.layout.header("amount"),
            message=f"{show_thousandths(record['signed'])} is not debit less credit, {show_thousandths(record['split'])}; export it again",
        )
    _refuse_both_filled(rows.filter(pl.col("signed").is_null()), table, faults)
    return rows.with_columns(base=pl.coalesce(split, "signed")).drop("signed")


def _refuse_both_filled(rows: pl.DataFrame, table: Table, faults: Faults) -> None:
    both = rows.filter((pl.col("debit_thousandths").fill_null(0) != 0) & (pl.col("credit_thousandths").fill_null(0) != 0))
    faults.add_rows(both, column=table.layout.header("credit"), message="debit and credit are both filled; a line has one of them")


def _signed_amount(rows: pl.DataFrame, table: Table, profile: Profile, faults: Faults) -> pl.DataFrame:
    """Add `signed`: the amount column with debit positive, by its marker, the indicator column or the profile's sign."""
    amount = pl.col("amount_thousandths")
    sign = 1 if profile.sign == "debit_positive" else -1
    signed = pl.when(pl.col("amount_marker") == "CR").then(-amount).when(pl.col("amount_marker") == "DR").then(amount).otherwise(amount * sign)
    if profile.type_sides:
        return _signed_by_type(rows, table, profile, faults)
    if "indicator" not in table.layout.fields:
        return rows.with_columns(signed=signed)
    word = pl.col("indicator").str.to_lowercase()
    side = pl.when(word.is_in(list(profile.debit_words))).then(1).when(word.is_in(list(profile.credit_words))).then(-1)
    rows = rows.with_columns(side=side)
    unknown = rows.filter(pl.col("side").is_null() & amount.is_not_null())
    faults.add_rows(
        unknown,
        column=table.layout.header("indicator"),
        cell="indicator",
        message="{cell} is neither debit nor credit; set debit_words and credit_words in a mapping file",
    )
    moved = rows.filter((amount != 0) & pl.col("side").is_not_null()).select(agrees=amount.sign() * pl.col("side"), is_negative=amount < 0)
    repeats_sign = bool(moved["is_negative"].any()) and moved["agrees"].n_unique() == 1
    return rows.with_columns(signed=(amount.abs() if repeats_sign else amount) * pl.col("side")).drop("side")


def _signed_by_type(rows: pl.DataFrame, table: Table, profile: Profile, faults: Faults) -> pl.DataFrame:
    sides = {kind.lower(): 1 if side == "debit" else -1 for kind, side in profile.type_sides.items()}
    side = pl.col("type").str.to_lowercase().replace_strict(sides, default=None, return_dtype=pl.Int64)
    rows = rows.with_columns(signed=pl.col("amount_thousandths") * side)
    unknown = rows.filter(pl.col("signed").is_null() & pl.col("amount_thousandths").is_not_null())
    message = f"{{cell}} is none of the types whose side is known ({', '.join(profile.type_sides)}); name it under [type_sides] in a mapping file"
    faults.add_rows(unknown, column=table.layout.header("type"), cell="type", message=message)
    return rows


def take_base_amounts(rows: pl.DataFrame, table: Table, *, base_currency: str) -> pl.DataFrame:
    """Let the base amount stand for lines in another currency on an account in base currency, where the export gives both.

    Args:
        rows: lines with `base`, `currency` (the account's) and `currency_stated`.
        table: what the lines come from.
        base_currency: of the books.
    """
    if "base_amount" not in table.layout.fields:
        return rows
    translated = pl.col("base_amount_thousandths").fill_null(0).abs()
    is_translated = (pl.col("currency") == base_currency) & (pl.col("currency_stated") != base_currency) & (pl.col("currency_stated") != "") & (translated > 0)
    return rows.with_columns(
        base=pl.when(is_translated).then(pl.col("base").sign() * translated).otherwise("base"),
        currency_stated=pl.when(is_translated).then(pl.lit(base_currency)).otherwise("currency_stated"),
    )


def expand_contra(rows: pl.DataFrame, profile: Profile, *, account_key: pl.Expr) -> pl.DataFrame:
    """Add, below each row that names two accounts, the line of the second: the other way, by amount and tax.

    Args:
        rows: lines with `base`, `foreign` and `contra_account`.
        profile: says which types have a second account; without any the rows are returned as they are.
        account_key: the second account's name as accounts are compared.
    """
    if not profile.contra_types:
        return rows.with_columns(is_contra=pl.lit(False))
    every = pl.lit("*" in profile.contra_types)
    has_contra = (pl.col("contra_account") != "") & (every | pl.col("type").str.to_lowercase().is_in([name.lower() for name in profile.contra_types]))
    tax = pl.col("tax_amount_thousandths").fill_null(0) * pl.col("base").sign()
    contra = rows.filter(has_contra).with_columns(
        account="contra_account",
        account_key=account_key,
        account_name=pl.lit(""),
        contra_account="account",
        base=-(pl.col("base") + tax),
        foreign=-pl.col("foreign"),
    )
    both = [rows.with_columns(is_contra=pl.lit(False)), contra.with_columns(is_contra=pl.lit(True))]
    return pl.concat(both).sort("row", "is_contra", maintain_order=True)


def _foreign_field(table: Table) -> str:
    return next((field for field in ("foreign_amount", "foreign_debit", "foreign_credit") if field in table.layout.fields), "foreign_amount")


def _foreign_amount(rows: pl.DataFrame, table: Table, faults: Faults) -> pl.DataFrame:
    """Add `foreign`: the foreign amount with debit positive. An export either signs all of them or none; a mixture is a contradiction."""
    if "foreign_debit" in table.layout.fields and "foreign_credit" in table.layout.fields:
        debit, credit = pl.col("foreign_debit_thousandths"), pl.col("foreign_credit_thousandths")
        nothing = debit.is_null() & credit.is_null()
        return rows.with_columns(foreign=pl.when(~nothing).then(debit.fill_null(0) - credit.fill_null(0)))
    foreign, base = pl.col("foreign_amount_thousandths"), pl.col("base")
    compared = rows.filter((foreign.fill_null(0) != 0) & (base.fill_null(0) != 0) & ~pl.col("is_revaluation"))
    is_unsigned = compared.height > 0 and compared.select((foreign > 0).all() & (base < 0).any()).item()
    if is_unsigned:
        return rows.with_columns(foreign=pl.when(base < 0).then(-foreign).otherwise(foreign))
    against = compared.filter(foreign.sign() != base.sign())
    message = "has the opposite sign of debit less credit, while others in this file have the same; export it again"
    faults.add_rows(against, column=table.layout.header("foreign_amount"), message=message)
    return rows.with_columns(foreign=foreign)


def _refuse_base_only(foreign_rows: pl.DataFrame, table: Table, faults: Faults) -> None:
    """Refuse amounts of a foreign-currency account that are base amounts: an exchange rate shows it, or the system writes no others there."""
    rate = table.layout.header("exchange_rate") if "exchange_rate" in table.layout.fields else ""
    is_converted = ~pl.col("exchange_rate").str.contains(r"^1([.,]0*)?$") & (pl.col("exchange_rate") != "")
    message = "an exchange rate other than 1 shows that debit and credit are in the base currency; export the amount in foreign currency too"
    faults.add_rows(foreign_rows.filter(pl.lit(bool(rate)) & is_converted), column=rate, message=message)
    if table.layout.profile.amount_currency == "base" and not table.layout.header_currencies:
        message = "is in the currency of the books, as this system writes it, and the account is in another; export the amount in foreign currency too"
        faults.add_rows(foreign_rows.filter(~(pl.lit(bool(rate)) & is_converted)), column=_money_header(table), message=message)


def _check_hints(rows: pl.DataFrame, table: Table, base_currency: str, faults: Faults) -> None:
    if table.hints.is_empty():
        return
    has_foreign = has_foreign_amounts(table)
    beside = table.hints.join(rows.select("row", "currency", "currency_stated"), on="row", how="inner")
    own = pl.when(pl.col("currency_stated") != "").then("currency_stated").otherwise("currency")
    expected = pl.when(pl.lit(has_foreign) & ~pl.col("field").str.starts_with("foreign")).then(pl.lit(base_currency)).otherwise(own)
    wrong = beside.with_columns(expected=expected).filter(~pl.col("currencies").list.contains(pl.col("expected")))
    for record in wrong.head(21).iter_rows(named=True):
        faults.add(
            row=record["row"],
            column=table.layout.header(record["field"]),
            message=f"is written in another currency than the line's, {record['expected']}; correct one of them",
        )


def _money_header(table: Table) -> str:
    return " / ".join(table.layout.header(field) for field in ("debit", "credit", "amount") if field in table.layout.fields)
