"""Networks that are compared: as many parameters for each, a log of their trainings, differences with intervals.

The log is a CSV file with a row a training. Seed 0 has tried several learning rates, and validation images choose;
at the rate chosen, other seeds have read test images.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import t as student_t
from torch import nn


@dataclass
class Arm:
    """One arm of a comparison; accuracies in per cent."""

    num_hidden: int
    parameters: int
    lr: float
    """that with the best validation accuracy, one training each"""
    test: list[float]
    """at this rate, one training for each of the other seeds"""
    rate: float
    """share of neurons that fire in a step, on average over layers, steps and images"""


def read_arms(path: Path) -> dict[str, Arm]:
    """The arms of a log, by name, in its order."""
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    arms = {}
    for name in dict.fromkeys(row["arm"] for row in rows):
        mine = [row for row in rows if row["arm"] == name]
        tried = [row for row in mine if row["seed"] == "0"]
        lr = max(tried, key=lambda row: float(row["validation"]))["lr"]
        trained = [row for row in mine if row["lr"] == lr and row["seed"] != "0"]
        arms[name] = Arm(
            int(mine[0]["neurons"]),
            int(mine[0]["parameters"]),
            float(lr),
            [100 * float(row["test"]) for row in trained],
            float(np.mean([float(row["rate"]) for row in trained])),
        )
    return arms


def interval(values: Sequence[float], comparisons: int = 1) -> tuple[float, float]:
    """Mean of a few trainings, and half the width of its 95 % interval (Student's t).

    Where several intervals are judged together, each has to be wider (Bonferroni's correction).
    """
    n = len(values)
    quantile = student_t.ppf(1 - 0.025 / comparisons, n - 1)
    half = quantile * np.std(values, ddof=1) / math.sqrt(n)
    return float(np.mean(values)), float(half)


def count_parameters(net: nn.Module) -> int:
    """All numbers that training may change."""
    return sum(p.numel() for p in net.parameters())


def widest(make: Callable[[int], nn.Module], budget: int) -> int:
    """The largest width whose network, ``make(width)``, has at most ``budget`` parameters."""
    width = 1
    while count_parameters(make(width + 1)) <= budget:
        width += 1
    return width
