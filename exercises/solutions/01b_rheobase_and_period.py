"""01b  Which current makes a neuron fire every n steps? Model solution"""

from __future__ import annotations


def current_for_period(n: float, beta: float, threshold: float) -> float:
    """The current with which U is just θ, n steps after a reset to zero."""
    # I·(1 − βⁿ)/(1 − β) = θ, solved for I
    return threshold * (1 - beta) / (1 - beta**n)
