"""05b  Which angle makes these counts most likely? Model solution"""

from __future__ import annotations

from torch import Tensor


def most_likely(counts: Tensor, rates: Tensor, grid: Tensor, window: float) -> Tensor:
    """``counts (B, N)``, ``rates (G, N)``, ``grid (G,)`` → the most likely angles ``(B,)``."""
    # log L(s) = Σᵢ nᵢ·log fᵢ(s) − T·Σᵢ fᵢ(s)
    log_l = counts @ rates.log().T - window * rates.sum(1)  # (B, G)
    return grid[log_l.argmax(1)]
