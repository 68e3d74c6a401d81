"""Companies -> labeled breaks, one file per company, so that a collection of many nights goes on where it stopped.

What the reference of the evaluation learns from: all breaks of a company, not thinned, of companies that nothing else uses. The folder
names the code that made it, since breaks of other matching rules are breaks of another world.
"""

import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import polars as pl

from reconciliation.classifier.examples import MonthRun, World, collect_company
from reconciliation.errors import FileRefusedError

logger = logging.getLogger(__name__)

PROGRAM = Path(__file__).resolve().parents[1]
LEARNED_LATER = ("classifier", "learning")
"""Packages that labeled breaks do not depend on."""
STAMP = "made_by.txt"
OF_STRIPE = ("missing_in_ledger", "duplicate_in_stripe", "payout_not_in_bank")
"""Kinds whose breaks are named after Stripe's ids, which no two accounts share; ledger document numbers recur from company to company."""


def collect_parts(
    worlds: Sequence[World],
    folder: Path,
    *,
    simulate: Callable[[World, Path], Path],
    reconcile_company: Callable[[Path], Sequence[MonthRun]],
    processes: int = 1,
) -> Iterator[Path]:
    """Collect the companies that the folder does not hold yet, and yield each one's file once it is whole.

    Args:
        worlds: the companies.
        folder: one file per company, named by family and seed.
        simulate: writes a company below a folder and returns its own.
        reconcile_company: runs all months of a company's folder, oldest first.
        processes: how many companies at a time.

    Raises:
        FileRefusedError: the folder was made by other code.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stamp, digest = folder / STAMP, program_digest()
    if stamp.exists() and stamp.read_text(encoding="utf-8").strip() != digest:
        raise FileRefusedError(file=str(stamp), message="the breaks in this folder were made by other matching rules than today's; name another folder")
    stamp.write_text(digest + "\n", encoding="utf-8")
    absent = [world for world in worlds if not _place(folder, world).exists()]
    collect = partial(_collect_part, folder=folder, simulate=simulate, reconcile_company=reconcile_company)
    if processes == 1:
        yield from map(collect, absent)
        return
    with get_context("spawn").Pool(processes) as pool:
        yield from pool.imap_unordered(collect, absent)


def read_parts(folder: Path, *, without: Iterable[str] = ()) -> pl.DataFrame:
    """Read the labeled breaks of a folder, each company under the name of its file.

    Args:
        folder: as `collect_parts` left it, at whatever point.
        without: ids of breaks that are judged; a company that has one of them on Stripe's side is left out, since nobody may learn from whom they are judged on.

    Raises:
        FileRefusedError: no company is in it.
    """
    files = sorted(folder.glob("*.parquet"))
    if not files:
        raise FileRefusedError(file=str(folder), message="holds no labeled company; make some: reconcile collect")
    judged = pl.Series("break_id", list(without), dtype=pl.String).unique()
    parts = [pl.read_parquet(file).with_columns(world=pl.lit(file.stem)) for file in files]
    kept = [
        part for part in parts if part.height and part.filter(pl.col("kind").is_in(OF_STRIPE)).join(judged.to_frame(), on="break_id", how="semi").is_empty()
    ]
    logger.info("%d companies, %d of them judged and left out", len(parts), len(parts) - len(kept))
    return pl.concat(kept) if kept else parts[0].clear()


def program_digest() -> str:
    """Return a digest of the code that simulates, matches and explains."""
    digest = hashlib.sha256()
    for path in sorted(PROGRAM.rglob("*.py")):
        place = path.relative_to(PROGRAM)
        if place.parts[0] not in LEARNED_LATER:
            digest.update(place.as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _collect_part(world: World, *, folder: Path, simulate: Callable[[World, Path], Path], reconcile_company: Callable[[Path], Sequence[MonthRun]]) -> Path:
    place = _place(folder, world)
    unfinished = place.with_suffix(".unfinished")
    collect_company(world, simulate=simulate, reconcile_company=reconcile_company).write_parquet(unfinished, compression="zstd")
    return unfinished.replace(place)


def _place(folder: Path, world: World) -> Path:
    return folder / f"{world.family}_{world.seed}_{world.payments}.parquet"
