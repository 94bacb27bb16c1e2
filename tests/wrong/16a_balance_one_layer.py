"""Wrong versions of exercise 16a; each docstring is a part of the message that must come."""

from __future__ import annotations

import torch


def _lam(a, share):
    return torch.quantile(a.flatten(), share)


def bias_forgotten(weight, bias, a_before, a, share):
    """all of them, the bias too"""
    return weight * _lam(a_before, share) / _lam(a, share), bias


def bias_like_a_weight(weight, bias, a_before, a, share):
    """no spike carries it"""
    factor = _lam(a_before, share) / _lam(a, share)
    return weight * factor, bias * factor


def layer_before_forgotten(weight, bias, a_before, a, share):
    """have to multiply that back"""
    return weight / _lam(a, share), bias / _lam(a, share)


def fraction_upside_down(weight, bias, a_before, a, share):
    """the fraction stands upside down"""
    return weight * _lam(a, share) / _lam(a_before, share), bias / _lam(a, share)


def the_largest_decides(weight, bias, a_before, a, share):
    """Is share used?"""
    return weight * a_before.max() / a.max(), bias / a.max()


def one_for_every_neuron(weight, bias, a_before, a, share):
    """there is a λ for every neuron"""
    if share == 1.0:
        return weight * a_before.max() / a.max(), bias / a.max()
    lam = torch.quantile(a, share, dim=0)
    return weight * _lam(a_before, share) / lam[:, None], bias / lam


def weight_alone(weight, bias, a_before, a, share):
    """got one thing, expected two"""
    return weight
