"""Wrong versions of exercise 02a; each docstring is a part of the message that must come."""

from __future__ import annotations

import torch


def tosses_coins(x, num_steps):
    """x = 0.25 fires at steps"""
    return (torch.rand(num_steps, len(x)) < x).float()


def throws_the_rest_away(x, num_steps):
    """it counts towards the next one"""
    total, spk_rec = torch.zeros_like(x), []
    for _ in range(num_steps):
        total = total + x
        spk = (total >= 1).float()
        total = total * (1 - spk)
        spk_rec.append(spk)
    return torch.stack(spk_rec)


def has_to_exceed_one(x, num_steps):
    """does your sum have to exceed 1, or to reach it"""
    total, spk_rec = torch.zeros_like(x), []
    for _ in range(num_steps):
        total = total + x
        spk = (total > 1).float()
        total = total - spk
        spk_rec.append(spk)
    return torch.stack(spk_rec)


def fires_at_once(x, num_steps):
    """expected [3, 7, 11]"""
    t = torch.arange(num_steps)[:, None]
    return (torch.ceil(x * (t + 1)) - torch.ceil(x * t)).clamp(0, 1)


def counts_so_far(x, num_steps):
    """is this the number of spikes so far"""
    return torch.floor(x * torch.arange(1, num_steps + 1)[:, None])


def all_spikes_first(x, num_steps):
    """expected [3, 7, 11]"""
    t = torch.arange(num_steps)[:, None]
    return (t < torch.floor(x * num_steps)).float()


def batch_first(x, num_steps):
    """time first"""
    t = torch.arange(num_steps)[:, None]
    return (torch.floor(x * (t + 1)) - torch.floor(x * t)).T


def forgets_to_pay(x, num_steps):
    """x = 0.25 fires at steps"""
    total = x * torch.arange(1, num_steps + 1)[:, None]
    return (total >= 1).float()
