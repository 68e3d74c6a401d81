"""The functions that touch Stripe, the inboxes and the model: real ones by default, others in tests.

Everything else of `reconciliation` is pure and is called by the asset that needs it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from reconciliation.breaks.clearing import Policy
from reconciliation.classifier.acting import make_policy
from reconciliation.classifier.promotion import load_acting_version
from reconciliation.classifier.verdicts import make_judge
from reconciliation.close.summaries import Frame
from reconciliation.config import Settings, read_settings, stripe_key
from reconciliation.connectors.stripe.client import StripeReader
from reconciliation.connectors.stripe.pull import (
    Pulled,
    pull_balance,
    pull_balance_transactions,
    pull_payout_members,
    pull_payouts,
    pull_sources,
    pull_unsettled_sources,
)
from reconciliation.lake import Lake
from reconciliation.pipeline import Scorer
from reconciliation.review.log import open_log
from reconciliation.sources import read_files, register_deliveries


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
        settings = read_settings(self.settings_file).stripe
        return StripeReader(key=self.key or stripe_key(), api_base=self.api_base or settings.api_base, requests_per_second=settings.requests_per_second)


def read_inboxes(lake: Lake, settings: Settings) -> dict[str, Frame]:
    """Read every file of the inboxes, oldest delivery first."""
    return read_files(settings, register_deliveries(lake, settings))


@dataclass(frozen=True)
class Model:
    """A classifier: its name for the manifest, what scores, and what may be accepted on its word."""

    label: str
    score: Scorer
    policy: Policy


def load_model(settings: Settings, lake: Lake) -> Model:
    """Load the classifier that the settings name, or that two people promoted, and the policy that this company's audited months allow it.

    Raises:
        ModelRefusedError: there is none, it does not fit this program, or it is a challenger that nobody promoted.
    """
    version = load_acting_version(settings.classifier.model, open_log(lake).entries())
    return Model(version.label, make_judge(version), make_policy(version, settings, lake))


@dataclass(frozen=True)
class Core:
    """What assets call at the edge of the world."""

    pull_balance: Callable[..., Pulled] = pull_balance
    pull_balance_transactions: Callable[..., Pulled] = pull_balance_transactions
    pull_payouts: Callable[..., Pulled] = pull_payouts
    pull_payout_members: Callable[..., Pulled] = pull_payout_members
    pull_sources: Callable[..., Pulled] = pull_sources
    pull_unsettled_sources: Callable[..., Pulled] = pull_unsettled_sources
    read_inboxes: Callable[[Lake, Settings], Mapping[str, Frame]] = read_inboxes
    load_model: Callable[[Settings, Lake], Model] = load_model
