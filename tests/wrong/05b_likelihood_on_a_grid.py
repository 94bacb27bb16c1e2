"""Wrong versions of exercise 05b; each docstring is a part of the message that must come."""

from __future__ import annotations


def log_forgotten(counts, rates, grid, window):
    """should multiply its logarithm"""
    return grid[(counts @ rates.T - window * rates.sum(1)).argmax(1)]


def silence_ignored(counts, rates, grid, window):
    """Silence is evidence"""
    return grid[(counts @ rates.log().T).argmax(1)]


def window_forgotten(counts, rates, grid, window):
    """What should T multiply?"""
    return grid[(counts @ rates.log().T - rates.sum(1)).argmax(1)]


def places_for_angles(counts, rates, grid, window):
    """these are places in the grid"""
    return (counts @ rates.log().T - window * rates.sum(1)).argmax(1)


def best_trial_of_each_angle(counts, rates, grid, window):
    """its argmax over G"""
    return grid[(counts @ rates.log().T - window * rates.sum(1)).argmax(0) % len(grid)]


def least_likely(counts, rates, grid, window):
    """Is it the largest log L that you keep?"""
    return grid[(counts @ rates.log().T - window * rates.sum(1)).argmin(1)]
