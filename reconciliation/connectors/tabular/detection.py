"""Records + profiles -> the header row, the delimiter, which column carries which field, and how sure that is."""

import dataclasses
import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import lru_cache
from typing import NamedTuple

import polars as pl

from reconciliation.connectors.tabular.cells import Grid
from reconciliation.connectors.tabular.dates import Span, parse_day
from reconciliation.connectors.tabular.profiles import AMOUNT_FIELDS, Profile, header_key
from reconciliation.connectors.tabular.stated import next_year, stated_account, stated_span
from reconciliation.errors import FileRefusedError
from reconciliation.money import CURRENCIES

HEADER_ROWS_MAX = 60
"""A header is looked for in the first rows only; report titles and filters above it take a dozen at most."""

CONFIDENCE_MIN = 0.4

MISFIT, UNREADABLE = 0.1, 0.5
"""What a profile loses whose rows begin otherwise: with a heading though it has a column for accounts; without one though it has none."""

HEADER_CHARACTERS_MAX = 100
_CURRENCY_BEHIND = re.compile(r"(?:\bin )?[(\[]?(?P<currency>us\$|[€£$]|\b(?:euros?|[a-z]{3}))[)\]]?$")
HEADING_CELLS_MAX = 2
"""A heading is its account, and at most the balance it begins with."""

