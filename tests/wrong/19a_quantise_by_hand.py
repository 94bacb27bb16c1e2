"""Wrong versions of exercise 19a; each docstring is a part of the message that must come."""

from __future__ import annotations

import torch


def _scale(w, bits):
    return (w.detach().abs().amax(0) / (2 ** (bits - 1) - 1)).clamp(min=1e-12)


def _through(w, hat):
    return w + (hat - w).detach()


def integers_are_returned(w, bits):
    """these are the integers q"""
    return _through(w, torch.round(w / _scale(w, bits)))


def one_value_too_many_on_each_side(w, bits):
    """the largest integer is 2^(2−1) − 1 = 1"""
    s = (w.detach().abs().amax(0) / 2 ** (bits - 1)).clamp(min=1e-12)
    return _through(w, s * torch.round(w / s))


def one_scale_for_all(w, bits):
    """take the maximum over the inputs only"""
    s = w.detach().abs().max() / (2 ** (bits - 1) - 1)
    return _through(w, s * torch.round(w / s))


def rounds_towards_zero(w, bits):
    """round to the nearest integer"""
    s = _scale(w, bits)
    return _through(w, s * torch.trunc(w / s))


def zero_channel_is_nan(w, bits):
    """its scale is 0"""
    s = w.detach().abs().amax(0) / (2 ** (bits - 1) - 1)
    return _through(w, s * torch.round(w / s))


def plain_rounding(w, bits):
    """round is flat"""
    s = _scale(w, bits)
    return s * torch.round(w / s)


def all_is_detached(w, bits):
    """everything is detached"""
    s = _scale(w, bits)
    return (s * torch.round(w / s)).detach()


def gradient_through_the_scale(w, bits):
    """a gradient goes through the scale as well"""
    s = (w.abs().amax(0) / (2 ** (bits - 1) - 1)).clamp(min=1e-12)
    q = torch.round(w / s).detach()
    return s * q + (w - w.detach()) - (s - s.detach()) * 0
