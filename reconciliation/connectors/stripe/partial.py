"""What a pull has read so far -> kept on disk, so that its repeat after a kill need not read it again.

A window is walked as a tree of slices: a slice that holds too many rows finishes its newer part and names what is left as
further slices. Each finished part is one file, written whole or not at all, with the slices it names; a repeat starts at the
root and goes on where a file is missing. The tree depends on what Stripe answers alone, so an interrupted pull ends with the same
bytes as one that was not.

Only what lies in the past is kept: rows may still arrive in the last minutes before the pull began, so that part is always read.
"""

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from reconciliation.lake import write_atomically

SETTLED_AFTER = timedelta(minutes=10)
"""A transaction may be listed a little after the second it says it was created in."""

KEPT_FOR = timedelta(hours=12)
"""Older leftovers are read again: states have changed since."""

PLAN = "pull.json"

Rest = tuple[int, int, int]
"""A slice that is left to read: from this second on, before that one, about so many pages."""


@dataclass(frozen=True)
class Part:
    """A finished part of a list.

    Attributes:
        begins: rows created from this second on belong to it.
        rest: slices that are left to read.
        pack: its raw pages, packed.
    """

    begins: int
    rest: tuple[Rest, ...]
    pack: bytes


@dataclass(frozen=True)
class PartialPull:
    """The finished parts of one pull of one account.

    Attributes:
        folder: where they lie; None keeps nothing.
        settled: parts that end at this second or before it do not change any more.
    """

    folder: Path | None
    settled: int

    @classmethod
    def resume(cls, folder: Path | None, *, window: tuple[int, int], clock: datetime) -> "PartialPull":
        """Take up what a killed pull of the same window left, or begin anew.

        Args:
            folder: the account's; None keeps nothing.
            window: first second and the second after the last.
            clock: the Stripe server's.
        """
        if folder is None:
            return cls(None, window[0])
        plan = folder / PLAN
        known: dict[str, Any] = orjson.loads(plan.read_bytes()) if plan.exists() else {}
        age = clock.timestamp() - known.get("begun", 0)
        if known.get("window") != list(window) or not 0 <= age <= KEPT_FOR.total_seconds():
            shutil.rmtree(folder, ignore_errors=True)
            known = {"window": window, "begun": int(clock.timestamp()), "settled": int((clock - SETTLED_AFTER).timestamp())}
            write_atomically(plan, orjson.dumps(known))
        return cls(folder, known["settled"])

    @classmethod
    def join(cls, folder: Path | None) -> "PartialPull":
        """Add to what `resume` began, where anything was begun."""
        return cls(folder if folder is not None and (folder / PLAN).exists() else None, 0)

    def find(self, name: str, key: Sequence[object]) -> Part | None:
        """Return a finished part, or None."""
        path = self._path(name, key)
        if path is None or not path.exists():
            return None
        header, _, pack = path.read_bytes().partition(b"\n")
        noted = orjson.loads(header)
        return Part(noted["begins"], tuple((begin, end, pages) for begin, end, pages in noted["rest"]), pack)

    def keep(self, name: str, key: Sequence[object], part: Part) -> None:
        """Keep a finished part."""
        path = self._path(name, key)
        if path is not None:
            write_atomically(path, orjson.dumps({"begins": part.begins, "rest": part.rest}) + b"\n", part.pack)

    def forget(self) -> None:
        """Remove every part: something in them is not to be relied on."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, name: str, key: Sequence[object]) -> Path | None:
        # Keys may hold ids, which are data and no file names.
        digest = hashlib.sha256(orjson.dumps([name, *key])).hexdigest()[:32]
        return None if self.folder is None else self.folder / name.strip("/").replace("/", "-") / digest
