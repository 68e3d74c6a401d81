"""Bytes under names: a folder, or a bucket of an object store. Every name is seen old or new and never in between. The lake's own way to its files.

    folder                                             bucket (`s3://…`, `gs://…`, `az://…`)
    temporary name, fsync, rename, fsync of folder     one put, atomic by itself
    lock: the operating system's (`flock`)             lock: PostgreSQL's advisory locks, over the database of DAGSTER_POSTGRES_URL
    a dead process frees its locks by itself           the database frees them when the connection ends

Credentials of a bucket come from the environment under the names that its vendor gives them (`AWS_ACCESS_KEY_ID`, …); nothing of them is ever in the settings.
"""

import contextlib
import errno
import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

from reconciliation.config import postgres_url
from reconciliation.errors import BusyError, SettingsError, StorageError

if TYPE_CHECKING:
    from obstore.store import ObjectStore

POLL_SECONDS = 0.1
SWAPS_MAX = 50
KEEPALIVE = {"keepalives": 1, "keepalives_idle": 15, "keepalives_interval": 5, "keepalives_count": 3}
"""A machine that is gone is noticed by the database's own keep-alive; these notice a database that is gone."""


@dataclass(frozen=True)
class Hold:
    """What a writer holds: a name, alone or beside others that only read."""

    name: str
    is_alone: bool


class Store(Protocol):
    """What the lake needs of a place."""

    @property
    def place(self) -> str:
        """Name the place, the same from every machine that sees it."""

    def read(self, name: str) -> bytes | None:
        """Return a file's bytes, or None where there is none."""

    def exists(self, name: str) -> bool:
        """Tell whether a file is there."""

    def write(self, name: str, *contents: bytes | memoryview) -> None:
        """Write a file, replacing what stood there, in one step."""

    def swap(self, name: str, change: Callable[[bytes | None], bytes]) -> None:
        """Replace a file by what `change` makes of it, so that two writers at once lose nothing of each other."""

    def names(self, prefix: str) -> list[str]:
        """Return the names of the files below a folder, in order."""

    def delete(self, name: str) -> None:
        """Remove a file; one that is not there is no error."""

    def held(self, holds: Sequence[Hold], *, wait_seconds: float) -> "_Held":
        """Hold names as a writer."""


_Held = Any  # a context manager; the protocol's own type says no more


def _unless_gone(error: OSError) -> None:
    """Raise what kept a folder from being read: to a sweep its files would seem to be named by nothing."""
    if not isinstance(error, FileNotFoundError):
        raise error


@dataclass(frozen=True)
class FolderStore:
    """A folder of this machine."""

    root: Path

    @property
    def place(self) -> str:
        """Name the folder, the same from wherever it is looked at."""
        return str(self.root.resolve())

    def read(self, name: str) -> bytes | None:
        """Return a file's bytes, or None."""
        try:
            return (self.root / name).read_bytes()
        except FileNotFoundError:
            return None

    def exists(self, name: str) -> bool:
        """Tell whether a file is there."""
        return (self.root / name).exists()

    def write(self, name: str, *contents: bytes | memoryview) -> None:
        """Write a file in one step."""
        write_atomically(self.root / name, *contents)

    def swap(self, name: str, change: Callable[[bytes | None], bytes]) -> None:
        """Replace a file by what is made of it, while nobody else does."""
        with self.held([Hold("swap", is_alone=True)], wait_seconds=60.0):
            self.write(name, change(self.read(name)))

    def names(self, prefix: str) -> list[str]:
        """Return the names of the files below a folder, in order."""
        # A year of nights leaves thousands of files: a Path of each would cost more than their names.
        walked = os.walk(self.root / prefix, onerror=_unless_gone)
        folders = ((Path(folder).relative_to(self.root).as_posix(), names) for folder, _, names in walked)
        return sorted(f"{folder}/{name}" for folder, names in folders for name in names if not name.startswith("."))

    def delete(self, name: str) -> None:
        """Remove a file."""
        (self.root / name).unlink(missing_ok=True)

    @contextmanager
    def held(self, holds: Sequence[Hold], *, wait_seconds: float) -> Iterator[None]:
        """Hold names by `flock`; the file of each says which process has it alone.

        Raises:
            BusyError: another process held one for longer than the wait.
        """
        end = time.monotonic() + wait_seconds
        with ExitStack() as stack:
            for hold in holds:
                with told_as_storage(self.root):
                    self.root.mkdir(parents=True, exist_ok=True)
                    handle = stack.enter_context((self.root / f"{hold.name.replace('/', '.')}.lock").open("a+"))
                while not _flock(handle, is_alone=hold.is_alone):
                    if time.monotonic() >= end:
                        handle.seek(0)
                        raise _busy(str(self.root), f"process {handle.read().strip() or 'unknown'}", wait_seconds)
                    time.sleep(POLL_SECONDS)
                if hold.is_alone:
                    with told_as_storage(self.root):
                        handle.seek(0)
                        handle.truncate()
                        handle.write(str(os.getpid()))
                        handle.flush()
            yield


