"""01a  One step of a leaky neuron: model solution"""

from __future__ import annotations

from torch import Tensor


def leaky_step(cur: Tensor, mem: Tensor, beta: float, threshold: float) -> tuple[Tensor, Tensor]:
    """From the current I[t+1] and the potential U[t], each ``(B,)``, to ``S[t+1], U[t+1]``."""
    # S[t] = 1 if U[t] > θ else 0
    spk = (mem > threshold).to(mem.dtype)
    # U[t+1] = β·U[t] + I[t+1] − S[t]·θ
    mem = beta * mem + cur - spk * threshold
    # S[t+1] = 1 if U[t+1] > θ else 0
    spk = (mem > threshold).to(mem.dtype)
    return spk, mem
