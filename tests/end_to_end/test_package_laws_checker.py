"""Two hand-made months that keep every law, and packages with one defect each -> the checker must name it.

The months: October opens with a difference of -12.00 that nobody can itemise, leaves a fee rounding, a late posting, a duplicate and a
payout in transit; November settles all but the first two and receives one line dated in October, which is locked.
"""

import csv
import hashlib
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from package_laws import check_package
from package_reading import HEADERS, MONEY, OTHER_CURRENCY, is_money, minor

Tables = dict[str, list[dict[str, str]]]
Mutation = Callable[[Tables], object]


def table(name: str, columns: str, *rows: str, **constant: str) -> list[dict[str, str]]:
    """Make the rows of a table from the columns that matter, cells separated by blanks, `-` for a blank cell."""
    made = []
    for row in rows:
        cells = dict(zip(columns.split(), ["" if cell == "-" else cell for cell in row.split()], strict=True))
        made.append({**dict.fromkeys(HEADERS[name], ""), "book": "main", "currency": "GBP", **constant, **cells})
    return [{column: row[column] for column in HEADERS[name]} for row in made]


def statement(*rows: str) -> list[dict[str, str]]:
    return table("statement.csv", "section line nature cause items stripe ledger bank difference accepted awaiting", *rows)


def matches(*rows: str) -> list[dict[str, str]]:
    made = table("matches.csv", "match_id leg side item_id date amount match_difference source_file source_row", *rows, strategy="exact", score="1.0")
    return [stripe_columns(row) for row in made]


def open_items(*rows: str) -> list[dict[str, str]]:
    columns = "item_id leg side date age_days age_bucket amount break_id kind cause nature disposition origin_period journal_id source_file source_row"
    return [stripe_columns(row) for row in table("open_items.csv", columns, *rows)]


def stripe_columns(row: dict[str, str]) -> dict[str, str]:
    """Fill the columns that say which balance transaction or payout an item is."""
    if row["side"] == "stripe" and row["leg"] == "books":
        row["balance_transaction_id"], row["component"] = row["item_id"].split("/")
    if row["side"] == "stripe" and row["leg"] == "cash":
        row["payout_id"] = row["item_id"].removesuffix("/returned")
    return row


def breaks(*rows: str, name: str = "exceptions.csv") -> list[dict[str, str]]:
    columns = "break_id match_id leg kind cause nature item_ids balance_transaction_ids source_rows amount money_at_risk disposition"
    return table(name, columns, *rows)


ASIDE_COLUMNS = "source_file source_row side date amount rule description"
PAYOUT_COLUMNS = (
    "payout_id created itemised amount gross fees refunds disputes other lines_net lines_difference "
    "bank_file bank_row bank_amount bank_difference in_transit_at_cutoff"
)
JOURNAL_COLUMNS = "journal_id line type status posting_date period account account_role debit credit memo break_ids items"
ROLL_COLUMNS = "leg cause carried_in carried_in_count new new_count settled settled_count carried_out carried_out_count"


