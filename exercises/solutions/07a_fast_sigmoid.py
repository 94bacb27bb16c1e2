"""07a  The backward pass of a surrogate: model solution"""

from __future__ import annotations

from torch import Tensor


def fast_sigmoid_backward(x: Tensor, grad_spk: Tensor, k: float) -> Tensor:
    """∂L/∂x from x = U − θ and ∂L/∂S, each ``(B, N)``."""
    # h = 1/(1 + k·|x|)², ∂L/∂x = ∂L/∂S · h
    return grad_spk / (1 + k * x.abs()) ** 2
