"""Muon for matrices and convolutions, AdamW for everything else, as one optimiser.

Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon) takes the gradient G of a matrix, averages it
over the last updates (momentum), and replaces it by the nearest matrix whose singular values are all 1:

    G = U·Σ·Vᵀ  →  U·Vᵀ

so that directions in which the gradient is small move as far as those in which it is large. The singular value
decomposition is slow; a few steps of an odd polynomial X ← a·X + (b·A + c·A²)·X, A = X·Xᵀ, bring all singular
values near 1 (Newton–Schulz iteration). A convolution is the matrix (filters, weights of one filter).

Behind every convolution here stands a BatchNorm, to which the length of the filters makes no difference. So they
are brought back to length 1 on average before each update, and the learning rate is an angle.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

POLYNOMIAL = (3.4445, -4.7750, 2.0315)
"""a, b, c: steepest at 0, so that small singular values grow fast; from about 0.7 to 1.2 they may stay"""


def orthogonalised(g: Tensor, steps: int = 3, number: torch.dtype = torch.float32) -> Tensor:
    """Nearly U·Vᵀ of a matrix ``g = U·Σ·Vᵀ``, computed in numbers of type ``number``."""
    a, b, c = POLYNOMIAL
    x = g.to(number)
    x = x / (x.norm() + 1e-7)  # no singular value is above 1
    tall = x.shape[0] > x.shape[1]
    if tall:  # the square is cheapest along the shorter side
        x = x.T
    for _ in range(steps):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return (x.T if tall else x).to(g.dtype)


class MuonAdamW(torch.optim.AdamW):
    """Groups with ``muon=True`` hold weights of two dimensions or more and move by Muon; the others by AdamW."""

    def __init__(
        self,
        groups: list[dict[str, Any]],
        momentum: float = 0.6,
        number: torch.dtype = torch.float32,
    ) -> None:
        super().__init__(groups, weight_decay=0.0)
        self.momentum, self.number = momentum, number

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """One update of all parameters that have a gradient."""
        for group in self.param_groups:
            for weight in group["params"] if group.get("muon") else ():
                if weight.grad is not None:
                    self._turn(weight, group["lr"])
                    weight.grad = None  # AdamW passes over what has none
        return super().step(closure)

    def _turn(self, weight: Tensor, lr: float) -> None:
        state = self.state[weight]
        if not state:
            state["average"] = torch.zeros_like(weight)
            state["step"] = torch.tensor(0.0)  # AdamW looks for it when it is loaded
        average = state["average"].mul_(self.momentum).add_(weight.grad)
        ahead = weight.grad + self.momentum * average  # Nesterov: as the average will be
        weight.mul_(len(weight) ** 0.5 / weight.norm())
        turned = orthogonalised(ahead.flatten(1), number=self.number)
        weight.sub_(lr * turned.view_as(weight))


def muon_for_convolutions(
    net: nn.Module, lr: float = 0.1, rest: float = 5e-3, number: torch.dtype = torch.float32
) -> MuonAdamW:
    """Muon for the weights of all convolutions of ``net``, AdamW with the rate ``rest`` for all else."""
    convolutions = [m.weight for m in net.modules() if isinstance(m, nn.Conv2d)]
    taken = {id(weight) for weight in convolutions}
    others = [p for p in net.parameters() if id(p) not in taken]
    groups = [{"params": convolutions, "lr": lr, "muon": True}, {"params": others, "lr": rest}]
    return MuonAdamW(groups, number=number)


def up_and_down(progress: float, rise: float = 0.1) -> float:
    """The learning rate's factor: a straight line from 0 up to 1 in the first tenth, and down to 0 at the end."""
    return min(progress / rise, (1 - progress) / (1 - rise))
