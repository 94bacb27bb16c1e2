"""Wrong versions of exercise 20b; each docstring is a part of the message that must come."""

from __future__ import annotations

import torch


def _held(A, dt):
    """b of zero-order hold."""
    return (torch.exp(dt * A) - 1) / A


def _late(A, dt):
    """The true b₁."""
    return (_held(A, dt) / dt - 1) / A


def changed_places(A, dt):
    """have changed places"""
    b1 = _late(A, dt)
    return b1, _held(A, dt) - b1


def half_and_half(A, dt):
    """has less time to fade"""
    return _held(A, dt) / 2, _held(A, dt) / 2


def held(A, dt):
    """that is zero-order hold"""
    return _held(A, dt), torch.zeros_like(A)


def trapezium(A, dt):
    """b₀ + b₁ is its b"""
    return dt / 2 * torch.exp(dt * A), torch.full_like(A, dt / 2)


def a_wrong_sign(A, dt):
    """the integral of e^"""
    b1 = (1 - _held(A, dt) / dt) / A
    return _held(A, dt) - b1, b1


def only_one(A, dt):
    """expected two tensors"""
    return _late(A, dt)
