"""Wrong versions of exercise 07b; each docstring is a part of the message that must come."""

from __future__ import annotations

import math

import torch


def _with(s, height=1.0):
    def mine(input_, grad_input, spikes):
        return grad_input * height * torch.exp(-(input_**2) / (2 * s**2))

    return mine


def s_is_half_the_width(width):
    """so your s is w/2"""
    return _with(width / 2)


def s_is_the_width(width):
    """so your s is w. Solve"""
    return _with(width)


def half_at_the_full_width(width):
    """it falls to 1/2 at x = w"""
    return _with(width / math.sqrt(2 * math.log(2)))


def two_forgotten(width):
    """Is the 2 of 2·s² where it belongs?"""
    return _with(width / (2 * math.sqrt(2 * math.log(2))) / math.sqrt(2))


def normal_density(width):
    """here the height is 1"""
    s = width / (2 * math.sqrt(2 * math.log(2)))
    return _with(s, 1 / (s * math.sqrt(2 * math.pi)))


def error_forgotten(width):
    """∂L/∂S is 2, −3, 1"""
    s = width / (2 * math.sqrt(2 * math.log(2)))

    def mine(input_, grad_input, spikes):
        return torch.exp(-(input_**2) / (2 * s**2))

    return mine


def only_where_it_fires(width):
    """h at x = 0"""
    s = width / (2 * math.sqrt(2 * math.log(2)))

    def mine(input_, grad_input, spikes):
        return grad_input * spikes * torch.exp(-(input_**2) / (2 * s**2))

    return mine


def bell_of_the_spike(width):
    """w/2"""
    s = width / (2 * math.sqrt(2 * math.log(2)))

    def mine(input_, grad_input, spikes):
        return grad_input * torch.exp(-(spikes**2) / (2 * s**2))

    return mine


def returns_a_tensor(width):
    """expected a function of (input_, grad_input, spikes)"""
    return torch.exp(-torch.tensor(width))


def two_counted_twice(width):
    """h(w/2) is 0.707"""
    return _with(width / (2 * math.sqrt(math.log(2))))
