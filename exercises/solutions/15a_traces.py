"""15a  A trace instead of a list of times: model solution"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def read_trace(spk: Tensor, tau: float) -> Tensor:
    """Spikes ``(T, P)`` and τ in steps → what each synapse reads at each step, ``(T, P)``."""
    x = torch.zeros_like(spk[0])
    rows = []
    for spk_t in spk:
        x = x * math.exp(-1 / tau)
        rows.append(x)  # read here: the spikes of this step do not count yet
        x = x + spk_t
    return torch.stack(rows)
