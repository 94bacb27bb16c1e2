"""15b  What the winner learns: model solution"""

from __future__ import annotations

from torch import Tensor


def winner_update(w: Tensor, x: Tensor, winner: int, eta: float, total: float) -> Tensor:
    """Weights ``(P, N)`` and traces ``(P,)`` at a spike of neuron ``winner`` → new weights ``(P, N)``."""
    w = w.clone()
    w[:, winner] += eta * (x - w[:, winner])  # equation (5), for the winner alone
    w[:, winner] *= total / w[:, winner].sum()
    return w
