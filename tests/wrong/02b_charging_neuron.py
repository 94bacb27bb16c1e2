"""Wrong versions of exercise 02b; each docstring is a part of the message that must come."""

from __future__ import annotations

import torch


def _train(when, num_steps, fires):
    step = torch.arange(num_steps)[:, None]
    return ((when == step) & fires).float()


def linear_code(x, num_steps, tau, threshold):
    """This is the linear code"""
    return _train(torch.round((num_steps - 1) * (1 - x)), num_steps, x > threshold)


def forgets_tau(x, num_steps, tau, threshold):
    """in units of τ"""
    return _train(torch.round(torch.log(x / (x - threshold))), num_steps, x > threshold)


def wrong_solution(x, num_steps, tau, threshold):
    """is x·(1 − exp(−t/τ)) = θ?"""
    return _train(torch.round(-tau * torch.log(threshold / x)), num_steps, x > threshold)


def late_ones_at_the_end(x, num_steps, tau, threshold):
    """makes a crowd of late spikes"""
    when = torch.round(tau * torch.log(x / (x - threshold))).clamp(max=num_steps - 1)
    return _train(when, num_steps, x > threshold)


def dark_ones_at_the_end(x, num_steps, tau, threshold):
    """U climbs towards x"""
    when = torch.round(tau * torch.log(x / (x - threshold)).nan_to_num(posinf=0.0))
    return _train(when, num_steps, x == x)


def returns_times(x, num_steps, tau, threshold):
    """Are these the times?"""
    return torch.round(tau * torch.log(x / (x - threshold)))


def stays_on(x, num_steps, tau, threshold):
    """spikes at steps"""
    when = torch.round(tau * torch.log(x / (x - threshold)))
    step = torch.arange(num_steps)[:, None]
    return ((when <= step) & (x > threshold)).float()
