"""21b  One game ends, the others go on: model solution"""

from __future__ import annotations

import snntorch as snn
import torch
from torch import Tensor


def remember(
    cur: Tensor, restarted: Tensor, lif: snn.Leaky, charge: float
) -> tuple[Tensor, Tensor]:
    """Currents ``(T, B, N)`` and restarts ``(T, B)`` → spikes and membranes ``(T, B, N)``."""
    mem = torch.full_like(cur[0], charge)  # (B, N)
    spk_rec, mem_rec = [], []
    for t in range(len(cur)):
        new_game = restarted[t].unsqueeze(1)  # (B, 1): all neurons of a game
        mem = torch.where(
            new_game, charge, mem
        )  # before the first picture of the new game comes in
        spk, mem = lif(cur[t], mem)
        spk_rec.append(spk)
        mem_rec.append(mem)
    return torch.stack(spk_rec), torch.stack(mem_rec)
