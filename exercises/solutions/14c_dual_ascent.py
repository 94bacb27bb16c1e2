"""14c  Dual ascent: a price that finds itself. Model solution"""

from __future__ import annotations

from collections.abc import Callable


def steer(
    train_once: Callable[[float], float], budget: float, eta: float, updates: int
) -> list[float]:
    """The prices used, one for each of the ``updates``, the first of them 0."""
    price = 0.0
    used = []
    for _ in range(updates):
        used.append(price)
        spent = train_once(price)
        # λ ← [λ + η·(spent/b − 1)]₊
        price = max(0.0, price + eta * (spent / budget - 1))
    return used