def october() -> Tables:
    """Return the first month."""
    return {
        "statement.csv": statement(
            "books opening - - - 100.00 112.00 - -12.00 - -",
            "books posted_into_locked_month - - 0 0.00 0.00 - 0.00 - -",
            "books charge.gross - - 2 80.00 50.00 - 30.00 - -",
            "books charge.fee - - 1 -2.00 -1.98 - -0.02 - -",
            "books payout.gross - - 2 -50.00 -50.00 - 0.00 - -",
            "books ledger_only - - 3 0.00 5.00 - -5.00 - -",
            "books closing - - - 128.00 115.02 - 12.98 - -",
            "bridge timing.timing timing timing 1 - - - 30.00 30.00 0.00",
            "bridge entry.rounding entry rounding 1 - - - -0.02 0.00 -0.02",
            "bridge correction.duplicate_posting correction duplicate_posting 1 - - - -5.00 0.00 -5.00",
            "bridge opening_difference - opening_difference 1 - - - -12.00 0.00 -12.00",
            "bridge undetermined - undetermined 0 - - - 0.00 0.00 0.00",
            "bridge unexplained - - - - - - 0.00 0.00 0.00",
            "bridge total - - 4 - - - 12.98 30.00 -17.02",
            "cash in_transit_opening - - 0 0.00 - - 0.00 - -",
            "cash paid_out - - 2 50.00 - - 50.00 - -",
            "cash returned - - 0 0.00 - - 0.00 - -",
            "cash arrived - - 1 - - 40.00 -40.00 - -",
            "cash in_transit_closing - - 1 - - - 10.00 - -",
        ),
        "matches.csv": matches(
            "m_1 books stripe txn_1/gross 2026-10-03 50.00 0.00 - -",
            "m_1 books ledger gl_P1/1 2026-10-03 50.00 - ledger.csv 2",
            "m_2 books stripe txn_1/fee 2026-10-03 -2.00 -0.02 - -",
            "m_2 books ledger gl_J1/1 2026-10-31 -1.98 - ledger.csv 3",
            "m_3 books stripe txn_po1/gross 2026-10-10 -40.00 0.00 - -",
            "m_3 books ledger gl_D1/1 2026-10-12 -40.00 - ledger.csv 4",
            "m_4 books stripe txn_po2/gross 2026-10-30 -10.00 0.00 - -",
            "m_4 books ledger gl_D2/1 2026-10-30 -10.00 - ledger.csv 5",
            "m_5 books ledger gl_X/1 2026-10-05 7.00 0.00 ledger.csv 6",
            "m_5 books ledger gl_X-R/1 2026-10-06 -7.00 - ledger.csv 7",
            "m_6 cash stripe po_1 2026-10-10 40.00 0.00 - -",
            "m_6 cash bank bk_1/1 2026-10-12 40.00 - bank.csv 2",
        ),
        "open_items.csv": open_items(
            "txn_2/gross books stripe 2026-10-30 1 0-3 30.00 br_1 missing_in_ledger timing timing auto_cleared 2026-10 - - -",
            "m_2 books residual 2026-10-31 0 0-3 -0.02 br_2 amount_difference rounding entry needs_review 2026-10 - - -",
            "gl_Z/1 books ledger 2026-10-20 11 8-30 5.00 br_3 duplicate_in_ledger duplicate_posting correction needs_review 2026-10 "
            "RC-2026-10-0001 ledger.csv 8",
            "op_1050 books opening 2026-09-30 31 31-60 -12.00 br_4 opening_difference opening_difference - needs_review 2026-09 - - -",
            "po_2 cash stripe 2026-10-30 1 0-3 10.00 br_5 payout_not_in_bank payout_in_transit timing auto_cleared 2026-10 - - -",
        ),
        "exceptions.csv": breaks(
            "br_2 m_2 books amount_difference rounding entry m_2 txn_1 ledger.csv:3 -0.02 0.01 needs_review",
            "br_3 - books duplicate_in_ledger duplicate_posting correction gl_Z/1 - ledger.csv:8 -5.00 5.00 needs_review",
            "br_4 - books opening_difference opening_difference - op_1050 - - -12.00 6.00 needs_review",
        ),
        "expected_variances.csv": breaks(
            "br_1 - books missing_in_ledger timing timing txn_2/gross txn_2 - 30.00 0.30 auto_cleared",
            "br_5 - cash payout_not_in_bank payout_in_transit timing po_2 - - 10.00 0.00 auto_cleared",
            name="expected_variances.csv",
        ),
        "set_aside.csv": table("set_aside.csv", ASIDE_COLUMNS, "bank.csv 3 bank 2026-10-02 -1500.00 not_a_payout RENT"),
        "payouts.csv": table(
            "payouts.csv",
            PAYOUT_COLUMNS,
            "po_1 2026-10-10 stripe 40.00 42.00 -2.00 0.00 0.00 0.00 40.00 0.00 bank.csv 2 40.00 0.00 0.00",
            "po_2 2026-10-30 none 10.00 - - - - - - - - - - - 10.00",
            stripe_account="self",
        ),
        "journal_entries.csv": table(
            "journal_entries.csv",
            JOURNAL_COLUMNS,
            "RC-2026-10-0001 1 correction proposed 2026-10-31 2026-10 Sales sales 5.00 - RC-2026-10-0001 br_3 gl_Z/1",
            "RC-2026-10-0001 2 correction proposed 2026-10-31 2026-10 1050 clearing - 5.00 RC-2026-10-0001 br_3 gl_Z/1",
        ),
        "rollforward.csv": table(
            "rollforward.csv",
            ROLL_COLUMNS,
            "books opening_difference -12.00 1 0.00 0 0.00 0 -12.00 1",
            "books timing 0.00 0 30.00 1 0.00 0 30.00 1",
            "books rounding 0.00 0 -0.02 1 0.00 0 -0.02 1",
            "books duplicate_posting 0.00 0 -5.00 1 0.00 0 -5.00 1",
            "cash payout_in_transit 0.00 0 10.00 1 0.00 0 10.00 1",
        ),
    }