@dataclass(frozen=True)
class BucketStore:
    """A folder of a bucket, which several machines share; its locks lie in the database that they share too."""

    place: str
    bucket: "ObjectStore" = field(compare=False)
    connections: list[Any] = field(default_factory=list, compare=False)

    def read(self, name: str) -> bytes | None:
        """Return a file's bytes, or None."""
        with _told_of_bucket(self.place):
            try:
                return bytes(self.bucket.get(name).bytes())
            except FileNotFoundError:
                return None

    def exists(self, name: str) -> bool:
        """Tell whether a file is there."""
        with _told_of_bucket(self.place):
            try:
                self.bucket.head(name)
            except FileNotFoundError:
                return False
            return True

    def write(self, name: str, *contents: bytes | memoryview) -> None:
        """Write a file in one step, as long as the locks that this process took are still its own."""
        self._check_locks()
        with _told_of_bucket(self.place):
            self.bucket.put(name, b"".join(contents))

    def swap(self, name: str, change: Callable[[bytes | None], bytes]) -> None:
        """Replace a file by what is made of it; if another writer was faster, of what that one made.

        Raises:
            BusyError: others were faster too often.
        """
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        for _ in range(SWAPS_MAX):
            self._check_locks()
            with _told_of_bucket(self.place):
                try:
                    found = self.bucket.get(name)
                    before, mode = bytes(found.bytes()), _only_over(found.meta["e_tag"])
                except FileNotFoundError:
                    before, mode = None, "create"
                try:
                    self.bucket.put(name, change(before), mode=mode)
                except (AlreadyExistsError, PreconditionError):
                    time.sleep(POLL_SECONDS)
                else:
                    return
        raise _busy(self.place, "others", SWAPS_MAX * POLL_SECONDS)

    def names(self, prefix: str) -> list[str]:
        """Return the names of the files below a folder, in order."""
        with _told_of_bucket(self.place):
            return sorted(str(meta["path"]) for batch in self.bucket.list(prefix) for meta in batch)

    def delete(self, name: str) -> None:
        """Remove a file."""
        with _told_of_bucket(self.place):
            self.bucket.delete(name)

    @contextmanager
    def held(self, holds: Sequence[Hold], *, wait_seconds: float) -> Iterator[None]:
        """Hold names in the database; when this process ends, however it ends, they are free.

        Raises:
            BusyError: somebody else held one for longer than the wait.
            SettingsError: there is no database.
        """
        with hold_in_database(self.place, holds, wait_seconds=wait_seconds) as connection:
            self.connections.append(connection)
            try:
                yield
            finally:
                self.connections.remove(connection)

    def _check_locks(self) -> None:
        """Refuse to write for a run whose lock the database took away: another may be writing by now.

        Raises:
            BusyError: a connection that holds locks is gone.
        """
        import psycopg2

        for connection in self.connections:
            try:
                with connection.cursor() as cursor:
                    cursor.execute("select 1")
            except psycopg2.Error as error:
                raise BusyError(f"{self.place}: the database that holds this run's lock is gone, so nothing more is written; repeat the run") from error


