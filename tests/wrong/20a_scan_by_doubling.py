"""Wrong versions of exercise 20a; each docstring is a part of the message that must come."""

from __future__ import annotations

import torch


def the_other_order(a, b):
    """the earlier step of the pair was taken for the later"""
    far = 1
    while far < len(b):
        b = torch.cat([b[:far], a[:-far] * b[far:] + b[:-far]])
        a = torch.cat([a[:far], a[far:] * a[:-far]])
        far = 2 * far
    return b


def nothing_fades(a, b):
    """does not fade in the second"""
    return b.cumsum(0)


def one_round(a, b):
    """How many steps does an entry stand for after each round?"""
    return torch.cat([b[:1], a[1:] * b[:-1] + b[1:]])


def distance_grows_by_one(a, b):
    """does a step go in twice?"""
    for far in range(1, len(b)):
        b = torch.cat([b[:far], a[far:] * b[:-far] + b[far:]])
        a = torch.cat([a[:far], a[far:] * a[:-far]])
    return b


def a_is_never_joined(a, b):
    """is a updated in each round"""
    far = 1
    while far < len(b):
        b = torch.cat([b[:far], a[far:] * b[:-far] + b[far:]])
        far = 2 * far
    return b


def only_powers_of_two(a, b):
    """is no power of two"""
    far = 1
    while far <= len(b) // 2:
        b = torch.cat([b[:far], a[far:] * b[:-far] + b[far:]])
        a = torch.cat([a[:far], a[far:] * a[:-far]])
        far = 2 * far
    return b


def step_by_step(a, b):
    """Is there a loop over the steps?"""
    h = [b[0]]
    for t in range(1, len(b)):
        h.append(a[t] * h[-1] + b[t])
    return torch.stack(h)


def in_place(a, b):
    """has changed"""
    for t in range(1, len(b)):
        b[t] += a[t] * b[t - 1].clone()
    return b
