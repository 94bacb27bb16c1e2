"""What training through a loop over many steps wants: gradients of bounded length, and a slow start."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn


class ClippedAdam(torch.optim.Adam):
    """Adam that shortens a gradient longer than 1: a loop makes the gradients of some batches explode."""

    def step(self, closure: Any = None) -> Any:
        """One update of all weights."""
        weights = [p for group in self.param_groups for p in group["params"]]
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        return super().step(closure)


def make_optimizer(net: nn.Module, lr: float, loop_rate: float = 0.3) -> ClippedAdam:
    """The weights of a loop act at every step; they learn at ``loop_rate`` times the rate of the others."""
    loops = [p for name, p in net.named_parameters() if name.endswith(".V")]
    others = [p for name, p in net.named_parameters() if not name.endswith(".V")]
    groups = [{"params": others, "lr": lr}, {"params": loops, "lr": loop_rate * lr}]
    return ClippedAdam([group for group in groups if group["params"]])


def warm_up(progress: float) -> float:
    """The learning rate's factor: up in a straight line for 5 % of the updates, then down along a cosine."""
    if progress < 0.05:
        return progress / 0.05
    return 0.5 + 0.5 * math.cos(math.pi * (progress - 0.05) / 0.95)
