"""19b  One layer, as the chip computes it: model solution"""

from __future__ import annotations

import numpy as np


def integer_layer(
    x: np.ndarray, weights: np.ndarray, threshold: np.ndarray, step: np.ndarray, bits: int
) -> np.ndarray:
    """Levels in ``(N, I)`` → levels out ``(N, O)``, each a whole number from 0 to 2^bits − 1."""
    pot = x @ weights  # (N, O)
    kept = np.floor(2**bits * step)  # the chip keeps 2^b·Δ as a whole number
    level = np.ceil((pot - threshold) * 2**bits / kept)
    return np.clip(level, 0, 2**bits - 1)
