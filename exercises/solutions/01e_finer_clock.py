"""01e  The same cell, a finer clock: model solution"""

from __future__ import annotations

import math


def at_clock(tau: float, dt: float, resistance: float, current: float) -> tuple[float, float]:
    """β and the current I of one step, in mV, for steps of ``dt`` ms."""
    beta = math.exp(-dt / tau)
    cur = (1 - beta) * resistance * current
    return beta, cur
