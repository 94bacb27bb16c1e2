"""18b  Count the additions: model solution"""

from __future__ import annotations

from torch import Tensor


def additions(q: Tensor, k: Tensor, v: Tensor) -> tuple[int, int]:
    """Spikes ``(N, d)`` three times → additions of (Q·Kᵀ)·V, additions of Q·(Kᵀ·V)."""
    tokens = q @ k.T  # (N, N)
    first = tokens.sum() + ((tokens > 0).float() @ v).sum()
    channels = k.T @ v  # (d, d)
    second = channels.sum() + (q @ (channels > 0).float()).sum()
    return int(first), int(second)