_HAS_TEXT = re.compile(r"\w")
_DOLLARS = frozenset("USD CAD AUD NZD HKD SGD MXN".split())
_SIGNS: Mapping[str, frozenset[str]] = {
    "€": frozenset({"EUR"}), "euro": frozenset({"EUR"}), "euros": frozenset({"EUR"}), "£": frozenset({"GBP"}), "us$": frozenset({"USD"}), "$": _DOLLARS,
}  # fmt: skip


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
        header_currencies: field -> the currencies that its header may mean (`Debit (GBP)`), where it names one.
    """

    profile: Profile
    delimiter: str
    header_row: int
    headers: tuple[str, ...]
    fields: dict[str, int]
    confidence: float
    evidence: str
    preamble: tuple[tuple[str, ...], ...]
    header_currencies: dict[str, frozenset[str]] = dataclasses.field(default_factory=dict)

    @property
    def constants(self) -> dict[str, str]:
        """What stands for fields that the file has no column for: the preamble's word, then the profile's."""
        where = self.profile.preamble
        stated = self._stated(where.currency) if where and where.currency else ""
        constants: dict[str, str] = {str(field): value for field, value in self.profile.constants.items()}
        if self._is_of_one_account and "account" not in constants:
            constants["account"] = stated_account(self.preamble)
        named = {code for name, codes in self.header_currencies.items() if name in self._own_fields for code in codes}
        if not stated and len(named) == 1:
            stated = next(iter(named))
        return constants | ({"currency": stated} if stated else {})

    @property
    def _is_of_one_account(self) -> bool:
        """Whether no column and no heading says the account, so that a line above the header must."""
        return "account" not in self.fields and not self.profile.sections

    @property
    def _own_fields(self) -> frozenset[str]:
        """The fields whose amounts are in the line's own currency."""
        foreign = frozenset({"foreign_amount", "foreign_debit", "foreign_credit"})
        return foreign | frozenset({"amount", "debit", "credit"}) if self.profile.amount_currency == "line" else foreign

    @property
    def span(self) -> Span | None:
        """The first and last day that a line above the header states; of a profile that says where, the fiscal year if the days are left out."""
        where = self.profile.preamble
        if not where:
            return stated_span(self.preamble)
        first, last = (parse_day(self._stated(column)) for column in (where.first_day, where.last_day))
        if first and last:
            return (first, last) if first <= last else None
        year = parse_day(self._stated(where.year_from)) if where.year_from else None
        return (first or year, next_year(year) - timedelta(days=1)) if year else None

    @property
    def covers(self) -> Span | None:
        """The first and last day that a report states of itself. Batches state the days they may lie in, which other batches share: they cover nothing."""
        return None if self.profile.preamble else stated_span(self.preamble)

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
        FileRefusedError: no profile's required columns are there; the nearest header names are given.
    """
    best: Layout | None = None
    for layout in _layouts(grid, profiles):
        if best is None or (layout.confidence, -layout.header_row, len(layout.fields)) > (best.confidence, -best.header_row, len(best.fields)):
            best = layout
    if best is None or best.confidence < CONFIDENCE_MIN:
        raise _not_recognized(grid, profiles)
    if (nearest := find_incomplete(profiles, best)) is not None:
        raise _not_recognized(grid, (nearest,))
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
            keys = _Keys.of(record)
            below = next((row for row in records[index + 1 :] if any(_HAS_TEXT.search(cell) for cell in row)), None)
            for profile in profiles:
                layout = _match(profile, keys, record, delimiter=delimiter, header_row=index + 1, preamble=records[:index])
                if layout:
                    yield _weigh_rows(layout, below)


def _weigh_rows(layout: Layout, below: list[str] | None) -> Layout:
    """Lower the confidence of a profile whose rows would begin otherwise than the first row below the header does."""
    profile = layout.profile
    if below is None or profile.is_mapping:
        return layout
    filled = [cell for cell in below if cell]
    needs_heading = profile.sections and "account" not in layout.fields
    if needs_heading and profile.section_pattern:
        day = below[layout.fields["date"]] if layout.fields["date"] < len(below) else ""
        above = any(re.search(profile.section_pattern, cell) for line in layout.preamble for cell in line) and profile.quotes == "none"
        is_heading = above or bool(len(filled) <= HEADING_CELLS_MAX and re.search(profile.section_pattern, filled[0]) and day in ("", filled[0]))
    else:
        is_heading = len(filled) == 1
    if is_heading == needs_heading or (is_heading and profile.carry_down):
        return layout
    lost = UNREADABLE if needs_heading else MISFIT
    return replace(layout, confidence=round(layout.confidence - lost, 3), evidence=layout.evidence + "; its rows begin otherwise")


class _Keys(NamedTuple):
    """Headers as they are compared: whole, and without a currency that stands behind the name."""

    whole: list[str]
    bare: list[str]
    currencies: list[frozenset[str]]

    @classmethod
    def of(cls, record: Sequence[str]) -> "_Keys":
        whole = [header_key(cell) for cell in record]
        parts = [_without_currency(key) for key in whole]
        return cls(whole, [name for name, _ in parts], [codes for _, codes in parts])

    def find(self, wanted: str, taken: set[int], *, is_exact: bool) -> int | None:
        """Return the column with a header, one that is it whole before one that names a currency too."""
        for keys in (self.whole,) if is_exact else (self.whole, self.bare):
            place = next((index for index, key in enumerate(keys) if key == wanted and index not in taken), None)
            if place is not None:
                return place
        return None


@lru_cache(maxsize=4096)
def _without_currency(key: str) -> tuple[str, frozenset[str]]:
    """Cut a currency off a header's key: `debit (gbp)` -> `debit`, GBP; a key that names none is returned as it is."""
    found = _CURRENCY_BEHIND.search(key) if len(key) <= HEADER_CHARACTERS_MAX else None
    if not found:
        return key, frozenset()
    sign, name = found["currency"], key[: found.start()].strip(" -/:")
    codes = _SIGNS.get(sign) or (frozenset({sign.upper()}) & CURRENCIES)
    return (name, codes) if codes and name else (key, frozenset())


