"""Reading files that may be damaged, and fetching them one process at a time."""

from __future__ import annotations

import gzip
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LIMIT = 50_000_000
"""Bytes: nothing is read further, unless the caller allows it, so a file cannot claim all memory."""


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
        raise Damaged(
            f"{path} is damaged or cannot be read ({short(e)}); delete it and run again, or get it anew"
        ) from e


def read_bytes(path: Path, limit: int = LIMIT) -> bytes:
    """At most ``limit`` bytes of a file, unpacked if it is a ``.gz``."""
    with reading(path), gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
        return file.read(limit)


def members(path: Path, limit: int = LIMIT) -> Iterator[tuple[str, bytes]]:
    """Name and content of every file in a tar, which is read from front to back.

    Raises:
        Damaged: the tar is cut off or damaged, or it claims more than ``limit`` bytes for one file
            or ten times as many in all.
    """
    total = 0
    with reading(path), tarfile.open(path) as tar:
        for member in tar:
            total += member.size
            if member.size > limit or total > 10 * limit:
                raise ValueError(
                    f"{member.name} claims {member.size:,} bytes, too many for this set"
                )
            if member.isfile():
                yield member.name, tar.extractfile(member).read()
        while tar.fileobj.read(1 << 20):  # a .gz has its checksum at the very end
            pass


def check_source(source: str) -> None:
    """Raise ``ValueError`` for anything but ``auto``, ``real`` and ``stand-in``."""
    if source not in ("auto", "real", "stand-in"):
        raise ValueError(f"source: got {source!r}, expected 'auto', 'real' or 'stand-in'")
