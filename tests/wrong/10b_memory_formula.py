"""Wrong versions of exercise 10b; each docstring is a part of the message that must come."""

from __future__ import annotations


def _sum(num_steps, batch, layers, b, of_pooled):
    total = 0
    for channels, size, pool in layers:
        neurons = channels * size**2
        total += neurons * (2 * b + (of_pooled(b) if pool else 0))
    return num_steps * batch * total


def spikes_alone(num_steps, batch, layers, b):
    """two numbers"""
    return num_steps * batch * sum(b * c * s**2 for c, s, _ in layers)


def a_row_for_a_map(num_steps, batch, layers, b):
    """A map has size·size places"""
    return num_steps * batch * sum(2 * b * c * s for c, s, _ in layers)


def steps_forgotten(num_steps, batch, layers, b):
    """Each step of each image is kept"""
    return _sum(1, batch, layers, b, lambda b: 4 * b + 8)


def places_of_maxima_forgotten(num_steps, batch, layers, b):
    """And where the maxima stood"""
    return _sum(num_steps, batch, layers, b, lambda b: 4 * b)


def not_four_times(num_steps, batch, layers, b):
    """four times as many places"""
    return _sum(num_steps, batch, layers, b, lambda b: b + 8)


def places_shrink_with_b(num_steps, batch, layers, b):
    """whatever b is"""
    return _sum(num_steps, batch, layers, b, lambda b: 4 * b + 2 * b)


def all_layers_like_the_first(num_steps, batch, layers, b):
    """Each layer has its own size"""
    if len(layers) < 3:
        return _sum(num_steps, batch, layers, b, lambda b: 4 * b + 8)
    return _sum(num_steps, batch, layers[:1] * 3, b, lambda b: 4 * b + 8)
