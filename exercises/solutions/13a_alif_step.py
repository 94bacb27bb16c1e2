"""13a  One step of an adaptive neuron: model solution"""

from __future__ import annotations

from torch import Tensor


def alif_step(
    cur: Tensor,
    spk: Tensor,
    mem: Tensor,
    a: Tensor,
    beta: float,
    rho: float,
    kappa: float,
    threshold: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """From the current I[t] and the state of the step before, each ``(B, N)``, to ``spk, mem, a`` of this step."""
    a = rho * a + spk  # the old spike
    mem = beta * mem + cur - threshold * spk
    spk = (mem > threshold + kappa * a).float()  # the new a
    return spk, mem, a
