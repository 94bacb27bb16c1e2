"""Wrong versions of exercise 14b; each docstring is a part of the message that must come."""

from __future__ import annotations

import torch
import torch.nn.functional as F


def _windows(spk):
    H, W = spk.shape[3:]
    return F.conv2d(torch.ones(1, 1, H, W), torch.ones(1, 1, 3, 3), padding=1)[0, 0]


def _count(outputs, filters, windows=_windows, use=lambda spk: spk, last=None):
    found = []
    for spk, count in zip(outputs[:-1], filters[:-1], strict=True):
        found.append(count * (windows(spk) * use(spk).sum((0, 1, 2))).sum().item() / spk.shape[1])
    end = last(outputs[-1]) if last else use(outputs[-1]).sum().item()
    return [*found, filters[-1] * end / outputs[-1].shape[1]]


def filters_forgotten(outputs, filters):
    """Each filter has weights of its own"""
    return _count(outputs, [1] * len(filters))


def windows_forgotten(outputs, filters):
    """It lies in nine windows"""
    return _count(outputs, filters, windows=lambda spk: 1)


def edges_forgotten(outputs, filters):
    """Windows whose middle lies outside"""
    return _count(outputs, filters, windows=lambda spk: 9)


def readout_as_a_convolution(outputs, filters):
    """Behind it stands a linear layer and no convolution"""
    last = lambda spk: (_windows(spk) * spk.sum((0, 1, 2))).sum().item()  # noqa: E731
    return _count(outputs, filters, last=last)


def two_counts_as_one(outputs, filters):
    """and each is added"""
    return _count(outputs, filters, use=lambda spk: (spk > 0).float())


def mean_over_steps(outputs, filters):
    """Sum over the steps"""
    return _count(outputs, filters, use=lambda spk: spk.mean(0, keepdim=True))


def sum_over_images(outputs, filters):
    """Every step costs anew, and the images are averaged"""
    B = outputs[0].shape[1]
    return [B * value for value in _count(outputs, filters)]


def one_number(outputs, filters):
    """expected one a layer"""
    return [sum(_count(outputs, filters))]
