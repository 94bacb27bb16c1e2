"""Two arms that read the same test samples: intervals, McNemar's exact test, both in words and in figures.

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


def mcnemar(a: np.ndarray, b: np.ndarray) -> float:
    """Exact p of McNemar's test of two arms, True and False a sample ``(n,)``.

    A sample that only one of them reads is a coin: p is the chance that fair coins fall at least as
    unevenly between the two.
    """
    only_a = int((a & ~b).sum())
    only_b = int((b & ~a).sum())
    if only_a + only_b == 0:
        return 1.0  # they never differ
    return float(binomtest(only_a, only_a + only_b).pvalue)


def difference(a: np.ndarray, b: np.ndarray) -> tuple[float, float, float]:
    """Mean of ``a − b`` over samples, in points, and its 95 % interval.

    ``a`` and ``b (n,)`` say what two arms read of the same samples: True or False, or shares. So of
    each sample there is one difference, and the interval is their mean ± 1.96 standard errors.
    """
    d = 100 * (a.astype(float) - b.astype(float))  # (n,)
    if len(d) < 2:
        return float(d.sum()), -100.0, 100.0
    mean = float(d.mean())
    half = Z * float(d.std(ddof=1)) / len(d) ** 0.5
    return mean, mean - half, mean + half


def ends(of: tuple[float, float, float]) -> str:
    """The interval of a difference: ``2.8 to 5.9``."""
    _, low, high = of
    return f"{low:.1f} to {high:.1f}".replace("-", "−")


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


def p_of(a: np.ndarray, b: np.ndarray) -> str:
    """McNemar's p in words: ``p = 0.053``."""
    return f"p = {two_digits(mcnemar(a, b))}"


def shown(a: np.ndarray, b: np.ndarray) -> str:
    """Whether McNemar's test at 5 % shows that arm ``a`` reads more than arm ``b``, or the reverse."""
    verdict = "no difference shown"
    if mcnemar(a, b) < 0.05:
        verdict = "a gain" if a.sum() > b.sum() else "a loss"
    return f"{verdict} ({p_of(a, b)})"


def draw_accuracies(ax: plots.Axes, arms: dict[str, np.ndarray]) -> None:
    """Accuracy of each arm with its 95 % interval; ``arms`` holds True and False a sample."""
    for i, right in enumerate(arms.values()):
        low, high = wilson(right)
        middle = 100 * right.mean()
        ax.plot([100 * low, 100 * high], [i, i], color=plots.BLUE, linewidth=2)
        ax.plot(middle, i, "o", color=plots.BLUE)
        ax.text(middle, i - 0.18, f"{middle:.1f}", ha="center", fontsize=9)
    ax.set_yticks(range(len(arms)), arms)
    ax.set_ylim(len(arms) - 0.5, -0.6)
    plots.label(ax, "read correctly (%)", "")


def draw_differences(ax: plots.Axes, pairs: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
    """Of each pair of arms: difference in points, 95 % interval, how many only one reads, McNemar's p."""
    for i, (a, b) in enumerate(pairs.values()):
        mean, low, high = difference(a, b)
        only_a = int((a & ~b).sum())
        only_b = int((b & ~a).sum())
        ax.plot([low, high], [i, i], color=plots.BLUE, linewidth=2)
        ax.plot(mean, i, "o", color=plots.BLUE)
        text = f"{signed(mean)}  ({only_a} : {only_b}, {p_of(a, b)})"
        on_white = {"facecolor": "white", "edgecolor": "none", "pad": 1}
        ax.text(mean, i - 0.18, text, ha="center", va="bottom", fontsize=9, bbox=on_white)
    ax.axvline(0, color="0.5", linestyle="--", linewidth=1)
    ax.margins(x=0.12)
    ax.set_yticks(range(len(pairs)), pairs)
    ax.set_ylim(len(pairs) - 0.5, -0.6)
    title = "Differences (n : m; n are read by the first only,\nm by the second only)"
    plots.label(ax, "difference (points)", "", title)
