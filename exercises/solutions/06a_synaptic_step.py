"""06a  One step of a neuron with a synaptic current: model solution"""

from __future__ import annotations

from torch import Tensor


def synaptic_step(
    x: Tensor, syn: Tensor, mem: Tensor, alpha: float, beta: float, threshold: float
) -> tuple[Tensor, Tensor, Tensor]:
    """From x[t+1] and the state I[t], U[t], each ``(B,)``, to ``S[t+1], I[t+1], U[t+1]``."""
    # S[t] = 1 if U[t] > θ else 0
    spk = (mem > threshold).to(mem.dtype)
    # I[t+1] = α·I[t] + x[t+1]
    syn = alpha * syn + x
    # U[t+1] = β·U[t] + I[t+1] − S[t]·θ
    mem = beta * mem + syn - spk * threshold
    # S[t+1] = 1 if U[t+1] > θ else 0
    spk = (mem > threshold).to(mem.dtype)
    return spk, syn, mem
