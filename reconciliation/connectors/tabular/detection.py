"""Records + profiles -> the header row, the delimiter, which column carries which field, and how sure that is."""

import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from reconciliation.connectors.tabular.cells import Grid
from reconciliation.connectors.tabular.dates import Span, parse_day
from reconciliation.connectors.tabular.profiles import AMOUNT_FIELDS, Profile, header_key
from reconciliation.errors import FileRefusedError

HEADER_ROWS_MAX = 60
"""A header is looked for in the first rows only; report titles and filters above it take a dozen at most."""

CONFIDENCE_MIN = 0.4


@dataclass(frozen=True)
class Layout:
    """Where a table stands in a file, and what its columns are.

    Attributes:
        profile: the layout's declaration.
        delimiter: what separates cells.
        header_row: 1-based row of the header.
        headers: all header texts, in order.
        fields: field -> 0-based column.
        confidence: 0 to 1; 1 where every telling column of the profile is there and no column is unknown.
        evidence: what was recognized, in words.
        preamble: the records above the header.
    """

    profile: Profile
    delimiter: str
    header_row: int
    headers: tuple[str, ...]
    fields: dict[str, int]
    confidence: float
    evidence: str
    preamble: tuple[tuple[str, ...], ...]

    @property
    def constants(self) -> dict[str, str]:
        """What stands for fields that the file has no column for: the preamble's word, then the profile's."""
        where = self.profile.preamble
        stated = self._stated(where.currency) if where and where.currency else ""
        constants: dict[str, str] = {str(field): value for field, value in self.profile.constants.items()}
        return constants | ({"currency": stated} if stated else {})

    @property
    def span(self) -> Span | None:
        """The first and last day that a line above the header states, where the profile says where."""
        where = self.profile.preamble
        days = [parse_day(self._stated(column)) for column in (where.first_day, where.last_day)] if where else []
        return (days[0], days[1]) if len(days) == 2 and days[0] and days[1] and days[0] <= days[1] else None

    def _stated(self, column: int) -> str:
        where = self.profile.preamble
        line = next((line for line in self.preamble if where and line and line[0] == where.starts_with), ())
        return line[column - 1] if column <= len(line) else ""

    def header(self, field: str) -> str:
        """Return the header text of a field, or the field's name where the file has no such column."""
        return self.headers[self.fields[field]] if field in self.fields else field


def detect_layout(grid: Grid, profiles: Sequence[Profile]) -> Layout:
    """Find the header and the profile that fits best.

    Raises:
        FileRefusedError: no profile's required columns are there; the nearest header names are given. A column that is used appears twice.
    """
    best: Layout | None = None
    for layout in _layouts(grid, profiles):
        if best is None or (layout.confidence, -layout.header_row, len(layout.fields)) > (best.confidence, -best.header_row, len(best.fields)):
            best = layout
    if best is None or best.confidence < CONFIDENCE_MIN:
        raise _not_recognized(grid, profiles)
    _refuse_incomplete(grid, profiles, best)
    _refuse_duplicates(grid.file, best)
    _refuse_renamed(grid.file, best)
    return best


def try_layout(grid: Grid, profiles: Sequence[Profile]) -> Layout | None:
    """Return the layout, or None where no profile fits: a sheet of a workbook may hold notes."""
    return max(_layouts(grid, profiles), key=lambda layout: layout.confidence, default=None)


def _layouts(grid: Grid, profiles: Sequence[Profile]) -> Iterator[Layout]:
    for delimiter in grid.delimiters:
        records = grid.head(delimiter=delimiter, count=HEADER_ROWS_MAX)
        for index, record in enumerate(records):
            filled = [cell for cell in record if cell]
            if len(filled) < 2 or (len(filled) * 2 < len(record) and len(filled) < 3):
                continue
            keys = [header_key(cell) for cell in record]
            for profile in profiles:
                layout = _match(profile, keys, record, delimiter=delimiter, header_row=index + 1, preamble=records[:index])
                if layout:
                    yield layout


def _match(profile: Profile, keys: list[str], record: list[str], *, delimiter: str, header_row: int, preamble: list[list[str]]) -> Layout | None:
    if profile.header and keys != list(profile.header):
        return None
    found: dict[str, int] = {}
    taken: set[int] = set()
    present = set(keys)
    for field, names in (*profile.columns.items(), *profile.others.items()):
        for name in names:
            wanted = _cached_key(name)
            if wanted not in present:
                continue
            place = next((index for index, key in enumerate(keys) if key == wanted and index not in taken), None)
            if place is None:
                continue
            taken.add(place)
            if field not in found:
                found[field] = place
            if field in profile.columns:
                break
    if _missing(profile, found):
        return None
    fields = {field: place for field, place in found.items() if field in profile.columns}
    named = [index for index, key in enumerate(keys) if key]
    recognized = len(taken) / max(len(named), 1)
    telling = [field for field in profile.signature if field in found]
    confidence = 1.0 if profile.is_mapping else 0.5 * recognized + 0.5 * (len(telling) / len(profile.signature) if profile.signature else 0.6)
    evidence = f"{len(taken)} of {len(named)} columns recognized" + (f", among them {', '.join(record[found[field]] for field in telling)}" if telling else "")
    return Layout(profile, delimiter, header_row, tuple(record), fields, round(confidence, 3), evidence, tuple(tuple(row) for row in preamble))


