"""ECB daily reference rates: the packaged history, and newer files from `[fx] rates`. The only door to CurrencyConverter.

Rates are floats and only ever bound a tolerance or convert a threshold; no posted amount is computed from one.
"""

import csv
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path

from currency_converter import CurrencyConverter, RateNotFoundError

WINDOW_DAYS = 3
STRIPE_CONVERSION_SHARE_MAX = 0.02
"""Stripe's published conversion fee is at most 2 % (https://stripe.com/pricing)."""


@lru_cache(maxsize=1)
def _packaged() -> CurrencyConverter:
    return CurrencyConverter(fallback_on_missing_rate=True, fallback_on_missing_rate_method="last_known")


@dataclass(frozen=True)
class Rates:
    """Units of a currency for one euro, by day."""

    newer: dict[tuple[date, str], float] = field(default_factory=dict)

    def rate(self, source: str, target: str, day: date) -> float | None:
        """Return how much of `target` one unit of `source` bought on a day, or None when no rate is known."""
        per_euro = [self._per_euro(currency, day) for currency in (source, target)]
        if per_euro[0] is None or per_euro[1] is None:
            return None
        return per_euro[1] / per_euro[0]

    def band(self, source: str, target: str, *, first: date, last: date) -> tuple[float, float] | None:
        """Return the lowest and highest rate of a pair around two dates, widened by Stripe's conversion fee, or None."""
        days = [first + timedelta(days=offset) for offset in range(-WINDOW_DAYS, (last - first).days + WINDOW_DAYS + 1)]
        known = [rate for day in days if (rate := self.rate(source, target, day)) is not None]
        return (min(known) * (1 - STRIPE_CONVERSION_SHARE_MAX), max(known) * (1 + STRIPE_CONVERSION_SHARE_MAX)) if known else None

    def _per_euro(self, currency: str, day: date) -> float | None:
        if currency == "EUR":
            return 1.0
        if (day, currency) in self.newer:
            return self.newer[day, currency]
        converter = _packaged()
        if currency not in converter.currencies or day > converter.bounds[currency].last_date + timedelta(days=7 * 26):
            return None
        try:
            return float(converter.convert(1, "EUR", currency, date=min(day, converter.bounds[currency].last_date)))
        except (RateNotFoundError, ValueError):
            return None


def read_rates(folder: Path) -> Rates:
    """Read newer rates: CSV files with the columns date,currency,rate (units for one euro)."""
    newer: dict[tuple[date, str], float] = {}
    for path in sorted(folder.glob("*.csv")) if folder.is_dir() else []:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            for row in csv.DictReader(handle):
                newer[date.fromisoformat(row["date"]), row["currency"].upper()] = float(row["rate"])
    return Rates(newer)
