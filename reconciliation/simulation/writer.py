"""Company -> files: Stripe's objects, what finance drops into the inbox month by month, settings, opening items, truth.

Layouts: `stripe/` as the sandbox server reads it; ledger exports as a NetSuite saved search writes them (day first dates,
posting period); bank statements as CAMT.053; see `README.md` in the written folder.
"""

from datetime import date, timedelta
from pathlib import Path
from xml.sax.saxutils import escape

import polars as pl

from reconciliation.money import currency_exponent, format_minor
from reconciliation.simulation.bank_recorder import IBAN
from reconciliation.simulation.company import Company
from reconciliation.simulation.ledger_intents import decimal_text
from reconciliation.simulation.ledger_recorder import CLEARING, opening_payouts

CAMT_NAMESPACE = "urn:iso:std:iso:20022:tech:xsd:camt.053.001.02"
OPENING_COLUMNS = [
    "item_id",
    "book",
    "leg",
    "side",
    "stripe_account",
    "balance_transaction_id",
    "component",
    "payout_id",
    "source_file",
    "source_row",
    "date",
    "age_days",
    "age_bucket",
    "amount",
    "currency",
    "counterparty",
    "reference",
    "description",
    "break_id",
    "kind",
    "cause",
    "nature",
    "disposition",
    "origin_period",
    "journal_id",
    "cleared_after_cutoff_on",
    "cleared_by_item",
]


def write_company(company: Company, folder: Path) -> None:
    """Write a company's files; an existing folder is written over file by file, so give an empty one."""
    for name, content in company.stripe.files.items():
        _write(folder / "stripe" / name, content)
    for period in company.log.horizon.periods:
        delivery = folder / "deliveries" / period
        for name, frame in ledger_exports(company, period).items():
            _write(delivery / "ledger" / name, frame.write_csv().encode())
        _write(delivery / "bank" / f"{period}.xml", bank_statement(company, period))
        _write(delivery / "balances" / "trial_balance.csv", trial_balance(company, period).write_csv().encode())
    _write(folder / "opening_items.csv", b"\xef\xbb\xbf" + opening_items(company).write_csv().encode())
    for name in ("items", "matches", "pairs"):
        _write(folder / "truth" / f"{name}.csv", getattr(company.truth, name).write_csv().encode())
    _write(folder / "truth" / "stories.csv", company.truth.story_items.write_csv().encode())
    _write(folder / "reconciliation.toml", settings_text(company).encode())
    _write(folder / "README.md", readme_text(company).encode())


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def ledger_exports(company: Company, period: str) -> dict[str, pl.DataFrame]:
    """Return the exports of one delivery: the month, and older months whole where a line was added to them since."""
    lines = company.ledger.lines
    exports = {f"{period}.csv": _export(company, lines.filter((pl.col("period") == period) & (pl.col("delivered") == period)))}
    late = lines.filter((pl.col("delivered") == period) & (pl.col("period") < period))["period"].unique().sort()
    for older in late:
        exports[f"{older}_late.csv"] = _export(company, lines.filter((pl.col("period") == older) & (pl.col("delivered") <= period)))
    return exports


def _export(company: Company, lines: pl.DataFrame) -> pl.DataFrame:
    currency = company.options.currency
    amount = decimal_text("size", currency_exponent(currency))
    lines = lines.sort("posting_on", "internal_id").with_columns(size=pl.col("amount_minor").abs())
    return lines.select(
        pl.col("internal_id").alias("Internal ID"),
        pl.col("posting_on").dt.strftime("%d/%m/%Y").alias("Date"),
        pl.col("posting_on").dt.strftime("%b %Y").alias("Period"),
        pl.col("type").alias("Type"),
        pl.col("document").alias("Document Number"),
        _blank("name").alias("Name"),
        pl.col("account").alias("Account"),
        _blank("memo").alias("Memo"),
        pl.when(pl.col("amount_minor") >= 0).then(amount).alias("Debit"),
        pl.when(pl.col("amount_minor") < 0).then(amount).alias("Credit"),
        pl.lit(currency).alias("Currency"),
    )


def _blank(column: str) -> pl.Expr:
    return pl.when(pl.col(column) != "").then(column)


