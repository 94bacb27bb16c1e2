"""17b  R and τ: model solution"""

from __future__ import annotations

import nir
import torch
from torch import Tensor


def beta_and_gain(node: nir.LIF, dt: float) -> tuple[Tensor, Tensor]:
    """β and the factor on W and b, each ``(N,)``, for ``node.tau``, ``node.r``, … of shape ``(N,)``."""
    if node.v_leak.any():
        raise ValueError("v_leak is not 0: Leaky falls towards 0")
    if node.v_reset.any():
        raise ValueError("v_reset is not 0: Leaky is set to 0")
    share = dt / torch.as_tensor(node.tau)
    if (share > 1.00001).any():  # a little room for rounding
        raise ValueError("tau is shorter than dt: β would be negative")
    return 1 - share, share * torch.as_tensor(node.r)
