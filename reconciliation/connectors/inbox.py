"""An inbox folder -> files with their content, hashed as read.

File names are data: nothing outside the folder is opened, a name never decides what a file is, and the same content under
another name is one file. Hidden and temporary files, which a person or a copy still under way leaves behind, are passed over.
"""

import errno
import hashlib
import logging
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from reconciliation.errors import FileRefusedError

logger = logging.getLogger(__name__)

FILE_BYTES_MAX = 256 * 1024**2
"""Largest file that is read; about two million ledger rows. Larger exports are cut by month, as an ERP offers anyway."""

TEMPORARY_SUFFIXES = frozenset({".tmp", ".part", ".partial", ".crdownload", ".swp"})


@dataclass(frozen=True)
class InboxFile:
    """A file as it was read.

    Attributes:
        name: path relative to the settings folder, with forward slashes.
        content: the bytes.
        sha256: hash of the bytes, which is the file's identity.
        delivery: ordinal of the delivery that first brought the content; 1 is the oldest.
        other_names: other files with the same content, which are not read again.
    """

    name: str
    content: bytes
    sha256: str
    delivery: int
    other_names: tuple[str, ...] = ()


def read_inbox(folder: Path, *, base: Path, suffixes: frozenset[str], deliveries: Mapping[str, int], file_bytes_max: int = FILE_BYTES_MAX) -> list[InboxFile]:
    """Read every file of an inbox and its sub-folders once, whatever it is called.

    Args:
        folder: the inbox; a folder that does not exist is empty.
        base: the settings folder, which names are relative to.
        suffixes: lower-case suffixes to read, such as `.csv`; others are passed over and logged.
        deliveries: SHA-256 of contents seen before -> their delivery. What is not in it is one new delivery.
        file_bytes_max: files above this size are refused before they are read.

    Returns:
        Files ordered by delivery, then hash.

    Raises:
        FileRefusedError: files that are too large, unreadable or no regular files; all of them at once.
    """
    newest = max(deliveries.values(), default=0) + 1
    found: dict[str, InboxFile] = {}
    refused: list[FileRefusedError] = []
    for path in _paths(folder):
        name = file_name(path, base=base)
        if path.suffix.lower() not in suffixes:
            logger.info("%s is passed over: its suffix is none of %s", name, ", ".join(sorted(suffixes)))
            continue
        try:
            content = read_content(path, root=folder, name=name, file_bytes_max=file_bytes_max)
        except FileRefusedError as error:
            refused.append(error)
            continue
        if content is None:
            continue
        digest = hashlib.sha256(content).hexdigest()
        names = [name]
        if digest in found:
            logger.info("%s has the content of %s and is read once", name, found[digest].name)
            names = sorted([name, found[digest].name, *found[digest].other_names])
        found[digest] = InboxFile(names[0], content, digest, deliveries.get(digest, newest), tuple(names[1:]))
    raise_together(refused)
    return sorted(found.values(), key=lambda file: (file.delivery, file.sha256))


def read_content(path: Path, *, root: Path, name: str, file_bytes_max: int = FILE_BYTES_MAX) -> bytes | None:
    """Read a regular file through one descriptor, or return None for a link that leaves the folder.

    Raises:
        FileRefusedError: too large, not readable, or no regular file.
    """
    try:
        target = path.resolve(strict=True) if path.is_symlink() else path
        if path.is_symlink() and not target.is_relative_to(root.resolve()):
            logger.warning("%s is a link that leaves the inbox and is not followed", name)
            return None
        descriptor = os.open(target, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ELOOP}:
            logger.warning("%s is a link without a target, or was taken away while it was read, and is passed over", name)
            return None
        raise FileRefusedError(file=name, message=f"cannot be read ({error.strerror}); let the program's user read it") from error
    with os.fdopen(descriptor, "rb") as handle:
        status = os.fstat(handle.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise FileRefusedError(file=name, message="is no regular file; put a file here")
        content = handle.read(file_bytes_max + 1) if status.st_size <= file_bytes_max else b""
        if len(content) > file_bytes_max or status.st_size > file_bytes_max:
            raise FileRefusedError(
                file=name, message=f"holds more than {file_bytes_max:,} bytes, the most that is read; export it in parts, for example by month"
            )
    return content


def file_name(path: Path, *, base: Path) -> str:
    """Return the name a file goes by: relative to the settings folder where it lies inside, safe to print.

    >>> file_name(Path("/company/inbox/ledger/a.csv"), base=Path("/company"))
    'inbox/ledger/a.csv'
    """
    relative = path.relative_to(base) if path.is_relative_to(base) else Path(os.path.relpath(path, base))
    text = os.fsencode(relative.as_posix()).decode("utf-8", "backslashreplace")
    return "".join(letter if letter.isprintable() else f"\\x{ord(letter):02x}" for letter in text)


def raise_together(refused: list[FileRefusedError]) -> None:
    """Raise refusals of several files as one error that stands at the first and lists them all.

    Raises:
        FileRefusedError: the list is not empty.
    """
    if not refused:
        return
    first, *others = refused
    if not others:
        raise first
    message = first.message + "".join(f"\n{other}" for other in others)
    raise FileRefusedError(file=first.file, row=first.row, column=first.column, message=message)


def _paths(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder, followlinks=False):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(place) / name
            if not name.startswith((".", "~$")) and path.suffix.lower() not in TEMPORARY_SUFFIXES:
                yield path
