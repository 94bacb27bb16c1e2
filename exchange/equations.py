"""The exact solution of a NIR neuron with a synaptic current, for one step in which its input stays."""

from __future__ import annotations

import torch
from torch import Tensor


def exact_membrane(v: Tensor, i: Tensor, drive: Tensor, a: Tensor, a_syn: Tensor, r: Tensor) -> Tensor:  # fmt: skip
    """v of a CubaLIF (v_leak = 0) after a step, while its current goes from ``i`` towards ``drive`` = w_in·S.

    ``a`` is dt/τ_mem and ``a_syn`` is dt/τ_syn, which must differ. From τ·dv/dt = −v + R·i(t) with
    i(t) = drive + (i − drive)·e^(−t/τ_syn).
    """
    fade, fade_syn = torch.exp(-a), torch.exp(-a_syn)
    shape = a / (a_syn - a)  # τ_syn/(τ_mem − τ_syn)
    return r * drive + (v - r * drive) * fade + r * (i - drive) * shape * (fade - fade_syn)
