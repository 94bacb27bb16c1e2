"""10c  Broken on purpose, a layer that cannot see time: model solution"""

from __future__ import annotations

import snntorch as snn
import torch
from torch import Tensor, nn


def layer(conv: nn.Conv2d, norm: nn.BatchNorm2d, lif: snn.Leaky, x: Tensor) -> Tensor:
    """Convolution, BatchNorm and neurons over all steps: ``(T, B, C_in, H, W)`` → ``(T, B, C, H, W)``."""
    cur = norm(conv(x.flatten(0, 1)))  # (T·B, C, H, W): one mean and one variance a channel
    cur = cur.unflatten(0, x.shape[:2])  # (T, B, C, H, W)
    mem = lif.init_leaky()
    spk_rec = []
    for cur_t in cur:  # (B, C, H, W)
        spk, mem = lif(cur_t, mem)
        spk_rec.append(spk)
    return torch.stack(spk_rec)
