"""02b  When does a neuron answer? Model solution"""

from __future__ import annotations

import torch
from torch import Tensor


def first_spikes(x: Tensor, num_steps: int, tau: float, threshold: float) -> Tensor:
    """Intensities ``(B,)`` → spikes ``(T, B)``, at most one a pixel."""
    when = torch.round(tau * torch.log(x / (x - threshold)))  # (B,), no number where x ≤ θ
    step = torch.arange(num_steps)[:, None]  # (T, 1)
    return ((when == step) & (x > threshold)).float()
