"""16c  Broken on purpose: nobody is uneven. Model solution"""

from __future__ import annotations

import torch
from torch import Tensor


def error_account(cur: Tensor, theta: float, charge: float) -> tuple[Tensor, Tensor, Tensor]:
    """Currents ``(T, N)`` → clipping, quantisation and unevenness, each ``(N,)``."""
    T = len(cur)
    mem = torch.full_like(cur[0], charge * theta)
    spikes = torch.zeros_like(cur[0])
    for cur_t in cur:
        mem = mem + cur_t
        spk = (mem > theta).to(cur.dtype)
        mem = mem - theta * spk
        spikes += spk
    rate = theta * spikes / T  # (N,)
    mean = cur.mean(0)  # (N,): a negative step counts, the ReLU comes after the sum
    ceiling = mean.clamp(0, theta)
    # the neuron starts at V[0], so the stairs start there
    stairs = theta * (torch.floor(charge + T * mean / theta) / T).clamp(0, 1)
    return ceiling - mean.relu(), stairs - ceiling, rate - stairs
