"""16a  Balance one layer: model solution"""

from __future__ import annotations

import torch
from torch import Tensor


def balance(
    weight: Tensor, bias: Tensor, a_before: Tensor, a: Tensor, share: float
) -> tuple[Tensor, Tensor]:
    """The weight ``(N, M)`` and the bias ``(N,)`` for spikes of height 1 and θ = 1."""
    lam_before = torch.quantile(a_before.flatten(), share)
    lam = torch.quantile(a.flatten(), share)
    # W ← W·λ_before/λ
    weight = weight * lam_before / lam
    # b ← b/λ
    return weight, bias / lam
