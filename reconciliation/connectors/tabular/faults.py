"""Faults of a file, found one by one -> one refusal that names them together."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import polars as pl

from reconciliation.errors import FileRefusedError
from reconciliation.personal import mask_cell

FAULTS_SHOWN_MAX = 20
CELL_SHOWN_MAX = 40


@dataclass(frozen=True, order=True)
class Fault:
    """What is wrong in one place: observed, expected, next step."""

    row: int
    column: str
    message: str


@dataclass
class Faults:
    """Collects the faults of one file; the first in the file gives the refusal its place."""

    file: str
    found: set[Fault] = field(default_factory=set)

    def add(self, *, row: int, column: str, message: str) -> None:
        """Note a fault."""
        self.found.add(Fault(row, column, message))

    def add_rows(self, rows: pl.DataFrame, *, column: str, message: str, cell: str | None = None) -> None:
        """Note one fault for each row of a frame.

        Args:
            rows: has `row`.
            column: the column name a person sees.
            message: `{cell}` in it is replaced by the cell.
            cell: name of the frame's column that holds the cell.
        """
        for record in rows.head(FAULTS_SHOWN_MAX + 1).iter_rows(named=True):
            shown = show_cell(record[cell]) if cell else ""
            self.add(row=record["row"], column=column, message=message.replace("{cell}", shown))

    def extend(self, faults: Iterable[Fault]) -> None:
        """Note several faults."""
        self.found.update(faults)

    def raise_any(self) -> None:
        """Refuse the file if a fault was noted.

        Raises:
            FileRefusedError: at the first fault, with the others behind it.
        """
        if not self.found:
            return
        first, *others = sorted(self.found)
        message = first.message
        for fault in others[: FAULTS_SHOWN_MAX - 1]:
            message += f"\n{self.file}:{fault.row}" + (f" [{fault.column}]" if fault.column else "") + f": {fault.message}"
        if len(others) >= FAULTS_SHOWN_MAX:
            message += "\nand more of these"
        raise FileRefusedError(file=self.file, row=first.row, column=first.column or None, message=message)


def show_cell(text: str | None) -> str:
    """Quote a cell for a message, shortened, with what does not print escaped and what may be personal masked.

    >>> show_cell("1.5e3")
    "'1.5e3'"
    """
    shown = mask_cell(text or "")
    return repr(shown if len(shown) <= CELL_SHOWN_MAX else shown[:CELL_SHOWN_MAX] + "…")
