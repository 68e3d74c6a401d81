"""The door to Great Expectations: suite + Polars frame -> how many rows break each rule. Counts only, never a value.

Great Expectations reports an expectation that it could not evaluate as an ordinary failure; here that is an error of ours.
Its import takes seconds and is done at the first evaluation, in a second process where there is one. It has no Polars engine, and Polars needs pyarrow for
`to_pandas`, so that columns cross over one by one, and only those a rule names.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from threading import RLock
from typing import TYPE_CHECKING

import polars as pl

from expectations.suite import Argument, Rule, Suite
from reconciliation.beside import beside
from reconciliation.errors import DefectError

if TYPE_CHECKING:
    import pandas as pd
    from great_expectations.core.batch_definition import BatchDefinition
    from great_expectations.core.expectation_suite import ExpectationSuite
    from great_expectations.core.expectation_validation_result import ExpectationValidationResult

COUNTS_ONLY = {"result_format": "BASIC", "partial_unexpected_count": 0}


@dataclass(frozen=True)
class RuleResult:
    """How a batch stood up to one rule. `unexpected_count` is 1 for a broken rule about the table as a whole."""

    rule: Rule
    success: bool
    unexpected_count: int
    row_count: int


@dataclass(frozen=True)
class SuiteResult:
    """How a batch stood up to a suite."""

    table: str
    results: tuple[RuleResult, ...]

    @property
    def success(self) -> bool:
        """Whether every rule held."""
        return all(result.success for result in self.results)

    def failed(self, *, is_blocking: bool) -> tuple[RuleResult, ...]:
        """Return the broken rules of one severity."""
        return tuple(result for result in self.results if not result.success and result.rule.is_blocking == is_blocking)


def evaluate(suite: Suite, frame: pl.DataFrame) -> SuiteResult:
    """Evaluate a suite on a batch.

    Args:
        suite: the rules of the table.
        frame: the table's columns; more are ignored.

    Raises:
        DefectError: a rule could not be evaluated, because a column is missing or the library failed.
    """
    derived = suite.derive(frame)
    columns = sorted({column for rule in suite.rules for column in _columns(rule)})
    missing = [column for column in columns if column not in derived.columns]
    if missing:
        raise DefectError(f"suite {suite.table}: the batch has no column {', '.join(missing)}; it has {', '.join(derived.columns)}")
    verdicts = beside(_validate, suite.table, suite.rules, derived.select(columns))()
    return SuiteResult(suite.table, tuple(_read(suite, rule, verdict, row_count=frame.height) for rule, verdict in zip(suite.rules, verdicts, strict=True)))


def load_library() -> None:
    """Import the library and make its context, which takes seconds; every evaluation after it is quick."""
    from tqdm import tqdm

    # The library's progress bars are off, and would still lock between processes; a process that is ended while it holds such a lock leaves a warning behind.
    tqdm.set_lock(RLock())
    _batch_definition()


def _validate(table: str, rules: Sequence[Rule], frame: pl.DataFrame) -> list[tuple[bool, int] | None]:
    """Return for each rule whether it held and the rows against it; None where it could not be evaluated."""
    with warnings.catch_warnings():
        # The library warns about its own use of pandas while it validates; none of it concerns the batch.
        warnings.simplefilter("ignore")
        batch = _batch_definition().get_batch({"dataframe": _to_pandas(frame)})
        outcome = batch.validate(_translated(table, rules), result_format=COUNTS_ONLY)
    # The library sorts its results, so that they are found by the name given to each.
    by_name = {str((result.expectation_config.meta or {})["rule"]): result for result in outcome.results if result.expectation_config}
    return [_verdict(by_name[rule.name]) for rule in rules]


def _verdict(outcome: "ExpectationValidationResult") -> tuple[bool, int] | None:
    raised = outcome.exception_info or {}
    # One mapping where the expectation itself failed, one mapping per metric where a metric did.
    if raised.get("raised_exception", bool(raised)):
        return None
    return bool(outcome.success), int(outcome.result.get("unexpected_count", 0 if outcome.success else 1))


def _read(suite: Suite, rule: Rule, verdict: tuple[bool, int] | None, *, row_count: int) -> RuleResult:
    if verdict is None:
        raise DefectError(
            f"suite {suite.table}: rule {rule.name} could not be evaluated on {row_count} rows ({rule.expectation}); the batch was neither passed nor refused"
        )
    return RuleResult(rule, *verdict, row_count)


def _columns(rule: Rule) -> tuple[str, ...]:
    named = rule.arguments.get("column") or rule.arguments.get("column_list") or ()
    return (named,) if isinstance(named, str) else tuple(str(column) for column in named)  # type: ignore[union-attr]


@cache
def _batch_definition() -> "BatchDefinition[None]":
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
    return context.data_sources.add_pandas("frames").add_dataframe_asset("batch").add_batch_definition_whole_dataframe("whole")


def _translated(table: str, rules: Sequence[Rule]) -> "ExpectationSuite":
    import great_expectations.expectations as classes
    from great_expectations.core.expectation_suite import ExpectationSuite

    translated = ExpectationSuite(table)
    for rule in rules:
        translated.add_expectation(getattr(classes, rule.expectation)(**_lists(rule.arguments), meta={"rule": rule.name}))
    return translated


def _lists(arguments: Mapping[str, Argument]) -> dict[str, object]:
    # Some expectations cannot be evaluated when they are given a tuple.
    return {name: list(value) if isinstance(value, tuple) else value for name, value in arguments.items()}


def _to_pandas(frame: pl.DataFrame) -> "pd.DataFrame":
    import pandas as pd

    return pd.DataFrame({name: _to_series(frame[name]) for name in frame.columns}, index=pd.RangeIndex(frame.height))


def _to_series(column: pl.Series) -> "pd.Series":
    import pandas as pd

    if column.dtype.is_integer():
        # With a mask, not by way of floats: a float loses minor units above 2**53.
        return pd.Series(pd.arrays.IntegerArray(column.fill_null(0).cast(pl.Int64).to_numpy(writable=True), column.is_null().to_numpy(writable=True)))
    if isinstance(column.dtype, pl.Date | pl.Datetime):
        return pd.Series(column.cast(pl.Datetime("us")).to_numpy())
    if column.dtype.is_float() or column.dtype == pl.Boolean:
        return pd.Series(column.to_numpy())
    return pd.Series(column.cast(pl.String).to_numpy(), dtype="str")
