"""Networks that are compared: as many parameters for each, a log of their trainings, differences with intervals.

The log is a CSV file with a row a training. Seed 0 has tried several learning rates, and validation images choose;
at the rate chosen, other seeds have read test images.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common import plots
from common.io import live, write_atomic
from training.sweep import IDLE, fingerprint, sweep

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
    silent: int = 0
    """how many of these networks no longer fire at all"""


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
            sum(float(row["rate"]) == 0 for row in trained),
        )
    return arms


def write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """A log as a CSV file: a row a dict, all with the same keys."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomic(path, text.getvalue())


LADDER = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0, 3.0)
"""Learning rates that ``best_rate`` chooses from."""


def best_rate(score: Callable[[float], float]) -> float:
    """Climb the ladder of learning rates, from 0.03, to a rate that neither of its neighbours beats."""
    tried: dict[int, float] = {}
    best = 3
    while True:
        for i in (best, best - 1, best + 1):
            if i not in tried and 0 <= i < len(LADDER):
                tried[i] = score(LADDER[i])
        top = max(tried, key=tried.__getitem__)
        if top == best:
            return LADDER[best]
        best = top


def each_arm(
    run: Any,
    work: Callable[..., dict[str, Any]],
    names: Iterable[str],
    code: tuple[Any, ...],
    data: Any = None,
) -> Iterator[tuple[str, dict[str, Any]]]:
    """``work(arm, data, run.cfg, run)`` for each arm, as it gets ready; ``--jobs`` at a time.

    With ``--resume``, an arm that a stopped run has finished is taken over if the lesson's settings,
    ``data`` and ``code`` are the same.
    """
    idle = IDLE - {"seed", "seeds", "repeats"}  # an arm's trainings have several seeds
    decides = {flag: value for flag, value in vars(run.cfg).items() if flag not in idle}
    decides["data"] = data.facts() if data else None
    tasks, marks, arm_of = {}, {}, {}
    for arm in names:
        task = f"{work.__name__} {arm}"
        arm_of[task] = arm
        tasks[task] = (arm, data, run.cfg, run)
        marks[task] = fingerprint(arm, decides, code=(work, best_rate, *code))
    done = sweep(run, work, tasks, marks, run.cfg.jobs, run.cfg.resume)
    for task, result in live(done, "   arms", len(tasks)):
        yield arm_of[task], result


def interval(values: Sequence[float], comparisons: int = 1) -> tuple[float, float]:
    """Mean of a few trainings, and half the width of its 95 % interval (Student's t).

    Where several intervals are judged together, each has to be wider (Bonferroni's correction).
    """
    n = len(values)
    quantile = student_t.ppf(1 - 0.025 / comparisons, n - 1)
    half = quantile * np.std(values, ddof=1) / math.sqrt(n)
    return float(np.mean(values)), float(half)


def gain(arms: dict[str, Arm], better: str, than: str) -> tuple[float, float]:
    """By how many points one arm reads more than another, seed by seed: mean and half its interval."""
    return interval(np.subtract(arms[better].test, arms[than].test))


def half_unpaired(arms: dict[str, Arm], better: str, than: str) -> float:
    """Half the 95 % interval of the same difference if the seeds are not paired (equal variances)."""
    a, b = arms[better].test, arms[than].test
    free = len(a) + len(b) - 2
    pooled = ((len(a) - 1) * np.var(a, ddof=1) + (len(b) - 1) * np.var(b, ddof=1)) / free
    return float(student_t.ppf(0.975, free) * math.sqrt(pooled * (1 / len(a) + 1 / len(b))))


def only_paired(arms: dict[str, Arm], steps: Mapping[str, tuple[str, str]]) -> str:
    """The steps whose gain is told apart from 0 seed by seed, but not if the seeds are not paired; ``none``."""
    found = []
    for step, pair in steps.items():
        mean, half = gain(arms, *pair)
        if half < abs(mean) <= half_unpaired(arms, *pair):
            found.append(step)
    return "; ".join(found) or "none"


def against(arms: dict[str, Arm], base: str, variants: Sequence[str]) -> str:
    """What each variant of an arm, ``base, variant``, reads more than the arm, with its interval, as text."""
    gains = {variant: gain(arms, f"{base}, {variant}", base) for variant in variants}
    return ", ".join(f"{variant} {verdict(*pair)}" for variant, pair in gains.items())


def arm_rows(arms: dict[str, Arm], kinds: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """A row of a table for each arm: name, input, neurons, weights, rate, what it reads, how often it fires."""
    rows = []
    for name, arm in arms.items():
        mean, half = interval(arm.test)
        said = f"{mean:.1f} ± {half:.1f}"
        if half > WIDE:
            said = ", ".join(f"{one:.0f}" for one in arm.test)
        fires = "–" if name == "LSTM" else f"{100 * arm.rate:.1f}"
        gated = kinds[name].gates
        scale = "–" if gated else f"{kinds[name].scale / 0.6:.0f} ×"
        size = (str(arm.num_hidden), f"{arm.parameters:,}", f"{arm.lr:g}")
        rows.append((name.removesuffix(", stronger input"), scale, *size, said, fires))
    return rows


def signed(mean: float, half: float, digits: int = 1) -> str:
    """``+8.1 ± 2.0``, with a proper minus."""
    return f"{mean:+.{digits}f} ± {half:.{digits}f}".replace("-", "−")


def verdict(mean: float, half: float) -> str:
    """A difference, with the words that it may be nothing."""
    return signed(mean, half) + ("" if abs(mean) > half else " (not told apart from 0)")


def slug(name: str) -> str:
    """The name of an arm as a part of a file's name."""
    return name.replace(", ", "_").replace(" ", "_")


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


def draw_trainings(ax: Axes, arms: dict[str, Sequence[float]]) -> None:
    """A row an arm, from the top: mean and interval of its trainings, and below it a tick for each."""
    for i, values in enumerate(arms.values()):
        mean, half = interval(values)
        ax.errorbar(mean, i, xerr=half, fmt="o", color=plots.BLUE, capsize=4)
        ax.plot(values, [i + 0.25] * len(values), "|", color="0.4")
    ax.set_yticks(range(len(arms)), list(arms))
    ax.set_ylim(len(arms) - 0.5, -0.7)


def draw_differences(ax: Axes, gains: dict[str, tuple[float, float]]) -> None:
    """A row a difference, from the top: mean and interval; the marker is filled if it is told apart from 0."""
    for i, (mean, half) in enumerate(gains.values()):
        face = plots.RED if abs(mean) > half else "white"
        ax.errorbar(mean, i, xerr=half, fmt="s", color=plots.RED, mfc=face, capsize=4)
    ax.axvline(0, color="grey", linewidth=0.8)
    ax.set_yticks(range(len(gains)), list(gains))
    ax.set_ylim(len(gains) - 0.5, -0.7)
