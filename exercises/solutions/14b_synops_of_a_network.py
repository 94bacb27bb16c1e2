"""14b  SynOps of a network, layer by layer: model solution"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def synops_by_layer(outputs: list[Tensor], filters: list[int]) -> list[float]:
    """Additions an image that the spikes of each layer cause, one number a layer."""
    found = []
    for spk, count in zip(outputs[:-1], filters[:-1], strict=True):
        B, H, W = spk.shape[1], spk.shape[3], spk.shape[4]
        # in how many windows each place lies: 9, 6 or 4
        windows = F.conv2d(torch.ones(1, 1, H, W), torch.ones(1, 1, 3, 3), padding=1)[0, 0]
        spikes = spk.sum((0, 1, 2)) / B  # of one image, all steps and channels: (H, W)
        found.append(count * (windows * spikes).sum().item())
    last = outputs[-1]
    found.append(filters[-1] * last.sum().item() / last.shape[1])
    return found
