"""The form of a suite: facts about a table, each stated as a rule -> what the runner evaluates.

Suites are data, so that reading one needs no Great Expectations; the runner alone imports it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

Argument = str | int | float | bool | Sequence[str] | Sequence[int]


@dataclass(frozen=True)
class Rule:
    """One fact that a batch should show.

    Attributes:
        name: the fact it states; it is the message.
        expectation: name of the Great Expectations class, such as `ExpectColumnValuesToBeInSet`.
        arguments: what that class takes.
        is_blocking: whether a batch that breaks it would poison the books. Open sets and habits never block.
    """

    name: str
    expectation: str
    arguments: Mapping[str, Argument]
    is_blocking: bool = False


def _unchanged(frame: pl.DataFrame) -> pl.DataFrame:
    return frame


@dataclass(frozen=True)
class Suite:
    """The rules of one table.

    Attributes:
        table: the table's name; asset, schema class and suite share it.
        rules: the facts.
        derive: adds the columns that a rule compares (a difference that must be zero); default: none.
    """

    table: str
    rules: tuple[Rule, ...]
    derive: Callable[[pl.DataFrame], pl.DataFrame] = field(default=_unchanged)

    def __post_init__(self) -> None:
        names = [rule.name for rule in self.rules]
        if len(set(names)) != len(names):
            raise ValueError(f"suite {self.table}: two rules have one name")
