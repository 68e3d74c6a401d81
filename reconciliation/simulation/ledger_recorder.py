"""Event log -> the ledger as the bookkeeping left it: documents, numbers, dates, and which delivery brings each line.

Lines on `1050 Stripe Clearing` are positive where they raise the books' view of the Stripe balance (a debit). `group` ties
lines (and the components claimed by their intents) that belong together; a line without one belongs to nothing.
"""

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import polars as pl

from reconciliation.simulation import stories
from reconciliation.simulation.events import EventLog
from reconciliation.simulation.horizon import Horizon
from reconciliation.simulation.ledger_intents import make_intents
from reconciliation.simulation.ledger_slips import overlooked_transactions, type_intents
from reconciliation.simulation.streams import Integers, stream

CLEARING = "1050 Stripe Clearing"
RECEIVABLES, SALES = "1200 Accounts Receivable", "4000 Sales"
OPENING_DIFFERENCE_MINOR = 1_200
"""The story's: the ledger opens 12.00 too high. Other worlds open with none or some other small one."""
DROPPED_DIGIT_SHARE, EXCHANGED_SHARE = 0.3, 0.6
FIRST_NUMBERS = {"PYMT": 20_000, "RFND": 2_500, "DEP": 3_000, "JE": 4_000}

LINE_COLUMNS = {
    "line": pl.String,
    "intent": pl.String,
    "role": pl.String,
    "group": pl.String,
    "kind": pl.String,
    "entered_on": pl.Date,
    "order": pl.Float64,
    "posting_on": pl.Date,
    "type": pl.String,
    "prefix": pl.String,
    "name": pl.String,
    "account": pl.String,
    "memo": pl.String,
    "refers": pl.String,
    "amount_minor": pl.Int64,
    "story": pl.String,
    "has_reference": pl.Boolean,
}


@dataclass(frozen=True)
class LedgerRecord:
    """The ledger.

    Attributes:
        lines: LINE_COLUMNS plus document, internal_id, period, delivered (the month whose delivery brings the line; null beyond them).
        claims: item (`txn_…/component`), group: what the books mean each component to be matched with; null group: never posted as it should be.
        slips: intent, slip, and the story of the intent.
        opening_minor: balance of the clearing account before the first month.
        opening_difference_minor: by how much it is too high, for no reason anybody knows.
    """

    lines: pl.DataFrame
    claims: pl.DataFrame
    opening_minor: int
    opening_difference_minor: int


def record_ledger(log: EventLog) -> LedgerRecord:
    """Keep the books of the company."""
    planned = make_intents(log, overlooked_transactions(log))
    typed = type_intents(log, planned.intents)
    lines = pl.concat([*_typed_lines(log, typed), _accrual(log), _unknown_entries(log), _other_accounts(log)])
    lines = _numbered(log, lines)
    slips = typed.select("intent", "slip")
    claims = planned.claims.join(slips, on="intent", how="left").with_columns(
        group=pl.when(pl.col("slip").is_in(["wrong_account", "reversed_sign"])).then(None).otherwise("intent"), slip=pl.col("slip").fill_null("")
    )
    difference = _opening_difference(log)
    return LedgerRecord(lines, claims, _stripe_opening(log) + difference, difference)


def _stripe_opening(log: EventLog) -> int:
    """Return what the clearing account should open with: Stripe's balance at go-live plus payouts the books have not posted yet."""
    before = log.transactions.filter((pl.col("created") < log.horizon.start) & (pl.col("balance_type") == "payments"))
    under_way = opening_payouts(log)
    unposted = int(under_way.filter("is_open_in_books")["amount_minor"].sum())
    return log.opening_minor + int(before["net_minor"].sum()) + unposted


def _opening_difference(log: EventLog) -> int:
    drawn = stream(log.options.seed, "opening difference").integers(-2_000, 2_000, 2)
    return OPENING_DIFFERENCE_MINOR if log.options.stories else int(drawn[1]) if drawn[0] > 0 else 0


def opening_payouts(log: EventLog) -> pl.DataFrame:
    """Return the payouts under way at go-live, with `is_open_in_books` where the ledger posts them only when they arrive."""
    before = log.payouts.filter((pl.col("created") < log.horizon.start) & (pl.col("arrived_on") >= log.horizon.first_on))
    return before.with_columns(is_open_in_books=pl.lit(log.options.payout_posting == "at_bank_date")).sort("created")


_TYPES = {
    "payment": ("Payment", "PYMT"),
    "refund": ("Customer Refund", "RFND"),
    "payout": ("Deposit", "DEP"),
    "summary": ("Journal", "JE"),
    "dispute": ("Journal", "JE"),
    "fee": ("Journal", "JE"),
}


