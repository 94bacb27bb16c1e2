"""01c  Broken on purpose: two resets that are almost right. Model solution"""

from __future__ import annotations

import torch
from torch import Tensor


def run_neuron(cur: Tensor, beta: float, threshold: float, reset: str) -> tuple[Tensor, Tensor]:
    """A LIF neuron: input current ``cur (T, B)`` → ``spk_rec, mem_rec``, each ``(T, B)``."""
    mem = torch.zeros_like(cur[0])
    spk = torch.zeros_like(cur[0])
    spk_rec, mem_rec = [], []
    for cur_t in cur:
        if reset == "subtract":
            mem = beta * mem + cur_t
            mem = mem - spk * threshold  # after the leak: θ is paid in full
        if reset == "zero":
            mem = mem * (1 - spk)  # before the new input, which is kept
            mem = beta * mem + cur_t
        spk = (mem > threshold).float()
        spk_rec.append(spk)
        mem_rec.append(mem)
    return torch.stack(spk_rec), torch.stack(mem_rec)
