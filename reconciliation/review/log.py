"""Decisions of people <-> an append-only log: one object an entry, numbered, chained, sealed, and verified on every read.

Layout below the lake's review folder:
    entries/00000001.json   an entry; written once, only if its number is free, and never replaced
    head.json               number and digest of the last entry, sealed: entries that were taken away at the end are missed
    log.lock                held while an entry is written

An entry is canonical JSON: keys sorted, no spaces, UTF-8, no fractions. `previous` is the SHA-256 of the file before it (64
zeros before the first), so a change, a gap or another order shows without any secret. `seal` is the HMAC-SHA256 of the entry without its seal,
under a key derived from `RECONCILIATION_REVIEW_KEY`, so that nobody without the key writes an entry. Whoever holds the key and the disk can write a whole
new log; that is why the close package prints the head.
"""

import fcntl
import hashlib
import hmac
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from reconciliation.config import review_key
from reconciliation.errors import LogDamagedError, SettingsError
from reconciliation.lake import Lake, write_atomically

FIRST = "0" * 64
"""What stands in `previous` of the first entry."""
FIELDS = {"at", "body", "by", "kind", "number", "previous", "seal"}


@dataclass(frozen=True)
class Entry:
    """One entry.

    Attributes:
        number: 1, 2, 3, …
        kind: what was done: `accept`, `approve`, `undo`, `enroll`, …
        by: the reviewer.
        at: when, UTC, whole seconds.
        body: what was shown and decided; plain JSON values without fractions.
        previous: SHA-256 of the entry before.
        seal: HMAC of everything else.
        digest: SHA-256 of this entry as it is stored; not part of it.
    """

    number: int
    kind: str
    by: str
    at: datetime
    body: dict[str, Any]
    previous: str
    seal: str
    digest: str


@dataclass(frozen=True)
class Draft:
    """An entry before it has a place: kind, who, what."""

    kind: str
    by: str
    body: Mapping[str, Any]


