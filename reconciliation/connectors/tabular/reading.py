"""What reading files comes to, whatever their kind."""

from dataclasses import dataclass

import polars as pl


@dataclass(frozen=True)
class FileReading:
    """Rows of files, each in exactly one place.

    Attributes:
        lines: rows that are reconciled.
        set_aside: rows that are not (`SetAsideRow`), each with its rule. `superseded`: the same row stands in a newer file; `retired`: the
            newer file that covers its date no longer has it.
        files: one row a file (`SourceFile`); rows in = used + set aside + retired, where superseded rows count as retired.
    """

    lines: pl.DataFrame
    set_aside: pl.DataFrame
    files: pl.DataFrame
