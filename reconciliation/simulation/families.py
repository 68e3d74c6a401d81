"""Seed -> the options of a random company of a named family: how businesses really differ, drawn from priors.

A family fixes what is typical (channels, prices, who keeps the books, how tired they are); a seed draws the rest around it.
Train on some families and test on others: `HELD_OUT` also has mechanisms that no other family knows.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np

from reconciliation.simulation.options import (
    STORIES_MONTHS_MIN,
    Dirt,
    FeeStyle,
    PayoutPosting,
    PayoutSchedule,
    PostingStyle,
    SimulationOptions,
    Trade,
)
from reconciliation.simulation.streams import stream

PROBABILITY_MAX = 0.5
SMALL_PAYMENTS, LARGE_PAYMENTS = (30, 300), (800, 4_000)
SMALL_DIRT_FACTOR = 6.0
"""A small world would mostly hold no anomaly at all; its intensities are raised."""
Choice = TypeVar("Choice")
_POSTING_STYLES: tuple[PostingStyle, ...] = (
    "gross_per_payment",
    "net_per_payment",
    "daily_summary",
    "weekly_summary",
    "monthly_summary",
    "payout_summary",
    "mixed",
)
_FEE_STYLES: tuple[FeeStyle, ...] = ("monthly_journal", "daily_journal", "payout_journal", "per_payment")
_PAYOUT_POSTINGS: tuple[PayoutPosting, ...] = ("at_bank_date", "at_initiation")
_PAYOUT_SCHEDULES: tuple[PayoutSchedule, ...] = ("daily", "weekly")
FIRST_PERIODS = tuple(f"{year}-{month:02d}" for year in (2025, 2026) for month in range(1, 13) if (year, month) <= (2026, 8))


@dataclass(frozen=True)
class Family:
    """A kind of business and its bookkeeping."""

    name: str
    description: str
    posting_style: PostingStyle
    fee_style: FeeStyle
    payout_posting: PayoutPosting = "at_bank_date"
    payout_schedule: PayoutSchedule = "daily"
    trade: Trade = field(default_factory=Trade)
    dirt: Dirt = field(default_factory=Dirt)
    currency: str = "GBP"
    zone: str = "Europe/London"


_ALL = (
    Family(
        "web_shop",
        "Own web shop, an import posts each payment gross; references mostly intact.",
        "gross_per_payment",
        "monthly_journal",
        dirt=Dirt(missing_settlement=0.004),
    ),
    Family(
        "marketplace_seller",
        "Sells through a marketplace, posts what arrives net of fees from its report, typed by hand.",
        "net_per_payment",
        "monthly_journal",
        trade=Trade(value_scale=0.1, price_point_share=0.1, refund_share=0.05),
        dirt=Dirt(reference_reformatted=0.1, reference_absent=0.04, name_variant=0.15, lag_one_day_share=0.35, missing_settlement=0.003),
    ),
    Family(
        "subscription_box",
        "A few prices, thousands of equal payments, one summary a day.",
        "daily_summary",
        "daily_journal",
        "at_initiation",
        trade=Trade(price_points_minor=(999, 1_999, 2_999), price_point_share=0.95, refund_share=0.015, customers_per_payment=0.3),
        dirt=Dirt(late_batch=0.03, missing_posting=0.0006, missing_settlement=0.005),
    ),
    Family(
        "wholesaler",
        "Few and large orders, a bookkeeper who comes twice a week, weekly payouts, fees posted one by one.",
        "gross_per_payment",
        "per_payment",
        "at_bank_date",
        "weekly",
        trade=Trade(value_scale=1.0, price_point_share=0.0, refund_share=0.04, dispute_share=0.004, customers_per_payment=0.15, reserve_share=0.4),
        dirt=Dirt(
            reference_reformatted=0.12,
            reference_truncated=0.03,
            name_variant=0.2,
            lag_one_day_share=0.4,
            lag_two_days_share=0.3,
            lag_long_share=0.03,
            wrong_amount=0.003,
            missing_settlement=0.01,
        ),
    ),
    Family(
        "omnichannel",
        "Web, marketplace and a subscription in one clearing account.",
        "mixed",
        "monthly_journal",
        trade=Trade(net_share=0.25, summary_share=0.2, eur_share=0.02),
        dirt=Dirt(reference_absent=0.03, duplicate_posting=0.0015, late_batch=0.02, missing_settlement=0.006),
    ),
    Family(
        "euro_exporter",
        "A third of the buyers pay in euro; the ERP converts with yesterday's rate.",
        "gross_per_payment",
        "daily_journal",
        trade=Trade(eu_card_share=0.45, eur_share=0.33, other_card_share=0.1, value_scale=0.4, dispute_share=0.003),
        dirt=Dirt(name_variant=0.12, wrong_account=0.001, missing_settlement=0.008),
    ),
    Family(
        "berlin_studio",
        "Keeps its books in euro on Berlin time; one person does everything at month end.",
        "gross_per_payment",
        "monthly_journal",
        "at_initiation",
        trade=Trade(value_scale=0.3, price_point_share=0.5, price_points_minor=(1_500, 4_900, 12_000)),
        dirt=Dirt(lag_two_days_share=0.2, lag_long_share=0.02, reversed_sign=0.0015, back_dated=0.001, missing_settlement=0.004),
        currency="EUR",
        zone="Europe/Berlin",
    ),
    Family(
        "ticket_office",
        "Bursts of equal tickets without references, tired operators; entries that nothing answers to, payouts that never arrive.",
        "gross_per_payment",
        "monthly_journal",
        trade=Trade(price_points_minor=(2_500, 3_500, 6_000), price_point_share=0.9, customers_per_payment=0.6, refund_share=0.06),
        dirt=Dirt(reference_absent=0.25, name_absent=0.15, equal_purchase=0.02, double_charge=0.002, unknown_entry=0.08, missing_settlement=0.03),
    ),
    Family(
        "charity",
        "Round gifts, volunteers at the desk, much repeated and reversed.",
        "mixed",
        "per_payment",
        "at_bank_date",
        "weekly",
        trade=Trade(price_points_minor=(500, 1_000, 2_000, 5_000), price_point_share=0.85, net_share=0.4, refund_share=0.005, dispute_share=0.0005),
        dirt=Dirt(reverse_and_repost=0.006, duplicate_voided=0.005, reference_truncated=0.06, name_variant=0.25, unknown_entry=0.05, missing_settlement=0.02),
    ),
)
FAMILIES: Mapping[str, Family] = MappingProxyType({family.name: family for family in _ALL})
HELD_OUT = ("ticket_office", "charity")
"""Families with `unknown_entry`, which the others never show."""


def family_options(
    name: str, *, seed: int, payments: int, months: int, first_period: str = "2026-06", dirt_factor: float = 1.0, stories: bool = False
) -> SimulationOptions:
    """Return the options of one company of a family; the seed varies every intensity around the family's.

    Args:
        name: a key of `FAMILIES`.
        seed: the company.
        payments: how many in all months.
        months: how many.
        first_period: the first of them.
        dirt_factor: multiplies every intensity of `Dirt` (never above one half).
        stories: whether the stories happen too.
    """
    family = FAMILIES[name]
    generator = stream(seed, f"family {name}")
    scale, fees = family.trade.value_scale * float(generator.uniform(0.6, 1.6)), family.trade
    trade = replace(
        fees,
        value_scale=scale,
        refund_share=_varied(generator, fees.refund_share),
        dispute_share=_varied(generator, fees.dispute_share),
        eur_share=_varied(generator, fees.eur_share),
    )
    return SimulationOptions(
        seed=seed,
        payments=payments,
        months=months,
        first_period=first_period,
        currency=family.currency,
        zone=family.zone,
        posting_style=family.posting_style,
        fee_style=family.fee_style,
        payout_posting=family.payout_posting,
        payout_schedule=family.payout_schedule,
        trade=trade,
        dirt=vary_dirt(family.dirt, generator, dirt_factor),
        stories=stories,
        name=family.name.replace("_", " ").title() + " Ltd",
    )


def random_options(seed: int, *, small: bool = True) -> SimulationOptions:
    """Draw a random company over all families, styles and schedules.

    Args:
        seed: the draw.
        small: 30 to 300 payments in 1 to 3 months, with anomalies often enough to meet some; else 800 to 4,000.
    """
    generator = stream(seed, "random company")
    name = str(generator.choice(sorted(FAMILIES)))
    months = int(generator.integers(1, 4))
    payments = int(generator.integers(*(SMALL_PAYMENTS if small else LARGE_PAYMENTS), endpoint=True))
    first = str(generator.choice(FIRST_PERIODS))
    clean = float(generator.random()) < 0.1
    factor = 0.0 if clean else (SMALL_DIRT_FACTOR if small else 1.0) * float(generator.uniform(0.3, 2.0))
    stories = bool(generator.random() < 0.3) and months >= STORIES_MONTHS_MIN
    options = family_options(name, seed=seed, payments=payments, months=months, first_period=first, dirt_factor=factor, stories=stories)
    posting = _choose(generator, _POSTING_STYLES)
    fee, payout, schedule = _choose(generator, _FEE_STYLES), _choose(generator, _PAYOUT_POSTINGS), _choose(generator, _PAYOUT_SCHEDULES)
    return replace(options, posting_style=posting, fee_style=fee, payout_posting=payout, payout_schedule=schedule)


def vary_books(options: SimulationOptions) -> SimulationOptions:
    """Give every other company books that its family does not usually keep: how one posts does not follow from what one sells."""
    generator = stream(options.seed, "other books")
    if generator.random() < 0.5:
        return options
    posting, fee = _choose(generator, _POSTING_STYLES), _choose(generator, _FEE_STYLES)
    payout, schedule = _choose(generator, _PAYOUT_POSTINGS), _choose(generator, _PAYOUT_SCHEDULES)
    return replace(options, posting_style=posting, fee_style=fee, payout_posting=payout, payout_schedule=schedule)


def vary_dirt(dirt: Dirt, generator: np.random.Generator, factor: float) -> Dirt:
    """Multiply every intensity by a factor and a draw between a half and twice; days stay days."""
    values: dict[str, Any] = asdict(dirt)
    varied: dict[str, Any] = {
        name: value if isinstance(value, int) else min(_varied(generator, value) * factor, PROBABILITY_MAX) for name, value in values.items()
    }
    return replace(dirt, **varied)


def _varied(generator: np.random.Generator, value: float) -> float:
    return value * float(2 ** generator.uniform(-1, 1))


def _choose(generator: np.random.Generator, values: tuple[Choice, ...]) -> Choice:
    return values[int(generator.integers(0, len(values)))]
