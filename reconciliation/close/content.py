"""What a package shows to people: the tables its CSVs are written from, and its signed manifest."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

INCOMPLETE_NOTICE = "STRIPE'S DATA IS NOT COMPLETE (accepted)"
"""What every page says for people where a failed proof was accepted; the CSV files have a column of their own for it."""


@dataclass(frozen=True)
class Content:
    """What workbook and report are made from.

    Attributes:
        tables: file name -> its rows, money in minor units.
        money: file name -> money column -> column of its currency.
        manifest: the signed manifest.
    """

    tables: Mapping[str, pl.DataFrame]
    money: Mapping[str, Mapping[str, str]]
    manifest: Mapping[str, Any]

    @property
    def notice(self) -> str:
        """What every page has to say in its head, or ""."""
        return INCOMPLETE_NOTICE if self.manifest.get("accepted_incomplete") else ""

    def table(self, name: str) -> pl.DataFrame:
        """Return a table."""
        return self.tables[name]
