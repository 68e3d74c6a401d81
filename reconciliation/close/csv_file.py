r"""Frames -> the bytes of a CSV that Excel and auditors read the same way.

UTF-8 with a byte-order mark, `\r\n`, ISO dates, money as plain decimals with the currency's own number of decimals, text
that a spreadsheet could take for a formula neutralized by a leading apostrophe, lists joined by `;`.
"""

import io

import polars as pl

from reconciliation.money import THREE_DECIMAL, ZERO_DECIMAL

FORMULA_START = "^[=+\\-@\t\r\n\\x00＝＋－＠]"
FORMULA_INSIDE = "([;\t])([=+\\-@＝＋－＠])"
"""A spreadsheet whose list separator is `;` ends the cell there, whatever the quotes say, and what follows begins a cell of its own."""


def money_text(amount: pl.Expr, currency: pl.Expr) -> pl.Expr:
    """Write minor units as plain decimal text; null stays null."""
    sign = pl.when(amount < 0).then(pl.lit("-")).otherwise(pl.lit(""))
    size = amount.abs()

    def with_decimals(count: int) -> pl.Expr:
        unit = 10**count
        whole = (size // unit).cast(pl.String)
        return pl.concat_str([sign, whole]) if not count else pl.concat_str([sign, whole, pl.lit("."), (size % unit).cast(pl.String).str.zfill(count)])

    return (
        pl.when(amount.is_null())
        .then(pl.lit(None, dtype=pl.String))
        .when(currency.is_in(sorted(ZERO_DECIMAL)))
        .then(with_decimals(0))
        .when(currency.is_in(sorted(THREE_DECIMAL)))
        .then(with_decimals(3))
        .otherwise(with_decimals(2))
    )


def csv_bytes(frame: pl.DataFrame, columns: list[str], *, money: dict[str, str] | None = None, ratios: tuple[str, ...] = ()) -> bytes:
    """Write a frame as CSV bytes.

    Args:
        frame: rows in their final order.
        columns: the header, in order.
        money: money column -> the column that holds its currency.
        ratios: float columns, written with four decimals.
    """
    money = money or {}
    cells = []
    for name in columns:
        dtype, column = frame.schema[name], pl.col(name)
        if name in money:
            cells.append(money_text(column, pl.col(money[name])).alias(name))
        elif name in ratios:
            scaled = (column * 10_000).round(0).cast(pl.Int64)
            cells.append(pl.concat_str([(scaled // 10_000).cast(pl.String), pl.lit("."), (scaled % 10_000).cast(pl.String).str.zfill(4)]).alias(name))
        elif isinstance(dtype, pl.List):
            cells.append(_neutralized(column.list.join(";")).alias(name))
        elif dtype == pl.String:
            cells.append(_neutralized(column).alias(name))
        elif dtype == pl.Boolean:
            cells.append(pl.when(column).then(pl.lit("true")).otherwise(pl.lit("false")).alias(name))
        else:
            cells.append(column.cast(pl.String).alias(name))
    buffer = io.BytesIO()
    # The writer quotes an empty text and leaves a null bare; a bare cell is what people expect.
    bare = frame.select(cells).select(pl.when(pl.col(name) != "").then(pl.col(name)).alias(name) for name in columns)
    bare.write_csv(buffer, include_bom=True, line_terminator="\r\n", quote_style="necessary")
    return buffer.getvalue()


def _neutralized(column: pl.Expr) -> pl.Expr:
    plain = column.str.replace_all(r"[\r\n\x00]+", " ").str.replace_all(FORMULA_INSIDE, "${1}'${2}")
    return pl.when(column.str.contains(FORMULA_START)).then(pl.concat_str([pl.lit("'"), plain])).otherwise(plain)
