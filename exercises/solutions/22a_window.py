"""22a  How wide is the window?: model solution"""

from __future__ import annotations

import math


def window_and_chance(h: float, w: float, v: float, interval: float) -> tuple[float, float]:
    """W in ticks, and the chance that an agent that looks every ``interval`` ticks has a key in time."""
    b = 17.5 - 0.4375
    under_the_root = b * b - 4 * 0.4375 * h
    if under_the_root < 0:
        return 0.0, 0.0
    n1 = (b - math.sqrt(under_the_root)) / (2 * 0.4375)
    n2 = (b + math.sqrt(under_the_root)) / (2 * 0.4375)
    wide = max(0.0, n2 - (w + 40) / v - n1)
    return wide, min(1.0, wide / interval)
