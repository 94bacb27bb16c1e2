"""18a  Attention token by token: model solution"""

from __future__ import annotations

from torch import Tensor


def step(memory: Tensor, q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Memory ``(heads, d, d)`` and spikes ``(D,)`` three times → new memory, currents ``(D,)``."""
    heads = memory.shape[0]
    meets = k.view(heads, -1, 1) * v.view(heads, 1, -1)  # (heads, d, d): this token's part of Kᵀ·V
    memory = memory + meets
    heard = q.view(heads, 1, -1) @ memory  # (heads, 1, d)
    return memory, heard.flatten()
