"""18b  Which order, before a spike has been counted?: model solution"""

from __future__ import annotations


def expected_additions(
    tokens: int, channels: int, f_q: float, f_k: float, f_v: float
) -> tuple[float, float]:
    """N, d and three probabilities → expected additions of (Q·Kᵀ)·V, and of Q·(Kᵀ·V)."""
    both = f_q * f_k
    not_zero = 1 - (1 - both) ** channels  # a sum of d bits
    first = tokens**2 * channels * (both + not_zero * f_v)
    both = f_k * f_v
    not_zero = 1 - (1 - both) ** tokens  # a sum of N bits
    second = tokens * channels**2 * (both + not_zero * f_q)
    return first, second
