"""Rules that several suites share: a column or two -> a named rule."""

from collections.abc import Sequence

from expectations.suite import Rule
from reconciliation.money import AMOUNT_MINOR_MAX


def ids_are_unique(*columns: str) -> Rule:
    """State that no two rows carry the same identity; a row counted twice would be money counted twice."""
    if len(columns) == 1:
        return Rule(f"{columns[0]}_is_unique", "ExpectColumnValuesToBeUnique", {"column": columns[0]}, is_blocking=True)
    return Rule(f"{'_and_'.join(columns)}_are_unique", "ExpectCompoundColumnsToBeUnique", {"column_list": columns}, is_blocking=True)


def currency_is_a_code(column: str = "currency") -> Rule:
    """State that every row has a three-letter upper-case currency, since nothing is ever summed across currencies."""
    return Rule(f"{column}_is_a_code", "ExpectColumnValuesToMatchRegex", {"column": column, "regex": "^[A-Z]{3}$"}, is_blocking=True)


def is_present(column: str) -> Rule:
    """State that a column is never empty, where an empty one could not be dated, named or counted."""
    return Rule(f"{column}_is_present", "ExpectColumnValuesToNotBeNull", {"column": column}, is_blocking=True)


def amount_is_plausible(column: str = "amount_minor") -> Rule:
    """State that no amount is beyond what a row may carry without endangering a 64-bit sum."""
    return Rule(
        f"{column}_is_plausible",
        "ExpectColumnValuesToBeBetween",
        {"column": column, "min_value": -AMOUNT_MINOR_MAX, "max_value": AMOUNT_MINOR_MAX},
        is_blocking=True,
    )


def is_zero(column: str) -> Rule:
    """State that a derived difference is zero in every row; named after the fact, without the trailing `_difference_minor`."""
    return Rule(column.removesuffix("_difference_minor"), "ExpectColumnValuesToBeInSet", {"column": column, "value_set": (0,)}, is_blocking=True)


def is_known(column: str, values: Sequence[str]) -> Rule:
    """State that an open set shows no value we have not met: worth a look, never a reason to stop."""
    return Rule(f"{column}_is_known", "ExpectColumnValuesToBeInSet", {"column": column, "value_set": tuple(values)})


def is_one_of(column: str, values: Sequence[str]) -> Rule:
    """State that a closed set holds."""
    return Rule(f"{column}_is_one_of_its_values", "ExpectColumnValuesToBeInSet", {"column": column, "value_set": tuple(values)}, is_blocking=True)


def is_mostly_filled(column: str, *, share_min: float) -> Rule:
    """State that a text column is filled in most rows; the share is what real exports show, with room."""
    return Rule(f"{column}_is_mostly_filled", "ExpectColumnValuesToMatchRegex", {"column": column, "regex": r"\S", "mostly": share_min})


def is_mostly_not_zero(column: str, *, share_min: float) -> Rule:
    """State that zero amounts are rare; many of them mean that a wrong column was read."""
    return Rule(f"{column}_is_mostly_not_zero", "ExpectColumnValuesToNotBeInSet", {"column": column, "value_set": (0,), "mostly": share_min})


def is_not_negative(column: str, *, is_blocking: bool) -> Rule:
    """State that a number is zero or above."""
    return Rule(f"{column}_is_not_negative", "ExpectColumnValuesToBeBetween", {"column": column, "min_value": 0}, is_blocking=is_blocking)


def is_mostly_not_negative(column: str, *, share_min: float) -> Rule:
    """State that a number is zero or above in most rows."""
    return Rule(f"{column}_is_mostly_not_negative", "ExpectColumnValuesToBeBetween", {"column": column, "min_value": 0, "mostly": share_min})


def has_rows() -> Rule:
    """State that there is at least one row; an empty batch is allowed but seldom meant."""
    return Rule("has_rows", "ExpectTableRowCountToBeBetween", {"min_value": 1})
