"""15c  The eligibility of a synapse: model solution"""

from __future__ import annotations

import torch
from torch import Tensor


def eligibility(spk_pre: Tensor, psi: Tensor, beta: float, rho: float, b: float) -> Tensor:
    """Presynaptic spikes ``(T, M)`` and ψ ``(T,)`` → the eligibility e of each synapse, ``(T, M)``."""
    x_bar = torch.zeros_like(spk_pre[0])
    slow = torch.zeros_like(spk_pre[0])
    e = torch.zeros_like(spk_pre[0])
    rows = []
    for t in range(len(spk_pre)):
        slow = rho * slow + e  # e is still that of the step before
        x_bar = beta * x_bar + spk_pre[t]
        e = psi[t] * (x_bar - b * slow)
        rows.append(e)
    return torch.stack(rows)
