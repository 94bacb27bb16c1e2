"""15d  Broken on purpose: two signs: model solution"""

from __future__ import annotations

import torch
from torch import Tensor


def eprop_gradient(
    spk_pre: Tensor,
    spk: Tensor,
    psi: Tensor,
    target: Tensor,
    w_out: Tensor,
    beta: float,
    rho: float,
    b: float,
) -> Tensor:
    """∂E/∂W of the input weights, ``(N, M)``."""
    x_bar = torch.zeros_like(spk_pre[0])  # (M,)
    slow = torch.zeros_like(w_out[0][:, None] * x_bar)  # (N, M)
    e = torch.zeros_like(slow)
    grad = torch.zeros_like(slow)
    for t in range(len(spk_pre)):
        slow = rho * slow + e
        x_bar = beta * x_bar + spk_pre[t]
        e = psi[t][:, None] * (x_bar - b * slow)  # (N, M): earlier spikes raised the threshold
        share = torch.softmax(w_out @ spk[t], 0)  # π, (K,)
        signal = (share - target[t]) @ w_out  # (N,): π − π*, uphill
        grad = grad + signal[:, None] * e
    return grad
