"""The functions that touch Stripe, the inboxes and the model: real ones by default, others in tests.

Everything else of `reconciliation` is pure and is called by the asset that needs it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from reconciliation.config import Settings, read_settings, stripe_key
from reconciliation.connectors.stripe.client import StripeReader
from reconciliation.connectors.stripe.pull import Pulled, pull_balance, pull_balance_transactions, pull_payout_members, pull_payouts, pull_sources
from reconciliation.lake import Lake
from reconciliation.pipeline import Scorer


@dataclass(frozen=True)
class StripeAccess:
    """The way to Stripe. Never part of a run's configuration, which Dagster stores and shows.

    Attributes:
        settings_file: names the server; None is the default file.
        key: None is the environment's.
        api_base: None is the settings'.
    """

    settings_file: Path | None = None
    key: str | None = None
    api_base: str | None = None

    def reader(self) -> StripeReader:
        """Return a reader; nothing is sent yet.

        Raises:
            SettingsError: there is no key, or it may not be sent to this server.
        """
        return StripeReader(key=self.key or stripe_key(), api_base=self.api_base or read_settings(self.settings_file).stripe.api_base)


def read_inboxes(lake: Lake, settings: Settings) -> dict[str, pl.DataFrame]:
    """Read every file of the inboxes, oldest delivery first."""
    from reconciliation.sources import read_files, register_deliveries

    return read_files(settings, register_deliveries(lake, settings))


def load_scorer(settings: Settings) -> Scorer:
    """Load the classifier the settings name."""
    raise NotImplementedError(settings.classifier.model)


@dataclass(frozen=True)
class Core:
    """What assets call at the edge of the world."""

    pull_balance: Callable[..., Pulled] = pull_balance
    pull_balance_transactions: Callable[..., Pulled] = pull_balance_transactions
    pull_payouts: Callable[..., Pulled] = pull_payouts
    pull_payout_members: Callable[..., Pulled] = pull_payout_members
    pull_sources: Callable[..., Pulled] = pull_sources
    read_inboxes: Callable[[Lake, Settings], Mapping[str, pl.DataFrame]] = read_inboxes
    load_scorer: Callable[[Settings], Scorer] = load_scorer
