"""What a simulated company is: its trade, its bookkeeping habits and how often it slips.

Every intensity is a probability per event of an ordinary weekday with an ordinary operator; load, Mondays, month ends and
tired operators raise it (`ledger_slips`). No option is a share of labels: labels follow from what happened.
"""

from dataclasses import dataclass, field
from typing import Literal

from reconciliation.errors import SettingsError

PostingStyle = Literal["gross_per_payment", "net_per_payment", "daily_summary", "weekly_summary", "monthly_summary", "payout_summary", "mixed"]
FeeStyle = Literal["monthly_journal", "daily_journal", "payout_journal", "per_payment"]
PayoutPosting = Literal["at_bank_date", "at_initiation"]
PayoutSchedule = Literal["daily", "weekly"]

STORIES_MONTHS_MIN = 2


@dataclass(frozen=True)
class Trade:
    """What the company sells and to whom; probabilities are per payment.

    Attributes:
        value_scale: factor on the real invoice totals of `order_values.json`.
        price_points_minor: fixed prices; `price_point_share` of payments take one of them.
        net_share, summary_share: channels of the `mixed` posting style; the rest is posted gross per payment.
        customers_per_payment: how many customers there are; few means many repeat purchases.
        eur_share: payments presented in euro and settled in the company's currency.
        reserve_share: probability, per month, that Stripe holds a reserve and releases it later.
    """

    value_scale: float = 0.15
    price_points_minor: tuple[int, ...] = (999, 1499, 1999, 2999, 4900)
    price_point_share: float = 0.25
    net_share: float = 0.2
    summary_share: float = 0.0
    customers_per_payment: float = 0.45
    eu_card_share: float = 0.08
    other_card_share: float = 0.04
    eur_share: float = 0.004
    refund_share: float = 0.025
    refund_partial_share: float = 0.4
    dispute_share: float = 0.0015
    dispute_won_share: float = 0.35
    failed_payout_share: float = 0.004
    reserve_share: float = 0.0


@dataclass(frozen=True)
class Dirt:
    """How often records go wrong, and how often something that looks wrong is right (benign twins).

    `equal_purchase`, `late_batch` and `reverse_and_repost` are benign; `double_charge` happens in Stripe, so it is the
    one intensity that changes Stripe's objects (with `equal_purchase`). `unknown_entry` is meant for families held out from training.
    """

    reference_reformatted: float = 0.03
    reference_truncated: float = 0.005
    reference_absent: float = 0.01
    name_variant: float = 0.05
    name_absent: float = 0.005
    payout_reference_trace: float = 0.12
    payout_reference_absent: float = 0.05
    bank_reference_absent: float = 0.03
    lag_one_day_share: float = 0.2
    lag_two_days_share: float = 0.06
    lag_long_share: float = 0.004
    lag_long_days_max: int = 12
    late_batch: float = 0.01
    missing_posting: float = 0.0008
    duplicate_posting: float = 0.0006
    duplicate_voided: float = 0.0008
    wrong_amount: float = 0.0008
    reversed_sign: float = 0.0003
    wrong_account: float = 0.0003
    back_dated: float = 0.0002
    reverse_and_repost: float = 0.0008
    unrecorded_refund: float = 0.02
    unrecorded_dispute: float = 0.15
    double_charge: float = 0.0006
    equal_purchase: float = 0.002
    unknown_entry: float = 0.0
    missing_settlement: float = 0.0


@dataclass(frozen=True)
class SimulationOptions:
    """Everything a simulated company follows from; equal options give equal bytes.

    Raises:
        SettingsError: no payments or months, or stories asked for in fewer than two months.
    """

    seed: int = 2026
    payments: int = 300
    months: int = 2
    first_period: str = "2026-08"
    currency: str = "GBP"
    zone: str = "Europe/London"
    posting_style: PostingStyle = "mixed"
    fee_style: FeeStyle = "monthly_journal"
    payout_posting: PayoutPosting = "at_bank_date"
    payout_schedule: PayoutSchedule = "daily"
    trade: Trade = field(default_factory=Trade)
    dirt: Dirt = field(default_factory=Dirt)
    stories: bool = False
    name: str = "Harbour & Fern Ltd"

    def __post_init__(self) -> None:
        """Refuse options that no company can follow from."""
        if self.payments < 1 or self.months < 1:
            raise SettingsError(f"simulation: {self.payments} payments in {self.months} months; both must be 1 or more")
        if self.stories and self.months < STORIES_MONTHS_MIN:
            raise SettingsError(f"simulation: stories run over a month end, so they need {STORIES_MONTHS_MIN} months or more, not {self.months}")
