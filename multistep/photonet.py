"""Lesson 10's network for photographs, for lessons that start from its weights; the plain form stands there."""

from __future__ import annotations

from common.spiking import constant_current, over_time
from multistep.normalised import unroll_normalised

import snntorch as snn
import torch
import torch.nn.functional as F
from snntorch import surrogate
from torch import Tensor, nn


class Layer(nn.Module):
    """3×3 convolution → BatchNorm → LIF neurons; ``pool`` halves the map, ``shortcut`` adds the input (SEW)."""

    def __init__(self, c_in: int, c_out: int, pool: bool = False, shortcut: bool = False) -> None:
        super().__init__()
        self.pool = pool
        self.shortcut = shortcut
        self.conv = nn.Conv2d(c_in, c_out, kernel_size=3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(c_out)
        self.lif = snn.Leaky(beta=0.5, init_hidden=True, spike_grad=surrogate.atan(2.0))

    def convolve(self, x: Tensor) -> Tensor:
        """In the number type of ``x``: ``(N, C_in, H, W)`` → ``(N, C_out, H, W)``, or half of H and W."""
        weight = self.conv.weight.to(x.dtype, memory_format=torch.channels_last)
        cur = F.conv2d(x, weight, padding=1)
        return F.max_pool2d(cur, 2) if self.pool else cur

    def run(self, x: Tensor) -> Tensor:
        """All steps from rest, ``(T, B, C_in, H, W)`` → ``(T, B, C_out, H, W)``."""
        spk = unroll_normalised(self.norm, self.lif, over_time(self.convolve, x))
        return spk + x if self.shortcut else spk


class PhotoNet(nn.Module):
    """Five layers, 32×32 → 16 → 8 → 8 → 4 → 4 pixels, the mean over all places, a linear read-out."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            Layer(3, 64, pool=True),
            Layer(64, 128, pool=True),
            Layer(128, 128, shortcut=True),
            Layer(128, 256, pool=True),
            Layer(256, 256, shortcut=True),
        )
        self.fc = nn.Linear(256, 10)

    def outputs(self, x: Tensor) -> list[Tensor]:
        """What each layer hands on, ``(T, B, C, H, W)``."""
        found = []
        for layer in self.layers:
            x = layer.run(x)
            found.append(x)
        return found

    def unasked(self, x: Tensor) -> list[Tensor]:
        """Of ``outputs``, what those channels send that fire on an empty map as well: their shift alone does it."""
        suspects: list[Tensor] = []
        before = x
        for layer, spk in zip(self.layers, self.outputs(x), strict=True):
            nothing = torch.zeros(len(x), 1, spk.shape[2], 1, 1, device=x.device)
            alone = unroll_normalised(layer.norm, layer.lif, nothing).sum(0) > 0  # (1, C, 1, 1)
            if layer.shortcut:
                suspects.append((spk - before) * alone + suspects[-1])
            else:
                suspects.append(spk * alone)
            before = spk
        return suspects

    def read(self, spk: Tensor) -> Tensor:
        """The last layer's ``(T, B, C, H, W)`` → output current ``(T, B, 10)``."""
        return self.fc(spk.float().mean((3, 4)))

    def run(self, x: Tensor) -> Tensor:
        """All steps from rest: ``(T, B, 3, H, W)`` → output current ``(T, B, 10)``."""
        return self.read(self.outputs(x)[-1])


def show_photo(x: Tensor, number: torch.dtype = torch.float32, num_steps: int = 2) -> Tensor:
    """Grey values 0..1, stretched to −2..2, at every step: ``(B, 3, H, W)`` → ``(T, B, 3, H, W)``."""
    cur = (4 * x - 2).to(number, memory_format=torch.channels_last)
    return constant_current(cur, num_steps)


def smoothed_loss(current: Tensor, y: Tensor) -> Tensor:
    """Cross entropy of the mean of ``current (T, B, 10)``, with goals of 0.91 and 0.01, not 1 and 0."""
    return F.cross_entropy(current.mean(0), y, label_smoothing=0.1)


def highest_mean_current(current: Tensor) -> Tensor:
    """The class whose output current is highest on average: ``(T, B, 10)`` → ``(B,)``."""
    return current.mean(0).argmax(1)
