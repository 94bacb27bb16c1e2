"""Wrong versions of exercise 06d; each docstring is a part of the message that must come."""

from __future__ import annotations

import math

import torch


def _run(x, alpha, beta, from_syn=0.0, from_mem=1.0, leaked=False, zero=False, late=False):
    syn = torch.zeros_like(x[0])
    mem = torch.zeros_like(x[0])
    spk = torch.zeros_like(x[0])
    records = []
    for x_t in x:
        before = syn
        syn = alpha * syn + x_t - spk * from_syn
        if leaked:
            mem = mem - spk * from_mem
        if zero:
            mem = mem * (1 - spk)
        mem = beta * mem + (before if late else syn)
        if not leaked and not zero:
            mem = mem - spk * from_mem
        spk = (mem > 1.0).float()
        records.append(torch.stack((spk, syn, mem)))
    return torch.stack(records, dim=1).unbind(0)


def as_given(x, tau_syn, tau_mem, dt=1.0):
    """The same U can come from a different"""
    return _run(x, math.exp(-dt / tau_mem), math.exp(-dt / tau_syn), 1.0, 0.0)


def only_the_decays(x, tau_syn, tau_mem, dt=1.0):
    """Who pays for the spike?"""
    return _run(x, math.exp(-dt / tau_syn), math.exp(-dt / tau_mem), 1.0, 0.0)


def only_the_reset(x, tau_syn, tau_mem, dt=1.0):
    """The same U can come from a different"""
    return _run(x, math.exp(-dt / tau_mem), math.exp(-dt / tau_syn))


def both_pay(x, tau_syn, tau_mem, dt=1.0):
    """Who pays for the spike?"""
    return _run(x, math.exp(-dt / tau_syn), math.exp(-dt / tau_mem), 1.0, 1.0)


def nobody_pays(x, tau_syn, tau_mem, dt=1.0):
    """θ is paid in full"""
    return _run(x, math.exp(-dt / tau_syn), math.exp(-dt / tau_mem), 0.0, 0.0)


def threshold_leaks(x, tau_syn, tau_mem, dt=1.0):
    """θ is paid in full"""
    return _run(x, math.exp(-dt / tau_syn), math.exp(-dt / tau_mem), leaked=True)


def clock_forgotten(x, tau_syn, tau_mem, dt=1.0):
    """Δt = 0.5 ms"""
    return _run(x, math.exp(-1 / tau_syn), math.exp(-1 / tau_mem))


def old_current(x, tau_syn, tau_mem, dt=1.0):
    """This was right before"""
    return _run(x, math.exp(-dt / tau_syn), math.exp(-dt / tau_mem), late=True)


def rates_for_decays(x, tau_syn, tau_mem, dt=1.0):
    """This was right before"""
    return _run(x, 1 - dt / tau_syn, 1 - dt / tau_mem)
