"""What the entries for MNIST and CIFAR-10 share: a small network of lesson 10's layers, and its training.

A layer is convolution, BatchNorm and LIF neurons; Muon moves the filters, AdamW the rest. Its rate rises over the
first tenth of the updates and falls to zero, both in a straight line. Convolutions use bfloat16 where the processor is
fast with it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable

from multistep import fast_number
from training.muon import muon_for_convolutions, up_and_down

import torch
import torch.nn.functional as F
from torch import Tensor, nn

lesson = importlib.import_module("10_convolutional_snn")

BETA = 0.5
Augment = Callable[[Tensor], Tensor]


class SmallCNN(nn.Module):
    """Spiking convolutions, the first two with max pooling, and a linear layer that reads their mean over time."""

    def __init__(self, channels: tuple[int, ...], num_steps: int, side: int = 28) -> None:
        super().__init__()
        self.num_steps = num_steps
        self.number = torch.float32
        sizes = (1, *channels)
        layers = []
        for i, (c_in, c_out) in enumerate(zip(sizes, sizes[1:], strict=False)):
            layers.append(lesson.Layer(c_in, c_out, BETA, pool=i < 2))
        self.layers = nn.Sequential(*layers)
        self.fc = nn.Linear(channels[-1] * (side // 4) ** 2, 10)

    def current(self, x: Tensor) -> Tensor:
        """Images ``(B, C, H, W)`` in 0..1 → the read-out's mean current ``(B, 10)``."""
        spk = lesson.encode(x, self.num_steps, self.number)  # (T, B, C, H, W)
        for layer in self.layers:
            spk = layer.run(spk)
        places = spk.float().flatten(2)  # (T, B, C·H·W)
        return self.fc(places).mean(0)

    def classify(self, x: Tensor) -> Tensor:
        """uint8 images ``(B, C, H, W)`` → classes ``(B,)``."""
        return self.current(x.float() / 255).argmax(1)


class Photos(nn.Module):
    """Lesson 10's network for photographs."""

    def __init__(self, num_steps: int) -> None:
        super().__init__()
        self.num_steps = num_steps
        self.number = torch.float32
        self.body = lesson.photo_net(BETA)

    def current(self, x: Tensor) -> Tensor:
        """Images ``(B, 3, 32, 32)`` in 0..1 → mean output current ``(B, 10)``."""
        return self.body.run(lesson.encode(x, self.num_steps, self.number)).mean(0)

    def classify(self, x: Tensor) -> Tensor:
        """uint8 images ``(B, 3, 32, 32)`` → classes ``(B,)``."""
        return self.current(x.float() / 255).argmax(1)


def fit(
    net: SmallCNN | Photos,
    x: Tensor,
    y: Tensor,
    seed: int,
    epochs: int,
    batch_size: int,
    lr: float,
    augment: Augment | None = None,
) -> nn.Module:
    """Train ``net`` on uint8 images ``x (N, C, H, W)`` with labels ``y (N,)``; whole batches only."""
    device = x.device
    net.to(device).train()
    net.number = fast_number(device)
    optimizer = muon_for_convolutions(net, lr=lr, number=net.number)
    updates = epochs * (len(x) // batch_size)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda i: up_and_down(i / updates))
    order = torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        shuffled = torch.randperm(len(x), generator=order).to(device)
        for chosen in shuffled.split(batch_size)[: len(x) // batch_size]:
            images = x[chosen].float() / 255
            if augment:
                images = augment(images)
            loss = F.cross_entropy(net.current(images), y[chosen], label_smoothing=0.1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return net
