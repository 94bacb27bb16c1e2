"""The networks of lesson 16: sums and ReLUs in nn.Sequential, with and without shortcuts."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

PLANS = {
    "small": (32, "M", 64, 64, "M", 128, "M"),
    "vgg16": (64, 64, "M", 128, 128, "M", *(256,) * 3, "M", *(512,) * 3, "M", *(512,) * 3, "M"),
}
"""Channels of the 3×3 convolutions; M: mean pooling, which halves the picture."""


class Residual(nn.Module):
    """Two ways from one input, added. Without a ``shortcut`` the second way is the input itself."""

    def __init__(self, body: nn.Sequential, shortcut: nn.Sequential | None = None) -> None:
        super().__init__()
        self.body, self.shortcut = body, shortcut or nn.Sequential()

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x) + self.shortcut(x)


def make_vgg(name: str) -> nn.Sequential:
    """For 32×32 colour images: convolution, BatchNorm, ReLU and mean pooling; one linear layer.

    The small one begins with 5×5 and stride 2, to save time.
    """
    size, channels, layers = 32, 3, []
    for width in PLANS[name]:
        if width == "M":
            layers.append(nn.AvgPool2d(2))
            size //= 2
            continue
        kernel, stride = (5, 2) if name == "small" and channels == 3 else (3, 1)
        conv = nn.Conv2d(channels, width, kernel, stride, kernel // 2, bias=False)
        layers += [conv, nn.BatchNorm2d(width), nn.ReLU()]
        channels, size = width, size // stride
    net = nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * size**2, 10))
    return net.to(memory_format=torch.channels_last)  # twice as fast on a CPU


def make_small(activation: Callable[[], nn.Module]) -> nn.Sequential:
    """For 28×28 grey images: four convolutions with BatchNorm and ``activation``; 92,026 parameters."""
    channels, layers = 1, []
    for width, kernel, stride in ((16, 5, 2), (32, 3, 1), (64, 3, 2), (64, 3, 1)):
        conv = nn.Conv2d(channels, width, kernel, stride, kernel // 2, bias=False)
        layers += [conv, nn.BatchNorm2d(width), activation()]
        channels = width
    net = nn.Sequential(*layers, nn.Flatten(), nn.Linear(64 * 7 * 7, 10))
    return net.to(memory_format=torch.channels_last)


def make_residual(generator: torch.Generator) -> nn.Sequential:
    """A residual network with two blocks, in eval mode. Weights and statistics are random."""

    def conv(channels: int, width: int, kernel: int = 3, stride: int = 1) -> list[nn.Module]:
        layer = nn.Conv2d(channels, width, kernel, stride, kernel // 2, bias=False)
        norm = nn.BatchNorm2d(width)
        nn.init.normal_(layer.weight, std=(channels * kernel**2) ** -0.5, generator=generator)
        norm.running_mean.normal_(0, 0.2, generator=generator)
        norm.running_var.uniform_(0.5, 1.5, generator=generator)
        nn.init.normal_(norm.bias, std=0.3, generator=generator)
        return [layer, norm]

    same = nn.Sequential(*conv(16, 16), nn.ReLU(), *conv(16, 16))
    half = nn.Sequential(*conv(16, 32, stride=2), nn.ReLU(), *conv(32, 32))
    shortcut = nn.Sequential(*conv(16, 32, kernel=1, stride=2))
    blocks = [Residual(same), nn.ReLU(), Residual(half, shortcut), nn.ReLU()]
    head = nn.Linear(32, 10)
    nn.init.normal_(head.weight, std=32**-0.5, generator=generator)
    return nn.Sequential(
        *conv(3, 16, stride=2), nn.ReLU(), *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), head
    ).eval()


class Still(nn.Module):
    """A network without state in the form that ``training.fit`` and ``evaluate`` want: with ``run``."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self.training = net.training  # a network that is done learning stays so

    def run(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """``(1, B, …)`` → the logits ``(1, B, K)``, twice: there are no spikes and no potentials."""
        out = self.net(x[0])[None]
        return out, out


def one_step(x: Tensor) -> Tensor:
    """``(B, …)`` → ``(1, B, …)``: a single time step."""
    return x[None]
