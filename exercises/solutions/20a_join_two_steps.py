"""20a  Two steps in one: model solution"""

from __future__ import annotations

from torch import Tensor


def join(first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """The step (a, b) that does ``first`` and then ``second``."""
    a1, b1 = first
    a2, b2 = second
    return a2 * a1, a2 * b1 + b2