def november() -> Tables:
    """Return the second month."""
    return {
        "statement.csv": statement(
            "books opening - - - 128.00 115.02 - 12.98 - -",
            "books posted_into_locked_month - - 1 0.00 20.00 - -20.00 - -",
            "books charge.gross - - 1 20.00 30.00 - -10.00 - -",
            "books ledger_only - - 1 0.00 -5.00 - 5.00 - -",
            "books closing - - - 148.00 160.02 - -12.02 - -",
            "bridge entry.rounding entry rounding 1 - - - -0.02 0.00 -0.02",
            "bridge opening_difference - opening_difference 1 - - - -12.00 0.00 -12.00",
            "bridge undetermined - undetermined 0 - - - 0.00 0.00 0.00",
            "bridge unexplained - - - - - - 0.00 0.00 0.00",
            "bridge total - - 2 - - - -12.02 0.00 -12.02",
            "cash in_transit_opening - - 1 10.00 - - 10.00 - -",
            "cash paid_out - - 0 0.00 - - 0.00 - -",
            "cash returned - - 0 0.00 - - 0.00 - -",
            "cash arrived - - 1 - - 10.00 -10.00 - -",
            "cash in_transit_closing - - 0 - - - 0.00 - -",
        ),
        "matches.csv": matches(
            "m_11 books stripe txn_2/gross 2026-10-30 30.00 0.00 - -",
            "m_11 books ledger gl_P2/1 2026-11-02 30.00 - ledger.csv 9",
            "m_12 books ledger gl_Z/1 2026-10-20 5.00 0.00 ledger.csv 8",
            "m_12 books ledger gl_RC-2026-10-0001/1 2026-11-01 -5.00 - ledger.csv 10",
            "m_13 books stripe txn_5/gross 2026-11-05 20.00 0.00 - -",
            "m_13 books ledger gl_L/1 2026-10-28 20.00 - ledger.csv 11",
            "m_14 cash stripe po_2 2026-10-30 10.00 0.00 - -",
            "m_14 cash bank bk_2/1 2026-11-02 10.00 - bank.csv 4",
        ),
        "open_items.csv": open_items(
            "m_2 books residual 2026-10-31 30 8-30 -0.02 br_2 amount_difference rounding entry needs_review 2026-10 - - -",
            "op_1050 books opening 2026-09-30 61 61-90 -12.00 br_4 opening_difference opening_difference - needs_review 2026-09 - - -",
        ),
        "exceptions.csv": breaks(
            "br_2 m_2 books amount_difference rounding entry m_2 txn_1 ledger.csv:3 -0.02 0.01 needs_review",
            "br_4 - books opening_difference opening_difference - op_1050 - - -12.00 6.00 needs_review",
            "br_6 m_13 books period_difference posted_after_close restatement txn_5/gross;gl_L/1 txn_5 ledger.csv:11 0.00 20.00 needs_review",
        ),
        "expected_variances.csv": [],
        "set_aside.csv": [],
        "payouts.csv": table(
            "payouts.csv",
            PAYOUT_COLUMNS,
            "po_2 2026-10-30 none 10.00 - - - - - - - bank.csv 4 10.00 0.00 0.00",
            stripe_account="self",
        ),
        "journal_entries.csv": [],
        "rollforward.csv": table(
            "rollforward.csv",
            ROLL_COLUMNS,
            "books opening_difference -12.00 1 0.00 0 0.00 0 -12.00 1",
            "books timing 30.00 1 0.00 0 30.00 1 0.00 0",
            "books rounding -0.02 1 0.00 0 0.00 0 -0.02 1",
            "books duplicate_posting -5.00 1 0.00 0 -5.00 1 0.00 0",
            "cash payout_in_transit 10.00 1 0.00 0 10.00 1 0.00 0",
        ),
    }


INPUTS = [
    {"path": "bank.csv", "rows": 3, "rows_used": 2, "rows_set_aside": 1, "rows_retired": 0, "sha256": "0" * 64},
    {"path": "ledger.csv", "rows": 10, "rows_used": 10, "rows_set_aside": 0, "rows_retired": 0, "sha256": "0" * 64},
]


def write(tables: Tables, folder: Path, period: str) -> Path:
    """Write a package as the interface describes it, with the manifest that belongs to it."""
    folder.mkdir(parents=True)
    for name, rows in tables.items():
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, HEADERS[name], lineterminator="\r\n")
        writer.writeheader()
        writer.writerows(rows)
        (folder / name).write_bytes(b"\xef\xbb\xbf" + text.getvalue().encode())
    seal(folder, period, {name: len(rows) for name, rows in tables.items()})
    return folder


def seal(folder: Path, period: str, counts: dict[str, int]) -> None:
    """Write the manifest of the files as they stand."""
    outputs = [{"path": name, "rows": rows, "sha256": hashlib.sha256((folder / name).read_bytes()).hexdigest()} for name, rows in counts.items()]
    (folder / "manifest.json").write_text(json.dumps({"period": period, "outputs": outputs, "inputs": INPUTS}), encoding="utf-8")


def find(tables: Tables, name: str, value: str, column: str | None = None) -> dict[str, str]:
    """Return the first row of a table that has a cell of this value."""
    return next(row for row in tables[name] if (value in row.values() if column is None else row[column] == value))


def change(name: str, value: str, **cells: str) -> Mutation:
    """Return a mutation that changes cells of the row that has a cell of this value."""
    return lambda tables: find(tables, name, value).update(cells)


