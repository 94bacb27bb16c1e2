"""08c  Broken on purpose: every shape fits. Model solution"""

from __future__ import annotations

import snntorch as snn
import torch
from torch import Tensor, nn


@torch.no_grad()
def classify(layers: tuple[nn.Linear, nn.Linear], images: Tensor, num_steps: int) -> Tensor:
    """The class with most output spikes, for each of the images ``(B, F)``: ``(B,)``."""
    fc1, fc2 = layers
    lif1, lif2 = snn.Leaky(beta=0.9), snn.Leaky(beta=0.9)
    mem1, mem2 = lif1.init_leaky(), lif2.init_leaky()
    x = torch.stack([images] * num_steps)  # (T, B, F)
    spk_list = []
    for x_t in x:  # (B, F)
        spk1, mem1 = lif1(fc1(x_t), mem1)
        spk2, mem2 = lif2(fc2(spk1), mem2)
        spk_list.append(spk2)
    spk_rec = torch.stack(spk_list)  # (T, B, K)
    return spk_rec.sum(0).argmax(1)
