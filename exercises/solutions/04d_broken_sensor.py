"""04d  Broken on purpose: a sensor with a bad memory. Model solution"""

from __future__ import annotations

import torch
from torch import Tensor


def sensor(frames: Tensor, theta: float) -> Tensor:
    """Light ``(T, H, W)`` → signed number of events at each step and pixel ``(T, H, W)``."""
    memory = frames[0].log()
    counts = []
    for frame in frames:
        level = frame.log()
        steps = ((level - memory) / theta).trunc()  # towards 0: only whole thresholds count
        memory = memory + steps * theta  # the rest stays in the difference
        counts.append(steps)
    return torch.stack(counts)