def drop(name: str, value: str) -> Mutation:
    """Return a mutation that removes the row that has a cell of this value."""
    return lambda tables: tables[name].remove(find(tables, name, value))


def unmatch(*items: str) -> Mutation:
    """Return a mutation that removes members of matches."""
    return both(*(drop("matches.csv", item) for item in items))


def repeat(name: str, value: str, **cells: str) -> Mutation:
    """Return a mutation that adds a copy of a row, with some cells changed, at the end of its table."""
    return lambda tables: tables[name].append({**find(tables, name, value), **cells})


def both(*mutations: Mutation) -> Mutation:
    """Return several mutations as one."""
    return lambda tables: [mutation(tables) for mutation in mutations]


def move(name: str, *, row: int, to: int) -> Mutation:
    """Return a mutation that moves a row to another place in its table."""
    return lambda tables: tables[name].insert(to, tables[name].pop(row))


FIRST_MONTH = {
    "an item matched and open": (repeat("open_items.csv", "m_2", item_id="gl_P1/1"), "law 1: gl_P1/1 stands 2 times"),
    "an item dropped from the package": (drop("matches.csv", "gl_X-R/1"), "m_5: has one member only"),
    "an open item dropped": (drop("open_items.csv", "txn_2/gross"), "law 4"),
    "a balance transaction under another name": (change("matches.csv", "txn_1/gross", balance_transaction_id="txn_9"), "is not its balance transaction"),
    "a payout item under another payout": (change("open_items.csv", "po_2", payout_id="po_9"), "is not its payout"),
    "a ledger line in the cash leg": (change("open_items.csv", "gl_Z/1", leg="cash"), "does not exist in leg"),
    "a match across currencies": (change("matches.csv", "gl_P1/1", currency="EUR"), "not of one leg, book and currency"),
    "a match in two books": (change("matches.csv", "gl_P1/1", book="other"), "not of one leg, book and currency"),
    "a match scored twice": (change("matches.csv", "gl_P1/1", score="0.5"), "strategy or score changes"),
    "a match torn apart": (move("matches.csv", row=1, to=0), "match_difference and evidence do not stand on the first row"),
    "rows of a match apart": (move("matches.csv", row=1, to=99), "do not stand together"),
    "a difference on the second row": (change("matches.csv", "gl_J1/1", match_difference="-0.02"), "do not stand on the first row"),
    "evidence on the second row": (change("matches.csv", "gl_J1/1", evidence="reference"), "do not stand on the first row"),
    "a match difference that is not its members'": (change("matches.csv", "txn_1/fee", match_difference="-0.03"), "m_2: match_difference -0.03"),
    "a one-sided match that does not cancel": (change("matches.csv", "gl_X-R/1", amount="-6.00"), "m_5: lies on one side"),
    "a pair that crosses sign": (change("matches.csv", "gl_P1/1", amount="-50.00"), "crosses sign"),
    "a residual that is missing": (drop("open_items.csv", "m_2"), "m_2: leaves -0.02 and no residual"),
    "a residual of another amount": (change("open_items.csv", "m_2", amount="-0.03"), "m_2: the item of that id is no residual of -0.02"),
    "a residual in another book": (change("open_items.csv", "m_2", book="other"), "another book or currency"),
    "a residual of no match": (repeat("open_items.csv", "m_2", item_id="m_77"), "m_77: a residual of no match"),
    "an open item in no break": (change("open_items.csv", "gl_Z/1", break_id="br_99"), "law 3: open item gl_Z/1"),
    "an open item named by two breaks": (change("exceptions.csv", "br_3", item_ids="gl_Z/1;txn_2/gross"), "law 3: open item txn_2/gross (books) is named by 2"),
    "a break that names nothing open": (change("exceptions.csv", "br_3", item_ids="gl_Z/1;gl_Q/1"), "names items that are not open in it"),
    "a break twice": (repeat("exceptions.csv", "br_3", reasons="again"), "law 3: break br_3 stands 2 times"),
    "a break of another kind than its item": (change("exceptions.csv", "br_3", kind="missing_in_stripe"), "gl_Z/1: kind is"),
    "a break of another leg": (change("exceptions.csv", "br_3", leg="cash"), "gl_Z/1"),
    "a break of another amount": (change("exceptions.csv", "br_3", amount="5.00"), "break br_3: amount 5.00"),
    "a break without its transaction": (change("expected_variances.csv", "br_1", balance_transaction_ids=""), "balance_transaction_ids leaves out"),
    "a break without its source row": (change("exceptions.csv", "br_3", source_rows=""), "source_rows leaves out"),
    "more money at risk than there is": (change("exceptions.csv", "br_3", money_at_risk="5.01"), "money_at_risk 5.01"),
    "an accepted break among the exceptions": (change("exceptions.csv", "br_3", disposition="auto_cleared"), "exceptions.csv: break br_3 is auto_cleared"),
    "a break to review among the expected": (change("expected_variances.csv", "br_1", disposition="needs_review"), "expected_variances.csv: break br_1"),
    "an item with another disposition": (change("open_items.csv", "gl_Z/1", disposition="reopened"), "gl_Z/1: disposition is"),
    "a residual's break without its match": (change("exceptions.csv", "br_2", match_id=""), "a residual's break has it alone"),
    "a currency difference without its partner": (
        change("exceptions.csv", "br_3", kind="currency_difference", counter_amount="7", counter_currency="JPY"),
        "no currency_difference has its counter amount 7 JPY",
    ),
    "an age to another day": (change("open_items.csv", "gl_Z/1", age_days="12"), "ages are counted to different days"),
    "an age of zero for an old item": (change("open_items.csv", "txn_2/gross", age_days="0"), "is older than 0 days"),
    "a wrong age bucket": (change("open_items.csv", "gl_Z/1", age_bucket="4-7"), "not in bucket 4-7"),
    "an origin in the future": (change("open_items.csv", "gl_Z/1", origin_period="2026-11"), "origin_period 2026-11 lies after"),
    "a line of the statement twice": (repeat("statement.csv", "charge.gross", items="9"), "books charge.gross stands 2 times"),
    "a line of the statement missing": (drop("statement.csv", "returned"), "cash has no line returned"),
    "the always printed undetermined missing": (drop("statement.csv", "undetermined"), "bridge has no line undetermined"),
    "lines of the statement out of order": (move("statement.csv", row=4, to=2), "out of order"),
    "a block missing": (change("open_items.csv", "po_2", currency="EUR"), "nothing for main EUR"),
    "a line that does not foot across": (change("statement.csv", "charge.gross", difference="30.01"), "charge.gross does not foot across"),
    "a column that does not foot down": (change("statement.csv", "charge.gross", stripe="80.01", difference="30.01"), "does not foot to its closing"),
    "a closing that is not what is open": (
        both(
            change("statement.csv", "opening", ledger="113.00", difference="-13.00"),
            change("statement.csv", "closing", ledger="116.02", difference="11.98"),
        ),
        "law 4, main GBP: closing difference 11.98",
    ),
    "an unexplained out of nowhere": (change("statement.csv", "unexplained", difference="1.00", awaiting="1.00"), "unexplained is not last month's"),
    "a bridge line missing": (drop("statement.csv", "entry.rounding"), "bridge line entry.rounding is missing"),
    "a bridge line of nothing": (
        repeat("statement.csv", "entry.rounding", line="claim.bank", nature="claim", cause="bank"),
        "bridge line claim.bank has no open item",
    ),
    "a bridge line with another count": (change("statement.csv", "entry.rounding", items="2"), "bridge line entry.rounding shows 2 items"),
    "a cause moved to undetermined": (change("open_items.csv", "gl_Z/1", cause="undetermined", nature="none"), "bridge line undetermined shows 0 items"),
    "accepted without an accepted break": (change("statement.csv", "entry.rounding", accepted="-0.02", awaiting="0.00"), "accepted -0.02"),
    "awaiting that does not add": (change("statement.csv", "entry.rounding", awaiting="0.02"), "accepted and awaiting of entry.rounding do not add"),
    "a total that is not the closing difference": (change("statement.csv", "total", difference="12.97"), "the bridge's total 12.97"),
    "cash that does not foot": (change("statement.csv", "paid_out", stripe="51.00", difference="51.00"), "cash does not foot"),
    "cash that does not foot across": (change("statement.csv", "arrived", bank="41.00"), "arrived does not foot across"),
    "transit that is not the open payouts": (drop("open_items.csv", "po_2"), "in_transit_closing is not the sum of the 0"),
    "a component lost between statement and items": (
        unmatch("txn_1/gross", "gl_P1/1"),
        "law 2, main GBP: the stripe items of the month",
    ),
    "a ledger pair lost": (
        unmatch("gl_X/1", "gl_X-R/1"),
        "ledger_only is not the 1 ledger lines",
    ),
    "a ledger line on another line of the statement": (
        both(
            change("statement.csv", "charge.gross", ledger="49.00", difference="31.00"),
            change("statement.csv", "ledger_only", ledger="6.00", difference="-6.00"),
        ),
        "ledger_only is not the 3 ledger lines",
    ),
    "a component counted twice": (change("statement.csv", "charge.gross", items="3"), "lines of component gross do not show its 4 items"),
    "a bank line lost": (drop("matches.csv", "bk_1/1"), "arrived is not the 0 cash items"),
    "a payout counted twice": (change("statement.csv", "paid_out", items="3"), "paid_out is not the 2 cash items"),
    "a roll-forward that does not add": (change("rollforward.csv", "timing", settled="1.00"), "main|books|GBP|timing does not add"),
    "counts of a roll-forward that do not add": (change("rollforward.csv", "timing", settled_count="1"), "the counts of main|books|GBP|timing"),
    "a roll-forward that is not what is open": (change("rollforward.csv", "timing", new="31.00", carried_out="31.00"), "carried out of main|books|GBP|timing"),
    "a cause missing in the roll-forward": (drop("rollforward.csv", "timing"), "main|books|GBP|timing stands 0 times"),
    "a cause twice in the roll-forward": (repeat("rollforward.csv", "timing", new="0.00"), "main|books|GBP|timing stands 2 times"),
    "a roll-forward that opens elsewhere": (change("rollforward.csv", "opening_difference", carried_in="0.00", new="-12.00"), "is not the opening difference"),
    "a journal that does not balance": (change("journal_entries.csv", "clearing", credit="5.01"), "journal RC-2026-10-0001 does not balance"),
    "a journal line on both sides": (change("journal_entries.csv", "clearing", debit="5.00"), "not either debit or credit"),
    "a journal line numbered twice": (change("journal_entries.csv", "clearing", line="1"), "not numbered 1 to 2"),
    "a journal of two periods": (change("journal_entries.csv", "clearing", period="2026-11"), "status, type, date or period changes"),
    "a memo without the journal's id": (change("journal_entries.csv", "clearing", memo="reversal"), "a memo does not carry its id"),
    "a journal for no break": (change("journal_entries.csv", "clearing", break_ids="br_99"), "proposed for breaks that do not exist: br_99"),
    "an item with a journal that does not settle it": (change("open_items.csv", "txn_2/gross", journal_id="RC-2026-10-0001"), "law 5, GBP"),
    "an entry that nobody needs": (change("open_items.csv", "gl_Z/1", journal_id=""), "law 5, GBP"),
    "a payout twice": (repeat("payouts.csv", "po_2", created="2026-10-31"), "payouts: po_2 stands 2 times"),
    "parts of a payout that do not add": (change("payouts.csv", "po_1", fees="-1.00"), "do not add to lines_net"),
    "a wrong lines_difference": (change("payouts.csv", "po_1", lines_difference="1.00"), "lines_difference 1.00"),
    "a payout itemised without lines": (change("payouts.csv", "po_2", itemised="stripe"), "without lines_net"),
    "a wrong bank_difference": (change("payouts.csv", "po_1", bank_difference="0.01"), "bank_difference 0.01"),
    "a wrong ledger_difference": (change("payouts.csv", "po_1", ledger_amount="-40.00", ledger_difference="1.00"), "ledger_difference 1.00"),
    "a payout in transit that has arrived": (change("payouts.csv", "po_1", in_transit_at_cutoff="40.00"), "in_transit_at_cutoff 40.00"),
    "a payout with another's bank line": (change("payouts.csv", "po_1", bank_row="9"), "its bank line is not the one"),
    "a payout of another amount": (change("payouts.csv", "po_2", amount="11.00"), "amount, currency or book is not that of its item"),
    "a row set aside twice": (repeat("set_aside.csv", "RENT", rule="other_account"), "bank.csv:3 stands 2 times"),
    "a row set aside and matched": (change("set_aside.csv", "RENT", source_row="2"), "law 1: bank.csv:2 is set aside and also item"),
    "a row set aside of a file nobody read": (change("set_aside.csv", "RENT", source_file="other.csv"), "the manifest does not count them"),
    "more rows set aside than the file has": (repeat("set_aside.csv", "RENT", source_row="4"), "set_aside.csv has 2 rows of bank.csv"),
    "money with too few decimals": (change("open_items.csv", "gl_Z/1", amount="5.0"), "amount '5.0' is no plain decimal"),
    "money with a group separator": (change("open_items.csv", "gl_Z/1", amount="1,005.00"), "is no plain decimal"),
    "a negative zero": (change("statement.csv", "returned", difference="-0.00"), "'-0.00' is no plain decimal"),
    "a count that is none": (change("statement.csv", "charge.gross", items="2.0"), "items '2.0' is no whole number"),
    "a blank cell that must not be": (change("open_items.csv", "gl_Z/1", kind=""), "kind is blank"),
    "a lower-case currency": (change("set_aside.csv", "RENT", currency="gbp"), "currency 'gbp' is no code"),
    "a formula": (change("set_aside.csv", "RENT", description="=1+1"), "could be taken for a formula"),
    "a full-width formula": (change("set_aside.csv", "RENT", description="＝1+1"), "could be taken for a formula"),
    "a tab before a formula": (change("open_items.csv", "gl_Z/1", counterparty="\t=1+1"), "could be taken for a formula"),
    "a day that does not exist": (change("open_items.csv", "gl_Z/1", date="2026-02-30"), "is no ISO date"),
    "a local date": (change("open_items.csv", "gl_Z/1", date="20/10/2026"), "is no ISO date"),
    "an id that is a number": (change("matches.csv", "bk_1/1", item_id="12345"), "does not start with letters and an underscore"),
    "a row twice": (repeat("set_aside.csv", "RENT"), "set_aside.csv: a row stands twice"),
}  # fmt: skip

