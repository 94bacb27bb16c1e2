"""Wrong versions of exercise 18b; each docstring is a part of the message that must come."""

from __future__ import annotations


def _right(N, d, f_q, f_k, f_v):
    one, two = f_q * f_k, f_k * f_v
    first = N * N * d * (one + (1 - (1 - one) ** d) * f_v)
    return first, N * d * d * (two + (1 - (1 - two) ** N) * f_q)


def no_count_is_zero(N, d, f_q, f_k, f_v):
    """and none if it is 0"""
    return N * N * d * (f_q * f_k + f_v), N * d * d * (f_k * f_v + f_q)


def counts_added_one_by_one(N, d, f_q, f_k, f_v):
    """one addition, however large it is"""
    return (
        N * N * d * f_q * f_k * (1 + d * f_v),
        N * d * d * f_k * f_v * (1 + N * f_q),
    )


def only_the_first_product(N, d, f_q, f_k, f_v):
    """The second is missing"""
    return N * N * d * f_q * f_k, N * d * d * f_k * f_v


def orders_swapped(N, d, f_q, f_k, f_v):
    """in the wrong order"""
    first, second = _right(N, d, f_q, f_k, f_v)
    return second, first


def a_count_is_a_single_bit(N, d, f_q, f_k, f_v):
    """a sum of so many bits"""
    return N * N * d * f_q * f_k * (1 + f_v), N * d * d * f_k * f_v * (1 + f_q)


def sums_of_the_wrong_length(N, d, f_q, f_k, f_v):
    """How likely is a count"""
    one, two = f_q * f_k, f_k * f_v
    first = N * N * d * (one + (1 - (1 - one) ** N) * f_v)
    return first, N * d * d * (two + (1 - (1 - two) ** d) * f_q)