@lru_cache(maxsize=4096)
def _cached_key(name: str) -> str:
    """Return the key of a profile's header: there are few, and each is looked for in every record of a head."""
    return header_key(name)


def _missing(profile: Profile, fields: dict[str, int]) -> list[str]:
    known = {*fields, *profile.constants, *(("account",) if profile.sections else ())}
    return [need for need in profile.required if not any(known.issuperset(option.split("+")) for option in need.split("|"))]


def _refuse_duplicates(file: str, layout: Layout) -> None:
    keys = [header_key(header) for header in layout.headers]
    for field, place in layout.fields.items():
        again = [index + 1 for index, key in enumerate(keys) if key == keys[place]]
        if len(again) > 1:
            places = ", ".join(str(index) for index in again)
            raise FileRefusedError(
                file=file, row=layout.header_row, column=layout.headers[place],
                message=f"the header appears {len(again)} times (columns {places}) and its column is read as {field}; rename or remove the others",
            )  # fmt: skip


def _refuse_incomplete(grid: Grid, profiles: Sequence[Profile], layout: Layout) -> None:
    """Refuse a system's export that lacks one required column, rather than read it as another's or as a plain table with less in it."""
    keys = [header_key(header) for header in layout.headers]
    for profile in profiles:
        known = {field: [header_key(name) for name in names] for field, names in (*profile.columns.items(), *profile.others.items())}
        found = {field: 0 for field, names in known.items() if set(names) & set(keys)}
        telling = [field for field in profile.signature if field in found]
        if profile == layout.profile or len(telling) < 2 or len(telling) + 1 < len(profile.signature) or not _missing(profile, found):
            continue
        recognized = sum(1 for key in keys if any(key in names for names in known.values())) / max(1, sum(1 for key in keys if key))
        if 0.5 * recognized + 0.5 * len(telling) / len(profile.signature) > layout.confidence:
            raise _not_recognized(grid, (profile,))


def _refuse_renamed(file: str, layout: Layout) -> None:
    """Refuse a header that is nearly that of an absent money column: without it the wrong amount would be read."""
    for field in AMOUNT_FIELDS:
        if field in layout.fields:
            continue
        known = [header_key(name) for name in layout.profile.columns.get(field, ())]
        for index, header in enumerate(layout.headers):
            near = difflib.get_close_matches(header_key(header), known, n=1, cutoff=0.85)
            if near and index not in layout.fields.values():
                raise FileRefusedError(
                    file=file, row=layout.header_row, column=header,
                    message=f"is not known, but nearly the header of {field} ({near[0]!r}); rename it so, or name it in a mapping file ([ledger] profile)",
                )  # fmt: skip


def _not_recognized(grid: Grid, profiles: Sequence[Profile]) -> FileRefusedError:
    """Name the profile that is nearest and what it lacks."""
    candidates = []
    for delimiter in grid.delimiters:
        for index, record in enumerate(grid.head(delimiter=delimiter, count=HEADER_ROWS_MAX)):
            keys = [header_key(cell) for cell in record]
            for profile in profiles:
                found = {field: 0 for field, names in profile.columns.items() if any(header_key(name) in keys for name in names)}
                candidates.append((len(found), -index, profile, found, record))
    if not candidates:
        return FileRefusedError(file=grid.file, row=1, message="opens or closes a quoted cell wrongly, or holds no table; export it again")
    count, negative_index, profile, found, record = max(candidates, key=lambda candidate: candidate[:2])
    if not count:
        return FileRefusedError(
            file=grid.file,
            row=1,
            message=f"no header was recognized in the first {HEADER_ROWS_MAX} rows; name the columns in a mapping file ([ledger] profile)",
        )
    missing = _missing(profile, found)
    known = {header_key(name) for field in found for name in profile.columns[field]}
    unknown = [header for header in record if header and header_key(header) not in known]
    if not missing:
        message = f"only {count} of {len(unknown) + count} columns are known to {profile.title or profile.name!r}, too few to be sure"
        return FileRefusedError(file=grid.file, row=1 - negative_index, message=message + "; name the columns in a mapping file ([ledger] profile)")
    hints = []
    for need in missing:
        names = [name for option in re.split(r"[|+]", need) if option not in found for name in profile.columns.get(option, (option,))]
        near = next(
            (header for header in unknown if difflib.get_close_matches(header_key(header), [header_key(name) for name in names], n=1, cutoff=0.75)), None
        )
        hints.append(
            f"{need.replace('|', ' or ').replace('+', ' and ')} (known as {', '.join(repr(name) for name in names[:4])})"
            + (f"; is {near!r} meant?" if near else "")
        )
    message = f"looks most like {profile.title or profile.name!r}, but has no column for " + ", and none for ".join(hints)
    return FileRefusedError(
        file=grid.file, row=1 - negative_index, message=message + "; export it again, or name the columns in a mapping file ([ledger] profile)"
    )
