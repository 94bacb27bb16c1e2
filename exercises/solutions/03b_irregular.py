"""03b  How irregular does a neuron fire? Model solution"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def cv(spk: Tensor) -> float:
    """The coefficient of variation of the intervals between the spikes of ``spk (T,)``."""
    times = torch.nonzero(spk)[:, 0]
    isi = times.diff().float()  # steps from each spike to the next
    if len(isi) < 2:
        return math.nan
    return (isi.std(correction=0) / isi.mean()).item()