SECOND_MONTH = {
    "a carried item lost": (unmatch("gl_Z/1", "gl_RC-2026-10-0001/1"), "law 7: gl_Z/1"),
    "a carried item of another amount": (change("open_items.csv", "op_1050", amount="-11.00"), "law 7: op_1050"),
    "a carried item of another origin": (change("open_items.csv", "op_1050", origin_period="2026-10"), "law 7: op_1050"),
    "a carried item on another day": (change("matches.csv", "gl_Z/1", date="2026-10-21"), "law 7: gl_Z/1"),
    "an opening that is not the closing": (
        both(change("statement.csv", "opening", stripe="129.00", ledger="116.02"), change("statement.csv", "closing", stripe="149.00", ledger="161.02")),
        "law 7, main GBP: opening is not 2026-10's closing",
    ),
    "a transit that is not the month before's": (
        change("statement.csv", "in_transit_opening", difference="11.00", stripe="11.00"),
        "in_transit_opening is not 2026-10's",
    ),
    "a roll-forward that carries in something else": (
        change("rollforward.csv", "timing", carried_in="31.00", settled="31.00"),
        "law 7: main|books|GBP|timing carries in",
    ),
    "a cause the roll-forward forgets": (drop("rollforward.csv", "duplicate_posting"), "law 7: main|books|GBP|duplicate_posting carries in"),
    "a match across months in no break": (drop("exceptions.csv", "br_6"), "law 3: match m_13 reaches into a locked month"),
    "a match across months in two breaks": (repeat("exceptions.csv", "br_6", break_id="br_7"), "law 3: match m_13 stands in 2 breaks"),
    "a match across months with an amount": (change("exceptions.csv", "br_6", amount="20.00"), "has no amount of its own"),
    "a match break of another match": (change("exceptions.csv", "br_6", match_id="m_11"), "neither open nor its members"),
    "a new residual of no match": (repeat("open_items.csv", "m_2", item_id="m_77"), "m_77: a residual of no match"),
    "a line of the month left out": (unmatch("txn_5/gross", "gl_L/1"), "law 2, main GBP: the ledger items"),
    "the month before as its own predecessor": (lambda t: None, "law 7: the month before is 2026-11"),
}  # fmt: skip


