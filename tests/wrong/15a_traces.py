"""Wrong versions of exercise 15a; each docstring is a part of the message that must come."""

from __future__ import annotations

import math

import torch


def _trace(spk, fade, jump, early=False):
    """The loop, with ``jump(x, spk_t)``; ``early`` notes the trace after the jump."""
    x, rows = torch.zeros_like(spk[0]), []
    for spk_t in spk:
        x = x * fade
        if not early:
            rows.append(x)
        x = jump(x, spk_t)
        if early:
            rows.append(x)
    return torch.stack(rows)


def read_after_the_jump(spk, tau):
    """would pair with one of the same step"""
    return _trace(spk, math.exp(-1 / tau), lambda x, s: x + s, early=True)


def read_before_it_fades(spk, tau):
    """The trace fades first and is read then"""
    x, rows = torch.zeros_like(spk[0]), []
    for spk_t in spk:
        rows.append(x)
        x = x * math.exp(-1 / tau) + spk_t
    return torch.stack(rows)


def set_to_one(spk, tau):
    """it has to add 1 to what is there"""
    return _trace(spk, math.exp(-1 / tau), lambda x, s: torch.where(s > 0, s, x))


def fades_linearly(spk, tau):
    """It fades by e"""
    return _trace(spk, 1 - 1 / tau, lambda x, s: x + s)


def one_trace_for_all(spk, tau):
    """One trace was right"""
    right = _trace(spk, math.exp(-1 / tau), lambda x, s: x + s)
    return right[:, :1].expand_as(spk)
