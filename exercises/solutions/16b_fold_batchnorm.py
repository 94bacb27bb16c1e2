"""16b  Fold a BatchNorm: model solution"""

from __future__ import annotations

import torch
from torch import Tensor, nn


@torch.no_grad()
def fold(weight: Tensor, bias: Tensor | None, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Weight ``(C_out, C_in, k, k)`` and bias ``(C_out,)`` of the convolution with ``norm`` inside."""
    # γ/√(σ² + ε), one number for each channel that comes out
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    own = 0.0 if bias is None else bias
    # W ← W·γ/√(σ² + ε)
    weight = weight * scale.view(-1, 1, 1, 1)
    # b ← β + (b − μ)·γ/√(σ² + ε)
    return weight, norm.bias + (own - norm.running_mean) * scale
