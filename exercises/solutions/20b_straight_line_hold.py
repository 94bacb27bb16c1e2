"""20b  From the equation to the step, for an input that moves: model solution"""

from __future__ import annotations

import torch
from torch import Tensor


def straight_line(A: Tensor, dt: float) -> tuple[Tensor, Tensor]:
    """A ``(N,)`` and Δ → b₀ and b₁ of one step, ``(N,)`` each."""
    b = (torch.exp(dt * A) - 1) / A  # that of zero-order hold
    b1 = (b / dt - 1) / A
    return b - b1, b1
