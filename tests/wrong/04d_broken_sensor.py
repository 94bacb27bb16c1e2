"""Wrong versions of exercise 04d; each docstring is a part of the message that must come."""

from __future__ import annotations

import torch


def _run(frames, theta, cut, remember):
    memory = frames[0].log()
    counts = []
    for frame in frames:
        level = frame.log()
        steps = cut((level - memory) / theta)
        memory = remember(memory, level, steps)
        counts.append(steps)
    return torch.stack(counts)


def still_rounds(frames, theta):
    """what does round make of 0.7?"""
    return _run(frames, theta, torch.round, lambda m, level, n: m + n * theta)


def floors(frames, theta):
    """floor on a negative number"""
    return _run(frames, theta, torch.floor, lambda m, level, n: m + n * theta)


def still_follows(frames, theta):
    """M follows the light even where there was no event"""
    return _run(frames, theta, torch.trunc, lambda m, level, n: level)


def follows_at_events(frames, theta):
    """events, expected 4"""
    return _run(frames, theta, torch.trunc, lambda m, level, n: torch.where(n != 0, level, m))


def one_theta_only(frames, theta):
    """ln I jumps to 3.1 θ above M"""
    return _run(frames, theta, torch.trunc, lambda m, level, n: m + n.sign() * theta)


def one_event_only(frames, theta):
    """ln I jumps to 3.1 θ above M"""
    return _run(frames, theta, lambda n: n.trunc().sign(), lambda m, level, n: m + n * theta)
