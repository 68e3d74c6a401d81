from datetime import date

import pytest

from reconciliation.connectors.tabular.stated import stated_span

OCTOBER = (date(2026, 10, 1), date(2026, 10, 31))


@pytest.mark.parametrize(
    "line",
    [
        "October 1-31, 2026", "October 1 - October 31, 2026", "1 October 2026 to 31 October 2026", "For the period 1 October 2026 to 31 October 2026",
        "01.10.2026 - 31.10.2026", "01/10/2026 to 31/10/2026", "10/01/2026 - 10/31/2026", "2026-10-01 to 2026-10-31", "For the month ended 31 October 2026",
        "1. Oktober 2026 bis 31. Oktober 2026", "Du 1 octobre 2026 au 31 octobre 2026",
    ],
)  # fmt: skip
def test_a_line_above_the_header_states_its_days(line):
    assert stated_span([["Example Ltd"], [line, ""]]) == OCTOBER


@pytest.mark.parametrize(
    "line", ["As of October 31, 2026", "01/10/2026 to 05/10/2026", "31 October 2026 to 1 October 2026", "Page 1 of 2", "99/99/2026 - 99/99/2026"]
)
def test_a_line_with_one_day_or_with_days_that_can_be_read_in_two_ways_states_nothing(line):
    assert stated_span([[line]]) is None


def test_lines_that_contradict_each_other_state_nothing():
    assert stated_span([["October 1-31, 2026"], ["2026-09-01 to 2026-09-30"]]) is None
    assert stated_span([["January-December, 2025"]]) == (date(2025, 1, 1), date(2025, 12, 31))
