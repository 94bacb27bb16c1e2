"""Wrong versions of exercise 04a; each docstring is a part of the message that must come."""

from __future__ import annotations

import math


def _run(light, theta, *, start=None, one=False, whole=False, scale=math.log, sign=1):
    memory = scale(light[0]) if start is None else start
    events = []
    for step, value in enumerate(light):
        level = scale(value)
        while level - memory >= theta:
            events.append((step, sign))
            memory = level if whole else memory + theta
            if one:
                break
        while level - memory <= -theta:
            events.append((step, -sign))
            memory = level if whole else memory - theta
            if one:
                break
    return events


def memory_starts_at_zero(light, theta):
    """M starts as ln I of the first sample"""
    return _run(light, theta, start=0.0)


def one_event_a_step(light, theta):
    """One event a step is not enough"""
    return _run(light, theta, one=True)


def forgets_the_rest(light, theta):
    """A change by several θ makes several events at once"""
    return _run(light, theta, whole=True)


def several_and_forgets_the_rest(light, theta):
    """else the rest of each step, up to θ, is lost"""
    memory = math.log(light[0])
    events = []
    for step, value in enumerate(light):
        change = math.log(value) - memory
        count = int(abs(change) / theta)
        events += [(step, 1 if change > 0 else -1)] * count
        if count:
            memory = math.log(value)
    return events


def without_logarithm(light, theta):
    """Is it the logarithm of the light"""
    return _run(light, theta, scale=float)


def signs_turned(light, theta):
    """The signs are turned round"""
    return _run(light, theta, sign=-1)


def zero_and_one(light, theta):
    """expected (step, +1)"""
    return [(t, int(p > 0)) for t, p in _run(light, theta)]


def rises_only(light, theta):
    """light 5, 5, 10, 10, 4.9: got ON at step 2"""
    return [event for event in _run(light, theta) if event[1] > 0]
