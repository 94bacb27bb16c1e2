"""Wrong versions of exercise 18c; each docstring is a part of the message that must come."""

from __future__ import annotations

import torch


def as_it_came(q, k, v, s, neurons):
    """from rest no single step"""
    weights = torch.softmax(s * q @ k.transpose(-1, -2), -1)
    return neurons(weights @ v, 1.0)


def scale_still_there(q, k, v, s, neurons):
    """still in the current"""
    return neurons(s * q @ k.transpose(-1, -2) @ v, 1.0)


def threshold_unchanged(q, k, v, s, neurons):
    """what has to be 1/s times as large too"""
    return neurons(q @ k.transpose(-1, -2) @ v, 1.0)


def threshold_the_wrong_way(q, k, v, s, neurons):
    """what has to be 1/s times as large too"""
    return neurons(q @ k.transpose(-1, -2) @ v, s)


def threshold_lowered(q, k, v, s, neurons):
    """Is s, or a softmax, still in the current"""
    weights = torch.softmax(q @ k.transpose(-1, -2), -1)
    return neurons(weights @ v, 0.3)
