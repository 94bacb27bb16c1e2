"""What training through a loop over many steps wants: gradients of bounded length, and a slow start."""

from __future__ import annotations

import math
from typing import Any

import torch


class ClippedAdam(torch.optim.Adam):
    """Adam that shortens a gradient longer than 1: a loop makes the gradients of some batches explode."""

    def step(self, closure: Any = None) -> Any:
        """One update of all weights."""
        weights = [p for group in self.param_groups for p in group["params"]]
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        return super().step(closure)


def warm_up(progress: float) -> float:
    """The learning rate's factor: up in a straight line for 5 % of the updates, then down along a cosine."""
    if progress < 0.05:
        return progress / 0.05
    return 0.5 + 0.5 * math.cos(math.pi * (progress - 0.05) / 0.95)
