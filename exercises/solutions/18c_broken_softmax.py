"""18c  Broken on purpose: the softmax left in: model solution"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor


def attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    g: Tensor,
    b: Tensor,
    neurons: Callable[[Tensor, Tensor, Tensor], Tensor],
) -> Tensor:
    """Spikes ``(T, N, d)`` three times, factor and offset ``(d,)`` → spikes ``(T, N, d)``."""
    counts = q @ k.transpose(-1, -2)  # (T, N, N)
    currents = counts @ v  # (T, N, d), whole numbers
    return neurons(currents, 1 / g, b / g)
