"""Small random changes to the frames of recordings, which make more of the same recordings."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def move(x: Tensor, shift: int) -> Tensor:
    """Move each recording ``(B, T, 2, H, W)`` as a whole: all of its frames by the same pixels."""
    H, W = x.shape[-2:]
    padded = F.pad(x, (shift,) * 4)
    moved = []
    for one in padded:
        dy, dx = torch.randint(0, 2 * shift + 1, (2,)).tolist()
        moved.append(one[..., dy : dy + H, dx : dx + W])
    return torch.stack(moved)


def turn_and_thin(x: Tensor, shift: int) -> Tensor:
    """Turn, stretch and move each recording ``(B, T, 2, H, W)``, and drop up to 30 % of its cells.

    Turned by up to 11°, stretched and sheared by up to 10 %, moved by up to ``shift`` pixels. A cell is
    one pixel, polarity and bin.
    """
    B, side = len(x), x.shape[-1]

    def up_to(limit: float) -> Tensor:
        return limit * (2 * torch.rand(B, device=x.device) - 1)

    angle, stretch, shear = up_to(0.2), 1 + up_to(0.1), up_to(0.1)
    affine = x.new_zeros(B, 2, 3)
    affine[:, 0, 0] = stretch * angle.cos()
    affine[:, 0, 1] = shear - angle.sin()
    affine[:, 1, 0] = angle.sin()
    affine[:, 1, 1] = stretch * angle.cos()
    affine[:, 0, 2] = up_to(2 * shift / side)
    affine[:, 1, 2] = up_to(2 * shift / side)
    grid = F.affine_grid(affine, [B, 1, side, side], align_corners=False)
    turned = F.grid_sample(x.flatten(1, 2), grid, align_corners=False).view(x.shape)
    kept = 1 - 0.3 * torch.rand(B, 1, 1, 1, 1, device=x.device)
    return turned * (torch.rand_like(turned) < kept)
