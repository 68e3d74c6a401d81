"""An unknown ledger export -> a proposed mapping: which column carries which field, with the evidence.

Two things speak for a column: how near its header is to a name that some system uses, and what its values look like. What the
values contradict is never proposed (a "Date" column without dates), and two unnamed money columns are not guessed to be debit and
credit. The proposal is tried on the file at once; what it was confirmed to be is kept under the header, which recognizes the next export.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import NamedTuple

import polars as pl

from reconciliation.config import Settings
from reconciliation.connectors.inbox import InboxFile
from reconciliation.connectors.ledger.reader import MAPPINGS, PROFILES, Export, read_export
from reconciliation.connectors.tabular.amounts import read_amounts
from reconciliation.connectors.tabular.cells import Grid, open_grids
from reconciliation.connectors.tabular.dates import DateOrder, read_dates, without_time
from reconciliation.connectors.tabular.detection import HEADER_ROWS_MAX
from reconciliation.connectors.tabular.profiles import Profile, header_key, shipped_profiles
from reconciliation.errors import FileRefusedError
from reconciliation.similarity import name_similarity

SAMPLE_ROWS = 1_000
NAME_SCORE_MIN = 0.72
VALUES_FIT_MIN = 0.9
_WORD_LENGTH_MIN = 4
_WORD_SCORE = 0.8
_MONEY = ("debit", "credit", "amount", "foreign_amount", "balance")
_PROPOSED = (
    "date", "value_date", "period", "type", "document", "line", "account", "counterparty", "memo", "reference", "poster", "currency", *_MONEY, "indicator",
    "exchange_rate", "internal_id",
)  # fmt: skip
# What people call columns beyond the systems' own names, in English, German, French, Spanish, Dutch and Italian.
_CUSTOMARY: Mapping[str, tuple[str, ...]] = {
    "date": ("effective date", "buchungstag", "buchungsdatum", "datum", "date comptable", "fecha", "boekdatum", "data"),
    "value_date": ("valuta", "wertstellung", "date de valeur", "fecha valor"),
    "document": (
        "voucher",
        "voucher number",
        "voucher no",
        "beleg",
        "beleg nr",
        "belegnummer",
        "pièce",
        "numéro de pièce",
        "asiento",
        "boekstuk",
        "journal id",
    ),
    "account": ("ledger acct", "gl code", "nominal code", "konto", "kontonummer", "sachkonto", "compte", "cuenta", "rekening", "conto"),
    "memo": ("narrative", "particulars", "remarks", "buchungstext", "text", "libellé", "concepto", "omschrijving", "descrizione"),
    "counterparty": ("customer name", "partner", "kunde", "client", "cliente", "relatie"),
    "reference": ("ref no", "belegfeld", "référence", "referencia", "kenmerk"),
    "debit": ("soll", "sollbetrag", "débit", "debe", "debet", "dare"),
    "credit": ("haben", "habenbetrag", "crédit", "haber", "avere"),
    "amount": ("betrag", "umsatz", "montant", "importe", "bedrag", "importo", "value"),
    "balance": ("saldo", "solde", "kontostand"),
    "currency": ("währung", "devise", "moneda", "divisa", "valuta", "cur"),
    "indicator": ("s/h", "soll/haben", "sens", "d/h"),
    "period": ("periode", "buchungsperiode", "période", "periodo"),
    "poster": ("entered by", "benutzer", "utilisateur", "usuario"),
}
_ORDERS: Mapping[bool, DateOrder] = {True: "day_first", False: "month_first"}


class Column(NamedTuple):
    """What is proposed for a column, and why."""

    header: str
    field: str
    score: float
    evidence: str


@dataclass(frozen=True)
class Answers:
    """What only a person can know about an export.

    Attributes:
        day_first: the order of ambiguous dates.
        decimal_mark: of ambiguous amounts.
        account: the account the export is of, where no column says it.
        currency: the currency, where no column says it.
    """

    day_first: bool | None = None
    decimal_mark: str | None = None
    account: str = ""
    currency: str = ""


@dataclass(frozen=True)
class Proposal:
    """A mapping to be confirmed.

    Attributes:
        profile: the mapping, as it would be read.
        columns: column by column, in the file's order.
        unused: headers that carry no field.
        export: the file as this mapping reads it; None where it cannot.
        refused: why it cannot be read so.
    """

    profile: Profile
    columns: tuple[Column, ...]
    unused: tuple[str, ...]
    export: Export | None
    refused: FileRefusedError | None


def propose_mapping(file: InboxFile, settings: Settings, answers: Answers) -> Proposal:
    """Propose how to read a file.

    Raises:
        FileRefusedError: it holds no table, or no column that can be a date or an amount.
    """
    grid = _first_table(file)
    delimiter, row, headers = _find_header(grid)
    body = grid.body(delimiter=delimiter, after_row=row, width=len(headers)).frame.head(SAMPLE_ROWS)
    columns = _assign(headers, body)
    fields = {column.field: column.header for column in columns}
    missing = [name for name, there in _needs(fields, answers).items() if not there]
    if missing:
        message = f"no column looks like {' or '.join(missing)}; the header in row {row} is {', '.join(repr(header) for header in headers if header)}"
        raise FileRefusedError(file=grid.file, row=row, message=f"{message}; name the columns in a mapping file ([ledger] profile)")
    profile = _profile(file, headers, fields, answers)
    unused = tuple(header for header in headers if header and header not in fields.values())
    try:
        (export,) = read_export(file, (profile,), settings=settings)
    except FileRefusedError as error:
        return Proposal(profile, columns, unused, None, error)
    return Proposal(profile, columns, unused, export, None)


def write_mapping(profile: Profile, path: Path, *, evidence: str) -> None:
    """Write a mapping file; what is there already under that name is replaced in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_name(f".{path.name}.new")
    staged.write_text(mapping_text(profile, evidence=evidence), encoding="utf-8")
    staged.replace(path)


