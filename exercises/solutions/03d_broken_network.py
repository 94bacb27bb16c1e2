"""03d  Broken on purpose: three faults in a forward pass. Model solution"""

from __future__ import annotations

from common.spiking import reset_state

import torch
from torch import Tensor, nn


def forward_pass(net: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """``x (T, B, 64)`` → output spikes and potentials, ``(T, B, 10)`` each."""
    reset_state(net)  # every run starts from rest
    x = x / 255  # what the weights were made for
    spk_rec, mem_rec = [], []
    for x_t in x:
        spk1 = net.lif1(net.fc1(x_t))
        spk2 = net.lif2(net.fc2(spk1))  # spk1 with its gradient: the surrogate's
        spk3, mem3 = net.lif3(net.fc3(spk2))
        spk_rec.append(spk3)
        mem_rec.append(mem3)
    return torch.stack(spk_rec), torch.stack(mem_rec)
