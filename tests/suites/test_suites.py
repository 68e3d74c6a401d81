"""Each suite accepts one frame of real shape, and each of its rules refuses a frame made to break it."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from expectations.registry import SUITES, suite_of
from expectations.runner import evaluate
from expectations.suite import Rule, Suite
from reconciliation.errors import DefectError

CREATED = datetime(2026, 10, 1, 12, tzinfo=UTC)
ROWS = 10


def repeated(**columns: object) -> pl.DataFrame:
    """Return ten rows with the same values; a list gives a value to each row."""
    return pl.DataFrame({name: value if isinstance(value, list) else [value] * ROWS for name, value in columns.items()})


def numbered(prefix: str) -> list[str]:
    return [f"{prefix}{row}" for row in range(ROWS)]


PASSING: dict[str, Callable[[], pl.DataFrame]] = {
    "balance_transactions": lambda: repeated(
        stripe_account="self",
        balance_transaction_id=numbered("txn_"),
        amount_minor=1000,
        fee_minor=34,
        fee_details_minor=34,
        net_minor=966,
        currency="GBP",
        created_at=CREATED,
        available_at=CREATED + timedelta(days=2),
        reporting_category="charge",
        balance_type="payments",
        status="available",
        source_id=numbered("ch_"),
    ),
    "payouts": lambda: repeated(
        stripe_account="self",
        payout_id=numbered("po_"),
        amount_minor=1000,
        currency="GBP",
        created_at=CREATED,
        arrival_on=date(2026, 10, 3),
        status="paid",
        method="standard",
        reconciliation_status="completed",
        balance_transaction_id=numbered("txn_"),
    ),
    "ledger_lines": lambda: repeated(
        item_id=numbered("gl_"), currency="GBP", amount_minor=-5, posting_on=date(2026, 10, 1), month="2026-10", document="J1", memo="Stripe fees"
    ),
    "bank_lines": lambda: repeated(
        item_id=numbered("bk_"),
        currency="GBP",
        amount_minor=5,
        booked_on=date(2026, 10, 1),
        value_on=[None, *[date(2026, 10, 1)] * (ROWS - 1)],
        bank_account="GB00 0001",
        description="STRIPE PAYOUT",
    ),
    "items": lambda: repeated(
        leg="books",
        item_id=numbered("txn_"),
        side="stripe",
        population="new",
        currency="GBP",
        amount_minor=10**15,
        date=date(2026, 10, 1),
        component="gross",
    ),
    "statement": lambda: repeated(currency="GBP", line=["closing", *["timing"] * (ROWS - 3), "unexplained", "total"], difference=[5] * (ROWS - 2) + [0, None]),
    "breaks": lambda: repeated(
        break_id=numbered("br_"),
        leg="books",
        currency="GBP",
        amount_minor=-500,
        counter_amount_minor=pl.Series([None] * (ROWS - 1) + [-400], dtype=pl.Int64).to_list(),
        money_at_risk_minor=250,
        probability_true_exception=0.5,
        kind="missing_in_ledger",
        cause="missing_posting",
        nature="correction",
        disposition="needs_review",
        age_days=3,
    ),
}

BREAKING: dict[str, pl.Expr | int] = {
    "balance_transactions.stripe_account_and_balance_transaction_id_are_unique": pl.lit("txn_1").alias("balance_transaction_id"),
    "balance_transactions.net_is_amount_minus_fee": pl.lit(967).alias("net_minor"),
    "balance_transactions.fee_is_sum_of_fee_details": pl.lit(33).alias("fee_details_minor"),
    "balance_transactions.currency_is_a_code": pl.lit("gbp").alias("currency"),
    "balance_transactions.amount_minor_is_plausible": pl.lit(2 * 10**15).alias("amount_minor"),
    "balance_transactions.created_at_is_present": pl.lit(None, pl.Datetime("us", "UTC")).alias("created_at"),
    "balance_transactions.has_rows": 0,
    "balance_transactions.reporting_category_is_known": pl.lit("charg").alias("reporting_category"),
    "balance_transactions.balance_type_is_known": pl.lit("gold").alias("balance_type"),
    "balance_transactions.status_is_known": pl.lit("lost").alias("status"),
    "balance_transactions.source_id_is_mostly_filled": pl.lit(None, pl.String).alias("source_id"),
    "balance_transactions.amount_minor_is_mostly_not_zero": pl.lit(0).alias("amount_minor"),
    "balance_transactions.days_to_available_is_not_negative": pl.lit(CREATED - timedelta(days=3)).alias("available_at"),
    "payouts.stripe_account_and_payout_id_are_unique": pl.lit("po_1").alias("payout_id"),
    "payouts.currency_is_a_code": pl.lit("").alias("currency"),
    "payouts.amount_minor_is_plausible": pl.lit(-2 * 10**15).alias("amount_minor"),
    "payouts.created_at_is_present": pl.lit(None, pl.Datetime("us", "UTC")).alias("created_at"),
    "payouts.arrival_on_is_present": pl.lit(None, pl.Date).alias("arrival_on"),
    "payouts.status_is_known": pl.lit("lost").alias("status"),
    "payouts.method_is_known": pl.lit("carrier pigeon").alias("method"),
    "payouts.reconciliation_status_is_known": pl.lit("maybe").alias("reconciliation_status"),
    "payouts.amount_minor_is_mostly_not_negative": pl.lit(-1).alias("amount_minor"),
    "payouts.arrival_is_not_before_creation": pl.lit(date(2026, 9, 1)).alias("arrival_on"),
    "payouts.balance_transaction_id_is_mostly_filled": pl.lit("").alias("balance_transaction_id"),
    "ledger_lines.item_id_is_unique": pl.lit("gl_1").alias("item_id"),
    "ledger_lines.currency_is_a_code": pl.lit("£").alias("currency"),
    "ledger_lines.amount_minor_is_plausible": pl.lit(2 * 10**15).alias("amount_minor"),
    "ledger_lines.posting_on_is_present": pl.lit(None, pl.Date).alias("posting_on"),
    "ledger_lines.month_is_a_period": pl.lit("10/2026").alias("month"),
    "ledger_lines.has_rows": 0,
    "ledger_lines.amount_minor_is_mostly_not_zero": pl.lit(0).alias("amount_minor"),
    "ledger_lines.document_is_mostly_filled": pl.lit(" ").alias("document"),
    "ledger_lines.memo_is_mostly_filled": pl.lit("").alias("memo"),
    "ledger_lines.posting_date_is_near_its_month": pl.lit(date(2026, 1, 10)).alias("posting_on"),
    "bank_lines.item_id_is_unique": pl.lit("bk_1").alias("item_id"),
    "bank_lines.currency_is_a_code": pl.lit("EURO").alias("currency"),
    "bank_lines.amount_minor_is_plausible": pl.lit(2 * 10**15).alias("amount_minor"),
    "bank_lines.booked_on_is_present": pl.lit(None, pl.Date).alias("booked_on"),
    "bank_lines.amount_minor_is_mostly_not_zero": pl.lit(0).alias("amount_minor"),
    "bank_lines.bank_account_is_mostly_filled": pl.lit("").alias("bank_account"),
    "bank_lines.description_is_mostly_filled": pl.lit("").alias("description"),
    "bank_lines.value_date_is_near_booking": pl.lit(date(2026, 1, 10)).alias("value_on"),
    "items.leg_and_item_id_are_unique": pl.lit("txn_1").alias("item_id"),
    "items.leg_is_one_of_its_values": pl.lit("arm").alias("leg"),
    "items.side_is_one_of_its_values": pl.lit("inside").alias("side"),
    "items.population_is_one_of_its_values": pl.lit("old").alias("population"),
    "items.side_belongs_to_leg": pl.lit("bank").alias("side"),
    "items.currency_is_a_code": pl.lit("GB").alias("currency"),
    "items.amount_minor_is_plausible": pl.lit(2 * 10**15).alias("amount_minor"),
    "items.date_is_present": pl.lit(None, pl.Date).alias("date"),
    "items.has_rows": 0,
    "items.component_is_known": pl.lit("tip").alias("component"),
    "items.amount_minor_is_mostly_not_zero": pl.lit(0).alias("amount_minor"),
    "statement.has_rows": 0,
    "statement.nothing_is_unexplained": pl.lit(1).alias("difference"),
    "breaks.break_id_is_unique": pl.lit("br_1").alias("break_id"),
    "breaks.leg_is_one_of_its_values": pl.lit("arm").alias("leg"),
    "breaks.currency_is_a_code": pl.lit("gbp").alias("currency"),
    "breaks.amount_minor_is_plausible": pl.lit(2 * 10**15).alias("amount_minor"),
    "breaks.money_at_risk_minor_is_not_negative": pl.lit(-1).alias("money_at_risk_minor"),
    "breaks.money_at_risk_is_within_the_amount": pl.lit(501).alias("money_at_risk_minor"),
    "breaks.probability_is_between_zero_and_one": pl.lit(1.5).alias("probability_true_exception"),
    "breaks.kind_is_known": pl.lit("odd").alias("kind"),
    "breaks.cause_is_known": pl.lit("gremlins").alias("cause"),
    "breaks.nature_is_known": pl.lit("human").alias("nature"),
    "breaks.disposition_is_known": pl.lit("sunny").alias("disposition"),
    "breaks.age_days_is_not_negative": pl.lit(-1, pl.Int64).alias("age_days"),
}


@pytest.mark.parametrize("table", sorted(SUITES))
def test_a_batch_of_real_shape_passes_its_suite(table: str) -> None:
    outcome = evaluate(suite_of(table), PASSING[table]())
    assert [result.rule.name for result in outcome.results if not result.success] == []
    assert outcome.success


@pytest.mark.parametrize("name", [f"{suite.table}.{rule.name}" for suite in SUITES.values() for rule in suite.rules])
def test_every_rule_refuses_a_batch_made_to_break_it(name: str) -> None:
    table, _, rule_name = name.partition(".")
    change = BREAKING[name]
    frame = PASSING[table]()
    frame = frame.head(change) if isinstance(change, int) else frame.with_columns(change)
    by_name = {result.rule.name: result for result in evaluate(suite_of(table), frame).results}
    assert not by_name[rule_name].success
    assert by_name[rule_name].unexpected_count > 0
    assert by_name[rule_name].row_count == frame.height


@pytest.mark.parametrize("table", sorted(SUITES))
def test_an_empty_batch_breaks_no_rule_that_would_stop_a_run(table: str) -> None:
    assert evaluate(suite_of(table), PASSING[table]().clear()).failed(is_blocking=True) == ()


@pytest.mark.parametrize(("negative", "holds"), [(0, True), (1, True), (2, False)])
def test_a_tenth_of_the_payouts_may_be_negative_and_no_more(negative: int, holds: bool) -> None:
    frame = PASSING["payouts"]().with_columns(amount_minor=pl.Series([-1] * negative + [1] * (ROWS - negative)))
    assert evaluate(suite_of("payouts"), frame).success is holds


@pytest.mark.parametrize(("arrival_on", "holds"), [(date(2026, 9, 30), True), (date(2026, 9, 29), False)])
def test_an_instant_payout_may_seem_to_arrive_a_day_before_its_creation(arrival_on: date, holds: bool) -> None:
    assert evaluate(suite_of("payouts"), PASSING["payouts"]().with_columns(arrival_on=arrival_on)).success is holds


def test_open_sets_never_stop_a_run() -> None:
    assert [rule.name for suite in SUITES.values() for rule in suite.rules if rule.name.endswith("_is_known") and rule.is_blocking] == []


def test_a_difference_of_one_minor_unit_above_what_a_float_can_hold_is_seen() -> None:
    suite = Suite("wide", (Rule("is_this_one", "ExpectColumnValuesToBeInSet", {"column": "amount_minor", "value_set": (2**53 + 1,)}),))
    frame = pl.DataFrame({"amount_minor": [2**53 + 1, None]})
    assert evaluate(suite, frame).success
    assert not evaluate(suite, pl.DataFrame({"amount_minor": [2**53, None]})).success


def test_a_rule_that_could_not_be_evaluated_is_an_error_and_not_a_failed_batch() -> None:
    text_compared_with_a_number = Suite("broken", (Rule("is_small", "ExpectColumnValuesToBeBetween", {"column": "memo", "min_value": 1}),))
    with pytest.raises(DefectError, match="suite broken: rule is_small could not be evaluated on 1 rows"):
        evaluate(text_compared_with_a_number, pl.DataFrame({"memo": ["a"]}))


def test_a_missing_column_is_an_error_that_names_it() -> None:
    with pytest.raises(DefectError, match="no column currency"):
        evaluate(suite_of("payouts"), PASSING["payouts"]().drop("currency"))


def test_a_table_without_a_suite_is_refused_by_name() -> None:
    with pytest.raises(DefectError, match="no suite is named 'payuots'"):
        suite_of("payuots")