def mapping_path(profile: Profile, settings: Settings) -> Path:
    """Return where a mapping is kept: in the settings' folder, under the name it goes by."""
    return settings.path(MAPPINGS) / f"{profile.name}.toml"


def mapping_text(profile: Profile, *, evidence: str) -> str:
    """Write a mapping as TOML."""
    lines = [f"# {line}" for line in evidence.splitlines()]
    lines += [f"name = {_quote(profile.name)}", f"title = {_quote(profile.title)}", f"header = {_quote_all(profile.header)}"]
    lines += [f"{key} = {_quote(value)}" for key in ("sign", "decimal_mark", "date_order", "amount_currency") if (value := getattr(profile, key))]
    lines += ["", "[columns]", *(f"{field} = {_quote(names[0])}" for field, names in profile.columns.items())]
    if profile.constants:
        lines += ["", "[constants]", *(f"{field} = {_quote(value)}" for field, value in profile.constants.items())]
    return "\n".join(lines) + "\n"


def _quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _quote_all(texts: tuple[str, ...]) -> str:
    return "[" + ", ".join(_quote(text) for text in texts) + "]"


def _first_table(file: InboxFile) -> Grid:
    grids = open_grids(file.name, file.content)
    if not grids:
        raise FileRefusedError(file=file.name, message="has no visible sheet with cells; save the export's sheet visibly")
    return max(grids, key=lambda grid: max(_header_score(record) for _, _, record in _candidates(grid)) if any(_candidates(grid)) else 0.0)


def _candidates(grid: Grid) -> list[tuple[str, int, list[str]]]:
    found = []
    for delimiter in grid.delimiters:
        for index, record in enumerate(grid.head(delimiter=delimiter, count=HEADER_ROWS_MAX)):
            filled = [cell for cell in record if cell]
            if len(filled) >= 2 and len(set(filled)) == len(filled) and not any(re.fullmatch(r"[-+(]?[\d.,' ]+\)?", cell) for cell in filled):
                found.append((delimiter, index + 1, record))
    return found


