"""01d  A neuron that gets tired: model solution"""

from __future__ import annotations

from torch import Tensor


def adaptive_step(
    cur: Tensor,
    mem: Tensor,
    spk: Tensor,
    rise: Tensor,
    beta: float,
    threshold: float,
    rho: float,
    jump: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """From I[t+1] and the state U[t], S[t], a[t], each ``(B,)``, to ``S[t+1], U[t+1], a[t+1]``."""
    # a[t+1] = ρ·a[t] + b·S[t]
    rise = rho * rise + jump * spk
    # U[t+1] = β·U[t]·(1 − S[t]) + I[t+1]
    mem = beta * mem * (1 - spk) + cur
    # S[t+1] = 1 if U[t+1] > θ + a[t+1] else 0
    spk = (mem > threshold + rise).to(mem.dtype)
    return spk, mem, rise
