"""Lesson 08 — A feedforward spiking network, step by step"""

from __future__ import annotations

import snntorch as snn
import torch
from torch import nn

from common.spiking import over_time, unroll


class Net(nn.Module):
    """784–256–10: Linear → Leaky → Linear → Leaky. ``forward`` is one time step, ``run`` a whole sequence."""

    def __init__(self, num_inputs: int = 784, num_hidden: int = 256, num_outputs: int = 10, beta: float = 0.9) -> None:
        super().__init__()
        self.fc1 = nn.Linear(num_inputs, num_hidden)
        self.lif1 = snn.Leaky(beta=beta, init_hidden=True)
        self.fc2 = nn.Linear(num_hidden, num_outputs)
        self.lif2 = snn.Leaky(beta=beta, init_hidden=True, output=True)

    def forward(self, x_t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """One step: ``(B, 784)`` → output spikes and membrane, each ``(B, 10)``."""
        spk1 = self.lif1(self.fc1(x_t))    # (B, 256)
        return self.lif2(self.fc2(spk1))   # (B, 10), (B, 10)

    def run(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """All steps: ``(T, B, 784)`` → ``spk_rec, mem_rec``, each ``(T, B, 10)``, starting from rest."""
        spk1, _, _ = unroll(self.lif1, over_time(self.fc1, x))                              # (T, B, 256)
        spk2, mem2, _ = unroll(self.lif2, over_time(self.fc2, spk1), record_mem=True)       # (T, B, 10)
        return spk2, mem2
