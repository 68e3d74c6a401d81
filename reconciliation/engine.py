"""DuckDB over named frames: the only door to SQL.

The connection reads nothing but the frames it is given: access to files and the network is off and the configuration is
locked. Row order means nothing in a result; sort by a full key afterwards. One empty database serves the process, since opening one
takes 25 ms and a month asks some thirty times; each statement gets a cursor of its own, and its frames go with it.
"""

from functools import cache

import duckdb
import polars as pl


def query(sql: str, **frames: pl.DataFrame) -> pl.DataFrame:
    """Run one statement over frames, registered under their keyword names.

    Args:
        sql: a constant statement; values are never interpolated into it.
        frames: the tables it names.
    """
    with _database().cursor() as connection:
        for name, frame in frames.items():
            connection.register(name, frame)
        result: pl.DataFrame = connection.sql(sql).pl()
        return result


@cache
def _database() -> duckdb.DuckDBPyConnection:
    return duckdb.connect(config={"enable_external_access": False, "lock_configuration": True})


def content_ids(frame: pl.DataFrame, *, prefix: str) -> pl.Series:
    """Make an id of 24 hexadecimal digits from each row's `content` column.

    The hash (MD5, as a fingerprint) is the same on every machine and in every version, unlike an engine's own row hash.
    """
    numbered = frame.select("content").with_row_index("row")
    hashed = query("select row, left(md5(content), 24) as digest from numbered", numbered=numbered)
    return numbered.join(hashed, on="row", how="left", maintain_order="left").select(pl.lit(prefix) + pl.col("digest")).to_series()
