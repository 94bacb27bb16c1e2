"""Wrong versions of exercise 22b; each docstring is a part of the message that must come."""

from __future__ import annotations

import torch


def _round(world, keys_of, targets_of, num_frames, late=False):
    """The solution with a mistake."""
    frames, targets = [], []
    for _ in range(num_frames):
        frame = world.frame()
        keys = keys_of(world, frame)
        if not late:
            targets.append(targets_of(world, keys))
        world.act(keys)
        if late:
            targets.append(targets_of(world, keys))
        frames.append(torch.from_numpy(frame))
    return torch.stack(frames), torch.stack(targets)


def as_given(world, network, teacher, num_frames):
    """If the teacher plays, the record never shows"""

    def answers(world, keys):
        return torch.sigmoid(torch.from_numpy(teacher(world)) / 2)

    return _round(world, lambda world, frame: teacher(world) >= 0, answers, num_frames, late=True)


def asked_too_late(world, network, teacher, num_frames):
    """before the key or after it?"""

    def answers(world, keys):
        return torch.sigmoid(torch.from_numpy(teacher(world)) / 2)

    return _round(world, lambda world, frame: network(frame), answers, num_frames, late=True)


def taught_by_itself(world, network, teacher, num_frames):
    """its key is overdue by -5 ticks"""

    def answers(world, keys):
        return torch.from_numpy(keys).float()

    return _round(world, lambda world, frame: network(frame), answers, num_frames)


def cut_to_yes_and_no(world, network, teacher, num_frames):
    """the target is 0.000"""

    def answers(world, keys):
        return (torch.from_numpy(teacher(world)) >= 0).float()

    return _round(world, lambda world, frame: network(frame), answers, num_frames)
