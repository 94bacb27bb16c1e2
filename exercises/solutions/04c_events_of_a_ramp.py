"""04c  When do the events of a ramp come? Model solution"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def ramp_events(first: float, last: float, duration: float, theta: float) -> Tensor:
    """Times of all events while the light goes from ``first`` to ``last``: ``(K,)``."""
    change = math.log(last / first)
    k = torch.arange(1, int(abs(change) / theta) + 1, dtype=torch.float64)
    sign = 1 if change > 0 else -1
    light = first * torch.exp(sign * k * theta)  # at the k-th event
    # first + (last − first)·t/duration = light, solved for t
    return duration * (light - first) / (last - first)