def trial_balance(company: Company, period: str) -> pl.DataFrame:
    """Return the trial balance as the ledger shows it when a month's delivery is made: the month before go-live to that month."""
    currency, horizon = company.options.currency, company.log.horizon
    known = company.ledger.lines.filter((pl.col("account") == CLEARING) & (pl.col("delivered") <= period))
    rows = [(horizon.calendar.preceding(horizon.periods[0]), company.ledger.opening_minor)]
    rows += [
        (month, company.ledger.opening_minor + int(known.filter(pl.col("period") <= month)["amount_minor"].sum()))
        for month in horizon.periods
        if month <= period
    ]
    return pl.DataFrame(
        [{"account": CLEARING, "currency": currency, "period": month, "closing_balance": format_minor(minor, currency)} for month, minor in rows]
    )


def opening_items(company: Company) -> pl.DataFrame:
    """Return the open items of the last manual reconciliation: payouts under way at go-live, in each leg they are open in."""
    currency, horizon = company.options.currency, company.log.horizon
    cut_off = horizon.first_on - timedelta(days=1)
    rows = []
    for payout in opening_payouts(company.log).iter_rows(named=True):
        age = (cut_off - payout["local_on"]).days
        shared = {
            "book": "main",
            "side": "stripe",
            "payout_id": payout["payout_id"],
            "date": payout["local_on"].isoformat(),
            "age_days": str(age),
            "age_bucket": "0-3" if age < 4 else "4-7",
        }
        texts = {
            "currency": currency,
            "description": "STRIPE PAYOUT",
            "cause": "payout_in_transit",
            "nature": "timing",
            "origin_period": horizon.calendar.period_of(payout["local_on"]),
        }
        books = {
            "leg": "books",
            "item_id": payout["transaction_id"] + "/gross",
            "balance_transaction_id": payout["transaction_id"],
            "component": "gross",
            "kind": "missing_in_ledger",
        }
        cash = {"leg": "cash", "item_id": payout["payout_id"], "kind": "payout_not_in_bank"}
        if payout["is_open_in_books"]:
            rows.append({**shared, **texts, **books, "amount": format_minor(-payout["amount_minor"], currency)})
        rows.append({**shared, **texts, **cash, "amount": format_minor(payout["amount_minor"], currency)})
    return pl.DataFrame(rows, schema=dict.fromkeys(OPENING_COLUMNS, pl.String)).sort("leg", "date", "item_id")


def bank_statement(company: Company, period: str, *, through: date | None = None) -> bytes:
    """Return one month's statement as CAMT.053; `through` is its last day where the month is under way."""
    horizon, currency = company.log.horizon, company.options.currency
    first, last = horizon.calendar.first_day(period), min(horizon.calendar.last_day(period), through or date.max)
    lines = company.bank.lines
    opening = company.bank.opening_minor + int(lines.filter(pl.col("booked_on") < first)["amount_minor"].sum())
    booked = lines.filter(pl.col("period") == period)
    closing = opening + int(booked["amount_minor"].sum())
    entries = "".join(_entry(row, number, currency) for number, row in enumerate(booked.iter_rows(named=True), 1))
    made = f"{(last + timedelta(days=1)).isoformat()}T05:00:00"
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Document xmlns="{CAMT_NAMESPACE}">\n <BkToCstmrStmt>\n'
        f"  <GrpHdr><MsgId>STMT{period.replace('-', '')}</MsgId><CreDtTm>{made}</CreDtTm></GrpHdr>\n"
        f"  <Stmt>\n   <Id>{period}</Id><ElctrncSeqNb>{int(period[5:])}</ElctrncSeqNb><CreDtTm>{made}</CreDtTm>\n"
        f"   <FrToDt><FrDtTm>{first.isoformat()}T00:00:00</FrDtTm><ToDtTm>{last.isoformat()}T23:59:59</ToDtTm></FrToDt>\n"
        f"   <Acct><Id><IBAN>{IBAN}</IBAN></Id><Ccy>{currency}</Ccy></Acct>\n"
        f"{_balance('OPBD', opening, first, currency)}{_balance('CLBD', closing, last, currency)}{entries}"
        "  </Stmt>\n </BkToCstmrStmt>\n</Document>\n"
    ).encode()


