"""02c  A pixel that forgets no change. Model solution"""

from __future__ import annotations

import torch
from torch import Tensor


def silicon_retina(frames: Tensor, threshold: float) -> Tensor:
    """A film ``(T, B)`` → spikes ``(T, B)``, each +1 (ON), −1 (OFF) or 0."""
    level = frames[0]
    spk_rec = []
    for frame in frames:
        change = frame - level
        spk = (change >= threshold).float() - (change <= -threshold).float()
        level = level + threshold * spk  # what has been told so far
        spk_rec.append(spk)
    return torch.stack(spk_rec)
