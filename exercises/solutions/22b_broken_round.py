"""22b  A round of DAgger that is none: model solution"""

from __future__ import annotations

import torch
from torch import Tensor


def one_round(world, network, teacher, num_frames: int) -> tuple[Tensor, Tensor]:
    """Frames ``(T, B, …)`` and the teacher's answers to them, as probabilities ``(T, B)``."""
    frames, targets = [], []
    for _ in range(num_frames):
        frame = world.frame()
        overdue = torch.from_numpy(teacher(world))  # (B,), of this frame
        frames.append(torch.from_numpy(frame))
        targets.append(torch.sigmoid(overdue / 2))
        world.act(network(frame))
    return torch.stack(frames), torch.stack(targets)
