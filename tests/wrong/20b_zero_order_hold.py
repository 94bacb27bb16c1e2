"""Wrong versions of exercise 20b; each docstring is a part of the message that must come."""

from __future__ import annotations

import torch


def euler(A, dt):
    """is a = 1 + ΔA (Euler)?"""
    return 1 + dt * A, torch.full_like(A, dt)


def euler_for_the_input(A, dt):
    """b = Δ is Euler's"""
    return torch.exp(dt * A), torch.full_like(A, dt)


def bilinear(A, dt):
    """expected e^(−0.1)"""
    return (1 + dt * A / 2) / (1 - dt * A / 2) * 0.99, dt / (1 - dt * A / 2)


def wrong_sign(A, dt):
    """expected −1/A"""
    a = torch.exp(dt * A)
    return a, (1 - a) / A


def only_a(A, dt):
    """expected two tensors"""
    return torch.exp(dt * A)
