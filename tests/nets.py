"""A small network that keeps the course's protocol, for tests of the plumbing."""

from __future__ import annotations

from common.data import ImageData
from common.spiking import over_time
from multistep import unroll

import snntorch as snn
import torch
from torch import nn


class TinyNet(nn.Module):
    """8–12–3, the output layer's spikes and membranes returned."""

    def __init__(self, num_hidden: int = 12, beta: float = 0.8) -> None:
        super().__init__()
        self.fc1 = nn.Linear(8, num_hidden)
        self.lif1 = snn.Leaky(beta=beta, init_hidden=True)
        self.fc2 = nn.Linear(num_hidden, 3)
        self.lif2 = snn.Leaky(beta=beta, init_hidden=True, output=True)

    def forward(self, x_t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.lif2(self.fc2(self.lif1(self.fc1(x_t))))

    def run(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        spk1, _, _ = unroll(self.lif1, over_time(self.fc1, x))
        spk2, mem2, _ = unroll(self.lif2, over_time(self.fc2, spk1), record_mem=True)
        return spk2, mem2


def three_classes(n: int = 300, seed: int = 0) -> ImageData:
    """Three noisy patterns of eight values: learnable in a second, not trivial."""
    g = torch.Generator().manual_seed(seed)
    y = torch.arange(n) % 3
    x = (torch.eye(3)[y].repeat_interleave(2, 1) + 0.4 * torch.rand(n, 6, generator=g)).clamp(0, 1)
    x = torch.cat([x, torch.rand(n, 2, generator=g)], 1)
    third = n // 3
    return ImageData(
        "three patterns",
        False,
        ("a", "b", "c"),
        x[:third],
        y[:third],
        x[third : 2 * third],
        y[third : 2 * third],
        x[2 * third :],
        y[2 * third :],
    )
