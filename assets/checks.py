"""Suites -> asset checks: for each table one that stops a run and one that only warns. Counts only, never a value."""

import dagster as dg

from expectations.registry import suite_of
from expectations.runner import SuiteResult, evaluate
from reconciliation.close.summaries import Frame

MUST_HOLD = "must_hold"
USUALLY_HOLDS = "usually_holds"
IS_BLOCKING = {MUST_HOLD: True, USUALLY_HOLDS: False}


def check_specs(table: str) -> list[dg.AssetCheckSpec]:
    """Declare the checks of a table, as far as it has rules for them.

    A broken rule of `must_hold` (money that does not add up, one id twice, no currency) would poison the books and stops
    what comes after; a broken rule of `usually_holds` is shown.
    """
    named = {name: [rule.name for rule in suite_of(table).rules if rule.is_blocking == is_blocking] for name, is_blocking in IS_BLOCKING.items()}
    return [
        dg.AssetCheckSpec(name, asset=table, blocking=IS_BLOCKING[name], description=", ".join(rules).replace("_", " "))
        for name, rules in named.items()
        if rules
    ]


def check_table(table: str, frame: Frame) -> list[dg.AssetCheckResult]:
    """Evaluate a table's suite.

    Raises:
        DefectError: a rule could not be evaluated.
    """
    outcome = evaluate(suite_of(table), frame)
    return [_result(table, str(spec.name), outcome) for spec in check_specs(table)]


def _result(table: str, name: str, outcome: SuiteResult) -> dg.AssetCheckResult:
    is_blocking = IS_BLOCKING[name]
    failed = outcome.failed(is_blocking=is_blocking)
    rows = [result for result in outcome.results if result.rule.is_blocking == is_blocking]
    broken = "; ".join(f"{result.rule.name}: {result.unexpected_count} of {result.row_count} rows" for result in failed)
    return dg.AssetCheckResult(
        asset_key=table,
        check_name=name,
        passed=not failed,
        severity=dg.AssetCheckSeverity.ERROR if is_blocking else dg.AssetCheckSeverity.WARN,
        description=broken or None,
        metadata={
            "rules": dg.MetadataValue.table([
                dg.TableRecord({"rule": row.rule.name.replace("_", " "), "holds": "yes" if row.success else "NO", "rows against": row.unexpected_count, "rows": row.row_count})
                for row in sorted(rows, key=lambda result: result.success)
            ])
        },
    )  # fmt: skip
