"""Wrong versions of exercise 04c; each docstring is a part of the message that must come."""

from __future__ import annotations

import math

import torch


def _times(first, last, duration, theta, change):
    k = torch.arange(1, int(abs(change) / theta) + 1, dtype=torch.float64)
    light = first * torch.exp(math.copysign(1, change) * k * theta)
    return duration * (light - first) / (last - first)


def evenly_spaced(first, last, duration, theta):
    """the times are evenly spaced"""
    change = abs(math.log(last / first))
    return duration * theta * torch.arange(1, int(change / theta) + 1) / change


def counts_light(first, last, duration, theta):
    """Count in the logarithm"""
    return _times(first, last, duration, theta, last - first)


def up_only(first, last, duration, theta):
    """The light falls"""
    return _times(first, last, duration, theta, max(0.0, math.log(last / first)))


def a_negative_number(first, last, duration, theta):
    """is the number of events negative?"""
    k = torch.arange(1, int(math.log(last / first) / theta) + 1)
    return duration * (first * torch.exp(k * theta) - first) / (last - first)


def on_when_it_falls(first, last, duration, theta):
    """At the k-th OFF event"""
    k = torch.arange(1, int(abs(math.log(last / first)) / theta) + 1)
    return duration * (first * torch.exp(k * theta) - first) / (last - first)


def duration_forgotten(first, last, duration, theta):
    """All times are between 0 and duration"""
    return _times(first, last, 1.0, theta, math.log(last / first))


def one_too_many(first, last, duration, theta):
    """4 events, expected 3"""
    change = math.log(last / first)
    return _times(first, last, duration, theta, change + math.copysign(theta, change))


def light_of_the_step(first, last, duration, theta):
    """When does the straight line get there?"""
    k = torch.arange(1, int(abs(math.log(last / first)) / theta) + 1)
    return duration * first * torch.exp(math.copysign(1, last - first) * k * theta) / last
