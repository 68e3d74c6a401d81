"""Suites -> asset checks: two for each table, one that stops a run and one that only warns. Counts only, never a value."""

import dagster as dg

from expectations.registry import suite_of
from expectations.runner import RuleResult, SuiteResult, evaluate
from reconciliation.close.summaries import Frame

MUST_HOLD = "must_hold"
USUALLY_HOLDS = "usually_holds"


def check_specs(table: str) -> list[dg.AssetCheckSpec]:
    """Declare the two checks of a table.

    A broken rule of `must_hold` (money that does not add up, one id twice, no currency) would poison the books and stops
    what comes after; a broken rule of `usually_holds` is shown.
    """
    rules = suite_of(table).rules
    blocking, other = (", ".join(rule.name for rule in rules if rule.is_blocking is is_blocking) for is_blocking in (True, False))
    return [
        dg.AssetCheckSpec(MUST_HOLD, asset=table, blocking=True, description=blocking),
        dg.AssetCheckSpec(USUALLY_HOLDS, asset=table, description=other),
    ]


def check_table(table: str, frame: Frame) -> list[dg.AssetCheckResult]:
    """Evaluate a table's suite.

    Raises:
        DefectError: a rule could not be evaluated.
    """
    outcome = evaluate(suite_of(table), frame)
    return [
        _result(table, MUST_HOLD, outcome, outcome.failed(is_blocking=True), dg.AssetCheckSeverity.ERROR),
        _result(table, USUALLY_HOLDS, outcome, outcome.failed(is_blocking=False), dg.AssetCheckSeverity.WARN),
    ]


def _result(table: str, name: str, outcome: SuiteResult, failed: tuple[RuleResult, ...], severity: dg.AssetCheckSeverity) -> dg.AssetCheckResult:
    is_blocking = name == MUST_HOLD
    rows = [result for result in outcome.results if result.rule.is_blocking == is_blocking]
    broken = "; ".join(f"{result.rule.name}: {result.unexpected_count} of {result.row_count} rows" for result in failed)
    return dg.AssetCheckResult(
        asset_key=table,
        check_name=name,
        passed=not failed,
        severity=severity,
        description=broken or None,
        metadata={
            "rules": dg.MetadataValue.table([
                dg.TableRecord({"rule": row.rule.name, "holds": row.success, "rows_against": row.unexpected_count, "rows": row.row_count}) for row in rows
            ])
        },
    )  # fmt: skip
