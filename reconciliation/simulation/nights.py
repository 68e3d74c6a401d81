"""A company + a moment -> what Stripe shows then, and the files that finance has exported by then: for nights that follow each other.

    01:30 UTC after 12 August  ->  objects created until then in the state of then; lines entered and bank entries booked until 12 August

A month's export is written over with every night's, as a scheduled export does, and the month before is exported with it as its last day left it, so that
a night that brought nothing is made up for; lines that are entered for an older month come in a file of their own.
"""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import polars as pl

from reconciliation.simulation.company import Company
from reconciliation.simulation.events import EventLog
from reconciliation.simulation.stripe_recorder import StripeRecord, record_stripe
from reconciliation.simulation.writer import bank_statement, ledger_exports, trial_balance


@dataclass(frozen=True)
class Night:
    """The night after a day: everything of that day is there.

    Attributes:
        day: the last whole day.
        period: its accounting month.
    """

    day: date
    period: str

    @property
    def moment(self) -> int:
        """The epoch second at which Stripe is read."""
        return int(datetime.combine(self.day + timedelta(days=1), time(1, 30), UTC).timestamp())


def list_nights(company: Company) -> list[Night]:
    """Return every night of the company's months."""
    horizon = company.log.horizon
    days = pl.date_range(horizon.first_on, horizon.last_on, "1d", eager=True).to_list()
    return [Night(day, horizon.calendar.period_of(day)) for day in days]


def stripe_at(company: Company, night: Night) -> StripeRecord:
    """Return Stripe's objects as they stand on a night."""
    return record_stripe(_known_at(company.log, night.moment))


def _known_at(log: EventLog, moment: int) -> EventLog:
    """Forget what happens after a moment."""
    until = pl.col("created") <= moment
    failed = pl.col("fails_at") <= moment
    payouts = log.payouts.filter(until)
    payouts = payouts.with_columns(pl.when(failed).then(name).alias(name) for name in ("fails_at", "failure_transaction_id"))
    paid = pl.col("payout_id").is_in(payouts["payout_id"].implode())
    return replace(
        log,
        horizon=replace(log.horizon, read_at=moment),
        charges=log.charges.filter(until),
        refunds=log.refunds.filter(until),
        disputes=log.disputes.filter(pl.col("opened") <= moment),
        payouts=payouts,
        transactions=log.transactions.filter(until).with_columns(payout_id=pl.when(paid).then("payout_id")),
    )


def files_at(company: Company, night: Night) -> dict[str, bytes]:
    """Return the files of the month, and of the month before, as they are exported on a night: path below the inbox -> content."""
    horizon = company.log.horizon
    if night.period == horizon.periods[0]:
        return _files_of(company, night)
    before = horizon.calendar.preceding(night.period)
    return _files_of(company, Night(horizon.calendar.last_day(before), before)) | _files_of(company, night)


def _files_of(company: Company, night: Night) -> dict[str, bytes]:
    entered = pl.when(pl.col("entered_on") <= night.day).then("delivered")
    books = replace(company.ledger, lines=company.ledger.lines.with_columns(delivered=entered))
    booked = replace(company.bank, lines=company.bank.lines.filter(pl.col("booked_on") <= night.day))
    known = replace(company, ledger=books, bank=booked)
    exports = {f"ledger/{name}": frame.write_csv().encode() for name, frame in ledger_exports(known, night.period).items() if frame.height}
    others = {
        f"bank/{night.period}.xml": bank_statement(known, night.period, through=night.day),
        "balances/trial_balance.csv": trial_balance(known, night.period).write_csv().encode(),
    }
    return exports | others


def write_files(folder: Path, files: dict[str, bytes]) -> None:
    """Write files below a folder, over what is there."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
