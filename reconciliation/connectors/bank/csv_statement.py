"""Bank statements as CSV or XLSX -> booked lines, with the running balance proved where there is one.

Banks disagree on the sign in a debit column (some write `-50.00`, some `50.00`); it is decided for the file as a whole, and
the running balance contradicts a wrong decision. Statements run forward or backward in time; the balance is proved in either order.
"""

from pathlib import Path

import polars as pl

from reconciliation.connectors.bank.statement import LINES_SCHEMA, BankFile
from reconciliation.connectors.tabular.amounts import read_amounts, to_minor
from reconciliation.connectors.tabular.cells import Grid
from reconciliation.connectors.tabular.faults import Faults
from reconciliation.connectors.tabular.profiles import Profile, cell_key, shipped_profiles
from reconciliation.connectors.tabular.table import Table, read_table
from reconciliation.connectors.tabular.totals import show_thousandths

_OPENING = ("opening balance", "beginning balance", "balance at start", "balance brought forward", "anfangssaldo", "solde initial", "saldo inicial")
_CLOSING = ("closing balance", "ending balance", "balance at end", "balance carried forward", "endsaldo", "solde final", "saldo final")

PROFILES = Path(__file__).parent / "profiles"


def bank_profiles() -> tuple[Profile, ...]:
    """Return the layouts of bank statements that ship with the product."""
    return shipped_profiles(PROFILES)


def read_csv_statement(grid: Grid, *, day_first: bool | None, default_currency: str) -> BankFile:
    """Read one statement.

    Raises:
        FileRefusedError: it cannot be read exactly, or its running balance contradicts its lines.
    """
    table = read_table(grid, bank_profiles(), day_first=day_first, default_currency=default_currency)
    faults = Faults(table.file)
    lines = _signed(table, faults).with_columns(
        currency=pl.when(pl.col("currency") == "").then(pl.lit(default_currency)).otherwise(pl.col("currency").str.to_uppercase()),
        bank_account=pl.col("account").str.replace_all(r"[\s']", "").str.to_uppercase(),
        is_booked=~pl.col("posting").str.to_lowercase().is_in(list(table.layout.profile.non_posting_words)),
    )
    odd = lines.filter(~pl.col("currency").str.contains("^[A-Z]{3}$"))
    faults.add_rows(odd, column=table.layout.header("currency"), cell="currency", message="{cell} is not a currency code such as GBP; write the code")
    empty = lines.filter(pl.col("signed").is_null())
    faults.add_rows(empty, column=_money_header(table), message="the line has no amount; give it one, or leave it out")
    lines = lines.with_columns(amount_minor=to_minor("signed", "currency"))
    unfit = lines.filter(pl.col("amount_minor").is_null() & pl.col("signed").is_not_null())
    faults.add_rows(
        unfit, column=_money_header(table), message="the amount has more decimals than its currency, or is larger than any amount that is accepted; correct it"
    )
    faults.raise_any()
    proofs = (*table.proofs, *_prove_balance(lines, table, faults), *_prove_period(lines, table, faults))
    faults.raise_any()
    frame = lines.select(
        "row", "bank_account", "currency", "amount_minor", "counterparty", "reference",
        statement=pl.lit(1, dtype=pl.Int64),
        booked_on="day", value_on="value_day", description=pl.col("memo").str.replace_all(r"\s+", " "), is_booked=pl.col("is_booked"),
    ).select(list(LINES_SCHEMA))  # fmt: skip
    layout = table.layout
    return BankFile(
        table.file, layout.profile.name, layout.confidence, table.encoding, table.mark, table.date_order, frame, proofs, table.evidence, layout.delimiter
    )


def _signed(table: Table, faults: Faults) -> pl.DataFrame:
    """Add `signed`: thousandths, money in positive."""
    rows, fields = table.lines, table.layout.fields
    if "amount" in fields:
        return _signed_amount(table, faults)
    debit, credit = pl.col("debit_thousandths"), pl.col("credit_thousandths")
    both = rows.filter((debit.fill_null(0) != 0) & (credit.fill_null(0) != 0))
    faults.add_rows(both, column=table.layout.header("credit"), message="money in and money out are both filled; a line has one of them")
    is_written_negative = rows.height > 0 and rows.select((debit.fill_null(0) <= 0).all()).item()
    out = debit if is_written_negative else -debit
    nothing = debit.is_null() & credit.is_null()
    return rows.with_columns(signed=pl.when(nothing).then(None).otherwise(credit.fill_null(0) + out.fill_null(0)))


