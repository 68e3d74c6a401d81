"""Options -> a company: one event log, three records that never saw each other, and the truth about them.

Read in this order: `events` (what happened), `stripe_recorder`, `ledger_recorder`, `bank_recorder` (what was written down),
`truth` (what is therefore right and wrong). Run alone: `reconcile simulate --out DIR --payments N --seed S`.
"""

from dataclasses import dataclass

from reconciliation.simulation.bank_recorder import BankRecord, record_bank
from reconciliation.simulation.events import EventLog, make_events
from reconciliation.simulation.ledger_recorder import LedgerRecord, record_ledger
from reconciliation.simulation.options import Dirt, SimulationOptions, Trade
from reconciliation.simulation.stripe_recorder import StripeRecord, record_stripe
from reconciliation.simulation.truth import Truth, tell_truth

__all__ = ["Company", "Dirt", "SimulationOptions", "Trade", "sample_options", "simulate_company"]


@dataclass(frozen=True)
class Company:
    """A simulated company: what happened, who wrote down what, and the truth."""

    options: SimulationOptions
    log: EventLog
    stripe: StripeRecord
    ledger: LedgerRecord
    bank: BankRecord
    truth: Truth


def simulate_company(options: SimulationOptions) -> Company:
    """Simulate a company; equal options give an equal company, to the byte."""
    log = make_events(options)
    ledger, bank = record_ledger(log), record_bank(log)
    return Company(options, log, record_stripe(log), ledger, bank, tell_truth(log, ledger, bank))


def sample_options() -> SimulationOptions:
    """Return the sample company of `data/sample`: decent books, every story, and about one anomaly in two hundred postings."""
    return SimulationOptions(seed=2026, payments=6_650, months=3, first_period="2026-08", stories=True)
