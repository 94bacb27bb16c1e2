"""Wrong versions of exercise 22a; each docstring is a part of the message that must come."""

from __future__ import annotations

import math


def _window(h, w, v, b=17.0625):
    """n₂ − w/v − n₁, whatever it is."""
    root = (b * b - 4 * 0.4375 * h) ** 0.5
    return (b + root) / 0.875 - w / v - (b - root) / 0.875


def one_tick_less(h, w, v, interval):
    """Are n₁ and n₂ the roots of y(n) = h?"""
    wide = max(0.0, _window(h, w + 40, v, 17.5))
    return wide, min(1.0, wide / interval)


def runner_without_width(h, w, v, interval):
    """For how long is some part of the runner above the thing?"""
    wide = max(0.0, _window(h, w, v))
    return wide, min(1.0, wide / interval)


def root_of_a_negative_number(h, w, v, interval):
    """the root of a negative number"""
    wide = _window(h, w + 40, v)
    return (wide, 0.0) if isinstance(wide, complex) else (wide, min(1.0, wide / interval))


def min_of_a_complex_number(h, w, v, interval):
    """What does that say about h?"""
    wide = max(0.0, _window(h, w + 40, v))
    return wide, min(1.0, wide / interval)


def math_root_of_a_negative_number(h, w, v, interval):
    """What does that say about h?"""
    root = math.sqrt(17.0625**2 - 4 * 0.4375 * h)
    wide = max(0.0, root / 0.4375 - (w + 40) / v)
    return wide, min(1.0, wide / interval)


def less_than_nothing(h, w, v, interval):
    """Both should be 0."""
    wide = _window(min(h, 166), w + 40, v) if h < 166 else 0.0
    return wide, max(0.0, min(1.0, wide / interval))


def more_than_certain(h, w, v, interval):
    """of all phases have a look in the"""
    if h > 166:
        return 0.0, 0.0
    wide = max(0.0, _window(h, w + 40, v))
    return wide, wide / interval
