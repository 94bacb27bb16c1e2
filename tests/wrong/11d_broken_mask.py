"""Wrong versions of exercise 11d; each docstring is a part of the message that must come."""

from __future__ import annotations

import torch


def _filled(x):
    return x.flatten(2).sum(2) > 0


def as_it_was_given(x, mem_rec):
    """by how many is it divided?"""
    return (mem_rec * _filled(x)[..., None]).mean(0)


def padding_included(x, mem_rec):
    """the mean runs over its padding, too"""
    return mem_rec.mean(0)


def pause_left_out(x, mem_rec):
    """it ends with its *last* frame that holds an event"""
    filled = _filled(x)
    return (mem_rec * filled[..., None]).sum(0) / filled.sum(0).clamp(min=1)[:, None]


def number_of_filled_frames_as_length(x, mem_rec):
    """How many frames hold one is not how long the recording is"""
    length = _filled(x).sum(0).clamp(min=1)
    inside = torch.arange(1, len(x) + 1)[:, None] <= length
    return (mem_rec * inside[..., None]).sum(0) / length[:, None]


def pause_missing_in_the_sum_alone(x, mem_rec):
    """the sum leaves their steps out, and the division by 5 does not"""
    filled = _filled(x)
    length = (filled * torch.arange(1, len(x) + 1)[:, None]).amax(0).clamp(min=1)
    return (mem_rec * filled[..., None]).sum(0) / length[:, None]


def divided_by_nothing(x, mem_rec):
    """gives nan"""
    step = torch.arange(1, len(x) + 1)[:, None]
    length = (_filled(x) * step).amax(0)
    return (mem_rec * (step <= length)[..., None]).sum(0) / length[:, None]
