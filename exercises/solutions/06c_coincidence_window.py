"""06c  How far apart may two inputs be? Model solution"""

from __future__ import annotations

import torch
from torch import Tensor


def window(h: Tensor, share: float) -> int:
    """Largest number of steps between two inputs that fire together a neuron with the answer ``h (T,)``."""
    h = share * h / h.max()
    longest = 0
    for gap in range(len(h)):
        late = torch.zeros_like(h)
        late[gap:] = h[: len(h) - gap]
        if (h + late).max() > 1:
            longest = gap
    return longest
