"""Wrong versions of exercise 15c; each docstring is a part of the message that must come."""

from __future__ import annotations

import torch


def _run(spk_pre, psi, beta, rho, b, step):
    """The loop, with ``step(x_bar, slow, e, spk, psi) -> x_bar, slow, e``."""
    x_bar = slow = e = torch.zeros_like(spk_pre[0])
    rows = []
    for t in range(len(spk_pre)):
        x_bar, slow, e = step(x_bar, slow, e, spk_pre[t], psi[t])
        rows.append(e)
    return torch.stack(rows)


def late_by_a_step(spk_pre, psi, beta, rho, b):
    """x̄ is moved on before e is formed"""

    def step(x_bar, slow, e, spk, psi_t):
        slow = rho * slow + e
        e = psi_t * (x_bar - b * slow)
        return beta * x_bar + spk, slow, e

    return _run(spk_pre, psi, beta, rho, b, step)


def e_adds_up(spk_pre, psi, beta, rho, b):
    """at every step anew"""

    def step(x_bar, slow, e, spk, psi_t):
        slow = rho * slow + e
        x_bar = beta * x_bar + spk
        return x_bar, slow, e + psi_t * (x_bar - b * slow)

    return _run(spk_pre, psi, beta, rho, b, step)


def no_adaptation(spk_pre, psi, beta, rho, b):
    """x̄ has faded by then; ε has not"""

    def step(x_bar, slow, e, spk, psi_t):
        x_bar = beta * x_bar + spk
        return x_bar, slow, psi_t * x_bar

    return _run(spk_pre, psi, beta, rho, b, step)


def plus_before_the_slow_part(spk_pre, psi, beta, rho, b):
    """there is a minus before"""

    def step(x_bar, slow, e, spk, psi_t):
        slow = rho * slow + e
        x_bar = beta * x_bar + spk
        return x_bar, slow, psi_t * (x_bar + b * slow)

    return _run(spk_pre, psi, beta, rho, b, step)


def bracket_forgotten(spk_pre, psi, beta, rho, b):
    """ψ multiplies the bracket"""

    def step(x_bar, slow, e, spk, psi_t):
        slow = rho * slow + e
        x_bar = beta * x_bar + spk
        return x_bar, slow, psi_t * x_bar - b * slow

    return _run(spk_pre, psi, beta, rho, b, step)


def one_rho_too_many(spk_pre, psi, beta, rho, b):
    """one factor ρ too many or too few"""

    def step(x_bar, slow, e, spk, psi_t):
        slow = rho * (slow + e)
        x_bar = beta * x_bar + spk
        return x_bar, slow, psi_t * (x_bar - b * slow)

    return _run(spk_pre, psi, beta, rho, b, step)


def slow_part_forgets_itself(spk_pre, psi, beta, rho, b):
    """its own part included"""

    def step(x_bar, slow, e, spk, psi_t):
        was = x_bar
        x_bar = beta * x_bar + spk
        fed = psi_before[0] * was
        psi_before[0] = psi_t
        slow = rho * slow + fed
        return x_bar, slow, psi_t * (x_bar - b * slow)

    psi_before = [psi[0] * 0]
    return _run(spk_pre, psi, beta, rho, b, step)