def _amount(amount_minor: int, currency: str) -> str:
    side = "DBIT" if amount_minor < 0 else "CRDT"
    return f'<Amt Ccy="{currency}">{format_minor(abs(amount_minor), currency)}</Amt><CdtDbtInd>{side}</CdtDbtInd>'


def _balance(code: str, amount_minor: int, day: date, currency: str) -> str:
    return f"   <Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp>{_amount(amount_minor, currency)}<Dt><Dt>{day.isoformat()}</Dt></Dt></Bal>\n"


def _entry(row: dict[str, object], number: int, currency: str) -> str:
    amount = row["amount_minor"]
    day, text = row["booked_on"], escape(str(row["description"]))
    role = "Cdtr" if _is_debit(amount) else "Dbtr"
    party = f"<RltdPties><{role}><Nm>{escape(str(row['counterparty']))}</Nm></{role}></RltdPties>" if row["counterparty"] else ""
    return (
        f"   <Ntry><NtryRef>{number}</NtryRef>{_amount(int(str(amount)), currency)}<Sts>BOOK</Sts>"
        f"<BookgDt><Dt>{day}</Dt></BookgDt><ValDt><Dt>{day}</Dt></ValDt>"
        f"<AcctSvcrRef>{row['servicer_reference']}</AcctSvcrRef><BkTxCd><Prtry><Cd>{'DD' if _is_debit(amount) else 'FP'}</Cd></Prtry></BkTxCd>"
        f"<NtryDtls><TxDtls><Refs><EndToEndId>{escape(str(row['end_to_end']))}</EndToEndId></Refs>{party}<RmtInf><Ustrd>{text}</Ustrd></RmtInf></TxDtls></NtryDtls></Ntry>\n"
    )


def _is_debit(amount: object) -> bool:
    return isinstance(amount, int) and amount < 0


def settings_text(company: Company) -> str:
    """Return the settings of the company; the inbox folders lie beside them."""
    options = company.options
    return f"""# Settings of a simulated company; relative paths are taken from this folder.

[entity]
name = "{options.name}"
timezone = "{options.zone}"
currency = "{options.currency}"

[start]
period = "{options.first_period}"
lookback_days = 10                    # the Stripe objects begin a few days before; there is no ledger export before the first month

[stripe]
api_base = "http://127.0.0.1:12111"   # `reconcile sandbox stripe --port 12111`

[ledger]
inbox = "inbox/ledger"
profile = "auto"
balances = "inbox/balances"
day_first = true

[bank]
inbox = "inbox/bank"

[[books]]
name = "main"
stripe_accounts = ["self"]
bank_match = ["STRIPE"]

[[books.ledger_accounts]]
account = "{CLEARING}"
role = "clearing"
currency = "{options.currency}"
balance_types = ["payments", "refund_and_dispute_prefunding", "risk_reserved"]

[storage]
lake = "lake"

[close]
folder = "close"
materiality = "25.00"

[review]
mode = "observe"
"""


def readme_text(company: Company) -> str:
    """Return the words that stand beside the files."""
    options = company.options
    opening = format_minor(company.ledger.opening_minor, options.currency)
    return f"""# {options.name}: a simulated company

{options.months} months from {options.first_period}, {options.payments:,} payments, seed {options.seed}; invented names, nobody's money.
Posting {options.posting_style}, fees by {options.fee_style}, payouts posted {options.payout_posting}, {options.payout_schedule} payouts.

| path | what it is |
|---|---|
| `stripe/` | API objects as the sandbox server reads them, read a few days after the last month |
| `deliveries/<month>/` | what finance drops into the inbox before that month is closed; its trial balance replaces the one before |
| `opening_items.csv` | `reconcile open --period {options.first_period} --ledger "{CLEARING}={opening}" --items opening_items.csv` |
| `truth/items.csv` | one row an item that is not plainly matched at the end of `period`, with cause, nature and whether a person must act |
| `truth/matches.csv` | true edges: component -> ledger document, payout -> bank reference (end-to-end id or the bank's own); `decidable`: records can tell |
| `truth/pairs.csv` | items of one side that belong together |
| `truth/stories.csv` | where each story is found |

Items are named `txn_…/component`, `po_…`, a ledger document, `residual:<members>` or `opening:1050`.
A match across months stands in `truth/items.csv` under its ledger document with the cause `wrong_period`, in the month it is found.
"""
