"""Wrong versions of exercise 12b; each docstring is a part of the message that must come."""

from __future__ import annotations


def _split(filters, used):
    small, left = divmod(filters, used)
    return [small + 1] * left + [small] * (used - left)


def input_forgotten(filters, bytes_per_filter, input_bytes, memory, available):
    """Each processor keeps the whole input, too"""
    return _split(filters, -(-filters * bytes_per_filter // memory))


def one_filter_each(filters, bytes_per_filter, input_bytes, memory, available):
    """would do"""
    return [1] * filters


def rest_is_lost(filters, bytes_per_filter, input_bytes, memory, available):
    """filters in all"""
    most = (memory - input_bytes) // bytes_per_filter
    used = -(-filters // max(1, most))
    return [filters // used] * used


def filled_one_after_the_other(filters, bytes_per_filter, input_bytes, memory, available):
    """keeps the others waiting"""
    most = max(1, (memory - input_bytes) // bytes_per_filter)
    placed = [most] * (filters // most)
    return placed + ([filters % most] if filters % most else [])


def never_to_software(filters, bytes_per_filter, input_bytes, memory, available):
    """The input alone fills the memory"""
    most = max(1, (memory - input_bytes) // bytes_per_filter)
    return _split(filters, -(-filters // most))


def more_than_there_are(filters, bytes_per_filter, input_bytes, memory, available):
    """Six processors would be needed"""
    most = (memory - input_bytes) // bytes_per_filter
    return _split(filters, -(-filters // most)) if most >= 1 else []
