"""Wrong versions of exercise 19b; each docstring is a part of the message that must come."""

from __future__ import annotations

import numpy as np


def rounds_down(x, weights, threshold, step, bits):
    """Every started step counts"""
    kept = np.floor(2**bits * step)
    return np.clip(np.floor((x @ weights - threshold) * 2**bits / kept), 0, 2**bits - 1)


def forgets_the_threshold(x, weights, threshold, step, bits):
    """θ is taken away before dividing"""
    kept = np.floor(2**bits * step)
    return np.clip(np.ceil((x @ weights) * 2**bits / kept), 0, 2**bits - 1)


def to_the_nearest(x, weights, threshold, step, bits):
    """Every started step counts"""
    kept = np.floor(2**bits * step)
    return np.clip(np.round((x @ weights - threshold) * 2**bits / kept), 0, 2**bits - 1)


def starts_one_too_high(x, weights, threshold, step, bits):
    """Levels begin one unit above"""
    kept = np.floor(2**bits * step)
    level = np.floor((x @ weights - threshold) * 2**bits / kept) + 1
    return np.clip(np.where(x @ weights <= threshold, 0, level), 0, 2**bits - 1)


def rounds_down_and_adds_one(x, weights, threshold, step, bits):
    """Level 1 begins one unit above θ"""
    kept = np.floor(2**bits * step)
    level = np.floor((x @ weights - threshold) * 2**bits / kept) + 1
    return np.clip(level, 0, 2**bits - 1)


def lets_negative_levels_out(x, weights, threshold, step, bits):
    """Nothing negative is ever sent"""
    kept = np.floor(2**bits * step)
    return np.minimum(np.ceil((x @ weights - threshold) * 2**bits / kept), 2**bits - 1)


def one_level_too_many(x, weights, threshold, step, bits):
    """the highest level is"""
    kept = np.floor(2**bits * step)
    return np.clip(np.ceil((x @ weights - threshold) * 2**bits / kept), 0, 2**bits)


def keeps_the_step_as_it_is(x, weights, threshold, step, bits):
    """Where is ⌊2^b·Δ⌋?"""
    return np.clip(np.ceil((x @ weights - threshold) / step), 0, 2**bits - 1)
