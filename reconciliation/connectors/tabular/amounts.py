"""Texts of amounts -> exact thousandths, with the decimal mark decided for a whole table and the deciding row named.

A text is read in two steps. First what is no digit is peeled off: signs, parentheses, CR/DR, currency names. Then all
remaining digits and separators of the table are tried under both decimal marks; a mark that reads every one of them is
the table's mark. If both do and it matters (`1,234` alone), the table is refused, not guessed.

Thousandths hold every currency's decimals (at most three); money is brought to minor units by `to_minor`.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import polars as pl

from reconciliation.connectors.tabular.faults import Fault, show_cell
from reconciliation.money import AMOUNT_MINOR_MAX, THREE_DECIMAL, ZERO_DECIMAL, currency_exponent

_WHOLE_DIGITS_MAX = 15
_MINUS = "\u2010\u2011\u2012\u2013\u2014\u2212\ufe58\ufe63\uff0d"
_SPACES = "\u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
_LETTERS = str.maketrans(
    {**dict.fromkeys(_MINUS, "-"), **dict.fromkeys(_SPACES, " "), **dict.fromkeys("\u2018\u2019\u02bc\u00b4`\uff07", "'")}
    | {"\uff0b": "+", "\uff0c": ",", "\uff0e": ".", "\u066b": ".", "\u066c": "'", "\uff08": "(", "\uff09": ")"}
    | dict.fromkeys("\u200e\u200f\u061c\u2066\u2069\u202a\u202c", "")
)
_SYMBOLS: Mapping[str, str] = {
    "£": "GBP EGP LBP GIP FKP SHP SYP SDG", "€": "EUR", "¥": "JPY CNY", "₹": "INR", "₩": "KRW", "₪": "ILS", "₫": "VND", "฿": "THB", "₺": "TRY", "₴": "UAH",
    "₦": "NGN", "₱": "PHP", "zł": "PLN", "Kč": "CZK", "kr": "SEK NOK DKK ISK", "kr.": "DKK SEK NOK ISK", "Fr.": "CHF", "R": "ZAR",
    "Rs": "INR PKR LKR", "Rs.": "INR PKR LKR", "R$": "BRL", "RM": "MYR", "Ft": "HUF",
    "US$": "USD", "C$": "CAD", "CA$": "CAD", "A$": "AUD", "AU$": "AUD", "NZ$": "NZD", "HK$": "HKD", "S$": "SGD",
    "$": "USD CAD AUD NZD HKD SGD MXN ARS CLP COP BRL TWD BBD BMD BSD BZD FJD GYD JMD KYD LRD NAD SBD SRD TTD XCD",
}  # fmt: skip
_PARTS = re.compile(r"(?P<before>[^\d.,]*?(?:Fr\.|kr\.|Rs\.)?[^\d.,']*?)(?P<core>\d[\d.,' ]*|[.,]\d+)(?P<after>[^\d]*)")
_TOKEN = re.compile(r"\s*(?P<sign>[-+])|\s*(?P<paren>[()])|\s*(?P<marker>(?:cr|dr|c|d)\.?)(?![a-z])|\s*(?P<name>[^\s\d()+\-]+)|\s+", re.IGNORECASE)
# Thousands in groups of three by the other mark, apostrophe or space, or the Indian way (12,34,567); then decimals.
_WESTERN = r"[1-9]\d{{0,2}}(?:{other}\d{{3}})+|[1-9]\d{{0,2}}(?:'\d{{3}})+|[1-9]\d{{0,2}}(?: \d{{3}})+"
_INDIAN = r"[1-9]\d?(?:{other}\d{{2}})+{other}\d{{3}}"
_GROUPED = rf"(?:\d+|{_WESTERN}|{_INDIAN})(?:{{mark}}\d+)?|{{mark}}\d+"
_FORMS = {".": re.compile(_GROUPED.format(mark=r"\.", other=",")), ",": re.compile(_GROUPED.format(mark=",", other=r"\."))}
_FITS = {mark: f"^(?-u:{form.pattern})$" for mark, form in _FORMS.items()}
# What nearly all amounts look like, which is read as a column; the rest are taken apart one by one.
_COMMON = r"^(?:-?[0-9][0-9.,]*|\([0-9][0-9.,]*\)|[0-9][0-9.,]*-)$"
_NAMES = {".": "point", ",": "comma"}


class Amount(NamedTuple):
    """An amount's text, taken apart; `core` holds digits and separators only.

    `marker` is `CR` or `DR` or empty, `currencies` what a symbol or code beside it may stand for.
    """

    is_negative: bool
    core: str
    marker: str
    currencies: frozenset[str]


@dataclass(frozen=True)
class AmountReading:
    """All amounts of a table.

    Attributes:
        mark: `.` or `,`.
        evidence: why, with the row that decided.
        values: `text`, `thousandths` (signed), `marker`, `currencies` (a list; empty: none was named) for every text.
        faults: texts that are no amount.
    """

    mark: str
    evidence: str
    values: pl.DataFrame
    faults: tuple[Fault, ...]


def take_apart(text: str) -> Amount | None:
    """Take the sign, marker and currency off an amount's text, or return None for a blank or a lone dash (nil).

    Raises:
        ValueError: it is no amount: two signs, an exponent, unknown letters.

    >>> take_apart("(£1,234.50)")
    Amount(is_negative=True, core='1,234.50', marker='', currencies=frozenset({...}))
    >>> take_apart("5.00-").is_negative, take_apart("5.00 CR").marker
    (True, 'CR')
    """
    plain = _plain(text)
    if plain in {"", "-"}:
        return None
    parts = _PARTS.fullmatch(plain)
    if not parts:
        raise ValueError("is not an amount")
    signs: list[str] = []
    marker, names = "", []
    for side in (parts["before"], parts["after"]):
        for token in _tokens(side):
            if token.upper().rstrip(".") in {"CR", "DR", "C", "D"}:
                marker = {"C": "CR", "D": "DR"}.get(token.upper().rstrip("."), token.upper().rstrip("."))
                signs.append(marker)
            elif token in {*"+-()"}:
                signs.append(token)
            else:
                names.append(token)
    if signs not in ([], ["+"], ["-"], ["(", ")"], ["CR"], ["DR"]):
        raise ValueError("has more than one sign")
    return Amount(signs in (["-"], ["(", ")"]), parts["core"].rstrip(" '"), marker, _currencies(names))


def _plain(text: str) -> str:
    if text.isascii():
        return text.strip()
    translated = text.translate(_LETTERS)
    return "".join(str(unicodedata.decimal(letter)) if letter.isdecimal() else letter for letter in translated).strip()


def _tokens(text: str) -> list[str]:
    found, place = [], 0
    while place < len(text):
        token = _TOKEN.match(text, place)
        if not token:
            raise ValueError("is not an amount")
        found.append(token[0].strip())
        place = token.end()
    return [token for token in found if token]


@lru_cache(maxsize=256)
def _names_of(name: str) -> frozenset[str]:
    if name in _SYMBOLS:
        return frozenset(_SYMBOLS[name].split())
    if re.fullmatch("[A-Z]{3}", name):
        return frozenset({name})
    raise ValueError(f"is not an amount ({name!r} beside the digits is no currency)")


def _currencies(names: list[str]) -> frozenset[str]:
    if not names:
        return frozenset()
    sets = [_names_of(name) for name in names]
    return frozenset.intersection(*sets)


def read_amounts(texts: pl.DataFrame, *, stated_mark: str | None, has_decimals: bool = True) -> AmountReading:
    """Read every amount of a table.

    Args:
        texts: `text`, `row`, `column`: one row for each distinct text with its first place; blanks left out.
        stated_mark: the decimal mark a mapping states, or None to decide it.
        has_decimals: False where no currency of the table has any, so that `1,234` can only be thousands.

    Returns:
        The reading; with faults, its values are incomplete and the table must be refused.
    """
    parsed, faults = _take_all_apart(texts.filter(~pl.col("text").str.contains(_COMMON)))
    core = pl.col("text").str.strip_chars("()-")
    quick = texts.filter(pl.col("text").str.contains(_COMMON)).select(
        "text", "row", "column", core=core, is_negative=pl.col("text").str.contains("[(-]"), marker=pl.lit(""),
        currencies=pl.lit([], dtype=pl.List(pl.String)),
        fits_point=core.str.contains(_FITS["."]), fits_comma=core.str.contains(_FITS[","]),
    )  # fmt: skip
    cores = pl.concat([quick, parsed.select(quick.columns)])
    mark, evidence, misfits = _decide_mark(cores, stated_mark, has_decimals=has_decimals)
    return AmountReading(mark, evidence, _thousandths(cores, mark), tuple(faults + misfits))


_PARSED: dict[str, pl.DataType | type[pl.DataType]] = {
    "text": pl.String, "row": pl.Int64, "column": pl.String, "core": pl.String, "is_negative": pl.Boolean, "marker": pl.String,
    "currencies": pl.List(pl.String), "fits_point": pl.Boolean, "fits_comma": pl.Boolean,
}  # fmt: skip


def _take_all_apart(texts: pl.DataFrame) -> tuple[pl.DataFrame, list[Fault]]:
    rows: list[tuple[object, ...]] = []
    faults: list[Fault] = []
    for text, row, column in texts.select("text", "row", "column").iter_rows():
        try:
            amount = take_apart(text)
        except ValueError as error:
            faults.append(Fault(row, column, f"{show_cell(text)} {error}; write it with digits and one decimal mark"))
            continue
        if amount is None:
            rows.append((text, row, column, "0", False, "", [], True, True))
            continue
        fits = [bool(_FORMS[mark].fullmatch(amount.core)) for mark in ".,"]
        rows.append((text, row, column, amount.core, amount.is_negative, amount.marker, sorted(amount.currencies), *fits))
    return pl.DataFrame(rows, schema=_PARSED, orient="row"), faults


def _decide_mark(cores: pl.DataFrame, stated: str | None, *, has_decimals: bool) -> tuple[str, str, list[Fault]]:
    neither = cores.filter(~pl.col("fits_point") & ~pl.col("fits_comma"))
    faults = [
        Fault(row, column, f"{show_cell(text)} is not an amount under either decimal mark; write it with digits and one decimal mark")
        for text, row, column in neither.select("text", "row", "column").sort("row").head(100).iter_rows()
    ]
    point = cores.filter(pl.col("fits_point") & ~pl.col("fits_comma")).sort("row").head(100)
    comma = cores.filter(pl.col("fits_comma") & ~pl.col("fits_point")).sort("row").head(100)
    if stated:
        against = comma if stated == "." else point
        faults += _misfits(against, mark=stated, why="the mapping states it")
        return stated, "stated in the mapping", faults
    if point.is_empty() and comma.is_empty():
        open_ones = cores.filter(pl.col("core").str.contains(r"[.,]")).sort("row")
        separators = set("".join(open_ones["core"])) & {".", ","}
        if not has_decimals and len(separators) == 1:
            return ("," if separators == {"."} else "."), "the file's currencies have no decimals", faults
        if open_ones.height:
            text, row, column = open_ones.select("text", "row", "column").row(0)
            message = f"{show_cell(text)} may mean thousands or decimals, and no amount of the file decides it"
            message += "; set decimal_mark in a mapping ([ledger] profile), or export two decimals"
            faults.append(Fault(row, column, message))
        return ".", "no amount has decimals", faults
    if point.height and comma.height:
        mark, against, decider = (".", comma, point) if point["row"][0] <= comma["row"][0] else (",", point, comma)
        faults += _misfits(against, mark=mark, why=f"row {decider['row'][0]} shows it")
        return mark, "contradictory", faults
    mark, decider = (".", point) if point.height else (",", comma)
    return mark, f"row {decider['row'][0]}: {show_cell(decider['text'][0])} can only have a decimal {_NAMES[mark]}", faults


def _misfits(cores: pl.DataFrame, *, mark: str, why: str) -> list[Fault]:
    return [
        Fault(
            row, column, f"amount {show_cell(text)} does not fit this file's decimal mark {mark!r} ({why}); export one format, or set decimal_mark in a mapping"
        )
        for text, row, column in cores.select("text", "row", "column").iter_rows()
    ]


def _thousandths(cores: pl.DataFrame, mark: str) -> pl.DataFrame:
    parts = pl.col("core").str.splitn(mark, 2)
    whole = parts.struct.field("field_0").str.replace_all("[^0-9]", "").str.strip_chars_start("0")
    fraction = parts.struct.field("field_1").fill_null("")
    excess = fraction.str.slice(3).str.contains("[1-9]") | (whole.str.len_chars() > _WHOLE_DIGITS_MAX)
    digits = whole + fraction.str.slice(0, 3).str.pad_end(3, "0")
    magnitude = pl.when(~excess).then(digits).cast(pl.Int64, strict=False)
    sign = pl.when("is_negative").then(-1).otherwise(1)
    return cores.select("text", (magnitude * sign).alias("thousandths"), "marker", "currencies")


def to_minor(thousandths: str, currency: str) -> pl.Expr:
    """Return an expression that brings a column of thousandths to minor units; null where it has excess decimals or is too large.

    Args:
        thousandths: name of the Int64 column.
        currency: name of the currency column.
    """
    factor = pl.col(currency).replace_strict(_FACTORS, default=10, return_dtype=pl.Int64)
    minor = pl.col(thousandths) // factor
    return pl.when((minor * factor == pl.col(thousandths)) & (minor.abs() <= AMOUNT_MINOR_MAX)).then(minor)


_FACTORS = {code: 10 ** (3 - currency_exponent(code)) for code in sorted(ZERO_DECIMAL | THREE_DECIMAL)}