def test_two_months_that_keep_every_law_have_no_violation(tmp_path: Path) -> None:
    first = write(october(), tmp_path / "2026-10" / "v1", "2026-10")
    second = write(november(), tmp_path / "2026-11" / "draft", "2026-11")
    assert check_package(first, before=None) == []
    assert check_package(second, before=first) == []


@pytest.mark.parametrize(("mutate", "words"), FIRST_MONTH.values(), ids=FIRST_MONTH.keys())
def test_a_defect_in_the_first_month_is_named(mutate: Mutation, words: str, tmp_path: Path) -> None:
    tables = october()
    mutate(tables)
    violations = check_package(write(tables, tmp_path / "2026-10" / "draft", "2026-10"), before=None)
    assert any(words in violation for violation in violations), violations


@pytest.mark.parametrize(("mutate", "words"), SECOND_MONTH.values(), ids=SECOND_MONTH.keys())
def test_a_defect_against_the_month_before_is_named(mutate: Mutation, words: str, tmp_path: Path) -> None:
    tables = november()
    mutate(tables)
    earlier = "2026-11" if "is 2026-11" in words else "2026-10"
    before = write(october(), tmp_path / "before" / "v1", earlier)
    violations = check_package(write(tables, tmp_path / "2026-11" / "draft", "2026-11"), before=before)
    assert any(words in violation for violation in violations), violations


