"""20c  All spikes at once, with the reset: model solution"""

from __future__ import annotations

import torch
from torch import Tensor


def spikes_at_once(cur: Tensor, beta: float, threshold: float) -> Tensor:
    """Currents ``(T, B)`` → the spikes of LIF neurons with reset by subtraction ``(T, B)``."""
    T = len(cur)
    steps = torch.arange(T)
    lag = steps.unsqueeze(1) - steps  # t − s, (T, T)
    decay = torch.where(lag >= 0, beta ** lag.clamp(min=0).float(), 0.0)
    spk = torch.zeros_like(cur)
    for _ in range(T + 1):
        paid = torch.cat([torch.zeros_like(spk[:1]), spk[:-1]])  # S[t−1]
        mem = decay @ (cur - threshold * paid)
        new = (mem > threshold).float()
        if torch.equal(new, spk):
            break
        spk = new
    return spk
