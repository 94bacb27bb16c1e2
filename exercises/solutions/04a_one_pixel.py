"""04a  One pixel of an event camera: model solution"""

from __future__ import annotations

import math


def pixel_events(light: list[float], theta: float) -> list[tuple[int, int]]:
    """Light over time, T numbers → events ``(step, +1 or −1)``."""
    memory = math.log(light[0])
    events = []
    for step, intensity in enumerate(light):
        level = math.log(intensity)
        while level - memory >= theta:
            events.append((step, +1))
            memory += theta
        while level - memory <= -theta:
            events.append((step, -1))
            memory -= theta
    return events
