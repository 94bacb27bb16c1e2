"""Small random changes to training images, which make more of the same images."""

from __future__ import annotations

import torch
import torch.nn.functional as F


def jitter(x: torch.Tensor, shift: int) -> torch.Tensor:
    """Move each image ``(B, C, H, W)`` by up to ``shift`` pixels both ways: more data for free."""
    if shift == 0:
        return x
    B, _, H, W = x.shape
    dx, dy = torch.randint(0, 2 * shift + 1, (2, B, 1, 1), device=x.device)
    rows = torch.arange(H, device=x.device)[:, None] + dy  # (B, H, 1)
    cols = torch.arange(W, device=x.device) + dx  # (B, 1, W)
    image = torch.arange(B, device=x.device).view(B, 1, 1)
    padded = F.pad(x, (shift,) * 4).permute(0, 2, 3, 1)  # (B, H + 2·shift, W + 2·shift, C)
    return padded[image, rows, cols].permute(0, 3, 1, 2).contiguous()


def flip_and_shift(x: torch.Tensor, shift: int = 2) -> torch.Tensor:
    """``jitter`` after mirroring half of the images: the usual augmentation of photographs."""
    mirrored = torch.rand(len(x), 1, 1, 1, device=x.device) < 0.5
    return jitter(torch.where(mirrored, x.flip(3), x), shift)