def _header_score(record: list[str]) -> float:
    keys = [header_key(cell) for cell in record if cell]
    best = _name_scores(keys)
    return float(sum(max((score for score in best[key].values()), default=0.0) for key in keys))


def _find_header(grid: Grid) -> tuple[str, int, list[str]]:
    candidates = _candidates(grid)
    if not candidates:
        raise FileRefusedError(file=grid.file, row=1, message=f"no row of the first {HEADER_ROWS_MAX} looks like a header; export it with column names")
    return max(candidates, key=lambda candidate: (_header_score(candidate[2]), -candidate[1]))


def _known_names() -> list[tuple[str, str]]:
    """List field and header name of all shipped profiles, and the fields' own names."""
    named = {(field, header_key(name)) for profile in shipped_profiles(PROFILES) for field, names in profile.columns.items() for name in names}
    customary = {(field, name) for field, names in _CUSTOMARY.items() for name in names}
    return sorted({*named, *customary, *((field, field.replace("_", " ")) for field in _PROPOSED)})


def _name_scores(keys: list[str]) -> dict[str, dict[str, float]]:
    """Score each header against each field by the nearest name that some system uses for it."""
    pairs = [(key, field, name) for key, (field, name) in product(dict.fromkeys(keys), _known_names()) if field in _PROPOSED]
    frame = pl.DataFrame(pairs, schema={"key": pl.String, "field": pl.String, "name": pl.String}, orient="row")
    if frame.is_empty():
        return {key: {} for key in keys}
    # A header of several words, one of which is a whole name ("Debit Value"), is as good as a near one.
    words = (" " + pl.col("key") + " ").str.contains(" " + pl.col("name") + " ", literal=True) & (pl.col("name").str.len_chars() >= _WORD_LENGTH_MIN)
    scored = frame.with_columns(score=name_similarity(frame["key"], frame["name"]).fill_null(0.0))
    scored = scored.with_columns(score=pl.when(words).then(pl.max_horizontal("score", pl.lit(_WORD_SCORE))).otherwise("score"))
    best = scored.group_by("key", "field").agg(pl.col("score").max())
    found: dict[str, dict[str, float]] = {key: {} for key in keys}
    for key, field, score in best.iter_rows():
        found[key][field] = score
    return found


def _assign(headers: list[str], body: pl.DataFrame) -> tuple[Column, ...]:
    """Give each field the column that fits best, best pairs first; a column carries one field."""
    keys = [header_key(header) for header in headers]
    names = _name_scores([key for key in keys if key])
    looks = [_looks(body[f"c{index}"]) for index in range(len(headers))]
    pairs = []
    for index, key in enumerate(keys):
        for field in _PROPOSED if key else ():
            fit, seen = _fit(field, looks[index])
            name = names[key].get(field, 0.0)
            if fit >= VALUES_FIT_MIN and name >= NAME_SCORE_MIN:
                pairs.append((round(0.7 * name + 0.3 * fit, 4), field, index, f"header like {field!r} ({name:.0%}); {seen}"))
    taken: dict[int, Column] = {}
    for score, field, index, evidence in sorted(pairs, key=lambda pair: (-pair[0], _PROPOSED.index(pair[1]), pair[2])):
        if index not in taken and field not in {column.field for column in taken.values()}:
            taken[index] = Column(headers[index], field, score, evidence)
    for field, look in (("date", "date"), ("amount", "amount")):
        _take_only_one(field, look, headers, looks, taken)
    return tuple(taken[index] for index in sorted(taken))


