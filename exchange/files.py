"""NIR files: looked at before they are loaded, so that any file ends in a graph or in one line."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields
from pathlib import Path

from common.io import UserError
from exchange import inspecting

import h5py
import nir

PATIENCE_S = 30.0
"""Seconds for reading a file of usual size; a good one takes well under one."""

WRITTEN = {"type", "metadata"}
"""What every node of a file holds beside its fields."""


def inspect_apart(path: Path) -> None:
    """Have another process read the whole file; see :mod:`exchange.inspecting` for why.

    Raises:
        UserError: what is wrong with the file, or that reading it crashes or does not end.
    """
    # -P: the folder of this package, whose nir.py is not the library, stays out of the search path
    command = [sys.executable, "-P", str(Path(inspecting.__file__)), str(path)]
    patience = PATIENCE_S + path.stat().st_size / 1e7
    try:
        done = subprocess.run(
            command, capture_output=True, encoding="utf8", errors="replace", timeout=patience
        )
    except subprocess.TimeoutExpired as e:
        raise UserError(f"{path}: damaged: reading it does not end; get it anew") from e
    if done.returncode == 1:
        raise UserError(f"{path}: not a NIR file, or a damaged one ({done.stdout.strip()})")
    if done.returncode:
        raise UserError(f"{path}: damaged: the HDF5 library crashes on it; get it anew")


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
    inspect_apart(path)
    try:
        with h5py.File(path, "r") as f:
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