def _signed_amount(table: Table, faults: Faults) -> pl.DataFrame:
    amount, profile = pl.col("amount_thousandths"), table.layout.profile
    signed = pl.when(pl.col("amount_marker") == "DR").then(-amount).otherwise(amount)
    if "indicator" not in table.layout.fields:
        return table.lines.with_columns(signed=signed)
    word = pl.col("indicator").str.to_lowercase()
    side = pl.when(word.is_in(list(profile.credit_words))).then(1).when(word.is_in(list(profile.debit_words))).then(-1)
    rows = table.lines.with_columns(side=side)
    unknown = rows.filter(pl.col("side").is_null())
    faults.add_rows(unknown, column=table.layout.header("indicator"), cell="indicator", message="{cell} is neither debit nor credit; write D or C")
    moved = rows.filter((amount != 0) & pl.col("side").is_not_null())
    same, opposite = ((amount.sign() * pl.col("side") == sign).all() for sign in (1, -1))
    # A column that signs its amounts too says the same twice: the indicator decides, the sign is not applied again.
    repeats_sign = moved.height > 0 and moved.select((same | opposite) & (amount < 0).any()).item()
    return rows.with_columns(signed=(amount.abs() if repeats_sign else amount) * pl.col("side"))


def _prove_balance(lines: pl.DataFrame, table: Table, faults: Faults) -> tuple[tuple[str, bool], ...]:
    """Check that each balance is the one before plus the line, in file order or in reverse, per account and currency."""
    if "balance" not in table.layout.fields:
        return ()
    balance = pl.when(pl.col("balance_marker") == "DR").then(-pl.col("balance_thousandths")).otherwise("balance_thousandths")
    booked = lines.filter("is_booked")
    known = booked.sort("row").with_columns(balance_is=balance).filter(pl.col("balance_is").is_not_null())
    if known.height < 2 or known.height < booked.height:
        return ()
    over = ["bank_account", "currency"] if lines["bank_account"].n_unique() > 1 and _is_own_account(lines) else ["currency"]
    checked = known.with_columns(
        forward=pl.col("balance_is").shift(1).over(over) + pl.col("signed"), backward=pl.col("balance_is").shift(-1).over(over) + pl.col("signed")
    )
    wrong = [checked.filter((pl.col(order) != pl.col("balance_is")).fill_null(value=False)) for order in ("forward", "backward")]
    if wrong[0].is_empty() or wrong[1].is_empty():
        return (("running_balance", True),)
    order, rows = min(zip(("forward", "backward"), wrong, strict=True), key=lambda pair: pair[1].height)
    for row, stated, expected in rows.select("row", "balance_is", order).head(21).iter_rows():
        message = f"the running balance is {show_thousandths(stated)}, but the line before it and this amount make {show_thousandths(expected)}"
        message += "; a line is missing or altered: download it again"
        faults.add(row=row, column=table.layout.header("balance"), message=message)
    return ()


def _prove_period(lines: pl.DataFrame, table: Table, faults: Faults) -> tuple[tuple[str, bool], ...]:
    """Check opening + lines = closing where rows beside the table state both balances, of a statement in one currency."""
    found = {name: _stated_balance(table, words) for name, words in (("opening", _OPENING), ("closing", _CLOSING))}
    opening, closing = found["opening"], found["closing"]
    if opening is None or closing is None or lines["currency"].n_unique() > 1:
        return ()
    moved = int(lines.filter("is_booked")["signed"].cast(pl.Int128).sum())
    if opening[1] + moved != closing[1]:
        shown = [show_thousandths(amount) for amount in (opening[1], moved, opening[1] + moved, closing[1])]
        message = f"opening {shown[0]} (row {opening[0]}) + lines {shown[1]} = {shown[2]}, but the closing balance is {shown[3]}"
        faults.add(row=closing[0], column="", message=f"{message}; a line is missing or altered: download it again")
        return ()
    return (("opening_plus_entries_is_closing", True),)


def _stated_balance(table: Table, words: tuple[str, ...]) -> tuple[int, int] | None:
    """Return row and thousandths of the one row that states a balance; None where there is none, or several."""
    found = []
    for row, cells in table.notes:
        filled = [cell for cell in cells if cell]
        if len(filled) > 1 and cell_key(filled[0]).strip(" :").startswith(words):
            texts = pl.DataFrame({"text": [filled[-1]], "row": [row], "column": [""]}, schema={"text": pl.String, "row": pl.Int64, "column": pl.String})
            reading = read_amounts(texts, stated_mark=table.mark)
            if not reading.faults and reading.values["thousandths"][0] is not None:
                found.append((row, int(reading.values["thousandths"][0])))
    return found[0] if len(found) == 1 else None


def _is_own_account(lines: pl.DataFrame) -> bool:
    """Tell a column with the statement's own accounts from one with the counterparties': own accounts repeat."""
    return lines["bank_account"].n_unique() * 3 <= lines.height and not (lines["bank_account"] == "").any()


def _money_header(table: Table) -> str:
    return " / ".join(table.layout.header(field) for field in ("debit", "credit", "amount") if field in table.layout.fields)
