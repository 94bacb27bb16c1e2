"""An HDF5 file looked at from end to end by a process of its own: run as a script, by ``exchange.files``.

A damaged file can do more than fail. There are bytes for which the HDF5 library walks in a circle for ever, or crashes
the process; neither can be caught from inside. So a child process reads the whole file first, with a time limit. It
imports h5py only, so that it starts fast, and ends with 0, or with 1 and one line on what is wrong.
"""

from __future__ import annotations

import sys

import h5py

LARGEST = 2**31
"""Bytes that a file's numbers may take in memory; compressed zeros can claim any amount."""

DEEPEST = 12
"""Groups within groups; a nested graph takes two."""


def size_of(group: h5py.Group, where: str, depth: int = 0) -> int:
    """Bytes in memory of all numbers below ``group``; refuses links that lead out of the file or round in it."""
    if depth > DEEPEST:
        raise ValueError(f"{where}: groups nested more than {DEEPEST} deep; a NIR graph is not")
    total = 0
    for key in group:
        if not isinstance(group.get(key, getlink=True), h5py.HardLink):
            raise ValueError(
                f"{where}/{key}: a link to another place; a NIR file holds its own numbers"
            )
        item = group[key]
        if isinstance(item, h5py.Group):
            total += size_of(item, f"{where}/{key}", depth + 1)
        elif item.external or item.is_virtual:
            raise ValueError(f"{where}/{key}: numbers in another file; a NIR file holds its own")
        else:
            total += item.size * item.dtype.itemsize
    return total


def read_all(group: h5py.Group) -> None:
    """Read every number and every string below ``group``, and forget them."""
    for key in group:
        item = group[key]
        if isinstance(item, h5py.Group):
            read_all(item)
        else:
            item[()]


def inspect(path: str) -> None:
    """Read the whole file.

    Raises:
        ValueError: no graph in it, links out of it, or far too large; h5py raises what it likes for damage.
    """
    with h5py.File(path, "r") as f:
        if "node" not in f or not isinstance(f["node"], h5py.Group):
            raise ValueError("an HDF5 file without a NIR graph (no group 'node')")
        size = size_of(f["node"], "node")
        if size > LARGEST:
            raise ValueError(f"claims {size / 1e9:.1f} GB of numbers, more than can be meant")
        read_all(f["node"])


if __name__ == "__main__":
    try:
        inspect(sys.argv[1])
    except Exception as e:  # h5py raises a dozen kinds for damaged files
        print(" ".join(str(e).split())[:200] or type(e).__name__)
        sys.exit(1)
