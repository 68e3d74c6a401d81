"""Options -> customers, orders and the charges that Stripe captured for them.

An order is paid by one charge; a customer who pays the same order twice makes a second charge with the same invoice.
Amounts are what the buyer sees (presentment) and what Stripe settles; fees follow the company's contract.
"""

from datetime import date, timedelta

import numpy as np
import polars as pl

from reconciliation.rates import Rates
from reconciliation.simulation import stories
from reconciliation.simulation.horizon import AFTER_DAYS, HISTORY_DAYS, Horizon, local_day
from reconciliation.simulation.names import make_names
from reconciliation.simulation.options import SimulationOptions
from reconciliation.simulation.order_values import draw_amounts, draw_times
from reconciliation.simulation.streams import half_up, make_ids, stream

FEE_BASIS_POINTS = {"domestic": 150, "eu": 250, "other": 325}
FEE_FIXED_MINOR = 20
CONVERSION_MARGIN = 0.02
"""Stripe's published price list for the United Kingdom: 1.5 % + 20p, 2.5 % + 20p, 3.25 % + 20p, 2 % for conversion."""
FALLBACK_RATE = 0.86
CUSTOMERS_MIN = 6
EURO_AREA = ("DE", "FR", "NL", "IE", "ES", "IT")
ELSEWHERE = ("US", "CA", "AU", "CH", "JP")
HOME = {"GBP": "GB", "EUR": "DE", "USD": "US"}


def make_charges(options: SimulationOptions, horizon: Horizon) -> pl.DataFrame:
    """Make all charges of the horizon, oldest first.

    Returns:
        charge_id, transaction_id, invoice, customer_id, customer, channel, posting, created, local_on, card_country, origin,
        presentment_minor, presentment_currency, rate, amount_minor, fee_minor, is_second, story.
    """
    orders = pl.concat([_drawn_orders(options, horizon), _story_orders(options, horizon)]).sort("created", "amount_minor")
    orders = orders.with_columns(invoice=_invoices(options, orders.height))
    charges = pl.concat([orders.with_columns(is_second=pl.lit(False)), _second_charges(options, horizon, orders)]).sort("created", "invoice", "is_second")
    charges = charges.with_columns(local_day("created", horizon.calendar).alias("local_on"))
    charges = _settle(options, _with_customers(options, charges))
    ids = stream(options.seed, "charge ids")
    return charges.with_columns(charge_id=pl.Series(make_ids(ids, "ch_", charges.height)), transaction_id=pl.Series(make_ids(ids, "txn_", charges.height)))


def _drawn_orders(options: SimulationOptions, horizon: Horizon) -> pl.DataFrame:
    generator = stream(options.seed, "orders")
    per_day = options.payments / ((horizon.last_on - horizon.first_on).days + 1)
    wanted = max(options.payments - stories.story_orders(options, horizon).height, 0)
    after_on = horizon.last_on + timedelta(days=AFTER_DAYS - 1)
    spans = (
        (horizon.history_on, horizon.first_on - timedelta(days=1), round(per_day * HISTORY_DAYS)),
        (horizon.first_on, horizon.last_on, wanted),
        (horizon.last_on + timedelta(days=1), after_on, round(per_day * (AFTER_DAYS - 1))),
    )
    created = []
    for first, last, count in spans:
        days = pl.date_range(first, last, "1d", eager=True)
        places, seconds = draw_times(generator, (days.dt.weekday().to_numpy() - 1).astype(np.int64), count)
        created.append(horizon.epochs(days.gather(places), seconds))
    instants = np.concatenate(created)
    count = instants.size
    share = generator.random(count)
    trade = options.trade
    net = {"mixed": trade.net_share, "net_per_payment": 1.0}.get(options.posting_style, 0.0)
    summary = trade.summary_share if options.posting_style == "mixed" else float(options.posting_style.endswith("_summary"))
    posting = np.where(share < net, "net", np.where(share < net + summary, "summary", "gross"))
    amounts, customers, euro = draw_amounts(generator, trade, count), generator.random(count), generator.random(count)
    orders = pl.DataFrame({"created": instants, "amount_minor": amounts, "posting": posting, "customer_draw": customers, "euro_draw": euro})
    return _with_equal_purchases(options, orders.with_columns(story=pl.lit("")))


def _with_equal_purchases(options: SimulationOptions, orders: pl.DataFrame) -> pl.DataFrame:
    generator = stream(options.seed, "equal purchases")
    again = generator.random(orders.height) < options.dirt.equal_purchase
    later = generator.integers(90, 3 * 3600, orders.height)
    return pl.concat([orders, orders.with_columns(created=pl.col("created") + later).filter(again)])


def _story_orders(options: SimulationOptions, horizon: Horizon) -> pl.DataFrame:
    generator = stream(options.seed, "story customers")
    orders = stories.story_orders(options, horizon)
    euro = pl.when(pl.col("story") == stories.EUR_CHARGE).then(-1.0).otherwise(2.0)
    large = pl.when(pl.col("story") == stories.PAYOUT_NEGATIVE).then(stories.negative_payout_amount(options)).otherwise("amount_minor")
    orders = orders.with_columns(customer_draw=pl.Series(generator.random(orders.height)), euro_draw=euro, amount_minor=large.cast(pl.Int64))
    return orders.select("created", "amount_minor", "posting", "customer_draw", "euro_draw", "story")