@dataclass(frozen=True)
class DecisionLog:
    """The log below a folder.

    Attributes:
        root: the lake's review folder; it need not exist yet.
        key: `RECONCILIATION_REVIEW_KEY`; empty where nothing was ever decided.
    """

    root: Path
    key: str = ""

    def entries(self) -> list[Entry]:
        """Return all entries in order, every one verified.

        Raises:
            LogDamagedError: an entry is missing, changed, in the wrong place, or sealed with another key; the first bad one is named.
            SettingsError: there are entries and no key to verify them with.
        """
        head = self._read_head()  # before the listing, so that an entry added meanwhile is no damage
        folder = self.root / "entries"
        names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
        if (names or head is not None) and not self.key:
            raise SettingsError(
                f"{self.root}: the decision log holds {len(names)} entries and RECONCILIATION_REVIEW_KEY is not set, so nothing can be verified; export the key they were sealed with"
            )
        found: list[Entry] = []
        for number, name in enumerate(names, 1):
            found.append(self._verified(folder, name, number, found[-1].digest if found else FIRST))
        self._check_end(found, head)
        return found

    def head(self) -> str:
        """Return the digest of the last entry, or an empty text; whoever kept it knows of every later change before it."""
        entries = self.entries()
        return entries[-1].digest if entries else ""

    def append(self, kind: str, by: str, body: Mapping[str, Any], *, at: datetime) -> Entry:
        """Write the next entry, whatever it says; decisions go through `decide`, which knows the rules.

        Raises:
            LogDamagedError: the log as it stands does not verify.
            SettingsError: there is no key.
        """
        return self.append_made(lambda _: Draft(kind, by, body), at=at)

    def append_made(self, make: Callable[[Sequence[Entry]], Draft], *, at: datetime) -> Entry:
        """Write the entry that `make` derives from the verified log; nobody else writes between its look and the writing.

        Args:
            make: verified entries -> the draft; what it raises leaves the log as it was.
            at: the time of the entry.

        Raises:
            LogDamagedError: the log as it stands does not verify.
            SettingsError: there is no key.
        """
        if not self.key:
            raise SettingsError("RECONCILIATION_REVIEW_KEY is not set, so no decision can be sealed; make one of at least 32 characters and keep it safe")
        with self._alone():
            before = self.entries()
            draft = make(before)
            moment = at.astimezone(UTC).replace(microsecond=0)
            content = {
                "at": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "body": dict(draft.body),
                "by": draft.by,
                "kind": draft.kind,
                "number": len(before) + 1,
                "previous": before[-1].digest if before else FIRST,
            }
            stored = canonical({**content, "seal": self._seal(content)})
            self._write_once(f"{len(before) + 1:08d}.json", stored)
            entry = _entry(json.loads(stored), hashlib.sha256(stored).hexdigest())
            head = {"digest": entry.digest, "number": entry.number}
            write_atomically(self.root / "head.json", canonical({**head, "seal": self._seal(head)}))
            return entry

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / "log.lock").open("a") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def _write_once(self, name: str, content: bytes) -> None:
        """Write a file under a name that nobody has: a link fails where a rename would replace."""
        folder = self.root / "entries"
        folder.mkdir(parents=True, exist_ok=True)
        temporary = self.root / f".{name}.{os.getpid()}.tmp"
        write_atomically(temporary, content)
        try:
            os.link(temporary, folder / name)
        except FileExistsError as error:
            raise LogDamagedError(f"{folder / name}: another process wrote this entry meanwhile; repeat the decision") from error
        finally:
            temporary.unlink()
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def _verified(self, folder: Path, name: str, number: int, previous: str) -> Entry:
        place = folder / name
        if name != f"{number:08d}.json":
            raise LogDamagedError(_say(place, f"entry {number} is missing, or this file does not belong here"))
        stored = place.read_bytes()
        try:
            content = json.loads(stored)
        except ValueError as error:
            raise LogDamagedError(_say(place, f"entry {number} cannot be read")) from error
        if not isinstance(content, dict) or set(content) != FIELDS or canonical(content) != stored:
            raise LogDamagedError(_say(place, f"entry {number} is not written as the program writes it"))
        if content["number"] != number or content["previous"] != previous:
            raise LogDamagedError(_say(place, f"entry {number} does not follow entry {number - 1} as it stands"))
        unsealed = {field: value for field, value in content.items() if field != "seal"}
        if not hmac.compare_digest(str(content["seal"]), self._seal(unsealed)):
            raise LogDamagedError(_say(place, f"entry {number} was changed, or sealed with another key than RECONCILIATION_REVIEW_KEY"))
        return _entry(content, hashlib.sha256(stored).hexdigest())

    def _read_head(self) -> dict[str, Any] | None:
        path = self.root / "head.json"
        if not path.exists():
            return None
        stored = path.read_bytes()
        try:
            content = json.loads(stored)
        except ValueError as error:
            raise LogDamagedError(_say(path, "the head cannot be read")) from error
        if not isinstance(content, dict) or set(content) != {"digest", "number", "seal"} or canonical(content) != stored:
            raise LogDamagedError(_say(path, "the head is not written as the program writes it"))
        return content

    def _check_end(self, found: Sequence[Entry], head: Mapping[str, Any] | None) -> None:
        """Check the last entry against the head, which a killed writer leaves at most one entry behind."""
        path = self.root / "head.json"
        if head is None:
            if len(found) > 1:
                raise LogDamagedError(_say(path, f"the head is missing beside {len(found)} entries"))
            return
        if not hmac.compare_digest(str(head["seal"]), self._seal({"digest": head["digest"], "number": head["number"]})):
            raise LogDamagedError(_say(path, "the head was changed, or sealed with another key than RECONCILIATION_REVIEW_KEY"))
        if head["number"] > len(found):
            raise LogDamagedError(_say(self.root / "entries", f"entry {len(found) + 1} is missing: the head names {head['number']} entries"))
        if found[head["number"] - 1].digest != head["digest"]:
            raise LogDamagedError(_say(path, f"entry {head['number']} is not the one the head names"))

    def _seal(self, content: Mapping[str, Any]) -> str:
        return hmac.new(derive_key(self.key, "seal"), canonical(content), hashlib.sha256).hexdigest()


def open_log(lake: Lake) -> DecisionLog:
    """Return the log of a lake, with the environment's key."""
    return DecisionLog(lake.review_root(), review_key())


def derive_key(key: str, purpose: str) -> bytes:
    """Return the key for one purpose, so that what one purpose shows says nothing about another's."""
    return hmac.new(key.encode(), purpose.encode(), hashlib.sha256).digest()


def canonical(content: Mapping[str, Any]) -> bytes:
    """Write JSON values in the one way they are stored.

    Raises:
        TypeError: a fraction or another value that has several spellings.

    >>> canonical({"b": [1, None], "a": "ü"}).decode()
    '{"a":"ü","b":[1,null]}'
    """
    _check_plain(content)
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def _check_plain(value: object) -> None:
    if isinstance(value, Mapping):
        for name, part in value.items():
            if not isinstance(name, str):
                raise TypeError(f"{name!r} is no name")
            _check_plain(part)
    elif isinstance(value, list | tuple):
        for part in value:
            _check_plain(part)
    elif not (value is None or isinstance(value, str | int | bool)):
        raise TypeError(f"{value!r} has no single spelling; write it as text")


def _entry(content: Mapping[str, Any], digest: str) -> Entry:
    moment = datetime.strptime(content["at"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    return Entry(content["number"], content["kind"], content["by"], moment, content["body"], content["previous"], content["seal"], digest)


def _say(place: Path, what: str) -> str:
    return f"{place}: {what}; the decision log is damaged and nothing is taken from it: restore the review folder from its backup and compare its head with the last close package"
