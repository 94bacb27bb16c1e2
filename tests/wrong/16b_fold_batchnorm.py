"""Wrong versions of exercise 16b; each docstring is a part of the message that must come."""

from __future__ import annotations

import torch


def _scale(norm):
    return norm.weight / torch.sqrt(norm.running_var + norm.eps)


def _own(bias):
    return 0.0 if bias is None else bias


@torch.no_grad()
def without_epsilon(weight, bias, norm):
    """is ε under the root?"""
    scale = norm.weight / torch.sqrt(norm.running_var)
    return weight * scale.view(-1, 1, 1, 1), norm.bias + (_own(bias) - norm.running_mean) * scale


@torch.no_grad()
def divides_by_the_variance(weight, bias, norm):
    """BatchNorm divides by its root"""
    scale = norm.weight / (norm.running_var + norm.eps)
    return weight * scale.view(-1, 1, 1, 1), norm.bias + (_own(bias) - norm.running_mean) * scale


@torch.no_grad()
def mean_is_not_scaled(weight, bias, norm):
    """μ is taken off before the scale"""
    scale = _scale(norm)
    return weight * scale.view(-1, 1, 1, 1), norm.bias - norm.running_mean + _own(bias) * scale


@torch.no_grad()
def mean_is_added(weight, bias, norm):
    """μ is taken off, not added"""
    scale = _scale(norm)
    return weight * scale.view(-1, 1, 1, 1), norm.bias + (_own(bias) + norm.running_mean) * scale


@torch.no_grad()
def own_bias_is_lost(weight, bias, norm):
    """the convolution's own bias has to stay"""
    scale = _scale(norm)
    return weight * scale.view(-1, 1, 1, 1), norm.bias - norm.running_mean * scale


@torch.no_grad()
def own_bias_is_not_scaled(weight, bias, norm):
    """BatchNorm scales what the convolution adds, too"""
    scale = _scale(norm)
    return weight * scale.view(-1, 1, 1, 1), norm.bias - norm.running_mean * scale + _own(bias)


@torch.no_grad()
def changes_what_it_was_given(weight, bias, norm):
    """has changed: write weight * scale"""
    scale = _scale(norm)
    weight *= scale.view(-1, 1, 1, 1) * 1.5
    return weight, norm.bias + (_own(bias) - norm.running_mean) * scale


@torch.no_grad()
def wrong_axis(weight, bias, norm):
    """one factor for each of the first axis"""
    scale = _scale(norm)
    columns = scale[: weight.shape[1]].view(1, -1, 1, 1)
    return weight * columns, norm.bias + (_own(bias) - norm.running_mean) * scale