def _take_only_one(field: str, look: str, headers: list[str], looks: list[dict[str, float]], taken: dict[int, Column]) -> None:
    """Take the only column that can be a date, or money, whatever it is called."""
    have = {column.field for column in taken.values()}
    if field in have or (field == "amount" and {"debit", "credit"} & have):
        return
    able = [index for index, seen in enumerate(looks) if index not in taken and headers[index] and seen[look] >= VALUES_FIT_MIN and seen["filled"] > 0]
    if len(able) == 1:
        taken[able[0]] = Column(headers[able[0]], field, 0.6, f"the only column whose values look like {look}s")


def _looks(cells: pl.Series) -> dict[str, float]:
    """Measure what the filled cells of a column look like, as shares."""
    filled = cells.filter(cells != "")
    texts = pl.DataFrame({"text": filled.unique(maintain_order=True)})
    texts = texts.with_columns(row=pl.int_range(1, pl.len() + 1), column=pl.lit(""))
    days = texts.with_columns(text=without_time("text")).unique(subset="text", maintain_order=True)
    count = max(texts.height, 1)
    wrong_days = {fault.row for fault in read_dates(days, stated=None, day_first=True).faults if "is not a date" in fault.message}
    wrong_amounts = {fault.row for fault in read_amounts(texts, stated_mark=None).faults if "may mean thousands" not in fault.message}
    words = filled.str.to_lowercase()
    sides = (*Profile.model_fields["debit_words"].default, *Profile.model_fields["credit_words"].default)
    return {
        "filled": filled.len() / max(cells.len(), 1),
        "date": 1 - len(wrong_days) / max(days.height, 1) if texts.height else 0.0,
        "amount": 1 - len(wrong_amounts) / count if texts.height else 0.0,
        "currency": _share(filled.str.contains("^[A-Z]{3}$")),
        "side": _share(words.is_in(list(sides))) if texts.height <= 4 else 0.0,
        "repeated": 1 - texts.height / max(filled.len(), 1),
    }


def _share(holds: pl.Series) -> float:
    return int(holds.sum()) / max(holds.len(), 1)


def _fit(field: str, looks: dict[str, float]) -> tuple[float, str]:
    """Say how well a column's values suit a field, and in words."""
    if looks["filled"] == 0:
        return (0.0, "empty") if field in {"date", "amount", "account"} else (1.0, "empty in the sample")
    look = {"date": "date", "value_date": "date", "currency": "currency", "indicator": "side", **dict.fromkeys(_MONEY, "amount")}.get(field)
    if look:
        return looks[look], f"{looks[look]:.0%} of its values look like {look}s"
    if field == "account":
        return 1.0, f"{looks['repeated']:.0%} of its values repeat"
    return 1.0, "text"


def _needs(fields: dict[str, str], answers: Answers) -> dict[str, bool]:
    money = "amount" in fields or {"debit", "credit"} <= set(fields)
    return {"a date": "date" in fields, "an account (or give --account)": "account" in fields or bool(answers.account), "an amount, or debit and credit": money}


def _profile(file: InboxFile, headers: list[str], fields: dict[str, str], answers: Answers) -> Profile:
    columns = {field: (fields[field],) for field in _PROPOSED if field in fields}
    constants = {name: value for name, value in (("account", answers.account), ("currency", answers.currency)) if value and name not in columns}
    stem = re.sub(r"[^\w.-]+", "_", Path(file.name.partition("!")[0]).stem).strip("._") or "mapping"
    header = tuple(header_key(header) for header in headers)
    digest = hashlib.sha256("\n".join(header).encode()).hexdigest()[:6]
    content = {
        "name": f"{stem}-{digest}", "title": f"mapping of {stem}", "is_mapping": True, "columns": columns, "required": tuple(columns), "constants": constants,
        "header": header, "decimal_mark": answers.decimal_mark, "amount_currency": "line",
        "date_order": _ORDERS[answers.day_first] if answers.day_first is not None else None,
    }  # fmt: skip
    return Profile.model_validate(content)
