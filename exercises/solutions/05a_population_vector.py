"""05a  Read an angle from a crowd: model solution"""

from __future__ import annotations

import torch
from torch import Tensor


def population_vector(counts: Tensor, preferred: Tensor) -> Tensor:
    """Counts ``(B, N)`` and preferred angles in degrees ``(N,)`` → decoded angles in degrees ``(B,)``."""
    angle = torch.deg2rad(preferred)
    x = counts @ torch.cos(angle)
    y = counts @ torch.sin(angle)
    return torch.rad2deg(torch.atan2(y, x))