def rewrite(old: bytes, new: bytes, name: str = "set_aside.csv") -> Callable[[Path], object]:
    """Return a change of a file's bytes."""
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes().replace(old, new, 1))


FILES = {
    "no byte-order mark": (rewrite(b"\xef\xbb\xbf", b""), "does not begin with a byte-order mark"),
    "a bare line feed": (rewrite(b"\r\n", b"\n"), "does not end with \\r\\n"),
    "a header with another name": (rewrite(b"source_row", b"row_number"), "the header is"),
    "a row with a cell too many": (rewrite(b"RENT", b"RENT,x"), "10 cells, not 9"),
    "a quote that is not closed": (rewrite(b"RENT", b'"RENT'), "not a CSV file"),
    "bytes that are not UTF-8": (rewrite(b"RENT", b"\xe9"), "cannot be read"),
    "a file missing": (lambda folder: (folder / "rollforward.csv").unlink(), "rollforward.csv: cannot be read"),
    "no manifest": (lambda folder: (folder / "manifest.json").unlink(), "manifest.json: cannot be read"),
    "a byte changed after sealing": (rewrite(b"RENT", b"RANT"), "the hash of set_aside.csv is another"),
    "a row count that is wrong": (rewrite(b'"rows": 5', b'"rows": 6', "manifest.json"), "has 5 rows, not 6"),
    "a file the manifest does not know": (lambda folder: (folder / "extra.csv").write_bytes(b"x"), "extra.csv is in the package and not in outputs"),
    "a file that only the manifest knows": (
        rewrite(b'"path": "set_aside.csv"', b'"path": "gone.csv"', "manifest.json"),
        "output gone.csv is not in the package",
    ),
    "no inputs": (rewrite(b'"inputs"', b'"outgoing"', "manifest.json"), "names no inputs"),
    "rows read that went nowhere": (
        rewrite(b'"rows": 3, "rows_used": 2', b'"rows": 4, "rows_used": 2', "manifest.json"),
        "law 2: of bank.csv 4 rows were read",
    ),
    "a period that is not the folder's": (rewrite(b'"period": "2026-10"', b'"period": "2026-09"', "manifest.json"), "is not that of the folder"),
}  # fmt: skip


