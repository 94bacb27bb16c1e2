"""Wrong versions of exercise 12a; each docstring is a part of the message that must come."""

from __future__ import annotations


def _count(spk, out_channels, kernel, stride, padding):
    _, B, _, H, W = spk.shape

    def inside(place, size):
        windows = range((size + 2 * padding - kernel) // stride + 1)
        return sum(o * stride - padding <= place < o * stride - padding + kernel for o in windows)

    found = 0
    for _, _, _, row, column in spk.nonzero().tolist():
        found += out_channels * inside(row, H) * inside(column, W)
    return found / B


def one_channel_only(spk, out_channels, kernel, stride, padding):
    """Each output channel has weights of its own"""
    return _count(spk, 1, kernel, stride, padding)


def borders_forgotten(spk, out_channels, kernel, stride, padding):
    """only windows 0 and 1 hold row 0"""
    return spk.sum().item() * out_channels * kernel**2 / spk.shape[1]


def stride_forgotten(spk, out_channels, kernel, stride, padding):
    """Window o covers the rows 2·o − 1 to 2·o + 1"""
    return _count(spk, out_channels, kernel, 1, padding)


def mean_over_steps(spk, out_channels, kernel, stride, padding):
    """Each step costs anew"""
    return _count(spk, out_channels, kernel, stride, padding) / spk.shape[0]


def sum_over_pictures(spk, out_channels, kernel, stride, padding):
    """Divide by B, not by the number of spikes or steps"""
    return _count(spk, out_channels, kernel, stride, padding) * spk.shape[1]


def nothing_returned(spk, out_channels, kernel, stride, padding):
    """Is there a return?"""
