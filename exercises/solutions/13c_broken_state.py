"""13c  Broken on purpose, the network that remembers too much: model solution"""

from __future__ import annotations

import snntorch as snn
import torch
from torch import Tensor, nn


def answers(
    fc: nn.Linear, lif: snn.RLeaky, fc_out: nn.Linear, sequences: list[Tensor]
) -> list[Tensor]:
    """Batches ``(T, B, 2)`` → for each the read-out of the spikes of its last five steps, ``(B, K)``."""
    results = []
    for x in sequences:  # (T, B, 2)
        lif.reset_mem()  # a sequence starts from rest
        spk_rec = []
        for x_t in x:  # (B, 2)
            spk_rec.append(lif(fc(x_t)))
        results.append(fc_out(torch.stack(spk_rec)[-5:].mean(0)))
    return results
