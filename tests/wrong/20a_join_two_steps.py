"""Wrong versions of exercise 20a; each docstring is a part of the message that must come."""

from __future__ import annotations


def the_other_order(first, second):
    """b is that of the other order"""
    (a1, b1), (a2, b2) = first, second
    return a1 * a2, a1 * b2 + b1


def nothing_fades(first, second):
    """does not fade in the second"""
    (a1, b1), (a2, b2) = first, second
    return a1 * a2, b1 + b2


def sum_of_factors(first, second):
    """a is the sum"""
    (a1, b1), (a2, b2) = first, second
    return a1 + a2, a2 * b1 + b2


def only_b(first, second):
    """expected two tensors"""
    (_, b1), (a2, b2) = first, second
    return a2 * b1 + b2
