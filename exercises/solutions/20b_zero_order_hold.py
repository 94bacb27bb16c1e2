"""20b  From the equation to the step: model solution"""

from __future__ import annotations

import torch
from torch import Tensor


def discretise(A: Tensor, dt: float) -> tuple[Tensor, Tensor]:
    """A ``(N,)`` and Δ → a and b of one step, ``(N,)`` each."""
    a = torch.exp(dt * A)
    return a, (a - 1) / A
