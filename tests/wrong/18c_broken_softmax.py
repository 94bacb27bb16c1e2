"""Wrong versions of exercise 18c; each docstring is a part of the message that must come."""

from __future__ import annotations

import torch


def _counts(q, k, v):
    return q @ k.transpose(-1, -2) @ v


def as_it_came(q, k, v, g, b, neurons):
    """from rest no single step"""
    weights = torch.softmax(q @ k.transpose(-1, -2), -1)
    return neurons(g * (weights @ v), torch.ones_like(g), b)


def factor_still_there(q, k, v, g, b, neurons):
    """still in the current"""
    return neurons(g * _counts(q, k, v), torch.ones_like(g), b)


def offset_in_the_current(q, k, v, g, b, neurons):
    """still in the current"""
    return neurons(_counts(q, k, v) + b / g, 1 / g, torch.zeros_like(b))


def threshold_lowered(q, k, v, g, b, neurons):
    """or a softmax still in the current"""
    weights = torch.softmax(q @ k.transpose(-1, -2), -1)
    return neurons(weights @ v, 0.3 / g, b)


def threshold_unchanged(q, k, v, g, b, neurons):
    """what has to be 1/g times as large too"""
    return neurons(_counts(q, k, v), torch.ones_like(g), b)


def threshold_the_wrong_way(q, k, v, g, b, neurons):
    """what has to be 1/g times as large too"""
    return neurons(_counts(q, k, v), g, b / g)


def offset_as_it_was(q, k, v, g, b, neurons):
    """In which units is b given"""
    return neurons(_counts(q, k, v), 1 / g, b)


def offset_forgotten(q, k, v, g, b, neurons):
    """In which units is b given"""
    return neurons(_counts(q, k, v), 1 / g, torch.zeros_like(b))


def offset_in_the_threshold(q, k, v, g, b, neurons):
    """In which units is b given"""
    return neurons(_counts(q, k, v), (1 - b) / g, torch.zeros_like(b))
