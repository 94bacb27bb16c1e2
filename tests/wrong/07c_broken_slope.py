"""Wrong versions of exercise 07c; each docstring is a part of the message that must come."""

from __future__ import annotations

import torch


def as_given(mem, grad_spk, threshold, width):
    """such an update raises U"""
    near = (mem.abs() < width).float()
    slope = torch.where(mem > threshold, -1.0, 1.0)
    return grad_spk * near * slope * (1 - mem.abs() / width)


def only_the_sign(mem, grad_spk, threshold, width):
    """From where do you measure the distance?"""
    near = (mem.abs() < width).float()
    return grad_spk * near * (1 - mem.abs() / width)


def only_the_centre(mem, grad_spk, threshold, width):
    """such an update raises U"""
    x = mem - threshold
    return grad_spk * torch.where(x > 0, -1.0, 1.0) * (1 - x.abs() / width).clamp(min=0)


def without_an_end(mem, grad_spk, threshold, width):
    """such an update raises U"""
    return grad_spk * (1 - (mem - threshold).abs() / width)


def box(mem, grad_spk, threshold, width):
    """x/w is"""
    return grad_spk * ((mem - threshold).abs() < width).float()


def silent_ones_left_out(mem, grad_spk, threshold, width):
    """above θ and as far below it"""
    x = mem - threshold
    return grad_spk * (x >= 0).float() * (1 - x.abs() / width).clamp(min=0)


def full_width(mem, grad_spk, threshold, width):
    """x/w is"""
    return grad_spk * (1 - 2 * (mem - threshold).abs() / width).clamp(min=0)


def error_forgotten(mem, grad_spk, threshold, width):
    """∂L/∂S is 2, −2, 4"""
    return (1 - (mem - threshold).abs() / width).clamp(min=0)


def size_of_the_error(mem, grad_spk, threshold, width):
    """∂L/∂S is 2, −2, 4"""
    return grad_spk.abs() * (1 - (mem - threshold).abs() / width).clamp(min=0)


def cut_off_around_rest(mem, grad_spk, threshold, width):
    """Is the cut-off measured from the same place"""
    near = ((mem.abs() < width) | (mem > threshold)).float()
    return (
        grad_spk
        * near
        * torch.where(
            mem > threshold,
            (1 - (mem - threshold) / width).clamp(min=0),
            1 - (threshold - mem) / width,
        )
    )
