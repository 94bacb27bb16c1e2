"""Reading files that may be damaged, and fetching them one process at a time."""

from __future__ import annotations

import bz2
import errno
import gzip
import lzma
import os
import re
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

LIMIT = 50_000_000
"""Bytes: nothing is read further, unless the caller allows it, so a file cannot claim all memory."""


DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


class Damaged(Exception):
    """A file is not what it should be; the message is one line that names it and says what to do."""


def short(e: Exception) -> str:
    """An exception's text on one line, not too long."""
    return " ".join(str(e).split())[:100] or type(e).__name__


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """One process at a time may fetch into ``folder``: under torchrun all start with the same wish.

    Raises:
        OSError: the folder cannot be made or written.
    """
    from filelock import FileLock

    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock"):
        yield


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn whatever fails in the block into ``Damaged``.

    gzip, tarfile, zipfile, zlib, pickle, Pillow and NumPy each have exceptions of their own, and a
    damaged file may also end in a KeyError or a MemoryError: no list of them would be complete.
    """
    try:
        yield
    except Damaged:
        raise
    except Exception as e:
        if isinstance(e, OSError) and e.errno in DISK:
            raise  # while something is unpacked: the archive is not to blame
        raise Damaged(
            f"{path} is damaged or cannot be read ({short(e)}); delete it and run again, or get it anew"
        ) from e


def read_bytes(path: Path, limit: int = LIMIT) -> bytes:
    """At most ``limit`` bytes of a file, unpacked if it is a ``.gz``."""
    with reading(path), gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
        return file.read(limit)


def members(
    path: Path,
    limit: int = LIMIT,
    total: int = 10 * LIMIT,
    wanted: Callable[[str], bool] = lambda name: True,
) -> Iterator[tuple[str, bytes]]:
    """Name and content of every ``wanted`` file in a tar or zip, which is read from front to back.

    A tar is read to its very end, where a ``.gz`` or ``.xz`` has its checksum; of a zip the checksum of
    each wanted file is compared.

    Raises:
        Damaged: it is cut off or damaged, or it claims more than ``limit`` bytes for one file or
            ``total`` in all, which is found before memory is taken.
    """
    claimed = 0

    def count(name: str, size: int) -> None:
        nonlocal claimed
        claimed += size
        if size > limit or claimed > total:
            raise ValueError(f"{name} claims {size:,} bytes, too many for this set")

    with reading(path):
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as packed:
                for info in packed.infolist():
                    count(info.filename, info.file_size)
                    if not info.is_dir() and wanted(info.filename):
                        yield info.filename, packed.read(info)
            return
        with _unpacked(path) as file, tarfile.open(fileobj=_Bounded(file, limit), mode="r:") as tar:
            for member in tar:
                count(member.name, member.size)
                if member.isfile() and wanted(member.name):
                    yield member.name, tar.extractfile(member).read()
            if tar.fileobj.tell() < tar.offset + tarfile.BLOCKSIZE:
                raise ValueError("it is cut off: the block that ends a tar is missing")
            # behind a damaged header tarfile stops as at the end; nothing but zeros may follow that
            while block := tar.fileobj.read(1 << 20):
                if block.strip(b"\0"):
                    raise ValueError("something follows its end")


def _unpacked(path: Path) -> IO[bytes]:
    """A tar as it was before it was packed by gzip, bzip2 or xz, if it was."""
    with open(path, "rb") as file:
        start = file.read(6)
    for mark, opener in ((b"\x1f\x8b", gzip.open), (b"BZh", bz2.open), (b"\xfd7zXZ\0", lzma.open)):
        if start.startswith(mark):
            return opener(path)
    return open(path, "rb")


class _Bounded:
    """A file of which nobody reads more than ``limit`` bytes at once.

    A tar's long names and other notes stand in members of their own, which ``tarfile`` reads, however large they claim
    to be, before it shows any.
    """

    def __init__(self, file: Any, limit: int) -> None:
        self.file, self.limit, self.seek, self.tell = file, limit, file.seek, file.tell

    def read(self, size: int) -> bytes:
        if size > self.limit:
            raise ValueError(f"a note in it claims {size:,} bytes, too many for this set")
        return self.file.read(size)


def as_spelled(root: Path, below: str) -> Path:
    """``root / below`` as it is spelled there: upper or lower case, with ``-`` or ``_`` or without.

    Where there is no such path, ``root / below`` itself.
    """
    path = root
    for part in Path(below).parts:
        if not (path / part).exists():
            alike = (p for p in _inside(path) if letters(p.name) == letters(part))
            path = min(alike, default=path / part)
        else:
            path /= part
    return path if path.exists() else root / below


def _inside(folder: Path) -> list[Path]:
    try:
        return [p for p in folder.iterdir() if p.name[0] != "."]
    except OSError:  # no folder, or one that may not be read
        return []


def letters(name: str) -> str:
    """What is left of a name when case, ``-`` and ``_`` do not count."""
    return re.sub(r"[-_ ]", "", name.lower())


def data_folders(given: Path | None) -> list[Path]:
    """Folders in which a data set is looked for, first to last: ``given``, ``$SNN_DATA``, ``data``.

    Raises:
        NotADirectoryError: one of the first two is named, and is no folder.
    """
    folders = []
    for flag, value in (("--data-dir", given), ("SNN_DATA", os.environ.get("SNN_DATA"))):
        # on Windows, set SNN_DATA="D:\data" keeps the quotes; in quotes a shell leaves ~ as it is
        name = os.path.expanduser(str(value or "").strip(" \"'"))
        if name and not Path(name).is_dir():
            text = f"{flag}: got {name}, which is no folder; create it or name another"
            raise NotADirectoryError(text)
        folders += [Path(name)] if name else []
    return list(dict.fromkeys([*folders, Path("data")]))


def first_writable(roots: Sequence[Path]) -> Path:
    """The first of the folders that can be written; the last one if none can."""
    return next((root for root in roots if os.access(root, os.W_OK)), roots[-1])


def check_source(source: str) -> None:
    """Raise ``ValueError`` for anything but ``auto``, ``real`` and ``stand-in``."""
    if source not in ("auto", "real", "stand-in"):
        raise ValueError(f"source: got {source!r}, expected 'auto', 'real' or 'stand-in'")
