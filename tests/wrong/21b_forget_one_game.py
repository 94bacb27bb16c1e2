"""Wrong versions of exercise 21b; each docstring is a part of the message that must come."""

from __future__ import annotations

import torch


def _run(cur, lif, charge, before=None, after=None):
    """The loop, with ``before(t, mem)`` called ahead of each step and ``after(t, mem)`` behind it."""
    mem, spks, mems = torch.full_like(cur[0], charge), [], []
    for t in range(len(cur)):
        mem = before(t, mem) if before else mem
        spk, mem = lif(cur[t], mem)
        spks.append(spk)
        mems.append(mem)
        mem = after(t, mem) if after else mem
    return torch.stack(spks), torch.stack(mems)


def never_forgets(cur, restarted, lif, charge):
    """It has forgotten nothing"""
    return _run(cur, lif, charge)


def forgets_every_decision(cur, restarted, lif, charge):
    """Is U handed on from decision to decision?"""
    return _run(cur, lif, charge, lambda t, mem: torch.full_like(mem, charge))


def starts_empty(cur, restarted, lif, charge):
    """Is U[−1] the charge?"""
    rows = restarted.unsqueeze(2)
    return _run(cur, lif, 0.0, lambda t, mem: torch.where(rows[t], 0.0, mem))


def all_games_forget(cur, restarted, lif, charge):
    """not the whole U"""

    def before(t, mem):
        return torch.full_like(mem, charge) if restarted[t].any() else mem

    return _run(cur, lif, charge, before)


def mask_along_the_neurons(cur, restarted, lif, charge):
    """PyTorch aligns the last axes"""
    return _run(cur, lif, charge, lambda t, mem: torch.where(restarted[t], charge, mem))


def a_decision_too_late(cur, restarted, lif, charge):
    """Forgotten after the step"""
    rows = restarted.unsqueeze(2)
    return _run(cur, lif, charge, after=lambda t, mem: torch.where(rows[t], charge, mem))


def new_games_start_at_zero(cur, restarted, lif, charge):
    """but at the charge"""
    rows = restarted.unsqueeze(2)
    return _run(cur, lif, charge, lambda t, mem: torch.where(rows[t], 0.0, mem))


def first_picture_lost(cur, restarted, lif, charge):
    """its first picture has been lost"""
    mem, spks, mems = torch.full_like(cur[0], charge), [], []
    for t in range(len(cur)):
        spk, mem = lif(cur[t], mem)
        mem = torch.where(restarted[t].unsqueeze(1), charge, mem)
        spks.append(spk)
        mems.append(mem)
    return torch.stack(spks), torch.stack(mems)


def old_spike_is_paid_by_the_new_game(cur, restarted, lif, charge):
    """The new game pays for a spike of the old one"""
    mem, spks, mems = torch.full_like(cur[0], charge), [], []
    spk = torch.zeros_like(mem)
    for t in range(len(cur)):
        mem = torch.where(restarted[t].unsqueeze(1), charge, mem)
        mem = lif.beta * mem + cur[t] - spk * lif.threshold
        spk = (mem > lif.threshold).float()
        spks.append(spk)
        mems.append(mem)
    return torch.stack(spks), torch.stack(mems)


def written_over(cur, restarted, lif, charge):
    """which you have stored, written over?"""

    def before(t, mem):
        mem[restarted[t]] = charge
        return mem

    return _run(cur, lif, charge, before)
