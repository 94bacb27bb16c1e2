"""Wrong versions of exercise 05a; each docstring is a part of the message that must come."""

from __future__ import annotations

import torch


def _sums(counts, preferred):
    angle = torch.deg2rad(preferred)
    return counts @ torch.cos(angle), counts @ torch.sin(angle)


def in_radians(counts, preferred):
    """This is in radians"""
    x, y = _sums(counts, preferred)
    return torch.atan2(y, x)


def x_first(counts, preferred):
    """atan2 takes y first"""
    x, y = _sums(counts, preferred)
    return torch.rad2deg(torch.atan2(x, y))


def average_of_angles(counts, preferred):
    """This is the average of the angles"""
    return counts @ preferred / counts.sum(1)


def without_quadrant(counts, preferred):
    """cannot tell P from −P"""
    x, y = _sums(counts, preferred)
    return torch.rad2deg(torch.atan(y / x))


def counts_forgotten(counts, preferred):
    """Do the counts weigh the votes?"""
    x, y = _sums((counts > 0).float(), preferred)
    return torch.rad2deg(torch.atan2(y, x))


def degrees_as_radians(counts, preferred):
    """torch.cos wants radians"""
    x, y = counts @ torch.cos(preferred), counts @ torch.sin(preferred)
    return torch.rad2deg(torch.atan2(y, x))


def from_zero_to_360(counts, preferred):
    """lie outside"""
    x, y = _sums(counts, preferred)
    return torch.rad2deg(torch.atan2(y, x)) % 360


def one_answer_for_all(counts, preferred):
    """one angle a trial"""
    x, y = _sums(counts, preferred)
    return torch.rad2deg(torch.atan2(y.sum(), x.sum()))
