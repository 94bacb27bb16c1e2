"""Wrong versions of exercise 20c; each docstring is a part of the message that must come."""

from __future__ import annotations

import torch


def _at_once(cur, beta, threshold, most, shift=True, price=None):
    """The solution with a mistake."""
    T = len(cur)
    steps = torch.arange(T)
    lag = steps.unsqueeze(1) - steps
    decay = torch.where(lag >= 0, beta ** lag.clamp(min=0).float(), 0.0)
    spk = torch.zeros_like(cur)
    for _ in range(most):
        paid = torch.cat([torch.zeros_like(spk[:1]), spk[:-1]]) if shift else spk
        new = (decay @ (cur - (price or threshold) * paid) > threshold).float()
        if torch.equal(new, spk):
            break
        spk = new
    return spk


def as_given(cur, beta, threshold):
    """paid for at its own step"""
    return _at_once(cur, beta, threshold, 3, shift=False)


def many_rounds_only(cur, beta, threshold):
    """paid for at its own step"""
    return _at_once(cur, beta, threshold, 201, shift=False)


def shifted_only(cur, beta, threshold):
    """Are there enough rounds?"""
    return _at_once(cur, beta, threshold, 3)


def a_spike_costs_one(cur, beta, threshold):
    """what does a spike cost?"""
    return _at_once(cur, beta, threshold, 300, price=1.0)


def forty_rounds(cur, beta, threshold):
    """When has the guess come to rest?"""
    return _at_once(cur, beta, threshold, 40)
