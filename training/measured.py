"""What comes of several trainings of one kind: accuracy, spikes, dead neurons, and how sure their mean is."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common.data import batches
from common.io import write_atomic
from training.arms import interval

import numpy as np
import torch
from torch import Tensor


@dataclass
class Measured:
    """What a network with one hidden layer of N neurons does with a set of images, each shown for T steps."""

    right: Tensor
    """which images it reads correctly, 1 or 0, ``(images,)``"""
    rates: Tensor
    """the mean count of each hidden neuron: ``(N,)``"""

    @property
    def accuracy(self) -> float:
        """The share of images that are read correctly."""
        return self.right.mean().item()

    @property
    def spikes(self) -> float:
        """Hidden spikes for one image."""
        return self.rates.sum().item()

    @property
    def dead(self) -> float:
        """The share of hidden neurons that no image makes fire."""
        return (self.rates == 0).double().mean().item()

    @property
    def rare(self) -> float:
        """The share of hidden neurons that send less than one spike per 100 images, the dead among them."""
        return (self.rates < 0.01).double().mean().item()


@torch.no_grad()
def measure(net: Any, x: Tensor, y: Tensor, encode: Callable[[Tensor], Tensor]) -> Measured:
    """Answers and hidden spikes for all images ``x``.

    Args:
        net: its ``run`` gives hidden spikes ``(T, B, N)`` and output membranes ``(T, B, K)``.
        encode: images ``(B, …)`` in 0..1 → what ``run`` takes, ``(T, B, …)``.
    """
    right, found = [], []
    for x_b, y_b in batches(x, y, 500):
        spk, mem = net.run(encode(x_b))
        right.append(mem.mean(0).argmax(1).cpu() == y_b.cpu())
        found.append(spk.sum(0).cpu())
    n = torch.cat(found)  # (images, N)
    return Measured(torch.cat(right).double(), n.double().mean(0))


@dataclass
class Arm:
    """One way to train, tried with several seeds: what came of it, network by network."""

    nets: list[Any] = field(default_factory=list)
    prices: list[Any] = field(default_factory=list)
    val: list[Measured] = field(default_factory=list)
    test: list[Measured] = field(default_factory=list)

    def each(self, what: str) -> np.ndarray:
        """A property of ``Measured`` on the test images, one number a network."""
        return np.array([getattr(m, what) for m in self.test])

    def mean(self, what: str) -> float:
        """Its mean over the networks."""
        return float(self.each(what).mean())

    def percent(self, what: str) -> float:
        """The mean of a share, in per cent."""
        return 100 * self.mean(what)

    def against(self, other: Arm, what: str) -> tuple[float, float]:
        """A share here minus the same there, network by network, in points: mean, and ± over the seeds."""
        return interval(100 * (self.each(what) - other.each(what)))

    def validation(self, what: str) -> float:
        """The mean of a property on the validation images."""
        return float(np.mean([getattr(m, what) for m in self.val]))


def lost(before: Sequence[Measured], after: Sequence[Measured]) -> tuple[float, float]:
    """Points of accuracy that ``after`` lies below ``before``, network by network: mean, and ± over the seeds."""
    return interval([100 * (b.accuracy - a.accuracy) for b, a in zip(before, after, strict=True)])


def points_lost(before: Tensor, after: Tensor) -> tuple[float, float]:
    """Points lost by one network against another, from which images each reads, 1 or 0: mean, and ± over the images."""
    change = 100 * (before - after)
    return change.mean().item(), 1.96 * change.std().item() / math.sqrt(len(change))


def go_on(history: list[dict[str, float]], rows: Sequence[dict[str, float]]) -> None:
    """Adds the ``rows`` of a further training to ``history``; epochs and seconds are counted on."""
    before = dict.fromkeys(("epoch", "seconds"), 0.0)
    if history:
        before = {name: history[-1][name] for name in before}
    for row in rows:
        counted = {name: before[name] + row[name] for name in before}
        history.append(row | counted)


def write_log(
    path: Path,
    history: Sequence[dict[str, float]],
    more: Sequence[str],
    columns: Sequence[Sequence[float]],
) -> None:
    """A CSV with a row per epoch: what ``fit`` noted, and ``columns`` of the names ``more``."""
    rows = [",".join((*history[0], *more))]
    for row, also in zip(history, columns, strict=True):
        rows.append(",".join(f"{value:.6g}" for value in (*row.values(), *also)))
    write_atomic(path, "\n".join(rows) + "\n")