def _typed_lines(log: EventLog, typed: pl.DataFrame) -> list[pl.DataFrame]:
    """Turn intents into lines: one each, and those that slips add."""
    wrong = _wrong_amounts(log, typed)
    kind, slip = pl.col("kind"), pl.col("slip")
    typed = typed.with_columns(
        type=kind.replace_strict({name: pair[0] for name, pair in _TYPES.items()}, return_dtype=pl.String),
        prefix=kind.replace_strict({name: pair[1] for name, pair in _TYPES.items()}, return_dtype=pl.String),
        wrong=pl.Series(wrong),
        days=pl.Series(stream(log.options.seed, "second thoughts").integers(0, 8, typed.height)),
        retyped=pl.Series(stream(log.options.seed, "retyped").random(typed.height) < 0.5),
    )
    typed = typed.with_columns(days=pl.when(pl.col("story") == stories.DUPLICATE_VOIDED).then(3).otherwise("days"))
    corrected = slip == "reverse_and_repost"
    amount = (
        pl.when((slip == "wrong_amount") | (corrected & pl.col("retyped")))
        .then("wrong")
        .when(slip == "reversed_sign")
        .then(-pl.col("amount_minor"))
        .otherwise("amount_minor")
    )
    group = pl.when(corrected).then("undo|" + pl.col("intent")).when(slip.is_in(["wrong_account", "reversed_sign"])).then(None).otherwise("intent")
    account = pl.when(slip == "wrong_account").then(pl.lit(SALES)).otherwise(pl.lit(CLEARING))
    first = _lines(typed, "base", group=group, amount_minor=amount, account=account)
    twice = typed.filter(slip.is_in(["duplicate_posting", "duplicate_voided"]))
    again = pl.col("entered_on") + pl.duration(days=pl.col("days") // 3)
    void_on = pl.col("entered_on") + pl.duration(days=pl.col("days") // 3 + pl.col("days"))
    voided = pl.when(slip == "duplicate_voided").then("undo|" + pl.col("intent")).otherwise(None)
    duplicates = _lines(twice, "duplicate", group=voided, entered_on=again, posting_on=again, order=pl.col("order") + 1)
    journal = {"type": pl.lit("Journal"), "prefix": pl.lit("JE")}
    void_memo = "Void of {doc} " + pl.col("invoice") + ", entered twice"
    undone = {
        "entered_on": void_on,
        "posting_on": void_on,
        "order": pl.col("order") + 2,
        "amount_minor": -pl.col("amount_minor"),
        "refers": pl.col("intent") + "|duplicate",
    }
    voids = _lines(twice.filter(slip == "duplicate_voided"), "void", group=voided, memo=void_memo, **journal, **undone)
    return [first, duplicates, voids, *_reposted(typed.filter(slip == "reverse_and_repost"))]


def _lines(frame: pl.DataFrame, role: str, **columns: pl.Expr) -> pl.DataFrame:
    blank = {"line": pl.col("intent") + f"|{role}", "role": pl.lit(role), "account": pl.lit(CLEARING), "refers": pl.lit(None)}
    given = {**{name: pl.col(name) for name in LINE_COLUMNS if name not in (*blank, "group")}, **blank, **columns}
    return frame.select(**{name: given[name].cast(dtype) for name, dtype in LINE_COLUMNS.items()})


def _reposted(typed: pl.DataFrame) -> list[pl.DataFrame]:
    """Reverse a line and post it again, the same day: a wrong amount put right, or something else that the export does not show."""
    undo = "undo|" + pl.col("intent")
    typed_amount = pl.when("retyped").then("wrong").otherwise("amount_minor")
    reversal_memo = "Reversal of {doc} " + pl.col("invoice")
    shared = {"posting_on": pl.col("entered_on"), "refers": pl.col("intent") + "|base"}
    reversal = _lines(
        typed,
        "reversal",
        group=undo,
        memo=reversal_memo,
        amount_minor=-typed_amount,
        order=pl.col("order") + 1,
        type=pl.lit("Journal"),
        prefix=pl.lit("JE"),
        **shared,
    )
    repost = _lines(typed, "repost", group=pl.col("intent"), order=pl.col("order") + 2)
    return [reversal, repost]


def _wrong_amounts(log: EventLog, typed: pl.DataFrame) -> Integers:
    """Mistype every amount: digits exchanged, a digit dropped, pence exchanged. Only the lines with that slip use it."""
    draw = stream(log.options.seed, "mistyped amounts").random(typed.height)
    amount = typed["amount_minor"].to_numpy()
    size, sign = np.abs(amount), np.sign(amount)
    exchanged = stories.exchange_digits(size)
    ones, tens = size % 10, (size // 10) % 10
    pence = size - tens * 10 - ones + ones * 10 + tens
    dropped = size // 1000 * 100 + size % 100
    told = (typed["story"] == stories.WRONG_AMOUNT).to_numpy()
    chosen = np.where(told | (draw < EXCHANGED_SHARE), exchanged, np.where(draw < EXCHANGED_SHARE + DROPPED_DIGIT_SHARE, dropped, pence))
    chosen = np.where((chosen == size) | (chosen == 0), size + 900, chosen)
    mistyped: Integers = chosen * sign
    return mistyped


def _entry(day: date, **columns: object) -> dict[str, object]:
    blank: dict[str, object] = {
        "entered_on": day,
        "posting_on": day,
        "order": 0.5,
        "type": "Journal",
        "prefix": "JE",
        "name": "",
        "account": CLEARING,
        "refers": None,
        "group": None,
    }
    return {**blank, "kind": "journal", "role": "base", "story": "", "has_reference": True, "intent": columns["line"], **columns}


def _accrual(log: EventLog) -> pl.DataFrame:
    """Accrue a receipt at the end of the first month and release it on the first day of the second."""
    rows: list[dict[str, object]] = []
    if log.options.stories:
        last, first = log.horizon.month(0)[1], log.horizon.month(1)[0]
        amount = int(stream(log.options.seed, "accrual").integers(80, 400)) * 125
        text = f"accrue Stripe receipts {last:%B %Y}"
        shared = {"kind": "accrual", "group": "accrual", "story": stories.ACCRUAL}
        rows.append(_entry(last, line="accrual|base", memo=f"Accrual: {text}, reverses {first:%d/%m/%Y}", amount_minor=amount, order=0.9, **shared))
        rows.append(
            _entry(
                first,
                line="accrual|release",
                role="reversal",
                memo=f"Reversal of {{doc}} {text}",
                amount_minor=-amount,
                refers="accrual|base",
                order=0.1,
                **shared,
            )
        )
    return pl.DataFrame(rows, schema=LINE_COLUMNS)


def _unknown_entries(log: EventLog) -> pl.DataFrame:
    """Post entries that nothing in Stripe answers to."""
    generator = stream(log.options.seed, "unknown entries")
    days = pl.date_range(log.horizon.first_on, log.horizon.last_on, "1d", eager=True).to_list()
    texts = ("Bank correction", "Adj", "Misc receipt", "Correction per e-mail", "Stripe difference")
    rows = []
    for number, day in enumerate(days):
        drawn, text, amount = generator.random(), texts[int(generator.integers(0, len(texts)))], int(generator.integers(150, 60_000))
        if drawn < log.options.dirt.unknown_entry and day.weekday() < 5:
            sign = 1 if number % 2 else -1
            rows.append(
                _entry(
                    day, line=f"unknown|{number}", kind="unknown", memo=text, amount_minor=sign * amount, has_reference=False, order=float(generator.random())
                )
            )
    return pl.DataFrame(rows, schema=LINE_COLUMNS)


def _other_accounts(log: EventLog) -> pl.DataFrame:
    """Post rows of other accounts that the export happens to hold: cheques and wholesale sales."""
    generator = stream(log.options.seed, "other accounts")
    story = stories.SET_ASIDE if log.options.stories else ""
    rows = []
    for number, period in enumerate(log.horizon.periods):
        first = log.horizon.calendar.first_day(period)
        for place in range(3):
            day = log.horizon.business_day(first + timedelta(days=4 + 7 * place))
            account, memo = ((RECEIVABLES, "Cheque received"), (SALES, "Wholesale invoice"))[place % 2]
            amount, name = int(generator.integers(2_000, 90_000)), ("Quarbourne Textiles Ltd", "Ravcott Studio LLP", "Ulmdale & Sons")[place]
            rows.append(
                _entry(
                    day,
                    line=f"other|{number}|{place}",
                    kind="other",
                    name=name,
                    account=account,
                    memo=memo,
                    amount_minor=amount,
                    story=story,
                    order=float(generator.random()),
                )
            )
    return pl.DataFrame(rows, schema=LINE_COLUMNS)


def _numbered(log: EventLog, lines: pl.DataFrame) -> pl.DataFrame:
    """Number documents and lines in the order they were entered, and say which delivery brings each."""
    first_id = 9_000 + int(stream(log.options.seed, "internal ids").integers(0, 90_000))
    lines = lines.sort("entered_on", "order", "line").with_columns(internal_id=first_id + pl.int_range(pl.len()), posting_on=pl.col("posting_on"))
    start = pl.col("prefix").replace_strict(FIRST_NUMBERS, return_dtype=pl.Int64)
    number = start + pl.col("internal_id").rank("ordinal").over("prefix").cast(pl.Int64)
    lines = lines.with_columns(document=pl.col("prefix") + "-" + number.cast(pl.String))
    documents = lines.select(refers="line", referred="document")
    lines = lines.join(documents, on="refers", how="left", maintain_order="left")
    memo = pl.when(pl.col("referred").is_null()).then("memo").otherwise(pl.col("memo").str.replace("{doc}", pl.col("referred"), literal=True))
    return _delivered(log.horizon, lines.with_columns(memo=memo).drop("referred"))


def _delivered(horizon: Horizon, lines: pl.DataFrame) -> pl.DataFrame:
    period, entered = horizon.calendar.period_of_day("posting_on"), horizon.calendar.period_of_day("entered_on")
    brought = pl.max_horizontal(period, entered)
    return lines.with_columns(period=period, delivered=pl.when(brought.is_in(list(horizon.periods))).then(brought))