@contextmanager
def hold_in_database(place: str, holds: Sequence[Hold], *, wait_seconds: float) -> Iterator[Any]:
    """Hold names of a place by advisory locks of one connection, which is given; they are free when it ends, however it ends.

    Raises:
        BusyError: somebody else held one for longer than the wait.
        SettingsError: there is no database.
        StorageError: it does not answer.
    """
    import psycopg2

    url = postgres_url()
    if url is None:
        raise SettingsError(f"{place} may have writers on several machines, and their locks lie in PostgreSQL: set DAGSTER_POSTGRES_URL")
    end = time.monotonic() + wait_seconds
    try:
        connection = psycopg2.connect(url.replace("postgresql+psycopg2://", "postgresql://"), application_name="reconciliation lake", **KEEPALIVE)
    except psycopg2.OperationalError as error:
        raise StorageError(f"{place}: the database of its locks does not answer; start the server of DAGSTER_POSTGRES_URL, and repeat") from error
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            for hold in holds:
                call = "pg_try_advisory_lock" if hold.is_alone else "pg_try_advisory_lock_shared"
                number = int.from_bytes(hashlib.sha256(f"{place}/{hold.name}".encode()).digest()[:8], "big", signed=True)
                while True:
                    cursor.execute(f"select {call}(%s)", (number,))
                    if cursor.fetchone() == (True,):
                        break
                    if time.monotonic() >= end:
                        raise _busy(place, f"somebody holds {hold.name!r}", wait_seconds)
                    time.sleep(POLL_SECONDS)
        yield connection
    finally:
        # The server notices a closed connection a moment later; whoever comes next and does not wait would be told that somebody writes.
        with contextlib.suppress(psycopg2.Error), connection.cursor() as cursor:
            cursor.execute("select pg_advisory_unlock_all()")
        connection.close()


@contextmanager
def _told_of_bucket(place: str) -> Iterator[None]:
    """Tell a failure of a bucket in words.

    Raises:
        StorageError: no such bucket, no right to it, no answer.
    """
    from obstore.exceptions import BaseError

    try:
        yield
    except (BaseError, OSError) as error:
        raise StorageError(
            f"{place}: the bucket refused or did not answer ({type(error).__name__}); check its address, and the credentials in the environment, and repeat; what was published before stays as it was"
        ) from error


def _only_over(tag: str | None) -> Any:
    """Return the way to put a file only where the version with this tag still stands."""
    return {"e_tag": tag}


def is_bucket(place: str) -> bool:
    """Tell whether a place of the settings is a bucket's address and no folder.

    >>> is_bucket("s3://books/lake"), is_bucket("data/lake")
    (True, False)
    """
    return "://" in place


@cache
def open_bucket(url: str) -> BucketStore:
    """Open a bucket by its address.

    Raises:
        SettingsError: the library for it is not installed, or the address is none.
    """
    try:
        from obstore.store import from_url
    except ImportError as error:
        raise SettingsError(f"[storage] lake = {url!r} needs the extra for several machines; install stripe-reconciliation[cluster]") from error
    try:
        bucket = from_url(url)
    except (ValueError, OSError) as error:
        raise SettingsError(f"[storage] lake = {url!r} is no address of a bucket ({type(error).__name__}); write it as s3://bucket/folder") from error
    return BucketStore(url.rstrip("/"), bucket)


def write_atomically(path: Path, *contents: bytes | memoryview) -> None:
    """Write a file so that a reader sees all of it or none, also after a crash: temporary name, fsync, rename, fsync of the folder."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with told_as_storage(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as handle:
                for content in contents:
                    handle.write(content)
                handle.flush()
                os.fsync(handle.fileno())
            temporary.replace(path)
            sync_folder(path.parent)
    except StorageError:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def sync_folder(folder: Path) -> None:
    """Make sure that names created in a folder survive a loss of power."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def told_as_storage(place: Path) -> Iterator[None]:
    """Tell a failure of the disk in words.

    Raises:
        StorageError: no space, no right to write, a file system that failed.
    """
    try:
        yield
    except OSError as error:
        advice = "make room" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "let the program's user write there"
        raise StorageError(
            f"{place}: cannot be written ({error.strerror or type(error).__name__}); {advice} and repeat; what was published before stays as it was"
        ) from error


def _flock(handle: IO[str], *, is_alone: bool) -> bool:
    """Lock an open file, alone or beside others; tells whether it was free."""
    try:
        fcntl.flock(handle, (fcntl.LOCK_EX if is_alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _busy(place: str, who: str, wait_seconds: float) -> BusyError:
    return BusyError(f"{place}: another run ({who}) is writing and did not finish within {wait_seconds:g} s; wait for it, then repeat")
