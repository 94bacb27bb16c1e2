"""05c  How much can any decoder know? Model solution"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor


def fisher_information(rates: Callable[[float], Tensor], s: float, window: float) -> float:
    """J(s) in 1/degree², of a population whose mean rates at the angle ``s`` are ``rates(s) (N,)``."""
    h = 1e-3  # degrees
    f = rates(s)
    slope = (rates(s + h) - rates(s - h)) / (2 * h)
    alive = f > 0  # a rate of 0 is a minimum: its slope is 0 as well
    return (window * slope[alive] ** 2 / f[alive]).sum().item()
