"""14d  Broken on purpose: the price on the wrong layer. Model solution"""

from __future__ import annotations

import snntorch as snn
import torch
import torch.nn.functional as F
from torch import Tensor, nn


def priced_loss(
    layers: list[tuple[nn.Linear, snn.Leaky]], x: Tensor, y: Tensor, price: float
) -> Tensor:
    """Cross entropy of the mean output potential, and ``price`` times the SynOps of an image."""
    mems = [lif.init_leaky() for _, lif in layers]
    synops = torch.zeros(())
    output = torch.zeros(())
    for x_t in x:
        spk = x_t  # (B, inputs)
        for i, (fc, lif) in enumerate(layers):
            if i > 0:  # what arrives at the first layer are grey values
                synops = synops + fc.out_features * spk.sum()
            spk, mems[i] = lif(fc(spk), mems[i])  # (B, outputs of fc)
        output = output + mems[-1]  # (B, classes)
    T, B, _ = x.shape
    return F.cross_entropy(output / T, y) + price * synops / B
