"""Weights as safetensors with a digest inside: one bit that flips is found, and not taken for a weight."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

DIGEST = "sha256"
"""Its name in the header of the file; a file without it, of another tool, is read as well."""


def digest(weights: dict[str, torch.Tensor]) -> str:
    """SHA-256 of names, types, shapes and values."""
    import torch

    found = hashlib.sha256()
    for name in sorted(weights):
        tensor = weights[name].contiguous()
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        found.update(tensor.flatten().view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


def pack(weights: dict[str, torch.Tensor]) -> bytes:
    """Content of a ``.safetensors`` file."""
    from safetensors.torch import save

    return save(weights, {DIGEST: digest(weights)})


def unpack(path: Path) -> dict[str, torch.Tensor]:
    """The weights in a ``.safetensors`` file.

    Raises:
        Exception: it is damaged, whatever safetensors calls that; ``ValueError``: its digest is another.
    """
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        noted = (file.metadata() or {}).get(DIGEST)
    if noted is not None and noted != digest(weights):
        raise ValueError("its digest is another")
    return weights
