"""18a  Attention by spikes: model solution"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor


def spiking_attention(
    x: Tensor,
    to_q: Callable[[Tensor], Tensor],
    to_k: Callable[[Tensor], Tensor],
    to_v: Callable[[Tensor], Tensor],
    fire: Callable[[Tensor], Tensor],
    heads: int,
    scale: float,
) -> Tensor:
    """Spikes ``(T, B, N, D)`` → spikes ``(T, B, N, D)``."""
    q = fire(to_q(x)).unflatten(-1, (heads, -1)).transpose(-2, -3)  # (T, B, heads, N, d)
    k = fire(to_k(x)).unflatten(-1, (heads, -1)).transpose(-2, -3)
    v = fire(to_v(x)).unflatten(-1, (heads, -1)).transpose(-2, -3)
    counts = q @ k.transpose(-1, -2)  # (T, B, heads, N, N)
    cur = scale * counts @ v  # (T, B, heads, N, d)
    return fire(cur.transpose(-2, -3).flatten(-2))
