"""Wrong versions of exercise 16c; each docstring is a part of the message that must come."""

from __future__ import annotations

import torch


def _account(cur, theta, charge, mean, start, floor_at=None, order=False):
    T = len(cur)
    mem = torch.full_like(cur[0], charge * theta)
    spikes = torch.zeros_like(cur[0])
    for cur_t in cur:
        mem = mem + cur_t
        spk = (mem > theta).to(cur.dtype)
        mem = mem - theta * spk
        spikes += spk
    ceiling = mean.clamp(0, theta)
    stairs = theta * (torch.floor(start + T * mean / theta) / T).clamp(0, 1)
    return ceiling - mean.relu(), stairs - ceiling, theta * spikes / T - stairs


def as_it_was_given(cur, theta, charge):
    """What is the mean of these currents"""
    return _account(cur, theta, charge, cur.relu().mean(0), 0.0)


def only_the_stairs_are_mended(cur, theta, charge):
    """what does the program take for it"""
    return _account(cur, theta, charge, cur.relu().mean(0), charge)


def only_the_mean_is_mended(cur, theta, charge):
    """What is missing in the stairs?"""
    return _account(cur, theta, charge, cur.mean(0), 0.0)


def charge_in_the_wrong_unit(cur, theta, charge):
    """Is θ·V[0]/θ in the stairs"""
    return _account(cur, theta, charge, cur.mean(0), charge * theta)


def negative_means_are_called_clipping(cur, theta, charge):
    """A negative mean is no clipping"""
    _, quantisation, unevenness = _account(cur, theta, charge, cur.mean(0), charge)
    return cur.mean(0).clamp(0, theta) - cur.mean(0), quantisation, unevenness


def two_parts(cur, theta, charge):
    """expected three parts"""
    clipping, quantisation, unevenness = _account(cur, theta, charge, cur.mean(0), charge)
    return clipping + quantisation, unevenness
