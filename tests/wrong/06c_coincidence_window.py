"""Wrong versions of exercise 06c; each docstring is a part of the message that must come."""

from __future__ import annotations

import torch


def _fires(h, gap):
    late = torch.zeros_like(h)
    late[gap:] = h[: len(h) - gap]
    return bool((h + late).max() > 1)


def counts_the_gaps(h, share):
    """Did you count the gaps that fire?"""
    h = share * h / h.max()
    return sum(_fires(h, gap) for gap in range(len(h)))


def scales_the_input(h, share):
    """not the input"""
    return max([gap for gap in range(len(h)) if _fires(share * h, gap)], default=0)


def looks_at_the_second_input(h, share):
    """U may still rise"""
    h = share * h / h.max()
    return max([gap for gap in range(len(h)) if h[gap] + h[0] > 1], default=0)


def not_scaled_at_all(h, share):
    """got 399 steps, expected 2"""
    return max([gap for gap in range(len(h)) if _fires(1.001 * h, gap)], default=0)


def width_of_one(h, share):
    """is left of the first"""
    h = h / h.max()
    return int((h > share).sum()) - 1


def last_step_above(h, share):
    """Did you count the gaps that fire?"""
    h = share * h / h.max()
    gap = 0
    while _fires(h, gap):
        gap += 1
    return gap


def scales_the_first_value(h, share):
    """h[0] is only the first"""
    h = share * h / h[0]
    return max([gap for gap in range(len(h)) if _fires(h, gap)], default=0)
