"""09b  A loss that asks for spike counts: model solution"""

from __future__ import annotations

import torch
from torch import Tensor


def count_goal_loss(
    spk_rec: Tensor, y: Tensor, correct_rate: float, incorrect_rate: float
) -> Tensor:
    """Spikes ``(T, B, K)`` and right classes ``(B,)`` → one number."""
    T = len(spk_rec)
    counts = spk_rec.sum(0)  # (B, K)
    goal = torch.full_like(counts, int(T * incorrect_rate))
    goal[torch.arange(len(y)), y] = int(T * correct_rate)
    return ((counts - goal) ** 2).mean() / T
