"""Wrong versions of exercise 15d; each docstring is a part of the message that must come."""

from __future__ import annotations

import torch


def _gradient(spk_pre, spk, psi, target, w_out, beta, rho, b, slow_sign, error):
    """The program, with the sign of the slow part and the error of the read-outs to choose."""
    x_bar = torch.zeros_like(spk_pre[0])
    slow = torch.zeros_like(w_out[0][:, None] * x_bar)
    e, grad = torch.zeros_like(slow), torch.zeros_like(slow)
    for t in range(len(spk_pre)):
        slow = rho * slow + e
        x_bar = beta * x_bar + spk_pre[t]
        e = psi[t][:, None] * (x_bar + slow_sign * b * slow)
        share = torch.softmax(w_out @ spk[t], 0)
        grad = grad + (error(share, target[t]) @ w_out)[:, None] * e
    return grad


def as_it_was(*args):
    """climbs uphill"""
    return _gradient(*args, 1, lambda share, target: target - share)


def only_the_slow_part_mended(*args):
    """climbs uphill"""
    return _gradient(*args, -1, lambda share, target: target - share)


def only_the_signal_mended(*args):
    """for or against a spike now"""
    return _gradient(*args, 1, lambda share, target: share - target)


def slow_part_left_out(*args):
    """for or against a spike now"""
    return _gradient(*args, 0, lambda share, target: share - target)


def the_size_of_the_error(*args):
    """only a sign was wrong there"""
    return _gradient(*args, -1, lambda share, target: (share - target).abs())
