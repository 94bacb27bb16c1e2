"""08a  A forward pass of any depth. Model solution"""

from __future__ import annotations

import snntorch as snn
import torch
from torch import Tensor, nn


def forward_pass(
    layers: list[tuple[nn.Linear, snn.Leaky]], x: Tensor
) -> tuple[Tensor, list[float]]:
    """Input ``x (T, B, N)`` → output spikes ``(T, B, K)``, and the number of spikes of each layer."""
    mems = [lif.init_leaky() for _, lif in layers]  # once, before the first step
    counts = [0.0 for _ in layers]
    spk_list = []
    for x_t in x:  # time outside
        spk = x_t
        for i, (fc, lif) in enumerate(layers):  # layers inside
            spk, mems[i] = lif(fc(spk), mems[i])
            counts[i] += spk.sum().item()
        spk_list.append(spk)  # of the last layer
    return torch.stack(spk_list), counts
