"""07c  Broken on purpose: a triangle that teaches the wrong thing. Model solution"""

from __future__ import annotations

from torch import Tensor


def triangle_backward(mem: Tensor, grad_spk: Tensor, threshold: float, width: float) -> Tensor:
    """The backward pass: ∂L/∂U from U and ∂L/∂S, each ``(B, N)``."""
    x = mem - threshold  # the distance is that from the threshold
    h = (1 - x.abs() / width).clamp(min=0)  # nowhere negative
    return grad_spk * h