def test_inputs_may_stand_under_their_book(tmp_path: Path) -> None:
    folder = write(october(), tmp_path / "2026-10" / "v1", "2026-10")
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    inputs = manifest.pop("inputs")
    for rows, fault in ((3, []), (4, ["law 2: of bank.csv 4 rows were read, 2 used, 1 set aside, 0 retired"])):
        books = [{"book": "main", "inputs": [{**inputs[0], "rows": rows}, inputs[1]]}]
        (folder / "manifest.json").write_text(json.dumps({**manifest, "books": books}), encoding="utf-8")
        assert check_package(folder, before=None) == fault


@pytest.mark.parametrize(("damage", "words"), FILES.values(), ids=FILES.keys())
def test_a_damaged_file_is_named(damage: Callable[[Path], object], words: str, tmp_path: Path) -> None:
    folder = write(october(), tmp_path / "2026-10" / "v1", "2026-10")
    damage(folder)
    violations = check_package(folder, before=None)
    assert any(words in violation for violation in violations), violations


def test_every_amount_of_the_package_is_guarded_against_a_change_of_one_minor_unit(tmp_path: Path) -> None:
    """One cell after another is raised by 0.01; only what the package shows nowhere else may pass."""
    free = {"money_at_risk", "presentment_amount", "counter_amount"}
    missed, count = [], 0
    for name, columns in MONEY.items():
        for number, row in enumerate(october()[name]):
            for column in columns:
                if column in free or not row[column] or name == "set_aside.csv":
                    continue
                tables = october()
                units = minor(row[column]) + 1
                tables[name][number][column] = f"{'-' if units < 0 else ''}{abs(units) // 100}.{abs(units) % 100:02}"
                count += 1
                if not check_package(write(tables, tmp_path / f"{count}" / "draft", "2026-10"), before=None):
                    missed.append((name, number + 2, column, row[column]))
    assert count > 100
    assert missed == []


def test_the_command_needs_the_standard_library_alone_and_exits_1_on_a_violation(tmp_path: Path) -> None:
    first = write(october(), tmp_path / "2026-10" / "v1", "2026-10")
    second = write(november(), tmp_path / "2026-11" / "draft", "2026-11")
    program = [sys.executable, "-S", "-E", str(Path(__file__).with_name("package_laws.py"))]
    good = subprocess.run([*program, str(second), "--before", str(first)], capture_output=True, text=True, check=False)
    (second / "extra.txt").write_text("", encoding="utf-8")
    bad = subprocess.run([*program, str(second), "--before", str(first)], capture_output=True, text=True, check=False)
    assert (good.returncode, good.stdout) == (0, "all laws hold\n")
    assert (bad.returncode, "extra.txt" in bad.stdout) == (1, True)


@pytest.mark.parametrize(
    ("text", "currency", "holds"),
    [
        ("500", "JPY", True),
        ("5.00", "JPY", False),
        ("1.000", "KWD", True),
        ("1.00", "KWD", False),
        ("-0.01", "GBP", True),
        ("01.00", "GBP", False),
        ("1E2", "JPY", False),
    ],
)
def test_money_has_exactly_the_decimals_of_its_currency(text: str, currency: str, holds: bool) -> None:
    assert is_money(text, currency) is holds


def test_every_money_column_stands_in_its_header() -> None:
    assert all({*columns, *(OTHER_CURRENCY[c] for c in columns if c in OTHER_CURRENCY)} <= set(HEADERS[name]) for name, columns in MONEY.items())
