"""13d  Broken on purpose, read at the wrong step: model solution"""

from __future__ import annotations

import torch
from torch import Tensor


def read_answer(mem_rec: Tensor, lengths: Tensor, last: int) -> Tensor:
    """Potentials ``(T, B, K)`` and where each sequence ends ``(B,)`` → the answer of each, ``(B, K)``."""
    t = torch.arange(len(mem_rec), device=mem_rec.device)[:, None]  # (T, 1)
    inside = (t < lengths) & (t >= lengths - last)  # (T, B): the last steps of each sequence
    weight = inside.unsqueeze(-1).to(mem_rec.dtype)  # (T, B, 1)
    return (weight * mem_rec).sum(0) / weight.sum(0)
