"""The lake: tables and raw pages as files, published by manifests. The only module that knows where tables lie.

Files are named by their content and never replaced. A manifest, replaced atomically, is the only commit: a reader, a
killed run or a full disk sees the old state or the new one and never a mix. What no manifest names is swept.

Layout:
    lake.json                        schema version and the books' time zone
    days/<table>/<account>.json      manifest: local day -> file, for everything pulled by day
    scopes/<scope>.json              manifest: table -> file, for everything computed (a month of a book, a lock, …)
    partial/<account>/               what a pull that is under way, or was killed, has read so far
    unnamed.json                     files that no manifest names any more, and since when
    review/                          the decision log and evidence files (`review.log`); of a bucket's lake in a folder of its own
    files/<table>/<hash>.parquet     tables;  files/raw/<hash>.jsonl.zst  raw pages as they came
"""

import contextlib
import hashlib
import io
import shutil
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import zstandard

from reconciliation.config import Settings
from reconciliation.errors import BusyError, SettingsError
from reconciliation.lake_store import FolderStore, Hold, Store, is_bucket, open_bucket
from reconciliation.lake_store import sync_folder as sync_folder
from reconciliation.lake_store import told_as_storage as told_as_storage
from reconciliation.lake_store import write_atomically as write_atomically

SCHEMA_VERSION = 2

UNNAMED = "unnamed.json"

SPARED_SECONDS = 3600.0
"""How long a file that no manifest names any more is kept for readers that resolved the manifest before."""

REMEMBERED_BYTES = 32 * 2**20
"""What of the days read last a process remembers, at most: the stages of a run ask for the same ones, of a small company mostly for hundreds of small files."""

_remembered: dict[Hashable, tuple[pl.DataFrame, int]] = {}
"""What was read -> its rows and their bytes; what was not used for longest comes first."""


