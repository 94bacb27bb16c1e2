"""Two variants that read the same test samples: intervals, McNemar's exact test, both in words and in figures.

``right (n,)`` is of each sample True or False, or the share of several networks that read it.
"""

from __future__ import annotations

from common import plots
from common.claims import plain

import numpy as np
from scipy.stats import binomtest

Z = 1.959964  # a 95 % interval reaches so many standard errors to both sides


def percent(share: float, digits: int = 1) -> str:
    """0.921 → ``92.1 %``."""
    return f"{100 * share:.{digits}f} %"


def wilson(right: np.ndarray) -> tuple[float, float]:
    """95 % interval of the mean of ``right (n,)``, by Wilson (1927): it never leaves 0 … 1.

    Entries are True or False, or the share of several networks that are right. Such a share counts as
    one observation, so the interval is too wide rather than too narrow. It speaks of these networks:
    what other seeds would give is not in it.
    """
    n = len(right)
    if n == 0:
        return 0.0, 1.0
    p = float(right.mean())
    stretch = 1 + Z**2 / n
    middle = (p + Z**2 / (2 * n)) / stretch
    variance = p * (1 - p) / n + Z**2 / (4 * n**2)
    half = Z * variance**0.5 / stretch
    return max(0.0, middle - half), min(1.0, middle + half)


def span(low: float, high: float, digits: int = 0) -> str:
    """An interval of shares: ``79 to 92 %``."""
    return f"{100 * low:.{digits}f} to {percent(high, digits)}"


def unequal(a: np.ndarray, b: np.ndarray) -> tuple[int, int]:
    """How many samples only ``a`` reads, and how many only ``b``; True and False a sample ``(N,)``."""
    return int((a & ~b).sum()), int((b & ~a).sum())


def mcnemar(a: np.ndarray, b: np.ndarray) -> float:
    """Exact p of McNemar's test of two variants, True and False a sample ``(N,)``.

    A sample that only one of them reads is a coin: p is the chance that fair coins fall at least as
    unevenly between the two.
    """
    n, m = unequal(a, b)
    if n + m == 0:
        return 1.0  # they never differ
    return float(binomtest(n, n + m).pvalue)


def difference(a: np.ndarray, b: np.ndarray, level: float = 0.95) -> tuple[float, float, float]:
    """What ``a`` reads more than ``b``, in points, and the exact interval that belongs to `mcnemar`.

    n samples of N are read by ``a`` only, m by ``b`` only. If such a sample falls to ``a`` with chance
    q, the difference is (2q − 1)·(n + m)/N; q lies in Clopper and Pearson's (1934) interval of
    n/(n + m). So the interval leaves out 0 if and only if McNemar's p is below 1 − ``level``. It takes
    n + m as given; if that is 0, the interval is a point and says nothing.
    """
    n, m = unequal(a, b)
    if n + m == 0:
        return 0.0, 0.0, 0.0
    q = binomtest(n, n + m).proportion_ci(level, method="exact")
    most = 100 * (n + m) / len(a)  # points, if all fell to one side
    return 100 * (n - m) / len(a), most * (2 * q.low - 1), most * (2 * q.high - 1)


def ends(of: tuple[float, float, float]) -> str:
    """The interval of a difference: ``2.8 to 5.9``; an end next to 0 keeps its sign, ``−0.02``."""
    words = []
    for end in of[1:]:
        digits = f"{end:.1f}"
        if 0 < abs(end) < 0.05:
            digits = plain(float(f"{end:.1g}"))
        words.append(digits.replace("-", "−"))
    return " to ".join(words)


def signed(value: float) -> str:
    """A difference in points with its sign: ``+4.4``, ``−4.9``; ``0.0`` has none."""
    if round(value, 1) == 0:
        return "0.0"
    return f"{value:+.1f}".replace("-", "−")


def points(of: tuple[float, float, float]) -> str:
    """A difference and its interval: ``+4.4 (2.8 to 5.9)``."""
    mean, _, _ = of
    return f"{signed(mean)} ({ends(of)})"


def rounded(p: float) -> float:
    """A p to two digits: more would say nothing."""
    return float(f"{p:.2g}")


def two_digits(p: float) -> str:
    """The same in words."""
    return plain(rounded(p))


def shown(a: np.ndarray, b: np.ndarray) -> str:
    """Whether ``a`` reads more than ``b`` at 5 %: ``a gain, +4.8 points (2.5 to 5.6)``."""
    verdict = "no difference shown"
    if mcnemar(a, b) < 0.05:
        verdict = "a gain" if a.sum() > b.sum() else "a loss"
    mean, *_ = interval = difference(a, b)
    return f"{verdict}, {signed(mean)} points ({ends(interval)})"


def draw_accuracies(ax: plots.Axes, variants: dict[str, np.ndarray]) -> None:
    """Accuracy of each variant with its 95 % interval; ``variants`` holds True and False a sample."""
    for i, right in enumerate(variants.values()):
        low, high = wilson(right)
        middle = 100 * right.mean()
        ax.plot([100 * low, 100 * high], [i, i], color=plots.BLUE, linewidth=2)
        ax.plot(middle, i, "o", color=plots.BLUE)
        ax.text(middle, i - 0.18, f"{middle:.1f}", ha="center", fontsize=9)
    ax.set_yticks(range(len(variants)), variants)
    ax.set_ylim(len(variants) - 0.5, -0.6)
    plots.label(ax, "read correctly (%)", "")


def draw_differences(
    ax: plots.Axes, pairs: dict[str, tuple[np.ndarray, np.ndarray]], level: float = 0.95
) -> None:
    """Of each pair of variants: difference in points, its interval, and how many only one of them reads."""
    for i, (a, b) in enumerate(pairs.values()):
        mean, low, high = difference(a, b, level)
        n, m = unequal(a, b)
        ax.plot([low, high], [i, i], color=plots.BLUE, linewidth=2)
        ax.plot(mean, i, "o", color=plots.BLUE)
        text = f"{signed(mean)}  ({n} : {m})"
        on_white = {"facecolor": "white", "edgecolor": "none", "pad": 1}
        ax.text(mean, i - 0.18, text, ha="center", va="bottom", fontsize=9, bbox=on_white)
    ax.axvline(0, color="0.5", linestyle="--", linewidth=1)
    ax.margins(x=0.12)
    ax.set_yticks(range(len(pairs)), pairs)
    ax.set_ylim(len(pairs) - 0.5, -0.6)
    title = "Differences, 95 % intervals\n(n are read by the first only : m by the second only)"
    plots.label(ax, "difference (points)", "", title)
