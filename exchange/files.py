"""NIR files: looked at before they are loaded, so that any file ends in a graph or in one line."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from common.io import UserError

import h5py
import nir

LARGEST = 2**31
"""Bytes that a file's numbers may take in memory; compressed zeros can claim any amount."""

DEEPEST = 12
"""Groups within groups; a nested graph takes two."""

WRITTEN = {"type", "metadata"}
"""What every node of a file holds beside its fields."""


def size_of(group: h5py.Group, where: str, depth: int = 0) -> int:
    """Bytes in memory of all numbers below ``group``; refuses links that lead out of the file or round in it."""
    if depth > DEEPEST:
        raise UserError(f"{where}: groups nested more than {DEEPEST} deep; a NIR graph is not")
    total = 0
    for key in group:
        if not isinstance(group.get(key, getlink=True), h5py.HardLink):
            raise UserError(
                f"{where}/{key}: a link to another place; a NIR file holds its own numbers"
            )
        item = group[key]
        if isinstance(item, h5py.Group):
            total += size_of(item, f"{where}/{key}", depth + 1)
        elif item.external or item.is_virtual:
            raise UserError(f"{where}/{key}: numbers in another file; a NIR file holds its own")
        else:
            total += item.size * item.dtype.itemsize
    return total


def text(value: object) -> str:
    """A string of a file, whichever way it was stored."""
    return value.decode("utf8", "replace") if isinstance(value, bytes) else str(value)


def check_nodes(node: h5py.Group, name: str) -> None:
    """Name the kinds of node and the fields that NIR does not have, before NIR stops at them without a word."""
    written = text(node["type"][()]) if "type" in node else "nothing"
    known = {t.__name__ for t in vars(nir).values() if isinstance(t, type)} - {"NIRNode"}
    if written not in known or not issubclass(getattr(nir, written), nir.NIRNode):
        raise UserError(
            f"node {name}: got the type {written}, which NIR {nir.version} does not have"
        )
    if written == "NIRGraph":
        for inner in node["nodes"]:
            check_nodes(node["nodes"][inner], inner)
    allowed = {f.name for f in fields(getattr(nir, written))} | WRITTEN | {"shape"}
    if unknown := set(node) - allowed:
        raise UserError(f"node {name} ({written}): got a field {min(unknown)}, which is not known")


def read_nir(path: str | Path) -> nir.NIRGraph:
    """The graph in a ``.nir`` file, not yet checked as a graph (``from_nir`` does that).

    NIR's own check of shapes is left out: in NIR 1.0.8 it takes a kernel's height for its width and a group's channels
    for all channels, and so refuses graphs that are right.

    Raises:
        UserError: no such file, no HDF5, damaged, far too large, or with nodes and fields that NIR does not have.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        with h5py.File(path, "r") as f:
            if "node" not in f or not isinstance(f["node"], h5py.Group):
                raise UserError(f"{path}: an HDF5 file without a NIR graph (no group 'node')")
            if (size := size_of(f["node"], "node")) > LARGEST:
                raise UserError(
                    f"{path}: claims {size / 1e9:.1f} GB of numbers, more than can be meant"
                )
            check_nodes(f["node"], "graph")
        graph = nir.read(path, type_check=False)
    except UserError:
        raise
    except Exception as e:  # h5py and nir raise a dozen kinds for damaged files
        why = " ".join(str(e).split())[:120] or type(e).__name__
        raise UserError(f"{path}: not a NIR file, or a damaged one ({why}); get it anew") from e
    if not isinstance(graph, nir.NIRGraph):
        raise UserError(f"{path}: got a single {type(graph).__name__}, expected a graph of nodes")
    return graph
