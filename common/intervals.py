"""How sure an accuracy is: intervals for one share, for a difference over folds, and a paired test."""

from __future__ import annotations

import math

import numpy as np


def wilson(right: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927); unlike p ± 1.96·σ it never leaves 0…1."""
    p = right / n
    # (p + z²/2n ± z·√(p(1−p)/n + z²/4n²)) / (1 + z²/n)
    middle, half = p + z * z / (2 * n), z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return float((middle - half) / (1 + z * z / n)), float((middle + half) / (1 + z * z / n))


def paired_interval(differences: np.ndarray) -> tuple[float, float, float]:
    """Mean of the folds' differences and its 95 % interval, corrected for training sets that overlap.

    Two of k training sets share most of their recordings, so the folds are no k independent trials and the plain
    t interval is too narrow. Nadeau & Bengio 2003: variance × (1/k + n_test/n_train), here n_test/n_train = 1/(k − 1).
    """
    from scipy.special import (
        stdtrit,  # the quantile of Student's t; scipy.stats takes seconds to import
    )

    k = len(differences)
    half = stdtrit(k - 1, 0.975) * np.sqrt(differences.var(ddof=1) * (1 / k + 1 / (k - 1)))
    return (
        float(differences.mean()),
        float(differences.mean() - half),
        float(differences.mean() + half),
    )


def mcnemar(a: np.ndarray, b: np.ndarray) -> float:
    """Exact p of "a and b err equally often": of the recordings on which one is right, is it a fair coin which one?"""
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    n, few = only_a + only_b, min(only_a, only_b)
    # p = min(1, 2·Σ_{k ≤ few} (n over k) / 2ⁿ); whole numbers, so that nothing is rounded before the division
    return min(1.0, 2 * sum(math.comb(n, k) for k in range(few + 1)) / 2**n)
