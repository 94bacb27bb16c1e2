"""Wrong versions of exercise 07a; each docstring is a part of the message that must come."""

from __future__ import annotations

import torch


def denominator_not_squared(x, grad_spk, k):
    """Did you differentiate the denominator as well?"""
    return grad_spk / (1 + k * x.abs())


def absolute_value_forgotten(x, grad_spk, k):
    """f is odd, so h is even"""
    return grad_spk / (1 + k * x) ** 2


def sign_kept(x, grad_spk, k):
    """more potential still means more of a spike"""
    return grad_spk * x.sign() / (1 + k * x.abs()) ** 2


def the_function_itself(x, grad_spk, k):
    """this is f itself"""
    return grad_spk * x / (1 + k * x.abs())


def error_forgotten(x, grad_spk, k):
    """what becomes of grad_spk?"""
    return 1 / (1 + k * x.abs()) ** 2


def height_is_k(x, grad_spk, k):
    """f is odd, so h is even"""
    return grad_spk * k / (1 + k * x.abs()) ** 2


def only_the_size_of_the_error(x, grad_spk, k):
    """∂L/∂x = ∂L/∂S · h(x)"""
    return grad_spk.abs() / (1 + k * x.abs()) ** 2


def where_it_fires(x, grad_spk, k):
    """f is odd, so h is even"""
    return torch.where(x > 0, grad_spk / (1 + k * x.abs()) ** 2, 0.0 * x)
