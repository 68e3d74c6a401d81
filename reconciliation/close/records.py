"""What people decided and signed -> the rows of `decisions.csv` and `signoffs.csv`, and what the manifest says of them.

`decisions.csv` holds every entry of the log as it is stored, so that the auditor's script can follow the chain with nothing but SHA-256.
"""

from dataclasses import dataclass, field
from typing import Any

import polars as pl

DECISIONS = ["number", "at", "by", "kind", "period", "reason", "sha256", "previous", "entry"]
SIGNOFFS = ["period", "role", "by", "at", "package_sha256", "entry_number", "entry_sha256"]


def no_rows(columns: list[str]) -> pl.DataFrame:
    """Return a table of text without a row."""
    return pl.DataFrame(schema=dict.fromkeys(columns, pl.String))


@dataclass(frozen=True)
class Records:
    """What a package records of people.

    Attributes:
        decisions: the entries of the log (`DECISIONS`), all text.
        signoffs: certifications of this month (`SIGNOFFS`), all text.
        manifest: what the manifest says beside the figures: the head of the log, the package this month was carried from.
    """

    decisions: pl.DataFrame = field(default_factory=lambda: no_rows(DECISIONS))
    signoffs: pl.DataFrame = field(default_factory=lambda: no_rows(SIGNOFFS))
    manifest: dict[str, Any] = field(default_factory=dict)
