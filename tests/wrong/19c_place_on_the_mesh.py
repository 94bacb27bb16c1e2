"""Wrong versions of exercise 19c; each docstring is a part of the message that must come."""

from __future__ import annotations

import math


def as_it_was_given(layers, memory):
    """it sits in the input converter"""
    return [math.ceil(o * k * k * c * math.ceil(b / 8) / memory) for k, c, o, b in layers]


def bits_are_still_unused(layers, memory):
    """Two 4-bit weights share a byte"""
    return [0] + [math.ceil(o / (memory // (k * k * c))) for k, c, o, _ in layers[1:]]


def bytes_are_shared_out(layers, memory):
    """hold no third"""
    return [0] + [math.ceil(o * math.ceil(k * k * c * b / 8) / memory) for k, c, o, b in layers[1:]]


def bytes_are_rounded_down(layers, memory):
    """filters of 36 bits take 5 bytes each"""
    return [0] + [math.ceil(o / (memory // (k * k * c * b // 8))) for k, c, o, b in layers[1:]]


def refuses_a_full_processor(layers, memory):
    """fits into an NP of 288, and was refused"""
    needed = [0]
    for k, c, o, b in layers[1:]:
        size = math.ceil(k * k * c * b / 8)
        if size >= memory and memory < 1000:
            raise ValueError
        needed.append(math.ceil(o / (memory // size)))
    return needed


def the_input_layer_is_refused(layers, memory):
    """it fits, but a ValueError came"""
    needed = []
    for i, (k, c, o, b) in enumerate(layers):
        size = math.ceil(k * k * c * b / 8)
        if size > memory:
            raise ValueError(f"a filter of {size} bytes")
        needed.append(math.ceil(o / (memory // size)) if i else 0)
    return needed
