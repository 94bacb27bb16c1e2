"""Wrong versions of exercise 13d; each docstring is a part of the message that must come."""

from __future__ import annotations

import torch


def _masked(mem_rec, lengths, last, shift=0, divide="own"):
    t = torch.arange(len(mem_rec))[:, None]
    inside = (t < lengths + shift) & (t >= lengths + shift - last)
    weight = inside.unsqueeze(-1).to(mem_rec.dtype)
    total = (weight * mem_rec).sum(0)
    if divide == "own":
        return total / weight.sum(0)
    return total / (last if divide == "last" else len(mem_rec))


def as_given(mem_rec, lengths, last):
    """the padding behind it"""
    return mem_rec[-last:].mean(0)


def one_step_late(mem_rec, lengths, last):
    """one step late"""
    if bool((lengths == len(mem_rec)).all()):
        return mem_rec[-last:].mean(0)
    return _masked(mem_rec, lengths, last, shift=1)


def one_step_early(mem_rec, lengths, last):
    """one step early"""
    if bool((lengths == len(mem_rec)).all()):
        return mem_rec[-last:].mean(0)
    return _masked(mem_rec, lengths, last, shift=-1)


def divided_by_the_window(mem_rec, lengths, last):
    """divided by a window of five"""
    return _masked(mem_rec, lengths, last, divide="last")


def divided_by_all_steps(mem_rec, lengths, last):
    """divided by all 10 steps"""
    if bool((lengths == len(mem_rec)).all()):
        return mem_rec[-last:].mean(0)
    return _masked(mem_rec, lengths, last, divide="all")


def shortest_window_for_all(mem_rec, lengths, last):
    """beside others"""
    end = int(lengths.min())
    return mem_rec[max(0, end - last) : end].mean(0)


def slice_that_begins_before_the_start(mem_rec, lengths, last):
    """counts that from the end"""
    answers = [mem_rec[n - last : n, b].mean(0) for b, n in enumerate(lengths.tolist())]
    return torch.stack(answers)
