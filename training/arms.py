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

from common import plots

import numpy as np
from matplotlib.axes import Axes
from scipy.stats import t as student_t
from torch import nn

WIDE = 20.0
"""points; a wider interval says less than the values themselves"""

Look = tuple[str, str, bool]
"""Colour, marker, and whether the marker is filled."""


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


def named(shares: np.ndarray) -> str:
    """The mean of the seeds and their range, as ``78 % (60 to 95)``."""
    low, high = 100 * shares.min(), 100 * shares.max()
    return f"{100 * shares.mean():.0f} % ({low:.0f} to {high:.0f})"


def told_apart(gains: dict[str, tuple[float, float]]) -> tuple[str, str]:
    """The steps whose interval keeps clear of 0, and the others, each with its gain; ``none`` where there are none."""
    told, open_ = [], []
    for step, (mean, half) in gains.items():
        (told if abs(mean) > half else open_).append(f"{step} ({mean:+.1f} ± {half:.1f})")
    return "; ".join(told) or "none", "; ".join(open_) or "none"


def draw_arms(ax: Axes, arms: dict[str, Arm], looks: dict[str, Look], filled: str) -> None:
    """The accuracy of each arm: mean, interval unless it is WIDE, and each training as a tick below."""
    for i, (name, arm) in enumerate(arms.items()):
        colour, marker, full = looks[name]
        mean, half = interval(arm.test)
        bar = {"xerr": half if half < WIDE else None, "capsize": 4}
        face = colour if full else "white"
        ax.errorbar(mean, i, fmt=marker, color=colour, mfc=face, markersize=8, **bar)
        ax.plot(arm.test, [i + 0.28] * len(arm.test), "|", color="0.4")
    ax.plot([], [], "o", color="0.4", label=f"mean, {filled}")
    ax.plot([], [], "o", color="0.4", mfc="white", label="mean, without")
    ax.plot([], [], "|", color="0.4", label="one training")
    ax.legend(loc="upper right")
    ax.set_yticks(range(len(arms)), list(arms))
    ax.set_ylim(len(arms) - 0.5, -0.7)
    ax.set_xlim(0, 100)
    said = f"bars: 95 % intervals (none where wider than ± {WIDE:g})"
    plots.label(ax, "test images read correctly (%)", "", said)


def draw_gains(ax: Axes, gains: dict[str, tuple[float, float]]) -> None:
    """What each change is worth: mean and interval."""
    for i, (mean, half) in enumerate(gains.values()):
        ax.errorbar(mean, i, xerr=half, fmt="o", color=plots.BLUE, capsize=4)
    ax.axvline(0, color="grey", linewidth=0.8)
    ax.set_yticks(range(len(gains)), [step.replace(", ", ",\n") for step in gains])
    ax.set_ylim(len(gains) - 0.5, -0.7)
    plots.label(ax, "gain (points)", "", "one change at a time")
