"""Work on one part of the keys at a time, so that a stage needs memory for a part and not for everything.

What has one key is always in one part, so a stage that looks only inside a key finds the same whatever the number of parts; the tests match in
tiny parts and ask for the same bytes. What a stage keeps of a part (its proposals) is small beside what it looked at.
"""

from collections.abc import Iterator

import polars as pl


def in_parts(*frames: pl.DataFrame, key: str, rows_max: int) -> Iterator[tuple[pl.DataFrame, ...]]:
    """Yield the frames in parts of about `rows_max` rows together; rows of one key are in one part.

    Args:
        frames: tables with the column `key`, of one type.
        key: what a stage joins by (or the most telling column of it).
        rows_max: more rows than this are divided.
    """
    parts = -(-sum(frame.height for frame in frames) // rows_max)
    if parts <= 1:
        yield frames
        return
    placed = [frame.select(pl.col(key).hash() % parts).to_series() for frame in frames]
    for part in range(parts):
        yield tuple(frame.filter(place == part) for frame, place in zip(frames, placed, strict=True))
