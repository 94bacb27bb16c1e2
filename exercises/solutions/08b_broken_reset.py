"""08b  Broken on purpose: answers that depend on the neighbours. Model solution"""

from __future__ import annotations

import snntorch as snn
import torch
from torch import Tensor, nn


@torch.no_grad()
def read(net: nn.Module, images: Tensor, num_steps: int, batch_size: int) -> Tensor:
    """The class with most output spikes, for each of the images ``(N, F)``: ``(N,)``."""
    answers = []
    for x in images.split(batch_size):
        for module in net.modules():  # however deep they are nested
            if isinstance(module, snn.SpikingNeuron):
                module.reset_mem()
        counts = 0
        for _ in range(num_steps):
            spk, _ = net(x)
            counts = counts + spk
        answers.append(counts.argmax(1))
    return torch.cat(answers)
