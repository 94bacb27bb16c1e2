"""13b  A layer with a loop, and its gradient: model solution"""

from __future__ import annotations

import torch
from torch import Tensor


def recurrent_gradient(
    cur: Tensor, V: Tensor, g_spk: Tensor, beta: float, threshold: float
) -> tuple[Tensor, Tensor, Tensor]:
    """To the spikes ``(T, B, N)``, ∂L/∂I ``(T, B, N)`` and ∂L/∂V ``(N, N)``."""
    mem = torch.zeros_like(cur[0])
    spk = torch.zeros_like(cur[0])
    spk_rec, mem_rec = [], []
    for cur_t in cur:
        mem = beta * mem + cur_t + spk @ V.T - threshold * spk
        spk = (mem > threshold).to(cur.dtype)
        spk_rec.append(spk)
        mem_rec.append(mem)

    delta = torch.zeros_like(cur[0])
    grad_cur = torch.zeros_like(cur)
    grad_V = torch.zeros_like(V)
    for t in reversed(range(len(cur))):
        arrives = g_spk[t] + delta @ V  # at the spike: from the layer above, and through the loop
        sigma = 0.5 * (1 - (mem_rec[t] - threshold).abs()).clamp(min=0)
        delta = sigma * arrives + beta * delta
        grad_cur[t] = delta
        if t > 0:
            grad_V += delta.T @ spk_rec[t - 1]
    return torch.stack(spk_rec), grad_cur, grad_V
