"""Table name -> suite. A table without a suite is refused, so that a typing error checks nothing unnoticed."""

from expectations import balance_transactions, bank_lines, breaks, items, ledger_lines, payouts, statement
from expectations.suite import Suite
from reconciliation.errors import DefectError

SUITES: dict[str, Suite] = {module.SUITE.table: module.SUITE for module in (balance_transactions, payouts, ledger_lines, bank_lines, items, breaks, statement)}


def suite_of(table: str) -> Suite:
    """Return the suite of a table.

    Raises:
        DefectError: no suite has this name.
    """
    if table not in SUITES:
        raise DefectError(f"no suite is named {table!r}; there are {', '.join(sorted(SUITES))}")
    return SUITES[table]
