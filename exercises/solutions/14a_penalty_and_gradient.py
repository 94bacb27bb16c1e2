"""14a  A penalty and its gradient: model solution"""

from __future__ import annotations

from torch import Tensor


def penalty(spk: Tensor, weight: float, r_min: float) -> tuple[Tensor, Tensor]:
    """From spikes ``(T, B, N)`` to R ``()`` and ∂R/∂S ``(T, B, N)``."""
    T, B, N = spk.shape
    n = spk.sum(0)  # (B, N)
    r = n.mean(0)  # (N,)
    value = (n**2).mean() + weight * (r_min - r).clamp(min=0).mean()
    # ∂⟨n²⟩/∂S[t] = 2·n/(B·N), and ∂r/∂S[t] = 1/B for each of the N neurons below r_min
    per_step = 2 * n / (B * N) - weight * (r < r_min) / (B * N)  # (B, N)
    return value, per_step.expand(T, B, N)
