"""11d  Broken on purpose: padding has a say. Model solution"""

from __future__ import annotations

import torch
from torch import Tensor


def mean_over_own_steps(x: Tensor, mem_rec: Tensor) -> Tensor:
    """Frames ``(T, B, 2, H, W)`` and potentials ``(T, B, K)`` → means ``(B, K)``."""
    filled = x.flatten(2).sum(2) > 0  # (T, B): is there an event in this frame?
    step = torch.arange(1, len(x) + 1)[:, None]  # (T, 1)
    length = (filled * step).amax(0).clamp(min=1)  # (B,): the last frame with an event
    inside = step <= length  # (T, B)
    return (mem_rec * inside[..., None]).sum(0) / length[:, None]
