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


def marked_splits(shape: tuple[int, ...] = (1, 28, 28), n_test: int = 40) -> ImageData:
    """Images whose labels say which split they are of, for tests of who is scored on what.

    Training labels are all 0, validation labels all 1; of the test labels three quarters are 2, one
    quarter is 3. So a network that always answers 2 has 75 % on the test images and 0 elsewhere.
    Training images are black, validation images grey, test images white.
    """
    n_train, n_val = 24, 12
    y_test = torch.where(torch.arange(n_test) % 4 == 3, 3, 2)
    parts = []
    for n, grey, y in (
        (n_train, 0, torch.zeros(n_train)),
        (n_val, 128, torch.ones(n_val)),
        (n_test, 255, y_test),
    ):
        parts += [torch.full((n, *shape), grey, dtype=torch.uint8), y.long()]
    return ImageData("marked", True, tuple("0123456789"), *parts)


class Always(nn.Module):
    """A network that always answers the same class.

    Args:
        answer: what its output membrane says.
        spikes: what its spike counts say; None: the same.
        more: returned after spikes and membrane, as networks do that show their hidden layers.
    """

    def __init__(self, answer: int, spikes: int | None = None, more: tuple = ()) -> None:
        super().__init__()
        self.answer, self.spikes = answer, answer if spikes is None else spikes
        self.more = more
        self.weight = nn.Parameter(torch.zeros(1))

    def run(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        one_hot = torch.eye(10, device=x.device)
        shape = (*x.shape[:2], 10)  # (T, B, 10)
        spk = one_hot[self.spikes].expand(shape) + 0 * self.weight
        mem = one_hot[self.answer].expand(shape) + 0 * self.weight
        return spk, mem, *self.more