def _match(profile: Profile, keys: _Keys, record: list[str], *, delimiter: str, header_row: int, preamble: list[list[str]]) -> Layout | None:
    if profile.header and keys.whole != list(profile.header):
        return None
    found: dict[str, int] = {}
    taken: set[int] = set()
    present = {*keys.whole, *keys.bare}
    for field, names in (*profile.columns.items(), *profile.others.items()):
        for name in names:
            wanted = _cached_key(name)
            if wanted not in present:
                continue
            place = keys.find(wanted, taken, is_exact=profile.is_mapping)
            if place is None:
                continue
            taken.add(place)
            if field not in found:
                found[field] = place
            if field in profile.columns:
                break
    if profile.unnamed and profile.unnamed not in found and keys.whole and not keys.whole[0]:
        found[profile.unnamed] = 0
    missing = _missing(profile, found)
    if missing and (missing != ["account"] or profile.is_mapping or not stated_account(preamble)):
        return None
    fields = {field: place for field, place in found.items() if field in profile.columns}
    named = [index for index, key in enumerate(keys.whole) if key]
    recognized = len(taken) / max(len(named), 1)
    telling = [field for field in profile.signature if field in found]
    confidence = 1.0 if profile.is_mapping else 0.5 * recognized + 0.5 * (len(telling) / len(profile.signature) if profile.signature else 0.6)
    evidence = f"{len(taken)} of {len(named)} columns recognized" + (f", among them {', '.join(record[found[field]] for field in telling)}" if telling else "")
    named_currencies = {name: keys.currencies[place] for name, place in fields.items() if name in AMOUNT_FIELDS and keys.currencies[place]}
    above = tuple(tuple(row) for row in preamble)
    return Layout(profile, delimiter, header_row, tuple(record), fields, round(confidence, 3), evidence, above, named_currencies)


@lru_cache(maxsize=4096)
def _cached_key(name: str) -> str:
    """Return the key of a profile's header: there are few, and each is looked for in every record of a head."""
    return header_key(name)


def _missing(profile: Profile, fields: dict[str, int]) -> list[str]:
    known = {*fields, *profile.constants, *(("account",) if profile.sections else ())}
    return [need for need in profile.required if not any(known.issuperset(option.split("+")) for option in need.split("|"))]


def refuse_duplicates(file: str, layout: Layout, rows: pl.DataFrame) -> None:
    """Refuse a header that appears twice and is read, unless its columns say the same in every row.

    Args:
        file: its name.
        layout: its header.
        rows: cells `c0`, `c1`, … below the header.

    Raises:
        FileRefusedError: two columns have one name and different cells.
    """
    keys = [header_key(header) for header in layout.headers]
    for field, place in layout.fields.items():
        again = [index + 1 for index, key in enumerate(keys) if key == keys[place]]
        if len(again) > 1 and any((rows[f"c{place}"] != rows[f"c{index - 1}"]).any() for index in again):
            places = ", ".join(str(index) for index in again)
            raise FileRefusedError(
                file=file, row=layout.header_row, column=layout.headers[place],
                message=f"the header appears {len(again)} times (columns {places}) and its column is read as {field}; rename or remove the others",
            )  # fmt: skip


def find_incomplete(profiles: Sequence[Profile], layout: Layout) -> Profile | None:
    """Return the system whose export this is but for a required column: it is not read as another's, or as a plain table with less in it."""
    keys = [header_key(header) for header in layout.headers]
    for profile in profiles:
        known = {field: [header_key(name) for name in names] for field, names in (*profile.columns.items(), *profile.others.items())}
        found = {field: 0 for field, names in known.items() if set(names) & set(keys)}
        telling = [field for field in profile.signature if field in found]
        if profile == layout.profile or len(telling) < 2 or len(telling) + 1 < len(profile.signature) or not _missing(profile, found):
            continue
        recognized = sum(1 for key in keys if any(key in names for names in known.values())) / max(1, sum(1 for key in keys if key))
        if 0.5 * recognized + 0.5 * len(telling) / len(profile.signature) > layout.confidence:
            return profile
    return None


def _refuse_renamed(file: str, layout: Layout) -> None:
    """Refuse a header that is nearly that of an absent money column: without it the wrong amount would be read."""
    unread = {header_key(name) for names in layout.profile.others.values() for name in names}
    for field in AMOUNT_FIELDS:
        if field in layout.fields:
            continue
        known = [header_key(name) for name in layout.profile.columns.get(field, ())]
        for index, header in enumerate(layout.headers):
            near = difflib.get_close_matches(header_key(header), known, n=1, cutoff=0.85)
            if near and index not in layout.fields.values() and header_key(header) not in unread:
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
