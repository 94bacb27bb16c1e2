"""Wrong versions of exercise 05c; each docstring is a part of the message that must come."""

from __future__ import annotations


def _slope(rates, s, h=1e-3):
    return (rates(s + h) - rates(s - h)) / (2 * h)


def times_f(rates, s, window):
    """the noise of the count is √(T·f), so divide"""
    return (window * _slope(rates, s) ** 2 * rates(s)).sum()


def not_squared(rates, s, window):
    """The slope is not squared"""
    return (window * _slope(rates, s) / rates(s)).sum()


def over_h(rates, s, window):
    """it is 2h, not h"""
    slope = (rates(s + 1e-3) - rates(s - 1e-3)) / 1e-3
    return (window * slope**2 / rates(s)).sum()


def window_forgotten(rates, s, window):
    """where is T?"""
    return (_slope(rates, s) ** 2 / rates(s)).sum()


def window_twice(rates, s, window):
    """T comes in once"""
    return ((window * _slope(rates, s)) ** 2 / rates(s)).sum()


def sums_before_dividing(rates, s, window):
    """the quotients are added up"""
    return window * (_slope(rates, s) ** 2).sum() / rates(s).sum()


def one_number_a_neuron(rates, s, window):
    """Informations of the neurons add up"""
    return window * _slope(rates, s) ** 2 / rates(s)


def one_side(rates, s, window):
    """the difference one to a single side?"""
    slope = (rates(s + 3.0) - rates(s)) / 3.0
    return (window * slope**2 / rates(s)).sum()


def nothing_left_out(rates, s, window):
    """leave it out"""
    return (window * _slope(rates, s) ** 2 / rates(s)).sum()


def large_h(rates, s, window):
    """Is h small"""
    return (window * _slope(rates, s, 1.5) ** 2 / rates(s)).sum()