@dataclass(frozen=True)
class Lake:
    """Published tables in a folder, or in a bucket that several machines share.

    Attributes:
        root: the folder; of a bucket's lake, where this machine keeps what is nobody else's (a pull under way).
        bucket: the bucket's address; empty for a folder.
        review: the folder of the decision log, where it is not below the lake.
    """

    root: Path
    bucket: str = ""
    review: Path | None = None

    @property
    def store(self) -> Store:
        """The place of the files."""
        return open_bucket(self.bucket) if self.bucket else FolderStore(self.root)

    @property
    def place(self) -> str:
        """Name the place, the same from every machine."""
        return self.store.place

    def prepare(self, *, time_zone: str) -> None:
        """Create the lake, or check that it was made for the same time zone and by a schema this code reads.

        Raises:
            SettingsError: another time zone (days would mean other instants) or an unknown schema version.
        """
        expected = {"schema_version": SCHEMA_VERSION, "time_zone": time_zone}
        stored = self.store.read("lake.json")
        if stored is None:
            self.store.write("lake.json", orjson.dumps(expected))
            return
        found = orjson.loads(stored)
        if found["schema_version"] != SCHEMA_VERSION:
            raise SettingsError(
                f"{self.place}: schema version {found['schema_version']}, this program reads {SCHEMA_VERSION}; use the version that wrote it, or another [storage] lake"
            )
        if found["time_zone"] != time_zone:
            raise SettingsError(
                f"[entity] timezone = {time_zone!r}, but the lake at {self.place} holds days of {found['time_zone']!r}; set it back, or name a new [storage] lake"
            )

    @contextmanager
    def writer(self, *, wait_seconds: float, part: str = "", read: Sequence[str] = ()) -> Iterator[None]:
        """Hold the lake as its single writer, or as the single writer of a part; a dead process frees it by itself.

        The writer of everything removes what a killed one left half written. It sweeps tables that were replaced while it held the lake,
        or before, once no reader can need them any more. The writer of a part does neither: others are writing.

        Args:
            wait_seconds: how long to wait for another run.
            part: what is written (`account/self`, `book/main`, `close`), so that other parts can be written meanwhile; empty: everything.
            read: other parts that nobody may write meanwhile.

        Raises:
            BusyError: another run held it for longer than the wait.
        """
        with self.store.held(_holds(part, read), wait_seconds=wait_seconds):
            if not part:
                self._remove_leftovers()
            yield
            if not part:
                self.sweep(spare_seconds=SPARED_SECONDS)

    def is_free(self, *, part: str, read: Sequence[str]) -> bool:
        """Tell whether nobody holds what a writer of these would wait for, at this moment."""
        try:
            with self.store.held(_holds(part, read), wait_seconds=0):
                return True
        except BusyError:
            return False

    def sweep_if_idle(self) -> None:
        """Do what the writer of everything does at its end, unless somebody is writing: then the next one does it."""
        with contextlib.suppress(BusyError), self.writer(wait_seconds=0):
            pass

    def review_root(self) -> Path:
        """Return the folder of the decision log."""
        return self.review or self.root / "review"

    # --- tables by day -------------------------------------------------------------------------------------------

    def write_days(
        self, table: str, *, account: str, frame: pl.DataFrame, day_column: str, days: list[date], raw: Sequence[bytes] = (), is_ordered: bool = False
    ) -> None:
        """Publish what was pulled for some local days, replacing what stood for them.

        Args:
            table: table name.
            account: Stripe account.
            frame: rows of all the days.
            day_column: its column with each row's local day.
            days: every day that was pulled, with rows or without.
            raw: the raw responses the frame was made from, as `pack_pages` packs them.
            is_ordered: the rows stand in an order that depends on nothing but themselves; others are sorted first.
        """
        file = self._store_table(table, frame if is_ordered else frame.sort(frame.columns))
        packed = self._store_raw(raw)
        manifest = self._days(table, account)
        manifest.update({day.isoformat(): {"file": file, "raw": packed, "day_column": day_column} for day in days})
        self.store.write(self._days_name(table, account), orjson.dumps(manifest, option=orjson.OPT_SORT_KEYS))

    def amend_days(self, table: str, *, account: str, frame: pl.DataFrame, day_column: str, key: Sequence[str], raw: Sequence[bytes] = ()) -> None:
        """Put newer readings of some rows in the place of the published ones; every other row of their days stays.

        Rows of before the first published day are filed under that day. Rows of later days that were never pulled are left out: they
        are read when their day is.

        Args:
            table: table name.
            account: Stripe account.
            frame: the newer readings.
            day_column: its column with each row's local day.
            key: the columns that say which row it is.
            raw: the raw responses it was made from, kept beside those of the days.
        """
        manifest = self._days(table, account)
        if not manifest:
            return
        filed = frame.with_columns(pl.col(day_column).clip(lower_bound=date.fromisoformat(min(manifest))))
        days = sorted({day.isoformat() for day in filed[day_column].unique()} & manifest.keys())
        if not days:
            return
        packed = self._store_raw(raw)
        for file in sorted({manifest[day]["file"] for day in days}):
            touched = [day for day in days if manifest[day]["file"] == file]
            of_day = pl.col(day_column).is_in([date.fromisoformat(day) for day in touched])
            newer = filed.filter(of_day)
            rest = self._load(file).rename({manifest[touched[0]]["day_column"]: day_column}).filter(of_day).join(newer, on=list(key), how="anti")
            amended = pl.concat([rest, newer.select(rest.columns).cast(rest.schema)]).sort(day_column, *key)
            stored = self._store_table(table, amended)
            manifest.update({day: manifest[day] | {"file": stored, "day_column": day_column, "amended": packed} for day in touched})
        self.store.write(self._days_name(table, account), orjson.dumps(manifest, option=orjson.OPT_SORT_KEYS))

    def read_days(
        self, table: str, *, account: str, first: date | None = None, last: date | None = None, columns: Sequence[str] | None = None
    ) -> pl.DataFrame | None:
        """Return the published rows of the local days `first` to `last`, or None when nothing was ever pulled; all columns unless some are named."""
        by_file: dict[tuple[str, str], list[date]] = {}
        for text, entry in self._days(table, account).items():
            day = date.fromisoformat(text)
            if (first is None or day >= first) and (last is None or day <= last):
                by_file.setdefault((entry["file"], entry["day_column"]), []).append(day)
        wanted = None if columns is None else tuple(columns)
        parts = tuple((wanted, file, day_column, tuple(days)) for (file, day_column), days in sorted(by_file.items()))
        # Days that an earlier version wrote lack the columns that came since; what they would hold is not known.
        return _once((self.place, parts), lambda: pl.concat([self._read_part(*part) for part in parts], how="diagonal")) if parts else None

    def pulled_days(self, table: str, *, account: str) -> set[date]:
        """Return the local days that were pulled."""
        return {date.fromisoformat(day) for day in self._days(table, account)}

    def partial_pull(self, account: str) -> Path:
        """Return the folder in which an unfinished pull of an account leaves what it has read."""
        return self.root / "partial" / account

    def forget_partial_pull(self, account: str) -> None:
        """Remove what an unfinished pull left; call it once everything is published."""
        shutil.rmtree(self.partial_pull(account), ignore_errors=True)

    # --- tables by scope -----------------------------------------------------------------------------------------

    def stage(self, table: str, frame: pl.DataFrame) -> str:
        """Store a table without publishing it; returns the file's name for `publish`."""
        return self._store_table(table, frame)

    def load(self, file: str) -> pl.DataFrame:
        """Read a stored table by its file name."""
        return self._load(file)

    def publish(self, scope: str, tables: Mapping[str, str], *, facts: Mapping[str, Any] | None = None) -> None:
        """Make staged tables the state of a scope, in one step.

        Args:
            scope: `month/main/2026-10`, `lock/2026-10`, `opening/main`, …
            tables: table name -> stored file.
            facts: small values kept in the manifest itself.
        """
        content = {"tables": dict(tables), "facts": dict(facts or {})}
        self.store.write(_scope_name(scope), orjson.dumps(content, option=orjson.OPT_SORT_KEYS))

    def change_facts(self, scope: str, change: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
        """Publish what `change` makes of a scope's facts and return it; writers at once lose nothing of each other."""
        made: dict[str, Any] = {}

        def replace(stored: bytes | None) -> bytes:
            nonlocal made
            content = orjson.loads(stored) if stored else {"tables": {}, "facts": {}}
            made = change(dict(content["facts"]))
            return orjson.dumps({**content, "facts": made}, option=orjson.OPT_SORT_KEYS)

        self.store.swap(_scope_name(scope), replace)
        return made

    def tables(self, scope: str) -> dict[str, str] | None:
        """Return table name -> stored file of a scope, or None when it was never published."""
        manifest = self._scope(scope)
        return None if manifest is None else manifest["tables"]

    def facts(self, scope: str) -> dict[str, Any]:
        """Return the facts of a scope; empty when it was never published."""
        manifest = self._scope(scope)
        return {} if manifest is None else manifest["facts"]

    def read(self, scope: str, table: str) -> pl.DataFrame | None:
        """Return a published table of a scope, or None."""
        tables = self.tables(scope)
        return None if tables is None or table not in tables else self._load(tables[table])

    def scopes(self, prefix: str) -> list[str]:
        """Return the published scopes below a prefix, in order."""
        return [name.removeprefix("scopes/").removesuffix(".json") for name in self.store.names(f"scopes/{prefix}")]

    def withdraw(self, scope: str) -> None:
        """Forget a scope."""
        self.store.delete(_scope_name(scope))

    def sweep(self, *, spare_seconds: float = 0.0) -> int:
        """Delete stored tables that no manifest names; returns how many. Call it as the writer only.

        Raw responses are never deleted, also where a later reading has replaced them: they are what Stripe said, and when.

        Args:
            spare_seconds: how long since an earlier sweep found it unnamed a file is left alone.
        """
        named: set[str] = set()
        for scope in self.store.names("scopes"):
            named.update(orjson.loads(self.store.read(scope) or b'{"tables": {}}')["tables"].values())
        for days in self.store.names("days"):
            named.update(entry["file"] for entry in orjson.loads(self.store.read(days) or b"{}").values())
        orphans = [name for name in self.store.names("files") if name not in named and not name.startswith("files/raw/")]
        now, before = time.time(), orjson.loads(self.store.read(UNNAMED) or b"{}")
        since = {name: before.get(name, now) for name in orphans}
        gone = {name for name, moment in since.items() if now - moment >= spare_seconds}
        for name in sorted(gone):
            self.store.delete(name)
        left = {name: moment for name, moment in since.items() if name not in gone}
        if left != before:
            self.store.write(UNNAMED, orjson.dumps(left, option=orjson.OPT_SORT_KEYS))
        return len(gone)

    def _remove_leftovers(self) -> None:
        """Remove what a killed writer left under a temporary name; the decision log has writers of its own, and is left alone while they live."""
        review = self.review_root()
        for path in self.root.rglob(".*.tmp"):
            if not path.is_relative_to(review) or not _is_alive(path):
                path.unlink(missing_ok=True)

    # --- files ---------------------------------------------------------------------------------------------------

    def _days_name(self, table: str, account: str) -> str:
        return f"days/{table}/{account}.json"

    def _days(self, table: str, account: str) -> dict[str, Any]:
        stored = self.store.read(self._days_name(table, account))
        return {} if stored is None else orjson.loads(stored)

    def _scope(self, scope: str) -> dict[str, Any] | None:
        stored = self.store.read(_scope_name(scope))
        return None if stored is None else orjson.loads(stored)

    def _store_table(self, table: str, frame: pl.DataFrame) -> str:
        buffer = io.BytesIO()
        frame.write_parquet(buffer, compression="zstd", statistics=False)
        return self._store(f"files/{table}", ".parquet", buffer.getbuffer())

    def _store_raw(self, parts: Sequence[bytes]) -> str:
        """Store packed pages one behind the other, without ever holding them twice."""
        if not parts:
            return ""
        digest = hashlib.sha256()
        for part in parts:
            digest.update(part)
        name = f"files/raw/{digest.hexdigest()[:32]}.jsonl.zst"
        if not self.store.exists(name):
            self.store.write(name, *parts)
        return name

    def _store(self, folder: str, suffix: str, content: bytes | memoryview) -> str:
        name = f"{folder}/{hashlib.sha256(content).hexdigest()[:32]}{suffix}"
        if not self.store.exists(name):
            self.store.write(name, content)
        return name

    def _read_part(self, columns: tuple[str, ...] | None, file: str, day_column: str, days: tuple[date, ...]) -> pl.DataFrame:
        def read() -> pl.DataFrame:
            loaded = self._load(file, None if columns is None else [*columns, day_column])
            return loaded.filter(pl.col(day_column).is_in(days)).drop(day_column)

        return _once((self.place, columns, file, day_column, days), read)

    def _load(self, file: str, columns: Sequence[str] | None = None) -> pl.DataFrame:
        stored = self.store.read(file)
        if stored is None:
            raise FileNotFoundError(f"{self.place}: {file} is named by a manifest and is not there")
        return pl.read_parquet(io.BytesIO(stored), columns=None if columns is None else list(columns))


def _once(key: Hashable, read: Callable[[], pl.DataFrame]) -> pl.DataFrame:
    """Return what was read under a key, or read it and keep it in mind; what was not used for longest is forgotten until the rest fits.

    Files are named by their content, so that what was read under their names is what they hold. What would not fit alone is not kept.
    """
    known = _remembered.pop(key, None)
    if known:
        _remembered[key] = known  # Now the one used last.
        return known[0]
    frame = read()
    size = int(frame.estimated_size())
    if size <= REMEMBERED_BYTES:
        # Hundreds of small pieces would cost every later step more than the copy.
        frame = frame.rechunk()
        _remembered[key] = frame, size
        surplus = sum(size for _, size in list(_remembered.values())) - REMEMBERED_BYTES
        for unused, (_, freed) in list(_remembered.items()):
            if surplus <= 0:
                break
            _remembered.pop(unused, None)
            surplus -= freed
    return frame


def open_lake(settings: Settings) -> Lake:
    """Return the lake that the settings name: a folder, or a bucket."""
    place = settings.storage.lake
    if is_bucket(place):
        return Lake(settings.path(settings.storage.scratch), place, settings.path(settings.storage.review))
    return Lake(settings.path(place))


def beside_lake(settings: Settings) -> Path:
    """Return the folder for what belongs beside the lake; beside the decision log, where the lake is a bucket."""
    place = settings.storage.lake
    return settings.path(settings.storage.review if is_bucket(place) else place).parent


def _holds(part: str, read: Sequence[str]) -> list[Hold]:
    """Return what a writer holds, always in the same order, so that two writers never wait for each other."""
    parts = sorted([Hold(part, is_alone=True), *(Hold(name, is_alone=False) for name in read)], key=lambda hold: hold.name) if part else []
    return [Hold("writer", is_alone=not part), *parts]


def _scope_name(scope: str) -> str:
    return f"scopes/{scope}.json"


def month_scope(book: str, period: str) -> str:
    """Name the scope of a reconciled month."""
    return f"month/{book}/{period}"


def lock_scope(book: str, period: str) -> str:
    """Name the scope of a locked month."""
    return f"lock/{period}/{book}"


def locked_through(lake: Lake) -> str:
    """Return the last locked period, or an empty text."""
    periods = sorted({scope.split("/")[1] for scope in lake.scopes("lock")})
    return periods[-1] if periods else ""


def pack_pages(pages: Iterable[bytes]) -> bytes:
    """Pack raw responses, one a line, compressed; packs may stand one behind the other in a file.

    >>> unpack_pages(pack_pages([b"{}", b'{"a": 1}']) + pack_pages([b"[]"]))
    [b'{}', b'{"a": 1}', b'[]']
    """
    packed = zstandard.ZstdCompressor(level=3).compress(b"".join(page.replace(b"\n", b" ") + b"\n" for page in pages))
    # A copy: the compressor's own result keeps the memory of the uncompressed pages, ten times what it holds.
    return memoryview(packed).tobytes()


def unpack_pages(packed: bytes) -> list[bytes]:
    """Return the raw responses of one or more packs."""
    with zstandard.ZstdDecompressor().stream_reader(packed, read_across_frames=True) as stream:
        return stream.read().splitlines()


def _is_alive(temporary: Path) -> bool:
    """Tell whether the process that a temporary name ends with still runs."""
    process = temporary.name.split(".")[-2]
    return process.isdigit() and Path("/proc", process).exists()
