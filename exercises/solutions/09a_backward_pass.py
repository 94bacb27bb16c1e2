"""09a  The backward pass of a LIF layer: model solution"""

from __future__ import annotations

import torch
from torch import Tensor


def lif_backward(
    mem_rec: Tensor, g_spk: Tensor, g_mem: Tensor, beta: float, threshold: float
) -> tuple[Tensor, Tensor]:
    """From U and what arrives at S and U, each ``(T, B, N)``, to ∂L/∂I ``(T, B, N)`` and ∂L/∂β ``()``."""
    delta = torch.zeros_like(mem_rec[0])  # nothing comes after the last step
    grad_cur = torch.zeros_like(mem_rec)
    grad_beta = mem_rec.new_zeros(())
    for t in reversed(range(len(mem_rec))):
        sigma = 1 / (1 + (torch.pi * (mem_rec[t] - threshold)) ** 2)
        # δ[t] = g_S[t]·σ′(U[t] − θ) + g_U[t] + β·δ[t+1]
        delta = g_spk[t] * sigma + g_mem[t] + beta * delta
        # ∂L/∂I[t] = δ[t]
        grad_cur[t] = delta
        # ∂L/∂β = Σ δ[t]·U[t−1]
        if t > 0:
            grad_beta += (delta * mem_rec[t - 1]).sum()
    return grad_cur, grad_beta