def _invoices(options: SimulationOptions, count: int) -> pl.Series:
    """Number invoices in order of sale, with gaps for invoices paid another way."""
    generator = stream(options.seed, "invoices")
    first = int(generator.integers(10_000, 400_000))
    return "INV-" + pl.Series((first + generator.integers(1, 4, count).cumsum()).astype(np.int64)).cast(pl.String)


def _second_charges(options: SimulationOptions, horizon: Horizon, orders: pl.DataFrame) -> pl.DataFrame:
    generator = stream(options.seed, "double charges")
    drawn, later = generator.random(orders.height) < options.dirt.double_charge, generator.integers(15, 4 * 3600, orders.height)
    in_months = (pl.col("created") >= horizon.start) & (pl.col("created") < horizon.now - 5 * 3600)
    twice = (pl.Series(drawn) & (orders["story"] == "")) | (orders["story"] == stories.DOUBLE_CHARGE)
    later_orders = orders.with_columns(created=pl.col("created") + later, is_second=pl.lit(True), twice=twice)
    return later_orders.filter(pl.col("twice") & in_months).drop("twice")


def _with_customers(options: SimulationOptions, charges: pl.DataFrame) -> pl.DataFrame:
    generator = stream(options.seed, "customers")
    count = max(CUSTOMERS_MIN, round(options.payments * options.trade.customers_per_payment))
    draw, place = generator.random(count), generator.random(count)
    trade, home = options.trade, HOME.get(options.currency, "GB")
    eu, other = draw < trade.eu_card_share, draw > 1 - trade.other_card_share
    eu[0] = True
    abroad = tuple(code for code in EURO_AREA if code != home), tuple(code for code in ELSEWHERE if code != home)
    countries = [abroad[0][int(place[i] * len(abroad[0]))] if eu[i] else abroad[1][int(place[i] * len(abroad[1]))] if other[i] else home for i in range(count)]
    origin = np.where(eu, "eu", np.where(other, "other", "domestic"))
    ids = make_ids(generator, "cus_", count)
    customers = pl.DataFrame({"customer_id": ids, "customer": make_names(generator, count), "card_country": countries, "origin": origin}).with_row_index(
        "place"
    )
    places = (charges["customer_draw"].to_numpy() ** 1.6 * count).astype(np.uint32)
    europeans = np.flatnonzero(eu)
    forced = europeans[(charges["customer_draw"].to_numpy() * europeans.size).astype(np.int64)]
    places = np.where(charges["euro_draw"].to_numpy() < 0, forced, places).astype(np.uint32)
    return charges.with_columns(place=pl.Series(places)).join(customers, on="place", how="left", maintain_order="left").drop("place", "customer_draw")


def _settle(options: SimulationOptions, charges: pl.DataFrame) -> pl.DataFrame:
    """Give each charge its presentment and settlement amounts and its fee."""
    trade = options.trade
    euro_among_eu = min(trade.eur_share / trade.eu_card_share, 1.0) if trade.eu_card_share else 0.0
    in_euro = (pl.col("euro_draw") < euro_among_eu) & (pl.col("origin") == "eu") & pl.lit(options.currency != "EUR")
    charges = charges.with_columns(
        presentment_currency=pl.when(in_euro).then(pl.lit("EUR")).otherwise(pl.lit(options.currency)), presentment_minor=pl.col("amount_minor")
    )
    charges = charges.with_columns(rate=stripe_rates(charges["local_on"], charges["presentment_currency"], options.currency))
    amount = half_up(charges["presentment_minor"].to_numpy() * charges["rate"].fill_null(1.0).to_numpy())
    points = charges["origin"].replace_strict(FEE_BASIS_POINTS, return_dtype=pl.Int64).to_numpy()
    fee = (amount * points + 5_000) // 10_000 + FEE_FIXED_MINOR
    channel = pl.when(pl.col("posting") == "net").then(pl.lit("marketplace")).otherwise(pl.lit("web"))
    return charges.with_columns(amount_minor=pl.Series(amount), fee_minor=pl.Series(fee), channel=channel).drop("euro_draw")


def stripe_rates(days: pl.Series, currencies: pl.Series, settlement: str) -> pl.Series:
    """Return Stripe's conversion rate of each day, null where nothing is converted: the ECB rate less the margin."""
    pairs = pl.DataFrame({"day": days, "currency": currencies}).unique().filter(pl.col("currency") != settlement).sort("day", "currency")
    known = {(day, currency): round(ecb_rate(currency, settlement, day) * (1 - CONVERSION_MARGIN), 5) for day, currency in pairs.iter_rows()}
    frame = pl.DataFrame(
        {"day": [day for day, _ in known], "currency": [code for _, code in known], "rate": list(known.values())},
        schema={"day": pl.Date, "currency": pl.String, "rate": pl.Float64},
    )
    return pl.DataFrame({"day": days, "currency": currencies}).join(frame, on=["day", "currency"], how="left", maintain_order="left")["rate"]


def ecb_rate(source: str, target: str, day: date) -> float:
    """Return the ECB rate of a day; a day beyond the known history takes a plain 0.86, which both recorders then share."""
    known = Rates().rate(source, target, day)
    return FALLBACK_RATE if known is None else known
