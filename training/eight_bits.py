"""Training with the 8-bit weights that a network will have on a chip."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.utils import parametrize


class EightBits(nn.Module):
    """Rounds the weights of a layer to 255 levels; the gradient passes as if nothing had been rounded."""

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """Weights of any shape → the nearest multiples of a 127th of the largest."""
        step = weight.detach().abs().max().clamp(min=1e-12) / 127
        return weight + (step * (weight / step).round() - weight).detach()


def with_eight_bits(net: nn.Module) -> nn.Module:
    """``net``, whose weights are from now on rounded whenever they are used. Biases stay as they are."""
    for layer in list(net.children()):
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            parametrize.register_parametrization(layer, "weight", EightBits())
    return net


def keep_rounded(net: nn.Module) -> nn.Module:
    """``net`` after ``with_eight_bits``, with its rounded weights as its only ones."""
    for layer in list(net.children()):
        if parametrize.is_parametrized(layer):
            parametrize.remove_parametrizations(layer, "weight")
    return net
