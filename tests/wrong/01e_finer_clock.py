"""Wrong versions of exercise 01e; each docstring is a part of the message that must come."""

from __future__ import annotations

import math


def euler(tau, dt, resistance, current):
    """Euler keeps 1 − Δt/τ"""
    beta = 1 - dt / tau
    return beta, (1 - beta) * resistance * current


def step_and_tau_turned_round(tau, dt, resistance, current):
    """what 10 steps leave"""
    beta = math.exp(-tau / dt)
    return beta, (1 - beta) * resistance * current


def current_is_not_scaled(tau, dt, resistance, current):
    """Δt = 1 ms. U settles at I/(1 − β)"""
    return math.exp(-dt / tau), resistance * current


def current_of_the_coarse_clock(tau, dt, resistance, current):
    """Δt = 0.5 ms. U settles at I/(1 − β)"""
    return math.exp(-dt / tau), (1 - math.exp(-1 / tau)) * resistance * current
